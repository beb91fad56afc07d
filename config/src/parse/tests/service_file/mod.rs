//! A service file: one line and its problem, one file and what it means.

mod health;
mod keys;
mod replicas;
mod routes;
mod update;
mod upstream;

use super::*;
use crate::{
    Backend, Health, HealthProbe, HostPattern, RouteAction, Scale, StatusRange, Upstream,
    UpstreamProtocol, UpstreamTls, Verify,
};
use std::time::Duration;

const COMMAND: &str = "command = [\"./server\"]\n";

/// One line after a command, and the one problem it must give, without file and line.
#[track_caller]
fn wrong(line: &str, expected: &str) {
    let problems = library(&format!("{COMMAND}{line}\n")).expect_err(line);
    let expected = format!("services/library.toml:2: service.library.{expected}");
    assert_eq!(told(&problems), [expected], "{line}");
}

/// As [`wrong`], for a file of its own.
#[track_caller]
fn wrong_file(text: &str, expected: &[&str]) {
    let problems = library(text).expect_err(text);
    let at = |it: &&str| format!("services/library.toml{it}");
    assert_eq!(
        told(&problems),
        expected.iter().map(at).collect::<Vec<_>>(),
        "{text}"
    );
}
