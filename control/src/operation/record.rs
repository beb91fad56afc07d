//! The document at `operations/<id>`.

use super::schedule::Schedule;
use super::switch::{Accepted, Switch, SwitchState, Timing};
use minato_config::{ImageReference, ServiceName, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Services of one wave operation; its document stays far below what a store takes.
pub const MOST_SERVICES: usize = 1000;
/// Services of one wave: what one commit can begin at once.
pub const MOST_SIZE: u16 = 50;
/// Operations that have ended and are remembered.
pub const MOST_ENDED: usize = 50;
/// Letters of a detail or reason.
pub(super) const MOST_TEXT: usize = 300;

/// Names an operation: 1, 2, 3, .. over all kinds, so that one short word says which.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct OperationId(pub u64);

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The document at `operations/<id>`: made, aborted and resumed by the admin API, carried on by the leader; each of them compares the
/// revision that it read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Format version, 1.
    pub v: u32,
    /// What is to be done.
    pub work: Work,
    /// Who asked for it.
    #[serde(default)]
    pub who: String,
    /// Why, as they said; may be empty.
    #[serde(default)]
    pub why: String,
    /// When they did.
    #[serde(default)]
    pub asked: Timestamp,
    /// When it may run.
    #[serde(default)]
    pub schedule: Schedule,
    /// How it stands.
    pub state: OperationState,
    /// Since when.
    #[serde(default)]
    pub since: Timestamp,
    /// Why, one sentence; may be empty.
    #[serde(default)]
    pub reason: String,
    /// In the order in which they are done.
    pub steps: Vec<OperationStep>,
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Another version of many services, wave after wave.
    Wave(Wave),
    /// Services are served by another site from then on.
    Switch(Box<Switches>),
    /// What a switch moved is moved back.
    Return(Return),
}

/// Services that this site shall serve. It lives at that site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switches {
    /// This site.
    pub to: SiteId,
    /// How it was asked for.
    pub kind: SwitchKind,
    /// Services between their begin and their move at once.
    pub size: u16,
    /// With so many failures it is held.
    pub stop_after: u16,
    /// Failures that a person has seen and gone on after.
    #[serde(default)]
    pub forgiven: u16,
    /// How patient it is.
    pub timing: Timing,
    /// What a person bears with.
    #[serde(default)]
    pub accepted: Accepted,
    /// The return of another site that asked for it, `osaka/13`: it asks again where it does not know. May be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub asked_by: String,
}

/// How a switch was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwitchKind {
    /// Who serves lets go in order.
    Switch,
    /// Who served is not heard any more.
    Failover,
    /// As a switch, and back by itself.
    Drill,
}

impl SwitchKind {
    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Failover => "failover",
            Self::Drill => "drill",
        }
    }
}

/// The return that was scheduled with a switch. It lives where the switch does, and asks the site that is gone back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// The switch.
    pub of: OperationId,
    /// The site that leads back to, as long as it does.
    pub from: SiteId,
    /// For the switch back.
    pub size: u16,
    /// For the switch back.
    pub timing: Timing,
}

/// Many services, a few at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// What happens to each.
    pub change: WaveChange,
    /// Services of the largest wave.
    pub size: u16,
    /// With so many failures it is held.
    pub stop_after: u16,
    /// Failures that a person has seen and gone on after.
    #[serde(default)]
    pub forgiven: u16,
}

/// What happens to each service of a wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaveChange {
    /// Every instance anew.
    Restart,
    /// This image.
    Image(ImageReference),
    /// What its own image's name means to the registry now.
    Pull,
    /// What it ran before.
    Rollback,
}

/// How an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// It waits for its time.
    Scheduled,
    /// Under way.
    Running,
    /// Too much failed: nothing new begins until a person says how it goes on.
    Held,
    /// Its window is over; it goes on in the next.
    Paused,
    /// A person ended it; what was under way comes to its end.
    Aborting,
    /// Every step has ended, well or not.
    Done,
    /// A person ended it.
    Aborted,
    /// Nobody led when its time came; nothing was begun.
    Missed,
    /// Its window was over before all was done.
    Closed,
}

impl OperationState {
    /// Whether anything may still follow from it.
    pub fn is_open(self) -> bool {
        match self {
            Self::Scheduled | Self::Running | Self::Held | Self::Paused | Self::Aborting => true,
            Self::Done | Self::Aborted | Self::Missed | Self::Closed => false,
        }
    }

    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Held => "held",
            Self::Paused => "paused",
            Self::Aborting => "aborting",
            Self::Done => "done",
            Self::Aborted => "aborted",
            Self::Missed => "missed",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for OperationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationStep {
    /// What it does: `restart`.
    pub name: String,
    /// To which service.
    pub service: ServiceName,
    /// Steps of one number run at once; the next number begins when all of them have ended. From 1.
    pub wave: u16,
    /// How it stands.
    pub state: StepState,
    /// Since when.
    #[serde(default, skip_serializing_if = "is_never")]
    pub since: Timestamp,
    /// The restart or release that it asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// One sentence; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// How far the service is, where it is moved to another site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switch: Option<Box<Switch>>,
}

impl OperationStep {
    /// Whether its service has been moved to another site by it, and is being watched there.
    pub fn has_moved(&self) -> bool {
        self.switch.as_ref().is_some_and(|it| it.has_moved())
    }

    /// Whether it was moved, and somebody still came to the old site when it was watched no longer.
    pub fn is_visited(&self) -> bool {
        let switch = self.switch.as_ref();
        switch.is_some_and(|it| it.state == SwitchState::Visited)
    }

    /// The same, of this old site.
    pub fn is_visited_at(&self, site: &SiteId) -> bool {
        self.is_visited() && self.switch.as_ref().is_some_and(|it| it.from == *site)
    }
}

fn is_never(at: &Timestamp) -> bool {
    *at == Timestamp::default()
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun.
    Waiting,
    /// Ordered; what comes of it is being seen.
    Running,
    /// It came true.
    Done,
    /// It did not; what was before serves.
    Failed,
    /// Nothing was to be done, or somebody else's word came between.
    Skipped,
}

impl StepState {
    /// Whether nothing follows any more.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Skipped)
    }

    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl Operation {
    /// Steps in this state.
    pub fn count(&self, state: StepState) -> usize {
        self.steps.iter().filter(|it| it.state == state).count()
    }

    /// The first wave that has not ended.
    pub fn current_wave(&self) -> Option<u16> {
        let open = self.steps.iter().filter(|it| !it.state.has_ended());
        open.map(|it| it.wave).min()
    }

    /// How many waves there are.
    pub fn waves(&self) -> u16 {
        self.steps.iter().map(|it| it.wave).max().unwrap_or(0)
    }

    /// What it does, for people: `restart of 12 services`.
    pub fn title(&self) -> String {
        let services = match self.steps.as_slice() {
            [one] if !matches!(self.work, Work::Wave(_)) => one.service.to_string(),
            [_] => "1 service".to_owned(),
            all => format!("{} services", all.len()),
        };
        let wave = match &self.work {
            Work::Wave(wave) => wave,
            Work::Switch(it) => return format!("{} of {services} to {}", it.kind.as_str(), it.to),
            Work::Return(it) => {
                return format!("return of {services} after operation {}", it.of);
            }
        };
        match &wave.change {
            WaveChange::Restart => format!("restart of {services}"),
            WaveChange::Image(image) => format!("{image} for {services}"),
            WaveChange::Pull => format!("newest images for {services}"),
            WaveChange::Rollback => format!("way back of {services}"),
        }
    }

    /// How far it is: `7 of 12 done, 1 failed, 2 under way`.
    pub fn progress(&self) -> String {
        let mut text = format!(
            "{} of {} done",
            self.count(StepState::Done),
            self.steps.len()
        );
        let moved = self.steps.iter();
        let moved = moved.filter(|it| it.state == StepState::Running && it.has_moved());
        let moved = moved.count();
        if moved > 0 {
            text.push_str(&format!(", {moved} moved"));
        }
        for (state, word) in [
            (StepState::Failed, "failed"),
            (StepState::Skipped, "skipped"),
            (StepState::Running, "under way"),
        ] {
            let mut count = self.count(state);
            if state == StepState::Running {
                count = count.saturating_sub(moved);
            }
            if count > 0 {
                text.push_str(&format!(", {count} {word}"));
            }
        }
        text
    }
}

impl Work {
    /// One word: `wave`, `switch`, `failover`, `drill` or `return`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Wave(_) => "wave",
            Self::Switch(it) => it.kind.as_str(),
            Self::Return(_) => "return",
        }
    }
}

impl WaveChange {
    /// One word: the steps' name.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Image(_) => "update",
            Self::Pull => "pull",
            Self::Rollback => "rollback",
        }
    }
}

/// At most [`MOST_TEXT`] letters of it.
pub(super) fn clipped(text: &str) -> String {
    match text.char_indices().nth(MOST_TEXT) {
        Some((end, _)) => format!("{}..", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
