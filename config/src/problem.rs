//! One thing wrong in a file, as the operator sees it.

use std::fmt;
use std::path::PathBuf;

/// `services/library.toml:14: service.library.health.timeout: must be below interval (2s), got 3s`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file as it was named to us.
    pub file: PathBuf,
    /// From 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// Dotted path of the field; empty where the text is not TOML at all.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A file's name may hold anything; a problem stays on one line.
        for character in self.file.display().to_string().chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line() {
        let mut problem = Problem {
            file: PathBuf::from("a\nb.toml"),
            line: 3,
            field: "x.y".to_owned(),
            message: "is wrong".to_owned(),
        };
        assert_eq!(problem.to_string(), "a\\nb.toml:3: x.y: is wrong");
        (problem.line, problem.field) = (0, String::new());
        assert_eq!(problem.to_string(), "a\\nb.toml: is wrong");
    }
}
