//! One service and its instances, as status shows them.

use minato_health::Flow;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `GET /v1/services/{name}`, and one element of [`super::Status`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// The file's name.
    pub name: String,
    /// One word.
    pub state: ServiceState,
    /// The sentence behind the word: `3 of 4 up; library/2 down: connect refused`.
    pub detail: String,
    /// Who says what it should be: `services/library.toml`.
    pub source: String,
    /// Instances that should run.
    pub wanted: u16,
    /// Instances that are up.
    pub up: u16,
    /// Set while an operator's number stands over the file's.
    #[serde(default)]
    pub by_hand: Option<ByHand>,
    /// Set while an operator's release stands over the file's version.
    #[serde(default)]
    pub release: Option<ReleaseStatus>,
    /// The version that ran whole last, all of its instances healthy; an image by its digest where a registry gave one.
    #[serde(default)]
    pub runs: Option<String>,
    /// Set while it goes from one version to another, and after that failed.
    #[serde(default)]
    pub rollout: Option<RolloutStatus>,
    /// Set where its number follows its load.
    #[serde(default)]
    pub scaled: Option<Scaled>,
    /// What each instance is given where control raised it: `0.8 processors, 150 MiB`.
    #[serde(default)]
    pub raised: Option<String>,
    /// An operator drains it.
    pub draining: bool,
    /// `example.org/library`, sorted.
    pub routes: Vec<String>,
    /// Requests now being served.
    pub in_flight: u64,
    /// Requests waiting for a place.
    pub queued: u64,
    /// Requests ended since the gateway began.
    pub requests: u64,
    /// Of these, answered with an error of the gateway's own making.
    pub gateway_errors: u64,
    /// Median response time in milliseconds; `None` without requests.
    #[serde(default)]
    pub p50_ms: Option<f64>,
    /// Likewise.
    #[serde(default)]
    pub p95_ms: Option<f64>,
    /// Likewise.
    #[serde(default)]
    pub p99_ms: Option<f64>,
    /// Sorted by slot, newest generation first.
    pub instances: Vec<InstanceStatus>,
}

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// All that is wanted is up.
    Ok,
    /// On the way to what is wanted; nothing has failed.
    Settling,
    /// Serves, with fewer than wanted.
    Degraded,
    /// Nothing serves.
    Down,
    /// An operator, or the end of its file, drains it.
    Draining,
}

impl ServiceState {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Settling => "settling",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl ServiceStatus {
    /// Which version there should be, where that is not plainly what the file says and what runs.
    pub fn version(&self) -> Option<String> {
        let release = self.release.as_ref().map(|it| {
            let ReleaseStatus {
                what,
                who,
                file_says,
                ..
            } = it;
            format!("{what} by hand ({who}), file says {file_says}")
        });
        let rollout = self.rollout.as_ref().map(|it| match it.state.as_str() {
            "going" => format!("under way {}", it.text),
            _ => it.text.clone(),
        });
        match (release, rollout) {
            (None, None) => None,
            (one, other) => {
                let both: Vec<String> = one.into_iter().chain(other).collect();
                Some(both.join("; "))
            }
        }
    }

    /// Who says how many there should be, where that is not plainly the file: `3 (scaled: 41 in flight of 40 each), file
    /// says 1 to 4`.
    pub fn number(&self) -> Option<String> {
        match (&self.by_hand, &self.scaled) {
            (Some(by_hand), scaled) => {
                let file = match scaled {
                    Some(it) => format!("{} to {}", it.min, it.max),
                    None => by_hand.file_says.to_string(),
                };
                let ByHand { replicas, who, .. } = by_hand;
                Some(format!("{replicas} by hand ({who}), file says {file}"))
            }
            (None, Some(it)) => Some(format!(
                "{} (scaled: {}), file says {} to {}",
                it.replicas, it.reason, it.min, it.max
            )),
            (None, None) => None,
        }
    }
}

/// What an operator put in place of what the file runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseStatus {
    /// The image, or the version.
    pub what: String,
    /// Who.
    pub who: String,
    /// Since when.
    pub since_ms: u64,
    /// What the file says.
    pub file_says: String,
}

/// A service on its way from one version to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutStatus {
    /// `going`, `failed`
    pub state: String,
    /// One sentence.
    pub text: String,
    /// What ran whole last.
    #[serde(default)]
    pub from: Option<String>,
    /// Since when.
    pub since_ms: u64,
}

/// A number that follows the load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaled {
    /// Instances that the load asks for.
    pub replicas: u16,
    /// Why: `41 in flight of 40 each`.
    pub reason: String,
    /// Since when.
    pub since_ms: u64,
    /// The bounds in the file.
    pub min: u16,
    /// As above.
    pub max: u16,
}

/// An operator's number over the file's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// What the operator said.
    pub replicas: u16,
    /// Who.
    pub who: String,
    /// Since when.
    pub since_ms: u64,
    /// What the file says.
    pub file_says: u16,
}

/// One place of a service and what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Which place.
    pub slot: u16,
    /// Which assignment, `era.counter`; `0.0` for a fixed address.
    pub generation: String,
    /// Which start; 0 before the first.
    pub run: u64,
    /// Whose agent runs it; empty for a fixed address.
    pub node: String,
    /// Where gateways reach it; empty before it has one.
    pub address: String,
    /// Process id while it runs.
    #[serde(default)]
    pub pid: Option<u32>,
    /// `assigned`, `running`, `stopping`, `exited`, `failed`; `fixed` for an address that someone else keeps alive.
    pub phase: String,
    /// Restarts within the last 10 minutes.
    pub restarts: u32,
    /// `up`, `suspect`, `down`, or `unknown` where no gateway has reported.
    pub verdict: String,
    /// What this node's gateway does with it: `serving`, `ejected`, ...; empty where there is no gateway.
    pub standing: String,
    /// Why it is so, or which gateway sees it otherwise; empty while it is up for all.
    pub reason: String,
    /// Since when.
    pub since_ms: u64,
    /// Requests on it now.
    pub in_flight: u64,
    /// Requests ended.
    pub requests: u64,
    /// Of these, failures of a gateway's class (connect, reset, timeout, 502 to 504).
    pub failures: u64,
    /// When its agent starts it again, while it waits.
    #[serde(default)]
    pub retry_at_ms: Option<u64>,
    /// Thousandths of a processor that it uses; `None` where its agent does not tell.
    #[serde(default)]
    pub cpu_milli: Option<u32>,
    /// Bytes of memory that it uses; likewise.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Bytes in a second that it reads from and writes to disks; `None` where its runtime cannot tell.
    #[serde(default)]
    pub disk: Option<Flow>,
    /// Bytes in a second that it receives and sends; likewise.
    #[serde(default)]
    pub network: Option<Flow>,
    /// It is on its way out.
    pub removed: bool,
}
