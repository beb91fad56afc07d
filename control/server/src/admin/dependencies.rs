//! `GET /v1/dependencies`: what services need that minato does not run.

use super::state::Shared;
use crate::api::{Dependencies, DependencyStatus};
use axum::Json;
use axum::extract::State;

pub(super) async fn show(State(shared): State<Shared>) -> Json<Dependencies> {
    Json(Dependencies {
        node: shared.admin.about.node.to_string(),
        dependencies: shared.admin.view.dependencies(),
    })
}

/// What of them needs a person, one sentence each.
pub(super) fn alarms(dependencies: &[DependencyStatus]) -> Vec<String> {
    let mut alarms = Vec::new();
    for it in dependencies {
        let DependencyStatus { noun, name, .. } = it;
        if it.state == "down" {
            alarms.push(format!("{noun} {name} is down: {}", it.reason));
        }
        if !it.alarm.is_empty() {
            alarms.push(format!("{noun} {name}: {}", it.alarm));
        }
    }
    alarms
}
