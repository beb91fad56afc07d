//! The document of one service's move, what is seen of it, and what can be ordered.

use minato_config::{SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One service on its way from one site to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// Format version, 1.
    pub v: u32,
    /// Who serves it when it is begun.
    pub from: SiteId,
    /// Who shall serve it. The switch lives in this site's store.
    pub to: SiteId,
    /// Epoch of the order of sites when it is begun.
    pub epoch: u64,
    /// Whether a command has to move its data: then requests are held meanwhile.
    pub data: Data,
    /// Whether who serves it can be asked to let go.
    #[serde(default)]
    pub cause: Cause,
    /// How patient it is.
    pub timing: Timing,
    /// Instances that the target is to have before it moves; nothing where their number is as its file says.
    #[serde(default, skip_serializing_if = "Need::is_nothing")]
    pub need: Need,
    /// Requests that had come to the old site when the watch began; `None` where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came: Option<u64>,
    /// How it stands.
    pub state: SwitchState,
    /// What it is at.
    pub phase: Phase,
    /// How often this phase has begun; a hook's run is known by it.
    pub tries: u32,
    /// Since when this phase or state.
    pub since: Timestamp,
    /// Why, one sentence; may be empty.
    #[serde(default)]
    pub reason: String,
}

/// Instances of a service whose number follows its load, as the site needs them that it moves to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Asked for: as many as the old site has, within what the file allows.
    pub wanted: u16,
    /// With so many it goes on, where no more can be had in time.
    pub enough: u16,
}

impl Need {
    /// Whether nothing is asked for.
    pub fn is_nothing(&self) -> bool {
        self.wanted == 0
    }
}

/// Why a service is moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Who serves it lives, and lets go in order.
    #[default]
    Planned,
    /// Who served it is not heard any more: nothing is held there, and nothing is copied.
    Lost,
}

/// Whether data moves with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// It has none, or what it has is at both sites.
    None,
    /// A command of the local allow-list copies what changed last.
    Hook,
}

/// How patient a switch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Until all instances of the target are up.
    pub warm_ms: u64,
    /// Requests are held no longer than this, whatever happens to whoever ordered it. At most 10 s.
    pub hold_ms: u64,
    /// Until the target has been seen to answer.
    pub verify_ms: u64,
    /// How long the old entrance must be quiet; twice the time that DNS answers live.
    pub quiet_ms: u64,
    /// How long it is waited for that: the whole time from the move on.
    #[serde(default = "a_day")]
    pub watch_ms: u64,
}

fn a_day() -> u64 {
    24 * 3600 * 1000
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            warm_ms: 300_000,
            hold_ms: 10_000,
            verify_ms: 60_000,
            quiet_ms: 120_000,
            watch_ms: a_day(),
        }
    }
}

impl Timing {
    pub(super) fn warm(&self) -> Duration {
        Duration::from_millis(self.warm_ms)
    }

    pub(super) fn hold(&self) -> Duration {
        Duration::from_millis(self.hold_ms)
    }

    pub(super) fn verify(&self) -> Duration {
        Duration::from_millis(self.verify_ms)
    }

    pub(super) fn quiet(&self) -> Duration {
        Duration::from_millis(self.quiet_ms)
    }

    pub(super) fn watch(&self) -> Duration {
        Duration::from_millis(self.watch_ms)
    }
}

/// How a switch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwitchState {
    /// Under way.
    Running,
    /// Given up before the move: the old site gets its requests back.
    Aborting,
    /// The old site serves as before.
    Aborted,
    /// The new site serves; the old one may be switched off.
    Done,
    /// The new site serves; somebody still came to the old one when the time of the watch was over.
    Visited,
    /// The new site should serve and does not answer: a person decides, forward or back.
    Stuck,
}

/// What a switch is at, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Whatever would keep it from coming true is looked for.
    Check,
    /// The target's instances are started.
    Warm,
    /// The old site's gateways let new requests wait.
    Hold,
    /// Requests that were under way end.
    Drain,
    /// The service's own command copies what changed last.
    Sync,
    /// The target comes first from now on.
    Move,
    /// The target answers, and the old site knows.
    Verify,
    /// Until nobody comes to the old entrance any more.
    Quiet,
}

impl Phase {
    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Warm => "warm",
            Self::Hold => "hold",
            Self::Drain => "drain",
            Self::Sync => "sync",
            Self::Move => "move",
            Self::Verify => "verify",
            Self::Quiet => "quiet",
        }
    }
}

/// How one phase stands, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhaseState {
    /// It has not begun.
    Waiting,
    /// It is this one.
    Running,
    /// It is over.
    Done,
}

impl Switch {
    /// How `phase` stands.
    pub fn phase(&self, phase: Phase) -> PhaseState {
        match phase.cmp(&self.phase) {
            std::cmp::Ordering::Less => PhaseState::Done,
            std::cmp::Ordering::Equal
                if matches!(self.state, SwitchState::Done | SwitchState::Visited) =>
            {
                PhaseState::Done
            }
            std::cmp::Ordering::Equal => PhaseState::Running,
            std::cmp::Ordering::Greater => PhaseState::Waiting,
        }
    }

    /// One at its begin.
    pub fn new(from: SiteId, to: SiteId, epoch: u64, data: Data, now: Timestamp) -> Self {
        Self {
            v: 1,
            from,
            to,
            epoch,
            data,
            cause: Cause::Planned,
            timing: Timing::default(),
            need: Need::default(),
            came: None,
            state: SwitchState::Running,
            phase: Phase::Check,
            tries: 0,
            since: now,
            reason: String::new(),
        }
    }

    /// Whether the target has been made first: there is no way back from here but another switch.
    pub fn has_moved(&self) -> bool {
        self.phase > Phase::Move
    }
}

/// What is seen of one service at both sites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// What keeps it from coming true, each with its figure; asked for in the first phase.
    pub problems: Vec<String>,
    /// Instances of the target that are up, and that are wanted there.
    pub up: (u16, u16),
    /// Instances that it needs; asked for in the first phase.
    pub need: Need,
    /// Epoch of the order at the target.
    pub epoch: u64,
    /// Whether the target answers requests for it.
    pub answers: bool,
    /// What the old site says; `None` while it is not heard.
    pub source: Option<Source>,
    /// How the command does, by the number of its run.
    pub sync: Sync,
    /// How the names do that lead visitors to a site.
    pub entrance: Entrance,
}

/// How the target's entrance stands: the names that are made to lead there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entrance {
    /// No name leads anywhere by minato's hand.
    None,
    /// Nobody has been asked for them in this term.
    Unasked,
    /// Asked for, and not so yet: why.
    Trying(String),
    /// They lead to the target, since then.
    Done(Timestamp),
}

/// What the old site says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Epoch of the order as it knows it.
    pub epoch: u64,
    /// How requests are held.
    pub held: Held,
    /// Requests that are being served by instances there.
    pub in_flight: u64,
    /// Since when nobody came to its entrance.
    pub quiet_since: Option<Timestamp>,
    /// Requests that have come to it so far; may begin anew. `None` where it does not say.
    pub came: Option<u64>,
}

/// Whether requests are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// They are served.
    No,
    /// It was ordered for this try; not all gateways are known to do so yet.
    Partly(u32),
    /// They wait for this try of a switch, at every gateway.
    For(u32),
    /// They wait for this try, but a gateway began after it did and may have served some: this try never becomes whole.
    Broken(u32),
    /// They waited for this try until its time was over, and are served again.
    Expired(u32),
}

/// How the service's own command does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sync {
    /// No run of it is known.
    None,
    /// This run is under way, or was when whoever started it died.
    Running(u32),
    /// This run ended well.
    Done(u32),
    /// This run failed: why.
    Failed(u32, String),
}

/// What to do; each may be done twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// At the target: run all instances. In the commit of the document.
    Warm,
    /// At the old site: hold requests for this try, for so long at most by the old site's own clock. A try that has expired is
    /// never held again.
    Hold(u32, Duration),
    /// At the old site: serve again, or lead on, what is held.
    Release,
    /// At the target, where its data is to be: this run of the command.
    Sync(u32),
    /// At the target: it comes first, by this epoch. In the commit of the document.
    First(u64),
    /// At the old site: the same.
    Tell(u64),
    /// At the target's entrance: the names lead there.
    Publish,
}
