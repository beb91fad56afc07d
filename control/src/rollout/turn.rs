//! One look at one service's rollout, and what follows from it.

use super::asked::{Asked, Mark};
use super::record::{
    Failure, FailureKind, Going, ImageState, Passed, RolloutRecord, RolloutStage, Version,
};
use crate::World;
use crate::plan::{RollSlot, Rolling};
use crate::{EventKind, Level};
use minato_config::{
    Generation, ImageReference, NodeId, Run, ServiceName, SlotIndex, Timestamp, UpdatePolicy,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A new instance that ended this often is a crash loop.
pub const CRASHES: u32 = 3;
/// An agent that lives says within this time that it fetches an image, or it does not know how to.
const ANSWER: Duration = Duration::from_secs(60);

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
    of: Option<Timestamp>,
    stage: Option<RolloutStage>,
    /// The last progress.
    moved: Instant,
    ready: BTreeMap<(SlotIndex, Generation, Run), Instant>,
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
    world: &'a World,
    name: &'a ServiceName,
    asked: &'a Asked,
    sight: &'a Rolling,
    policy: UpdatePolicy,
    now: Instant,
    wall: Timestamp,
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
        self.tell(Level::Info, text, None);
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
            self.tell(Level::Info, text, None);
        }
    }

    fn begin(&mut self, record: &mut RolloutRecord) {
        let (to, reason) = self.version(record.stable.as_ref());
        let runs = |of: &Version| of.command.image.as_ref().map(|it| it.reference.clone());
        let needs_image = match &record.stable {
            // What there is nothing to protect for is fetched as it is started.
            None => false,
            Some(stable) => runs(&to).is_some() && runs(&to) != runs(stable),
        };
        let step = if needs_image {
            RolloutStage::Fetching
        } else {
            RolloutStage::Replacing
        };
        if let Some(stable) = &record.stable {
            let (name, old) = (to.name(), stable.name());
            let text = match (needs_image, name == old) {
                (true, _) => {
                    let nodes = listed(&self.sight.nodes);
                    format!("{name} in place of {old}: {reason}; {nodes} fetch it first")
                }
                (false, true) => format!("{name} is started anew: {reason}"),
                (false, false) => format!("{name} in place of {old}: {reason}"),
            };
            let undo = format!("minato rollback {}", self.name);
            self.tell(Level::Info, text, Some(undo));
        }
        let same = |it: &&Version| it.digest == to.digest && it.restart == to.restart;
        let same = record.stable.as_ref().filter(same);
        record.passed = same.map(|it| self.ready(it)).unwrap_or_default();
        record.going = Some(Going {
            to,
            step,
            fetch: if needs_image { self.wall.0 } else { 0 },
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

    fn fetch(&mut self, record: &mut RolloutRecord, watched: &mut Watched) {
        let Some(going) = record.going.as_mut() else {
            return;
        };
        if (watched.of, watched.stage) != (Some(going.since), Some(going.step)) {
            (watched.of, watched.stage) = (Some(going.since), Some(going.step));
            watched.moved = self.now;
        }
        // A node that is gone needs nothing.
        going.nodes.retain(|it| self.world.nodes.contains_key(it));
        if going.nodes.is_empty() {
            going.nodes.clone_from(&self.sight.nodes);
        }
        let waited = self.now.saturating_duration_since(watched.moved);
        let (mut waits, mut digests, mut ids) =
            (going.nodes.is_empty(), BTreeSet::new(), BTreeSet::new());
        let mut refused = None;
        let mut without_engine = BTreeSet::new();
        for node in &going.nodes {
            let report = self.world.images.get(&(node.clone(), self.name.clone()));
            let report = report
                .map(|it| &it.value)
                .filter(|it| it.fetch == going.fetch);
            match report.map(|it| &it.state) {
                None if waited >= ANSWER => {
                    refused = Some(format!(
                        "node {node} lives and does not say whether it has the image; is its minato an older one?"
                    ));
                }
                None | Some(ImageState::Fetching) => waits = true,
                Some(ImageState::Failed(why)) => refused = Some(format!("node {node}: {why}")),
                Some(ImageState::NoEngine) if self.sight.holders.contains(node) => {
                    refused = Some(format!(
                        "node {node} runs no containers; set runtime = \"docker\" in [agent] of its minato.toml, or drain it"
                    ));
                }
                Some(ImageState::NoEngine) => drop(without_engine.insert(node.clone())),
                Some(ImageState::Here { digest, id }) => {
                    digests.extend(digest.clone());
                    ids.insert(id.clone());
                }
            }
        }
        going.nodes.retain(|it| !without_engine.contains(it));
        if refused.is_none()
            && !waits
            && (digests.len() > 1 || (digests.is_empty() && ids.len() > 1))
        {
            let all: Vec<&str> = digests.iter().chain(&ids).map(String::as_str).collect();
            refused = Some(format!(
                "nodes found different images under that name: {}; try again, or name it by its digest",
                all.join(", ")
            ));
        }
        if let Some(why) = refused {
            return self.fail(record, FailureKind::Refused, why);
        }
        if waits || going.nodes.is_empty() {
            if waited >= self.policy.deadline && going.nodes.is_empty() {
                let why = "no node that is alive takes it".to_owned();
                self.fail(record, FailureKind::Refused, why);
            }
            return;
        }
        pin(&mut going.to, digests.first());
        if self.asked.known.is_none() {
            going.to.digest = going.to.command.digest();
        }
        let stable = record
            .stable
            .as_mut()
            .filter(|it| it.command == going.to.command);
        if let Some(stable) = stable {
            // The very image that runs.
            let digest = stable.digest.clone();
            going.to.digest = digest;
            if going.to.restart == stable.restart {
                let to = going.to.clone();
                let text = format!(
                    "{} is the very image that runs already: nothing to replace",
                    to.name()
                );
                *stable = to;
                record.going = None;
                return self.tell(Level::Info, text, None);
            }
        }
        going.step = RolloutStage::Replacing;
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
            self.tell(Level::Info, text, undo);
            if differs {
                record.before = Some(old);
            }
        }
        record.stable = Some(to);
    }

    fn fail(&mut self, record: &mut RolloutRecord, how: FailureKind, reason: String) {
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
        self.tell(Level::Warn, text, Some(hint));
    }

    /// Since when instances of this version are ready, and which of them may take an old one's place.
    fn look(
        &self,
        record: &mut RolloutRecord,
        version: &Version,
        watched: &mut Watched,
        of: (Option<Timestamp>, Option<RolloutStage>),
    ) {
        if (watched.of, watched.stage) != of {
            (watched.of, watched.stage) = of;
            watched.moved = self.now;
            watched.ready.clear();
        }
        if self.sight.ending || self.world.nodes.is_empty() {
            // Old instances end in their own time; and what nobody could start has not failed.
            watched.moved = self.now;
        }
        let ready: BTreeSet<_> = self
            .slots_of(version)
            .filter(|it| it.ready)
            .map(key)
            .collect();
        watched.ready.retain(|it, _| ready.contains(it));
        for it in ready {
            watched.ready.entry(it).or_insert(self.now);
        }
        let there = |it: &Passed| {
            self.slots_of(version)
                .any(|slot| (slot.n, slot.generation) == (it.slot, it.generation))
        };
        record.passed.retain(there);
        if self.slots_of(version).count() == self.sight.slots.len() {
            // Nothing is left whose place could be taken.
            return;
        }
        let long =
            |since: &Instant| self.now.saturating_duration_since(*since) >= self.policy.healthy;
        for ((slot, generation, _), _) in watched.ready.iter().filter(|(_, since)| long(since)) {
            let (slot, generation) = (*slot, *generation);
            if record.passed.insert(Passed { slot, generation }) {
                watched.moved = self.now;
            }
        }
    }

    /// Whether all that there is, is of this version and has been ready for this long, or had passed before.
    fn is_whole(
        &self,
        version: &Version,
        record: &RolloutRecord,
        watched: &Watched,
        healthy: Duration,
    ) -> bool {
        let slots = &self.sight.slots;
        let long = |it: &RollSlot| {
            let passed = Passed {
                slot: it.n,
                generation: it.generation,
            };
            let since = watched.ready.get(&key(it));
            since.is_some_and(|since| {
                record.passed.contains(&passed)
                    || self.now.saturating_duration_since(*since) >= healthy
            })
        };
        slots.len() == self.sight.wanted
            && self.slots_of(version).count() == slots.len()
            && slots.iter().all(long)
    }

    fn slots_of<'s>(
        &'s self,
        version: &Version,
    ) -> impl Iterator<Item = &'s RollSlot> + use<'s, 'a> {
        let mark = Mark {
            digest: version.digest.clone(),
            restart: version.restart,
        };
        let slots = self.sight.slots.iter();
        slots.filter(move |it| it.digest == mark.digest && it.restart >= mark.restart)
    }

    fn ready(&self, version: &Version) -> BTreeSet<Passed> {
        let ready = self.slots_of(version).filter(|it| it.ready);
        ready
            .map(|it| Passed {
                slot: it.n,
                generation: it.generation,
            })
            .collect()
    }

    fn tell(&mut self, level: Level, text: String, hint: Option<String>) {
        self.news.push(News {
            level,
            kind: EventKind::Updated,
            text: format!("{}: {text}", self.name),
            hint,
        });
    }
}

fn key(it: &RollSlot) -> (SlotIndex, Generation, Run) {
    (it.n, it.generation, it.run)
}

/// Names the image by what the registry said it is, so that every instance is of the same.
fn pin(to: &mut Version, digest: Option<&String>) {
    if let (Some(image), Some(digest)) = (&mut to.command.image, digest)
        && image.reference.digest().is_none()
        && let Ok(pinned) = ImageReference::parse(&format!("{}@{digest}", image.reference))
    {
        image.reference = pinned;
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
