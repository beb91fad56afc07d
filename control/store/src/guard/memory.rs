//! What a store was when it was last listed, and how it is kept over restarts of this process.
//!
//! [`Memory::suspicion`] is pure. Not here: what is done about it (`judge`).

use crate::Revision;
use crate::etcd::went_back;
use minato_control::Meta;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Bytes of the file.
const MOST: u64 = 64 << 10;

/// What the store was when it was last listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    v: u32,
    pub(super) store_id: String,
    pub(super) era: u32,
    /// Of etcd: which cluster.
    #[serde(default)]
    pub(super) cluster: Option<String>,
    pub(super) revision: u64,
}

impl Memory {
    pub(super) fn new(meta: Meta, cluster: Option<String>, revision: Revision) -> Self {
        Self {
            v: 1,
            store_id: meta.store_id,
            era: meta.era,
            cluster,
            revision: revision.0,
        }
    }

    /// `None` as well where it cannot be read.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let size = std::fs::metadata(path).ok()?.len();
        if size > MOST {
            return None;
        }
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Whole or not at all; a crash leaves the one of before.
    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, serde_json::to_vec(self)?)?;
        std::fs::rename(fresh, path)
    }

    /// Whether both are of one store in one era, whatever its revision.
    pub(super) fn is_of_the_same(&self, other: &Self) -> bool {
        (&self.store_id, self.era, &self.cluster) == (&other.store_id, other.era, &other.cluster)
    }

    /// Why what was found may not be what was there; in words that name both.
    pub(super) fn suspicion(
        &self,
        found: Option<&Meta>,
        cluster: Option<&str>,
        revision: Revision,
    ) -> Option<String> {
        let another = match (self.cluster.as_deref(), cluster) {
            (Some(old), Some(new)) if old != new => {
                Some(format!("it is etcd cluster {new}, and was {old}"))
            }
            _ => None,
        };
        let Some(meta) = found else {
            // A file that was moved away takes its machine's word with it; a cluster does not.
            let empty = format!("it is empty, and held store {}", self.store_id);
            return cluster.map(|_| another.map_or(empty.clone(), |it| format!("{it}; {empty}")));
        };
        if meta.era > self.era {
            return None;
        }
        if meta.era < self.era {
            let (new, old) = (meta.era, self.era);
            return Some(format!("it is of era {new}, and was of era {old}"));
        }
        if meta.store_id != self.store_id {
            let (new, old) = (&meta.store_id, &self.store_id);
            return Some(format!("it is store {new}, and was {old}"));
        }
        if another.is_some() {
            return another;
        }
        let (new, old) = (revision.0, self.revision);
        (new < old).then(|| went_back(new, old))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_a_store_another_one() {
        let memory = |cluster: Option<&str>| Memory {
            v: 1,
            store_id: "ab".to_owned(),
            era: 2,
            cluster: cluster.map(str::to_owned),
            revision: 50,
        };
        let meta = |id: &str, era| Meta {
            era,
            ..Meta::new(id.to_owned())
        };
        let old = Some("c1");
        for (cluster, found, now, revision, expected) in [
            (old, Some(meta("ab", 2)), Some("c1"), 50, None),
            (old, Some(meta("ab", 2)), Some("c1"), 51, None),
            (
                old,
                Some(meta("ab", 2)),
                Some("c1"),
                49,
                Some("it is at revision 49, and was at 50"),
            ),
            (
                old,
                Some(meta("ab", 2)),
                Some("c2"),
                99,
                Some("it is etcd cluster c2, and was c1"),
            ),
            (
                old,
                Some(meta("cd", 2)),
                Some("c1"),
                99,
                Some("it is store cd, and was ab"),
            ),
            (
                old,
                Some(meta("ab", 1)),
                Some("c1"),
                99,
                Some("it is of era 1, and was of era 2"),
            ),
            // A copy, or a confirmation.
            (old, Some(meta("cd", 3)), Some("c2"), 1, None),
            // From a file to a cluster without a copy, and the other way round.
            (
                None,
                Some(meta("cd", 2)),
                Some("c2"),
                99,
                Some("it is store cd, and was ab"),
            ),
            (old, Some(meta("ab", 2)), None, 99, None),
            (
                None,
                None,
                Some("c2"),
                1,
                Some("it is empty, and held store ab"),
            ),
            (
                old,
                None,
                Some("c2"),
                1,
                Some("it is etcd cluster c2, and was c1; it is empty, and held store ab"),
            ),
            // A file that was moved away.
            (None, None, None, 1, None),
        ] {
            let said = memory(cluster).suspicion(found.as_ref(), now, Revision(revision));
            assert_eq!(said.as_deref(), expected);
        }
    }
}
