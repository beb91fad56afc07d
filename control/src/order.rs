//! Which site comes first for a service now, where that is not the order of its file.

use minato_config::{SiteId, Timestamp};
use serde::{Deserialize, Serialize};

/// The document at `orders/<service>`. Of two the one with the higher epoch holds, at every site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRecord {
    /// Format version, 1.
    pub v: u32,
    /// The site that comes first.
    pub first: SiteId,
    /// Rises with each decision.
    pub epoch: u64,
    /// Who decided: an operator's name, or `minato`.
    #[serde(default)]
    pub who: String,
    /// In words.
    #[serde(default)]
    pub why: String,
    /// When.
    #[serde(default)]
    pub since: Timestamp,
}

/// The document at `releases/<site>/<service>`: a person said that visitors may go to a site again. Each gateway carries each commit of it out
/// once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// Format version, 1.
    pub v: u32,
    /// Who said it.
    #[serde(default)]
    pub who: String,
    /// When.
    #[serde(default)]
    pub since: Timestamp,
}
