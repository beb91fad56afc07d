//! What is seen of the steps of an operation: which may begin, and what has become of those that were ordered.

use super::record::{
    MOST_TEXT, Operation, OperationId, OperationStep, StepState, WaveChange, Work, clipped,
};
use crate::World;
use crate::plan::{Object, Settled, settled_each};
use crate::rollout::{
    FailureKind, RolloutRecord, RolloutStanding, Version, next_release, release, rollout_standing,
};
use minato_config::{
    Backend, Command, Intent, Released, Restart, ServiceName, ServiceRecord, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// What is seen of those steps that matter now, by their place in [`Operation::steps`].
pub type Sights = BTreeMap<usize, StepSight>;

/// What is seen of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepSight {
    /// It may begin, and this is what to write.
    Offer(Box<Offer>),
    /// It may not begin yet, and why.
    Unfit(String),
    /// There is nothing to do, or nobody to do it to, for good.
    Needless(String),
    /// Ordered, and on its way.
    Waiting(String),
    /// It came true.
    Done(String),
    /// It did not, and what was before is back.
    Failed(String),
    /// Somebody else's word came between.
    Superseded(String),
}

/// What to write to begin a step, and what must still be so then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Whose.
    pub service: ServiceName,
    /// Its new intent.
    pub intent: Intent,
    /// The restart or release in it.
    pub number: u64,
    /// The commit that wrote the service's record.
    pub record: u64,
    /// The commit that wrote its intent; `None`: there must be none.
    pub before: Option<u64>,
}

/// Looks at every step that is under way and, where steps may begin, at those of the current wave. `now` is that of a new intent.
pub fn sights(world: &World, id: OperationId, operation: &Operation, now: Timestamp) -> Sights {
    let Work::Wave(wave) = &operation.work;
    let current = operation.current_wave();
    let matters = |it: &OperationStep| match it.state {
        StepState::Running => true,
        StepState::Waiting => Some(it.wave) == current,
        _ => false,
    };
    let steps = || {
        operation
            .steps
            .iter()
            .enumerate()
            .filter(|(_, it)| matters(it))
    };
    let services: BTreeSet<&ServiceName> = steps().map(|(_, it)| &it.service).collect();
    let settled = settled_each(world, &services);
    let who: String = format!("operation {id} of {}", operation.who)
        .chars()
        .take(64)
        .collect();
    let look = Look {
        world,
        change: &wave.change,
        settled: &settled,
        who: &who,
        now,
    };
    steps()
        .map(|(n, it)| match it.number {
            Some(number) => (n, look.at_ordered(&it.service, number)),
            None => (n, look.at_waiting(&it.service)),
        })
        .collect()
}

struct Look<'a> {
    world: &'a World,
    change: &'a WaveChange,
    settled: &'a BTreeMap<ServiceName, Settled>,
    who: &'a str,
    now: Timestamp,
}

impl Look<'_> {
    fn at_waiting(&self, service: &ServiceName) -> StepSight {
        let world = self.world;
        let Some(stored) = world.services.get(service) else {
            return StepSight::Needless("it is not there any more".to_owned());
        };
        let record = &stored.value;
        let command = match self.command(record) {
            Ok(command) => command,
            Err(why) => return StepSight::Needless(why),
        };
        if world.vanished.contains(&Object::Service(service.clone())) {
            return StepSight::Unfit("its record vanished: write its file again".to_owned());
        }
        let rollout = world.rollouts.get(service).map(|it| &it.value);
        let Some(stable) = rollout.and_then(|it| it.stable.as_ref()) else {
            return StepSight::Unfit("no version of it has run whole yet".to_owned());
        };
        match rollout_standing(world, service, None) {
            RolloutStanding::Going(text) => {
                return StepSight::Unfit(format!("another update of it is under way: {text}"));
            }
            RolloutStanding::Asked => {
                return StepSight::Unfit("another update of it has just been asked for".to_owned());
            }
            RolloutStanding::Whole
            | RolloutStanding::Unchanged(_)
            | RolloutStanding::Failed { .. } => {}
        }
        match self.settled.get(service) {
            Some(Settled::Done(_)) => {}
            Some(Settled::Waiting(detail)) => return StepSight::Unfit(clipped(detail)),
            None => return StepSight::Needless("it is not there any more".to_owned()),
        }
        self.offer(service, stored.modified, command, stable, rollout)
    }

    fn command<'r>(&self, record: &'r ServiceRecord) -> Result<&'r Command, String> {
        let command = match &record.service.backend {
            _ if record.removed => return Err("it is ending: its file is gone".to_owned()),
            Backend::Endpoints(_) => return Err("it has fixed endpoints now".to_owned()),
            Backend::Command(command) => command,
        };
        let wants_image = matches!(self.change, WaveChange::Image(_) | WaveChange::Pull);
        if wants_image && command.image.is_none() {
            return Err("it runs a command now, not an image".to_owned());
        }
        Ok(command)
    }

    fn offer(
        &self,
        service: &ServiceName,
        record: u64,
        command: &Command,
        stable: &Version,
        rollout: Option<&RolloutRecord>,
    ) -> StepSight {
        let world = self.world;
        let vanished = world.vanished.contains(&Object::Intent(service.clone()));
        let stored = world.intents.get(service);
        let old = release(world, service);
        let last = stored.map(|it| &it.value);
        let what = match self.change {
            WaveChange::Restart => None,
            WaveChange::Image(image)
                if stable.image.as_ref() == Some(image)
                    && old.is_none_or(|it| it.what.image() == Some(image)) =>
            {
                if image.digest().is_some() {
                    return StepSight::Needless(format!("it runs {image} already"));
                }
                // The same name, which may mean another image by now.
                Some(Released::Newest(image.clone()))
            }
            WaveChange::Image(image) => Some(Released::Image(image.clone())),
            WaveChange::Pull => {
                let of_file = command.image.as_ref().map(|it| &it.reference);
                match old.and_then(|it| it.what.image()).or(of_file) {
                    Some(image) if image.digest().is_none() => {
                        Some(Released::Newest(image.clone()))
                    }
                    Some(image) => {
                        let why = format!("it names {image} by its digest: nothing can be newer");
                        return StepSight::Needless(why);
                    }
                    None => {
                        return StepSight::Needless("it runs a command, not an image".to_owned());
                    }
                }
            }
            WaveChange::Rollback => match rollout.and_then(|it| it.before.as_ref()) {
                Some(before) => Some(Released::Version(before.digest.clone())),
                None => {
                    return StepSight::Needless("it ran no other version whole before".to_owned());
                }
            },
        };
        let mut intent = Intent {
            v: 1,
            who: self.who.to_owned(),
            since: self.now,
            ..last.cloned().unwrap_or_default()
        };
        let number = match what {
            None => {
                // Higher than any before, also after an intent was lost.
                let restart = intent.restart.max(stable.restart);
                let number = restart.map_or(0, |it| it.0 + 1).max(self.now.0);
                intent.restart = Some(Restart(number));
                number
            }
            Some(what) => {
                let release = next_release(last, old, what, command, self.who, self.now);
                let number = release.number;
                intent.release = Some(release);
                number
            }
        };
        StepSight::Offer(Box::new(Offer {
            service: service.clone(),
            intent,
            number,
            record,
            before: stored.filter(|_| !vanished).map(|it| it.modified),
        }))
    }

    fn at_ordered(&self, service: &ServiceName, number: u64) -> StepSight {
        let world = self.world;
        let Some(record) = world.services.get(service).map(|it| &it.value) else {
            return StepSight::Superseded("it is not there any more".to_owned());
        };
        if let Err(why) = self.command(record) {
            return StepSight::Superseded(why);
        }
        let rollout = world.rollouts.get(service).map(|it| &it.value);
        let is_restart = *self.change == WaveChange::Restart;
        let failed = rollout.and_then(|it| it.failed.as_ref()).filter(|it| {
            if is_restart {
                it.restart == Some(Restart(number))
            } else {
                it.number == Some(number)
            }
        });
        let stable = rollout.and_then(|it| it.stable.as_ref());
        let has_it = |it: &Version| {
            if is_restart {
                it.restart >= Some(Restart(number))
            } else {
                it.number >= Some(number)
            }
        };
        let detail = match self.settled.get(service) {
            Some(Settled::Done(detail)) => Ok(clipped(detail)),
            Some(Settled::Waiting(detail)) => Err(clipped(detail)),
            None => Err(String::new()),
        };
        if !is_restart
            && let RolloutStanding::Unchanged(text) = rollout_standing(world, service, Some(number))
        {
            return StepSight::Needless(clipped(&text));
        }
        if stable.is_some_and(has_it) {
            return match detail {
                Ok(detail) => StepSight::Done(detail),
                Err(detail) => StepSight::Waiting(detail),
            };
        }
        if let Some(failed) = failed {
            return match failed.how {
                FailureKind::Reverting => StepSight::Waiting(clipped(&format!(
                    "failed, the old version comes back: {}",
                    failed.reason
                ))),
                FailureKind::Refused => StepSight::Failed(clipped(&format!(
                    "refused, nothing changed: {}",
                    failed.reason
                ))),
                FailureKind::Reverted => StepSight::Failed(clipped(&format!(
                    "the old version is back: {}",
                    failed.reason
                ))),
            };
        }
        let asked = world.intents.get(service).map(|it| &it.value);
        let counts = if is_restart {
            asked.and_then(|it| it.restart) >= Some(Restart(number))
        } else {
            release(world, service).map(|it| it.number) == Some(number)
        };
        if !counts {
            let by = asked.map(|it| it.who.clone()).filter(|it| *it != self.who);
            let by = by.unwrap_or_else(|| "its file".to_owned());
            return StepSight::Superseded(format!("{by} asked for something else meanwhile"));
        }
        match rollout_standing(world, service, Some(number).filter(|_| !is_restart)) {
            RolloutStanding::Going(text) => StepSight::Waiting(clipped(&text)),
            _ => StepSight::Waiting(
                detail
                    .err()
                    .unwrap_or_else(|| "asked for, and not begun yet".to_owned()),
            ),
        }
    }
}

const _: () = assert!(
    MOST_TEXT >= 100,
    "a reason that is cut off must still say why"
);
