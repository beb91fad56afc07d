//! The documents by which a rollout is written down: the leader's, and what agents say of its image.

use minato_config::{
    Command, Generation, ImageReference, NodeId, Resources, Restart, SlotIndex, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Numbers of releases that ended which are remembered; an intent names two at most.
pub(super) const MOST_ENDED: usize = 8;

/// The document at `rollouts/<service>`, written by the leader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutRecord {
    /// Format version, 1.
    pub v: u32,
    /// What ran whole last, all instances of it healthy: what a rollout falls back to. `None` before anything did.
    #[serde(default)]
    pub stable: Option<Version>,
    /// What ran whole before that: where `minato rollback` goes.
    #[serde(default)]
    pub before: Option<Version>,
    /// What is under way.
    #[serde(default)]
    pub going: Option<Going>,
    /// The last rollout, where it failed; what it wanted is not tried again.
    #[serde(default)]
    pub failed: Option<Failure>,
    /// Releases by hand that no longer count: they failed, or the file changed after them. The newest last.
    #[serde(default)]
    pub ended: Vec<u64>,
    /// Instances that have been healthy for long enough to take an old one's place.
    #[serde(default)]
    pub passed: BTreeSet<Passed>,
    /// The last release by hand that turned out to be what ran already: nothing was replaced for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<u64>,
}

/// What instances run, whole, so that it can be run again when the file says something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// What its slots carry: [`Command::digest`], of `command` or of what was asked for.
    pub digest: String,
    /// [`Command::digest`] of what was asked for, before its image was pinned.
    pub asked: String,
    /// The image as it was asked for.
    #[serde(default)]
    pub image: Option<ImageReference>,
    /// What runs; its image pinned to a digest where a registry gave one.
    pub command: Box<Command>,
    /// The last restart that it satisfies.
    #[serde(default)]
    pub restart: Option<Restart>,
    /// The release by hand that it is.
    #[serde(default)]
    pub number: Option<u64>,
    /// When it was begun.
    #[serde(default)]
    pub since: Timestamp,
}

/// A rollout under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Going {
    /// Where it goes.
    pub to: Version,
    /// What is being done.
    pub step: RolloutStage,
    /// Names this fetch: agents answer with it.
    #[serde(default)]
    pub fetch: u64,
    /// Which image of that name.
    #[serde(default)]
    pub freshness: Freshness,
    /// Nodes that shall have the image before anything changes.
    #[serde(default)]
    pub nodes: BTreeSet<NodeId>,
    /// Why: `its command changed`.
    pub reason: String,
    /// Since when.
    #[serde(default)]
    pub since: Timestamp,
}

/// Which image of a name is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freshness {
    /// The one that a node has, if it has one and the service's `pull` does not say otherwise.
    #[default]
    Any,
    /// What the registry means by it now: every node asks.
    Newest,
}

/// What a rollout is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutStage {
    /// Nodes fetch the image; nothing else has changed.
    Fetching,
    /// Instances are replaced.
    Replacing,
}

/// A rollout that did not come true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// [`Version::asked`] of what it wanted.
    pub asked: String,
    /// The restart that it wanted.
    #[serde(default)]
    pub restart: Option<Restart>,
    /// The release that it wanted.
    #[serde(default)]
    pub number: Option<u64>,
    /// What for people names it: an image, or `its command`.
    pub what: String,
    /// How it ended.
    pub how: FailureKind,
    /// Why, one sentence.
    pub reason: String,
    /// When.
    #[serde(default)]
    pub since: Timestamp,
}

/// How a rollout failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Nothing was changed: its image could not be had everywhere.
    Refused,
    /// Instances of it were not healthy; the old version comes back.
    Reverting,
    /// The old version is back.
    Reverted,
}

/// An instance that proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Passed {
    /// Which place.
    pub slot: SlotIndex,
    /// Under which assignment.
    pub generation: Generation,
}

/// The document at `images/<node>/<service>`, written by that node's agent while a rollout fetches, and where it looks ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageReport {
    /// Format version, 1.
    pub v: u32,
    /// [`Going::fetch`] that it answers.
    pub fetch: u64,
    /// How it stands.
    pub state: ImageState,
    /// Which image of the name it speaks of. An agent that knows nothing of that leaves it out.
    #[serde(default)]
    pub freshness: Freshness,
    /// The images of the service's instances there, by the registry's digest; by anything else where the engine would not find them by it.
    #[serde(default)]
    pub runs: BTreeSet<String>,
    /// The registry's digest, where it was only looked for: the node does not have it, and its registry does. `state` is
    /// [`ImageState::Fetching`] then, which is what a process reads that knows nothing of looking ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// Why it could not be found out ahead whether it can be had; `state` is [`ImageState::Fetching`] then. Empty where nothing was in the way.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unknown: String,
    /// When it was written.
    #[serde(default)]
    pub since: Timestamp,
}

/// How a node does with an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageState {
    /// It is on its way.
    Fetching,
    /// The node has it.
    Here {
        /// The registry's digest; `None` where it came from no registry.
        digest: Option<String>,
        /// The engine's id of it.
        id: String,
    },
    /// It could not be had: why, and what to do.
    Failed(String),
    /// The node runs no containers.
    NoEngine,
}

impl Version {
    /// What to run, with what it may use as the service's file has it now.
    pub fn command(&self, resources: Option<Resources>) -> Command {
        let mut command = (*self.command).clone();
        if let (Some(image), Some(resources)) = (&mut command.image, resources) {
            image.resources = resources;
        }
        command
    }

    /// For people: the image, or the program's name and digest.
    pub fn name(&self) -> String {
        match (&self.image, self.command.argv.first()) {
            (Some(image), _) => image.to_string(),
            (None, Some(program)) => format!("{program} ({})", short(&self.digest)),
            (None, None) => short(&self.digest).to_owned(),
        }
    }
}

fn short(digest: &str) -> &str {
    digest.get(..8).unwrap_or(digest)
}

impl RolloutRecord {
    /// Every version that it remembers, the one that is going first.
    pub fn versions(&self) -> impl Iterator<Item = &Version> {
        let going = self.going.as_ref().map(|it| &it.to);
        [going, self.stable.as_ref(), self.before.as_ref()]
            .into_iter()
            .flatten()
    }

    pub(super) fn end(&mut self, number: u64) {
        if !self.ended.contains(&number) {
            self.ended.push(number);
        }
        let surplus = self.ended.len().saturating_sub(MOST_ENDED);
        self.ended.drain(..surplus);
    }
}
