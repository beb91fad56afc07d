//! Tests that a machine cannot run: told when it happens, listed at the end of `make test`, failed under `CI=true`.
//!
//! Owns how a skip is told. What a test needs, each test knows itself.

use std::fmt::Display;
use std::io::Write as _;

/// Tells that the test on this thread is skipped, and why: what is missing and how to get it.
///
/// One line to the standard error, past the test harness, which would keep it to itself; and one at the end of the file that
/// `MINATO_SKIPPED` names, which `make test` prints.
///
/// # Panics
///
/// Under `CI=true`: there everything has to run.
#[expect(clippy::panic, reason = "so a test fails")]
pub fn skip(why: impl Display) {
    let thread = std::thread::current();
    let line = format!("skipped: {}: {why}\n", thread.name().unwrap_or("a test"));
    if std::env::var_os("CI").is_some_and(|it| it == "true") {
        panic!("under CI=true nothing is skipped: {}", line.trim_end());
    }
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(list) = std::env::var_os("MINATO_SKIPPED") {
        // One write: test programs share the file.
        let file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(list);
        let _ = file.and_then(|mut it| it.write_all(line.as_bytes()));
    }
}
