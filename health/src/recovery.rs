//! How long it took until visitors of a service were served again, each time that a site failed or came back, or that a person moved
//! them: measured where they enter.
//!
//! [`Recorder`] is fed by one gateway with what it sees, several times a second; it returns a [`Recovery`] when one is over. All times count
//! from the last moment at which the site that failed is known to have served: so they are rather too long than too short, by at most the time
//! between two looks. Not here: where records are kept (`recoveries/<gateway>/<service>`), what follows from them (`control/server`).

mod recorder;

pub use recorder::{Glimpse, Recorder, SiteGlimpse};

use minato_config::{MoveKind, SiteId, Timestamp};
use serde::{Deserialize, Serialize};

/// Records of one service at one gateway; the oldest go first.
pub const MOST_RECOVERIES: usize = 20;

/// The document at `recoveries/<gateway>/<service>`. It outlives its gateway's process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryLog {
    /// Format version, 1.
    pub v: u32,
    /// Since when this gateway has looked: nothing is proven for as long.
    pub since: Timestamp,
    /// Oldest first, at most [`MOST_RECOVERIES`].
    #[serde(default)]
    pub events: Vec<Recovery>,
}

/// Why visitors moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryKind {
    /// A site failed, and another took over.
    Failover,
    /// They came back, by themselves or by a person's word.
    Return,
    /// A person moved them.
    Switch,
    /// A person tried it out.
    Drill,
}

impl RecoveryKind {
    /// As people and metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Return => "return",
            Self::Switch => "switch",
            Self::Drill => "drill",
        }
    }

    /// Whether it shows that the service goes on without its first site.
    pub fn is_proof(self) -> bool {
        self != Self::Return
    }
}

impl From<MoveKind> for RecoveryKind {
    fn from(it: MoveKind) -> Self {
        match it {
            MoveKind::Switch => Self::Switch,
            MoveKind::Return => Self::Return,
            MoveKind::Drill => Self::Drill,
            MoveKind::Failover => Self::Failover,
        }
    }
}

/// One time that visitors moved. Durations are milliseconds from `at`; `None`: it did not happen, or nobody came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// What happened.
    pub kind: RecoveryKind,
    /// The last moment at which the site that failed is known to have served; where a person moved them, at which it was to serve.
    pub at: Timestamp,
    /// Which site visitors left.
    pub from: SiteId,
    /// Which served the first of them; where nobody came, to which a person moved them.
    #[serde(default)]
    pub to: Option<SiteId>,
    /// Until it was known that the site serves nothing.
    pub detect_ms: u64,
    /// Until visitors were sent away from it for good.
    #[serde(default)]
    pub decide_ms: Option<u64>,
    /// Until another site had an instance; 0 where it had one already.
    #[serde(default)]
    pub start_ms: Option<u64>,
    /// Until another site answered the first request: the time of recovery.
    #[serde(default)]
    pub first_ms: Option<u64>,
    /// Requests that got an error of the gateway's own meanwhile.
    pub errors: u64,
    /// How old the data was that they were served with, where something measures it; [`minato_config::NEVER_COPIED`] is no age.
    #[serde(default)]
    pub data_age_ms: Option<u64>,
}

impl RecoveryLog {
    /// Adds one; the oldest make room. What is told again of one event, since it went on, takes its place.
    pub fn add(&mut self, recovery: Recovery) {
        let is_same = |it: &Recovery| {
            (it.kind, it.at, &it.from) == (recovery.kind, recovery.at, &recovery.from)
        };
        self.events.retain(|it| !is_same(it));
        self.events.push(recovery);
        let surplus = self.events.len().saturating_sub(MOST_RECOVERIES);
        self.events.drain(..surplus);
    }
}
