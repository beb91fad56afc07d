//! Which files of the folder are services, and how to see that one of them changed.

use crate::text;
use minato_config::{Problem, ServiceName};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Service files of one folder.
const MOST_FILES: usize = 10_000;

/// What stands in the folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Service files by name of the service.
    pub(crate) files: BTreeMap<ServiceName, PathBuf>,
    /// Files that look like services and cannot be.
    pub(crate) problems: Vec<Problem>,
}

/// Changes whenever a file may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Listing {
    /// Lists `folder`; the error is the folder's own.
    pub(crate) fn of(folder: &Path) -> Result<Self, Problem> {
        let mut listing = Self::default();
        let entries = fs::read_dir(folder).map_err(|error| missing(folder, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| text::unreadable(folder, &error))?;
            if is_service_file(&entry.file_name().to_string_lossy()) {
                listing.add(entry.path());
            }
            if listing.files.len() + listing.problems.len() > MOST_FILES {
                let message =
                    format!("holds more than {MOST_FILES} service files, the most that are read");
                return Err(text::problem(folder, message));
            }
        }
        listing.problems.sort();
        Ok(listing)
    }

    fn add(&mut self, file: PathBuf) {
        let name = file.file_name().and_then(|it| it.to_str());
        let stem = name.and_then(|it| it.strip_suffix(".toml"));
        match stem.map(ServiceName::parse) {
            Some(Ok(name)) => {
                self.files.insert(name, file);
            }
            Some(Err(error)) => {
                let message = format!("the file's name is the service's, and {error}");
                self.problems.push(text::problem(&file, message));
            }
            None => {
                let message =
                    "a service file's name is plain text that ends with `.toml` in lower case";
                self.problems.push(text::problem(&file, message));
            }
        }
    }

    /// Stamps of all files; a file that cannot be looked at has none.
    pub(crate) fn stamps(&self) -> BTreeMap<PathBuf, Option<Stamp>> {
        let files = self.files.values();
        files.map(|it| (it.clone(), Stamp::of(it))).collect()
    }

    /// Folders outside `folder` in which linked files really are.
    pub(crate) fn linked_folders(&self, folder: &Path) -> Vec<PathBuf> {
        let home = fs::canonicalize(folder).ok();
        let links = self.files.values().filter(|it| it.is_symlink());
        let targets = links.filter_map(|it| fs::canonicalize(it).ok());
        let folders = targets.filter_map(|it| it.parent().map(Path::to_owned));
        let mut folders: Vec<_> = folders.filter(|it| Some(it) != home.as_ref()).collect();
        folders.sort();
        folders.dedup();
        folders
    }
}

impl Stamp {
    fn of(file: &Path) -> Option<Self> {
        let it = fs::metadata(file).ok()?;
        Some(Self {
            device: it.dev(),
            inode: it.ino(),
            size: it.size(),
            modified: (it.mtime(), it.mtime_nsec()),
            changed: (it.ctime(), it.ctime_nsec()),
        })
    }
}

/// Neither hidden nor an editor's own: `.x.toml`, `x.toml~`, `x.toml.swp` and `x.tmp` are not.
pub(crate) fn is_service_file(name: &str) -> bool {
    let ending = Path::new(name).extension().and_then(|it| it.to_str());
    !name.starts_with('.') && ending.is_some_and(|it| it.eq_ignore_ascii_case("toml"))
}

fn missing(folder: &Path, error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::NotFound => {
            let message = "the folder of service files does not exist; make it, or name another as `services` in minato.toml";
            text::problem(folder, message)
        }
        _ => text::unreadable(folder, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_names_are_service_files() {
        for (name, expected) in [
            ("library.toml", true),
            ("Library.toml", true),
            ("library.TOML", true),
            (".library.toml", false),
            (".library.toml.swp", false),
            ("library.toml~", false),
            ("library.toml.tmp", false),
            ("library.tmp", false),
            ("..data", false),
            ("toml", false),
            ("4913", false),
        ] {
            assert_eq!(is_service_file(name), expected, "{name}");
        }
    }
}
