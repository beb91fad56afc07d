//! How many instances a service may have, and what makes them more or fewer.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `replicas = { min, max, in_flight, p95 }` of a service. `min` is [`crate::Service::replicas`].
///
/// Where more than one target is given, the one that asks for most instances counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// Instances at most; above `min`.
    pub max: u16,
    /// Requests that each instance should have at once, those that wait for a place included.
    #[serde(default)]
    pub in_flight: Option<u32>,
    /// The response time that 95 of 100 requests should not pass.
    #[serde(rename = "p95_ms", with = "crate::duration::optional", default)]
    pub p95: Option<Duration>,
    /// Processor time that each instance should use, in hundredths of what it is promised, or of one processor where nothing
    /// is.
    #[serde(default)]
    pub cpu_percent: Option<u32>,
}

impl Scale {
    /// For people, from `least` up: `1 to 4 (in flight 40 each, p95 500ms)`.
    pub fn text(&self, least: u16) -> String {
        let mut targets = Vec::new();
        targets.extend(self.in_flight.map(|it| format!("in flight {it} each")));
        targets.extend(self.p95.map(|it| format!("p95 {it:?}")));
        targets.extend(self.cpu_percent.map(|it| format!("processor {it} % each")));
        format!("{least} to {} ({})", self.max, targets.join(", "))
    }
}
