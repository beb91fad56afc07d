//! How many instances a service should have, from what its gateways and agents measure.
//!
//! The rule of Kubernetes' HorizontalPodAutoscaler: each [`PERIOD`] `ceil(n × now / target)` for each target, the highest
//! counts, nothing within [`TOLERANCE`]; up at once, down to the highest wish within [`WINDOW`]. Beyond it: what is not
//! known never makes the number smaller, and makes it larger only by what is known; while an update is under way nothing
//! changes; the operator's number wins; never beyond what the nodes take.
//!
//! One module each: what is measured (`measure`, `usage`), what that asks for (`wish`), what follows over time (`scaler`), all
//! services of a world (`scaling`).
//! Not here: where instances go (`plan`), writing it down (`control/server`), measuring (the gateways).

mod grant;
mod measure;
mod scaler;
mod scaling;
mod usage;
mod wish;

#[cfg(test)]
mod tests;

pub use measure::{Measures, STALE};
pub use scaler::{Decision, Scaler, Sight, State};
pub(crate) use scaling::relied;
pub use scaling::{ScaleStep, Scaling};

use minato_config::{Grant, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often it is decided.
pub const PERIOD: Duration = Duration::from_secs(15);
/// The number falls to the highest wish of this time, and not before that much is known.
pub const WINDOW: Duration = Duration::from_secs(300);
/// Parts of a target that a measure may differ from it.
pub const TOLERANCE: f64 = 0.1;
/// Percentiles of gateways look back this long: what they say sooner after a change is of before.
pub const LOOK_BACK: Duration = Duration::from_secs(60);

/// The document at `scale/<service>`, written by the leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleRecord {
    /// Format version, 1.
    pub v: u32,
    /// Instances that there should be.
    pub replicas: u16,
    /// Why: `41 in flight of 40 each`.
    #[serde(default)]
    pub reason: String,
    /// Since when.
    #[serde(default)]
    pub since: Timestamp,
    /// What each instance is given above its file; `None`: not decided, it keeps what it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
}
