//! How a service goes from one version to the next, and what an operator puts in place of the file's version.

use crate::{ImageReference, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `update = { healthy, deadline, parallel, order }` of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdatePolicy {
    /// A new instance must be up for this long before one of the old ones goes. Default 10 s.
    #[serde(rename = "healthy_ms", with = "crate::duration")]
    pub healthy: Duration,
    /// Without one more healthy instance in this time the old version comes back. Default 5 min.
    #[serde(rename = "deadline_ms", with = "crate::duration")]
    pub deadline: Duration,
    /// New instances that may be on their way at once. Default 1.
    pub parallel: u16,
    /// Which goes first, the old one or the new one.
    pub order: UpdateOrder,
}

impl Default for UpdatePolicy {
    fn default() -> Self {
        Self {
            healthy: Duration::from_secs(10),
            deadline: Duration::from_secs(300),
            parallel: 1,
            order: UpdateOrder::StartFirst,
        }
    }
}

impl UpdatePolicy {
    /// Whether nothing of it was said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which goes first when an instance is replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateOrder {
    /// One more than wanted is started, and an old one ends once it is healthy.
    #[default]
    StartFirst,
    /// Each is replaced in its place, so that there are never more than wanted: with one replica visitors wait meanwhile.
    StopFirst,
}

/// What an operator put in place of what the file runs. The file's next change of the same ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Rises with every release, so that the same one may be asked for twice.
    pub number: u64,
    /// What should run.
    pub what: Released,
    /// What the file said then: the reference of its image, or the digest of its command.
    pub over: String,
    /// Who said it.
    #[serde(default)]
    pub who: String,
    /// When.
    #[serde(default)]
    pub since: Timestamp,
    /// The release that it replaced, which counts again when this one fails. That one has none.
    #[serde(default)]
    pub before: Option<Box<Release>>,
}

/// What a release runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Released {
    /// What the file says, with another image.
    Image(ImageReference),
    /// The same, where the registry is asked anew what that name means now, whatever machines have of it.
    Newest(ImageReference),
    /// A version that ran before, by the digest of its slots.
    Version(String),
}

impl Released {
    /// The image, where it is one.
    pub fn image(&self) -> Option<&ImageReference> {
        match self {
            Self::Image(reference) | Self::Newest(reference) => Some(reference),
            Self::Version(_) => None,
        }
    }
}

impl Release {
    /// This one, then the one before it.
    pub fn chain(&self) -> impl Iterator<Item = &Release> {
        std::iter::once(self).chain(self.before.as_deref())
    }
}
