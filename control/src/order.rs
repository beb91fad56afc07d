//! What a person says of a site that visitors were kept from.

use minato_config::Timestamp;
use serde::{Deserialize, Serialize};

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
    pub since: Timestamp,
}
