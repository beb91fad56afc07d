//! One file as text, with a bound, and what to say where it cannot be read.

use minato_config::Problem;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Reads at most `most` bytes of UTF-8 from a regular file; symbolic links are followed.
pub(crate) fn read(file: &Path, most: u64) -> Result<String, Problem> {
    let bytes = bytes(file, most).map_err(|error| unreadable(file, &error))?;
    if bytes.len() as u64 > most {
        let most = most / 1024;
        return Err(problem(
            file,
            format!("is larger than {most} KiB, the most that is read"),
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let lines = error
            .as_bytes()
            .iter()
            .take(good)
            .filter(|it| **it == b'\n');
        Problem {
            line: lines.count() + 1,
            ..problem(file, "is not UTF-8 text; save it with that encoding")
        }
    })
}

fn bytes(file: &Path, most: u64) -> io::Result<Vec<u8>> {
    let kind = fs::metadata(file)?;
    if kind.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    if !kind.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What the system said, and where to look.
pub(crate) fn unreadable(file: &Path, error: &io::Error) -> Problem {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "; let the user that minato runs as read it",
        io::ErrorKind::NotFound if file.is_symlink() => "; the symbolic link leads nowhere",
        _ => "",
    };
    problem(file, format!("cannot be read: {error}{hint}"))
}

/// A problem of the file as a whole.
pub(crate) fn problem(file: &Path, message: impl Into<String>) -> Problem {
    Problem {
        file: file.to_owned(),
        line: 0,
        field: String::new(),
        message: message.into(),
    }
}
