//! One look at one service's rollout, and what follows from it.

use super::asked::Asked;
use super::record::{Failure, FailureKind, Freshness, Going, RolloutRecord, RolloutStage, Version};
use crate::World;
use crate::plan::Rolling;
use crate::{EventKind, Level};
use minato_config::{
    Generation, ImageReference, NodeId, Run, ServiceName, SlotIndex, Timestamp, UpdatePolicy,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A new instance that ended this often is a crash loop.
pub const CRASHES: u32 = 3;

/// Something to tell people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// How bad.
    pub level: Level,
    /// What.
    pub kind: EventKind,
    /// One sentence.
    pub text: String,
    /// What to type.
    pub hint: Option<String>,
}

/// A leader's memory of one service.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    /// What is waited for: a new one begins its time anew.
    pub(super) of: Option<Timestamp>,
    pub(super) stage: Option<RolloutStage>,
    /// The last progress.
    pub(super) moved: Instant,
    pub(super) ready: BTreeMap<(SlotIndex, Generation, Run), Instant>,
}

impl Watched {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            of: None,
            stage: None,
            moved: now,
            ready: BTreeMap::new(),
        }
    }
}

pub(super) struct Turn<'a> {
    pub(super) world: &'a World,
    pub(super) name: &'a ServiceName,
    pub(super) asked: &'a Asked,
    pub(super) sight: &'a Rolling,
    pub(super) policy: UpdatePolicy,
    pub(super) now: Instant,
    pub(super) wall: Timestamp,
    pub(super) news: Vec<News>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        world: &'a World,
        name: &'a ServiceName,
        asked: &'a Asked,
        sight: &'a Rolling,
        now: Instant,
        wall: Timestamp,
    ) -> Self {
        let record = world.services.get(name);
        Self {
            world,
            name,
            asked,
            sight,
            policy: record
                .map(|it| it.value.service.update.clone())
                .unwrap_or_default(),
            now,
            wall,
            news: Vec::new(),
        }
    }

    /// The document as it should be from now on.
    pub(super) fn next(
        &mut self,
        before: Option<&RolloutRecord>,
        outrun: &[u64],
        watched: &mut Watched,
    ) -> RolloutRecord {
        let mut record = before.cloned().unwrap_or_default();
        record.v = 1;
        for number in outrun {
            record.end(*number);
        }
        let asked = self.asked;
        let failed = |it: &Failure| {
            (it.asked == asked.digest) && (it.restart, it.number) == (asked.restart, asked.number)
        };
        if record.stable.as_ref().is_some_and(|it| it.is(asked)) {
            self.take_back(&mut record);
            self.settle(&mut record, watched);
        } else if record.failed.as_ref().is_some_and(failed) {
            self.settle(&mut record, watched);
        } else {
            let going = record.going.as_ref().filter(|it| it.to.is(asked));
            match going.map(|it| it.step) {
                None => self.begin(&mut record),
                Some(RolloutStage::Fetching) => self.fetch(&mut record, watched),
                Some(RolloutStage::Replacing) => self.replace(&mut record, watched),
            }
        }
        record
    }

    /// What was going is no longer asked for, and what serves is.
    fn take_back(&mut self, record: &mut RolloutRecord) {
        let (Some(going), Some(stable)) = (record.going.take(), record.stable.as_ref()) else {
            return;
        };
        let text = format!(
            "{} is no longer asked for: {} goes on, or comes back",
            going.to.name(),
            stable.name()
        );
        record.passed = self.ready(stable);
        self.tell(Level::Info, &text, None);
    }

    /// Follows instances of what serves until they are all there is.
    fn settle(&mut self, record: &mut RolloutRecord, watched: &mut Watched) {
        let Some(stable) = record.stable.clone() else {
            return;
        };
        let of = record.failed.as_ref().map(|it| it.since);
        self.look(record, &stable, watched, (of, None));
        if !self.is_whole(&stable, record, watched, Duration::ZERO) {
            return;
        }
        record.passed.clear();
        if let Some(failed) = record.failed.as_mut()
            && failed.how == FailureKind::Reverting
        {
            failed.how = FailureKind::Reverted;
            let text = format!("{} serves again on all instances", stable.name());
            self.tell(Level::Info, &text, None);
        }
    }

    fn begin(&mut self, record: &mut RolloutRecord) {
        let (to, reason) = self.version(record.stable.as_ref());
        let runs = |of: &Version| of.command.image.as_ref().map(|it| it.reference.clone());
        // What is named by its digest is always the same.
        let freshness = self.asked.freshness;
        let asks_anew =
            |it: &ImageReference| freshness == Freshness::Newest && it.digest().is_none();
        let needs_image = match &record.stable {
            // What there is nothing to protect for is fetched as it is started.
            None => false,
            Some(stable) => match runs(&to) {
                Some(image) => asks_anew(&image) || Some(image) != runs(stable),
                None => false,
            },
        };
        let step = if needs_image {
            RolloutStage::Fetching
        } else {
            RolloutStage::Replacing
        };
        if let Some(stable) = &record.stable {
            let (name, old) = (to.name(), stable.name());
            let text = match (needs_image, name == old) {
                (true, true) => {
                    let nodes = listed(&self.sight.nodes);
                    format!("what {name} means now is asked of its registry: {reason}; by {nodes}")
                }
                (true, false) => {
                    let nodes = listed(&self.sight.nodes);
                    format!("{name} in place of {old}: {reason}; {nodes} fetch it first")
                }
                (false, true) => format!("{name} is started anew: {reason}"),
                (false, false) => format!("{name} in place of {old}: {reason}"),
            };
            let undo = format!("minato rollback {}", self.name);
            self.tell(Level::Info, &text, Some(undo));
        }
        let same = |it: &&Version| it.digest == to.digest && it.restart == to.restart;
        let same = record.stable.as_ref().filter(same);
        record.passed = same.map(|it| self.ready(it)).unwrap_or_default();
        record.going = Some(Going {
            to,
            step,
            fetch: if needs_image { self.wall.0 } else { 0 },
            freshness,
            nodes: if needs_image {
                self.sight.nodes.clone()
            } else {
                BTreeSet::new()
            },
            reason,
            since: self.wall,
        });
    }

    /// What shall run, and why it is another than what does.
    fn version(&self, stable: Option<&Version>) -> (Version, String) {
        let asked = self.asked;
        let fresh = |version: Version| Version {
            restart: asked.restart,
            number: asked.number,
            since: self.wall,
            ..version
        };
        let by_hand = asked.number.is_some();
        if let Some(known) = &asked.known {
            return (
                fresh(known.clone()),
                "by hand, back to what ran before".to_owned(),
            );
        }
        let same_release = |it: &Version| asked.number.is_none() || asked.number == it.number;
        if let Some(stable) = stable.filter(|it| it.asked == asked.digest && same_release(it)) {
            return (fresh(stable.clone()), "a restart was asked for".to_owned());
        }
        let mut command = asked.command.clone();
        let image = command.image.as_ref().map(|it| it.reference.clone());
        if let (Some(to), Some(stable)) = (&mut command.image, stable)
            && stable.image == image
            && same_release(stable)
            && let Some(ran) = &stable.command.image
        {
            // Whatever else changed, it stays the very image that runs.
            to.reference = ran.reference.clone();
        }
        let digest = match stable {
            Some(_) => command.digest(),
            // The slots of a first version may be there already.
            None => asked.digest.clone(),
        };
        let to = Version {
            digest,
            asked: asked.digest.clone(),
            image,
            command: Box::new(command),
            restart: asked.restart,
            number: asked.number,
            since: self.wall,
        };
        let reason = if by_hand {
            "by hand"
        } else {
            "its file changed"
        };
        (to, reason.to_owned())
    }

    fn replace(&mut self, record: &mut RolloutRecord, watched: &mut Watched) {
        let Some(going) = record.going.clone() else {
            return;
        };
        let of = (Some(going.since), Some(going.step));
        self.look(record, &going.to, watched, of);
        let is_any = !self.sight.slots.is_empty();
        if is_any && self.is_whole(&going.to, record, watched, self.policy.healthy) {
            return self.done(record, going.to);
        }
        if record.stable.is_none() {
            return;
        }
        let trouble = self.slots_of(&going.to).find_map(|it| {
            let failed = it.failed.then(|| it.detail.clone());
            let loops = || {
                let loops = !it.ready && it.restarts >= CRASHES;
                loops.then(|| format!("ended {} times; {}", it.restarts, it.detail))
            };
            let why = failed.or_else(loops)?;
            Some(format!("{}/{} {why}", self.name, it.n))
        });
        let late = || {
            let waited = self.now.saturating_duration_since(watched.moved);
            if waited < self.policy.deadline {
                return None;
            }
            let not_ready = self.slots_of(&going.to).find(|it| !it.ready);
            let what = match (not_ready, &self.sight.lacking) {
                (Some(it), _) => format!("{}/{} {}", self.name, it.n, it.detail),
                (None, Some(lacking)) => lacking.clone(),
                (None, None) => "no new instance came to be".to_owned(),
            };
            Some(format!("no progress in {:?}: {what}", self.policy.deadline))
        };
        if let Some(why) = trouble.or_else(late) {
            self.fail(record, FailureKind::Reverting, why);
        }
    }

    fn done(&mut self, record: &mut RolloutRecord, to: Version) {
        let old = record.stable.take();
        record.going = None;
        record.failed = None;
        record.passed.clear();
        if let Some(old) = old {
            let text = format!("{} runs on all {} instances", to.name(), self.sight.wanted);
            let differs = old.command != to.command;
            let undo = differs.then(|| format!("minato rollback {}", self.name));
            self.tell(Level::Info, &text, undo);
            if differs {
                record.before = Some(old);
            }
        }
        record.stable = Some(to);
    }

    pub(super) fn fail(&mut self, record: &mut RolloutRecord, how: FailureKind, reason: String) {
        let (Some(going), Some(stable)) = (record.going.take(), record.stable.as_ref()) else {
            return;
        };
        record.passed = self.ready(stable);
        let what = going.to.name();
        let text = match how {
            FailureKind::Refused => format!(
                "{what} was refused before anything changed, {} serves on: {reason}",
                stable.name()
            ),
            FailureKind::Reverting | FailureKind::Reverted => {
                format!("{what} failed, back to {}: {reason}", stable.name())
            }
        };
        if let Some(number) = going.to.number {
            record.end(number);
        }
        record.failed = Some(Failure {
            asked: going.to.asked,
            restart: going.to.restart,
            number: going.to.number,
            what,
            how,
            reason,
            since: self.wall,
        });
        let hint = format!("minato explain {0}; minato logs {0}", self.name);
        self.tell(Level::Warn, &text, Some(hint));
    }

    pub(super) fn tell(&mut self, level: Level, text: &str, hint: Option<String>) {
        self.news.push(News {
            level,
            kind: EventKind::Updated,
            text: format!("{}: {text}", self.name),
            hint,
        });
    }
}

fn listed(nodes: &BTreeSet<NodeId>) -> String {
    const SHOWN: usize = 5;
    let mut names: Vec<String> = nodes
        .iter()
        .take(SHOWN)
        .map(|it| format!("node {it}"))
        .collect();
    if nodes.len() > SHOWN {
        names.push(format!("{} more", nodes.len() - SHOWN));
    }
    names.join(", ")
}
