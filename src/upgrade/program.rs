//! Which file this program was started from, and may be started from again.

use anyhow::Context as _;
use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The path that this process was started by, made absolute: a link stays a link, so that what it names later counts.
///
/// To be asked early: once the file is replaced, the system knows this process's program only as deleted.
pub(crate) fn own() -> anyhow::Result<PathBuf> {
    let running = std::env::current_exe().context("this program's own path is unknown")?;
    let typed = std::env::args_os().next();
    let typed = typed.and_then(|it| absolute(&it, std::env::var_os("PATH").as_deref()));
    // Whoever starts a program may call it anything.
    Ok(typed.filter(|it| is_same(it, &running)).unwrap_or(running))
}

/// Where the shell would have found `typed`.
fn absolute(typed: &OsStr, path: Option<&OsStr>) -> Option<PathBuf> {
    let typed = Path::new(typed);
    if typed.components().count() > 1 || typed.is_absolute() {
        return std::path::absolute(typed).ok();
    }
    std::env::split_paths(path?)
        .map(|folder| folder.join(typed))
        .find(|it| is_program(it))
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_a_link_and_a_bare_name_is_looked_up() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("minato-1"), folder.path().join("minato"));
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(absolute(link.as_os_str(), None), Some(link.clone()));
        assert!(is_same(&link, &file));
        let path = std::env::join_paths([Path::new("/nowhere"), folder.path()]).unwrap();
        assert_eq!(absolute(OsStr::new("minato"), Some(&path)), Some(link));
        assert_eq!(absolute(OsStr::new("other"), Some(&path)), None);
        assert!(!is_same(&file, Path::new("/proc/self/exe")));
    }

    #[test]
    fn the_own_program_is_found_and_runs() {
        let own = own().unwrap();
        assert!(own.is_absolute() && is_program(&own), "{own:?}");
    }
}
