//! Other sites, as this node's gateway sees them.

use serde::{Deserialize, Serialize};

/// One gateway of another site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Of which site.
    pub site: String,
    /// Where it accepts links; empty where no address of the site was found yet.
    pub address: String,
    /// The machine that answers there; empty while nobody has.
    pub node: String,
    /// `up`, `down`, or `unknown`.
    pub state: String,
    /// Why it is down; empty otherwise.
    pub reason: String,
    /// Since when it is so.
    pub since_ms: u64,
    /// From question to answer, the median of the last minute.
    #[serde(default)]
    pub delay_ms: Option<f64>,
    /// Of the questions of the last minute, the part that was not answered in time; 0 to 1.
    pub loss: f64,
    /// Its version of minato.
    pub version: String,
    /// Its wall clock minus this machine's.
    pub clock_off_ms: i64,
}

/// How the visitors of one service are shared out among sites, where its first does not take them all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShareStatus {
    /// Of which service.
    pub service: String,
    /// Site and percent, best first.
    pub sites: Vec<(String, f64)>,
    /// Percent that get the sorry page.
    pub excess: f64,
}
