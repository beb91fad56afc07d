//! Newtypes for everything that has a name or a number.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A name that cannot be used as an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a name: 1 to 63 of a-z, 0-9 and `-`, starting and ending with a letter or digit",
    text.escape_debug()
)]
pub struct InvalidId {
    /// What was given.
    pub text: String,
}

fn valid(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (1..=63).contains(&bytes.len())
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks `text`: 1 to 63 of `a-z`, `0-9` and `-`, a letter or digit at both ends.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                if valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { text: text.chars().take(80).collect() })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name!(
    /// Something that leads visitors here: NAME of `[entrance.dns.NAME]` or `[entrance.hook.NAME]`.
    EntranceName
);
name!(
    /// A command that a service may ask for: NAME of `[hooks.run.NAME]`.
    HookName
);
name!(
    /// One cloud or data centre with its own store.
    SiteId
);
impl SiteId {
    /// `local`: the site of a machine that was given none.
    pub fn local() -> Self {
        Self("local".into())
    }
}

name!(
    /// A machine that runs an agent.
    NodeId
);
name!(
    /// One gateway process; stable over its restarts.
    GatewayId
);
name!(
    /// What people visit.
    ServiceName
);
name!(
    /// What services need and minato does not run: a database, another server, a mounted folder.
    DependencyName
);

/// Place n of a service, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotIndex(pub u16);

impl fmt::Display for SlotIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which assignment of a slot an instance obeys. Compared by era first, then counter.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Generation {
    /// Rises when a store is restored or copied.
    pub era: u32,
    /// Rises with each new assignment of the slot.
    pub counter: u64,
}

impl Generation {
    /// The next assignment in the same era.
    pub fn next(self) -> Self {
        Self {
            counter: self.counter + 1,
            ..self
        }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.era, self.counter)
    }
}

/// Which start of an instance this is, from 1 within its generation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Run(pub u64);

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
