//! What is asked for, what therefore the slots of a service should run, and which command a digest stands for.

use super::record::{Freshness, Passed, RolloutRecord, RolloutStage, Version};
use crate::World;
use minato_config::{
    Backend, Command, Intent, Release, Released, Restart, ServiceName, ServiceRecord, Timestamp,
};
use std::collections::BTreeSet;

/// What people ask of a service: its file's word, and theirs over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// [`Command::digest`] of the command, its image as it was written.
    pub(super) digest: String,
    pub(super) command: Command,
    pub(super) restart: Option<Restart>,
    /// The release by hand that it is.
    pub(super) number: Option<u64>,
    /// The version that it was once, where that is known whole.
    pub(super) known: Option<Version>,
    /// Which image of its name.
    pub(super) freshness: Freshness,
}

/// What a slot should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) digest: String,
    pub(crate) restart: Option<Restart>,
}

/// What the slots of a service should be at this moment of its rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Course<'a> {
    /// What all of them should become.
    pub(crate) goal: Mark,
    /// What a slot gets that is not part of the rollout: what is known to work, until the goal has proved itself.
    pub(crate) safe: Mark,
    /// The fixed port of the goal.
    pub(crate) port: Option<u16>,
    /// Instances that may take an old one's place; `None`: being ready is enough.
    pub(crate) passed: Option<&'a BTreeSet<Passed>>,
}

impl Version {
    fn mark(&self) -> Mark {
        Mark {
            digest: self.digest.clone(),
            restart: self.restart,
        }
    }

    /// Whether it is what is asked for. What the file says is the same whoever said it before.
    pub(super) fn is(&self, asked: &Asked) -> bool {
        self.asked == asked.digest
            && self.restart == asked.restart
            && (asked.number.is_none() || asked.number == self.number)
    }
}

fn command(record: &ServiceRecord) -> Option<&Command> {
    match &record.service.backend {
        Backend::Command(command) if !record.removed => Some(command),
        _ => None,
    }
}

/// What the file says where a release stands over it: such a release counts while this has not changed.
pub fn over(command: &Command, what: &Released) -> String {
    match (what, &command.image) {
        (Released::Image(_) | Released::Newest(_), Some(image)) => image.reference.to_string(),
        _ => command.digest(),
    }
}

/// The operator's release, where it counts: it has not failed, and the file still says what it said then.
pub fn release<'a>(world: &'a World, service: &ServiceName) -> Option<&'a Release> {
    let command = command(&world.services.get(service)?.value)?;
    let record = world.rollouts.get(service).map(|it| &it.value);
    let first = world.intents.get(service)?.value.release.as_ref()?;
    first.chain().find(|it| counts(it, command, record))
}

/// A release by hand over what `command`, the file, says now. `last`: the intent that it goes into; `old`: the release of it that counts.
pub fn next_release(
    last: Option<&Intent>,
    old: Option<&Release>,
    what: Released,
    command: &Command,
    who: &str,
    now: Timestamp,
) -> Release {
    // Higher than any before, also after an intent was lost.
    let last = last.and_then(|it| it.release.as_ref());
    let number = last.map_or(0, |it| it.number + 1).max(now.0);
    Release {
        number,
        over: over(command, &what),
        what,
        who: who.to_owned(),
        since: now,
        before: old.map(|it| {
            Box::new(Release {
                before: None,
                ..it.clone()
            })
        }),
    }
}

fn counts(release: &Release, command: &Command, record: Option<&RolloutRecord>) -> bool {
    let ended = record.is_some_and(|it| it.ended.contains(&release.number));
    let is_possible = match &release.what {
        Released::Image(_) | Released::Newest(_) => command.image.is_some(),
        Released::Version(digest) => {
            record.is_some_and(|it| it.versions().any(|it| it.digest == *digest))
        }
    };
    !ended && is_possible && over(command, &release.what) == release.over
}

/// Releases that the file's change has ended.
pub(super) fn outrun(world: &World, service: &ServiceName) -> Vec<u64> {
    let record = world.services.get(service).map(|it| &it.value);
    let (Some(command), Some(intent)) = (record.and_then(command), world.intents.get(service))
    else {
        return Vec::new();
    };
    let chain = intent.value.release.iter().flat_map(Release::chain);
    chain
        .filter(|it| over(command, &it.what) != it.over)
        .map(|it| it.number)
        .collect()
}

/// What should run; `None` where nothing should.
pub(super) fn asked(world: &World, service: &ServiceName) -> Option<Asked> {
    let command = command(&world.services.get(service)?.value)?;
    let intent = world.intents.get(service).map(|it| &it.value);
    let restart = intent.and_then(|it| it.restart);
    let release = release(world, service);
    let number = release.map(|it| it.number);
    let record = world.rollouts.get(service).map(|it| &it.value);
    match release.map(|it| &it.what) {
        None => Some(Asked {
            digest: command.digest(),
            command: command.clone(),
            restart,
            number,
            known: None,
            freshness: Freshness::Any,
        }),
        Some(what @ (Released::Image(reference) | Released::Newest(reference))) => {
            let mut command = command.clone();
            if let Some(image) = &mut command.image {
                image.reference = reference.clone();
            }
            Some(Asked {
                digest: command.digest(),
                command,
                restart,
                number,
                known: None,
                freshness: match what {
                    Released::Newest(_) => Freshness::Newest,
                    _ => Freshness::Any,
                },
            })
        }
        Some(Released::Version(digest)) => {
            let known = record?.versions().find(|it| it.digest == *digest)?;
            Some(Asked {
                digest: known.asked.clone(),
                command: (*known.command).clone(),
                restart,
                number,
                known: Some(known.clone()),
                freshness: Freshness::Any,
            })
        }
    }
}

/// Where a service is on its way; `None` where no command should run.
pub(crate) fn course<'a>(world: &'a World, service: &ServiceName) -> Option<Course<'a>> {
    let asked = asked(world, service)?;
    let plain = || Mark {
        digest: asked.digest.clone(),
        restart: asked.restart,
    };
    let of = |goal: Mark, safe: Mark, port, passed| Course {
        goal,
        safe,
        port,
        passed,
    };
    let Some(record) = world.rollouts.get(service).map(|it| &it.value) else {
        return Some(of(plain(), plain(), asked.command.port, None));
    };
    let passed = Some(&record.passed);
    let going = record.going.as_ref().filter(|it| it.to.is(&asked));
    Some(match (&record.stable, going) {
        (None, Some(going)) => {
            let mark = going.to.mark();
            of(mark.clone(), mark, going.to.command.port, passed)
        }
        (None, None) => of(plain(), plain(), asked.command.port, passed),
        (Some(stable), Some(going)) if going.step == RolloutStage::Replacing => {
            let goal = going.to.mark();
            let proven = !record.passed.is_empty();
            let safe = if proven { goal.clone() } else { stable.mark() };
            of(goal, safe, going.to.command.port, passed)
        }
        (Some(stable), _) => of(stable.mark(), stable.mark(), stable.command.port, passed),
    })
}

/// The command that a digest stands for: a version's that control remembers, else what the file says.
pub(crate) fn command_of(world: &World, service: &ServiceName, digest: &str) -> Option<Command> {
    let record = world.services.get(service).map(|it| &it.value.service);
    let current = record.and_then(|it| match &it.backend {
        Backend::Command(command) => Some(command),
        Backend::Endpoints(_) => None,
    });
    let rollout = world.rollouts.get(service).map(|it| &it.value);
    let known = rollout.and_then(|it| it.versions().find(|it| it.digest == digest));
    match (known, current) {
        (Some(version), current) => Some(version.command(current.map(Command::resources))),
        (None, Some(current)) if current.digest() == digest => Some(current.clone()),
        (None, _) => None,
    }
}
