//! What a test measured.

use std::fmt;
use std::time::Duration;

/// One figure of one run.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) enum Figure {
    Time(Duration),
    Count(u64),
}

/// Of one run, by name.
pub(crate) type Figures = Vec<(&'static str, Figure)>;

/// A line for each, which `scripts/measured.py` adds up over many runs.
#[expect(clippy::print_stdout, reason = "the figures are what comes of it")]
pub(crate) fn measured(row: &str, figures: &[(&'static str, Figure)]) {
    for (name, figure) in figures {
        println!("measured | {row} | {name} | {figure}");
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(it) => write!(f, "{:.2} s", it.as_secs_f64()),
            Self::Count(it) => write!(f, "{it}"),
        }
    }
}
