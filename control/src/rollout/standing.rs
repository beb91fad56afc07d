//! How a rollout stands, for those who wait for it and for status.

use super::asked::asked;
use super::record::{Failure, FailureKind, Going, ImageState, RolloutStage, Version};
use crate::World;
use minato_config::ServiceName;

/// How a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// What is asked for is what ran whole last.
    Whole,
    /// Asked for, and not begun.
    Asked,
    /// What is asked for is what ran already, by the registry's own word: nothing was replaced. What is said of it.
    Unchanged(String),
    /// Under way, and what is being done: `node a fetches registry.example/library:3.2`.
    Going(String),
    /// It failed; `back`: the old version is back on every instance, or was never away.
    Failed {
        /// Why and how.
        failure: Failure,
        /// What is said of it.
        text: String,
    },
}

/// How a service does with what is asked of it; with `number` how it did with that release by hand.
pub fn standing(world: &World, service: &ServiceName, number: Option<u64>) -> Standing {
    let record = world.rollouts.get(service).map(|it| &it.value);
    let Some(asked) = asked(world, service) else {
        return Standing::Whole;
    };
    let Some(record) = record else {
        return Standing::Asked;
    };
    if record.stable.is_none() {
        // Its first version: there is nothing that it could be waiting behind.
        return Standing::Whole;
    }
    if let Some(going) = record.going.as_ref().filter(|it| it.to.is(&asked)) {
        return Standing::Going(text(world, service, going));
    }
    let failed = record.failed.as_ref().filter(|it| {
        let is_asked =
            it.asked == asked.digest && (it.restart, it.number) == (asked.restart, asked.number);
        is_asked || (number.is_some() && it.number == number)
    });
    if let Some(failure) = failed {
        let stable = record.stable.as_ref().map(|it| it.name());
        let stable = stable.unwrap_or_else(|| "nothing".to_owned());
        let Failure { what, reason, .. } = failure;
        let text = match failure.how {
            FailureKind::Refused => format!("{what} was refused, {stable} serves on: {reason}"),
            FailureKind::Reverting => format!("{what} failed, {stable} comes back: {reason}"),
            FailureKind::Reverted => format!("{what} failed, {stable} is back: {reason}"),
        };
        return Standing::Failed {
            failure: failure.clone(),
            text,
        };
    }
    match &record.stable {
        Some(stable) if number.is_some() && stable.is(&asked) && record.unchanged == number => {
            Standing::Unchanged(unchanged(stable))
        }
        Some(stable) if stable.is(&asked) => Standing::Whole,
        _ => Standing::Asked,
    }
}

/// What is said of a version that was asked for and ran already: `r.example/app:1 is still sha256:..`.
pub(super) fn unchanged(stable: &Version) -> String {
    let image = stable.command.image.as_ref();
    let digest = image.and_then(|it| it.reference.digest());
    let digest = digest.unwrap_or("the very image that runs");
    format!("nothing to replace: {} is {digest} already", stable.name())
}

fn text(world: &World, service: &ServiceName, going: &Going) -> String {
    let name = going.to.name();
    match going.step {
        RolloutStage::Replacing => format!("to {name}"),
        RolloutStage::Fetching => {
            let fetching = going.nodes.iter().filter(|node| {
                let report = world.images.get(&((*node).clone(), service.clone()));
                let report = report.map(|it| &it.value);
                let here = report.filter(|it| {
                    it.fetch == going.fetch && matches!(it.state, ImageState::Here { .. })
                });
                here.is_none()
            });
            let nodes: Vec<String> = fetching.take(5).map(|it| format!("node {it}")).collect();
            format!("to {name}: {} fetch it first", nodes.join(", "))
        }
    }
}
