//! The keeper of one run: parent of the instance, reader of its output, writer of its record. Outlives minato.

use std::ffi::OsString;
use std::process::ExitCode;

/// The hidden subcommand. Takes its order as JSON on standard input; `args` (those after the subcommand) only name the run for `ps`.
pub fn run(_args: Vec<OsString>) -> ExitCode {
    ExitCode::FAILURE
}
