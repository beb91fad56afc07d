//! From the program as it is written to the file that is executed, and what is wrong with it where it cannot be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where `program` lies: with a `/`, below `directory` unless it is absolute; else in the folders of `path`.
///
/// The error says what is wrong and what to do, without the name of the file that says so.
pub(super) fn resolve(program: &str, path: &str, directory: &Path) -> Result<PathBuf, String> {
    if program.contains('/') {
        let file = directory.join(program);
        return check(&file).map(|()| file);
    }
    let mut refused = None;
    for folder in path.split(':').filter(|it| it.starts_with('/')) {
        let file = Path::new(folder).join(program);
        match check(&file) {
            Ok(()) => return Ok(file),
            Err(why) if file.exists() => refused = Some(why),
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(|| {
        format!("`{program}` was not found in PATH ({path}); install it, or write its whole path")
    }))
}

fn check(file: &Path) -> Result<(), String> {
    let shown = file.display();
    let about = fs::metadata(file)
        .map_err(|cause| format!("`{shown}` cannot be read ({cause}); correct the path"))?;
    if about.is_dir() {
        return Err(format!(
            "`{shown}` is a folder; write the program's own path"
        ));
    }
    if about.permissions().mode() & 0o111 == 0 {
        return Err(format!(
            "`{shown}` is not executable; run `chmod +x {shown}`"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, mode: u32| {
            let file = folder.path().join(name);
            fs::write(&file, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            file
        };
        let (good, plain) = (write("good", 0o755), write("plain", 0o644));
        let path = format!("relative::{}:/usr/bin:/bin", folder.path().display());
        let find = |program: &str| resolve(program, &path, folder.path());
        assert_eq!(find("good"), Ok(good.clone()));
        assert_eq!(
            find("./good").map(|it| it.canonicalize().unwrap()),
            Ok(good.canonicalize().unwrap())
        );
        assert_eq!(find(good.to_str().unwrap()), Ok(good));
        assert!(find("sh").is_ok());
        for (program, says) in [
            ("absent", "was not found in PATH"),
            ("plain", "is not executable; run `chmod +x"),
            ("./absent", "cannot be read"),
            ("/", "is a folder"),
            (plain.to_str().unwrap(), "is not executable"),
            ("", "is a folder"),
        ] {
            let error = find(program).unwrap_err();
            assert!(error.contains(says), "{program}: {error}");
        }
    }
}
