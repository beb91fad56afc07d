//! `update`: how carefully a service goes from one version to the next.

use super::*;
use crate::{UpdateOrder, UpdatePolicy};

#[test]
fn updates() {
    let update = |text: &str| {
        let service = library(&format!("command = [\"a\"]\nupdate = {text}"));
        service.unwrap().update
    };
    let default = UpdatePolicy::default();
    assert_eq!(library("command = [\"a\"]").unwrap().update, default);
    assert_eq!(update("{}"), default);
    assert_eq!(
        update("{ healthy = \"1s\", deadline = \"90s\", parallel = 3, order = \"stop-first\" }"),
        UpdatePolicy {
            healthy: Duration::from_secs(1),
            deadline: Duration::from_secs(90),
            parallel: 3,
            order: UpdateOrder::StopFirst,
        }
    );
    for (text, expected) in [
        (
            "{ healthy = \"6m\" }",
            "update.healthy: must be below deadline (5m), got 6m: no new instance could be healthy in time",
        ),
        (
            "{ deadline = \"10s\" }",
            "update.deadline: must be above healthy (10s), got 10s: no new instance could be healthy in time",
        ),
        (
            "{ parallel = 0 }",
            "update.parallel: must be a whole number from 1 to 100, got the number 0",
        ),
        (
            "{ order = \"first\" }",
            "update.order: must be \"start-first\" (one more than wanted meanwhile) or \"stop-first\" (each in its place), got \"first\"",
        ),
        (
            "{ delay = \"1s\" }",
            "update.delay: unknown key; known here: healthy, deadline, parallel, order",
        ),
    ] {
        wrong(&format!("update = {text}"), expected);
    }
    wrong_file(
        "endpoints = [\"10.0.0.7:80\"]\nupdate = {}",
        &[
            ":2: service.library.update: belongs to a `command`; endpoints are started, stopped and counted by someone else",
        ],
    );
}
