//! What else is done with the service here: updates, operations, drains.

use super::{Check, Facts, met, unmet};
use crate::operation::{OperationState, Work};
use crate::rollout::{RolloutStanding, rollout_standing};
use minato_config::ServiceName;

pub(super) fn update(facts: &Facts<'_>, service: &ServiceName) -> Check {
    match rollout_standing(facts.world, service, None) {
        RolloutStanding::Going(text) => {
            unmet("update", format!("an update is under way here: {text}"))
        }
        RolloutStanding::Asked => unmet("update", "an update has just been asked for here"),
        RolloutStanding::Whole | RolloutStanding::Unchanged(_) => {
            met("update", "none under way here")
        }
        RolloutStanding::Failed { .. } => {
            met("update", "the last one failed, the old version runs")
        }
    }
}

/// Another operation that is under way with it.
pub(super) fn other(facts: &Facts<'_>, service: &ServiceName) -> Check {
    for (id, stored) in &facts.world.operations {
        let operation = &stored.value;
        let is_busy = *id != facts.own
            && operation.state == OperationState::Running
            && !matches!(operation.work, Work::Return(_));
        let mut steps = operation.steps.iter();
        let has_it =
            steps.any(|it| it.service == *service && !it.state.has_ended() && !it.has_moved());
        if is_busy && has_it {
            return unmet(
                "operations",
                format!(
                    "operation {id}, {} by {}, is under way with it",
                    operation.title(),
                    operation.who
                ),
            );
        }
    }
    met("operations", "no other is under way with it here")
}

pub(super) fn drained(facts: &Facts<'_>, service: &ServiceName) -> Option<Check> {
    let intent = facts.world.intents.get(service).map(|it| &it.value)?;
    intent.drain.then(|| {
        unmet(
            "drain",
            format!(
                "{} took it out of traffic here: minato drain {service} --reset",
                intent.who
            ),
        )
    })
}
