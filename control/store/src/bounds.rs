//! The bounds of a commit, the same for every backend.

use crate::{Commit, Compare, StoreError, Write};
use std::collections::BTreeSet;

/// Writes of one commit.
pub const MAX_WRITES: usize = 128;
/// Comparisons of one commit. etcd takes 128; one is the backend's own.
pub const MAX_COMPARES: usize = 127;
/// Bytes of a key; the shortest has one.
pub const MAX_KEY_BYTES: usize = 512;
/// Bytes of a value.
pub const MAX_VALUE_BYTES: usize = 1 << 20;
/// Bytes of all keys and values of one commit. etcd takes requests of 1.5 MiB, framing included.
pub const MAX_COMMIT_BYTES: usize = 5 << 18;
/// Bytes of all keys and values that a store holds; puts past it are [`StoreError::Invalid`], deletes always work.
pub const MAX_STORE_BYTES: usize = 256 << 20;

impl Commit {
    /// Whether every bound holds; [`StoreError::Invalid`] names the first that does not. Backends call this first.
    pub fn check(&self) -> Result<(), StoreError> {
        let invalid = |detail: String| Err(StoreError::Invalid { detail });
        if self.write.len() > MAX_WRITES || self.compare.len() > MAX_COMPARES {
            return invalid(format!(
                "{} writes and {} comparisons, at most {MAX_WRITES} and {MAX_COMPARES}",
                self.write.len(),
                self.compare.len()
            ));
        }
        let mut seen = BTreeSet::new();
        let mut bytes = 0;
        for write in &self.write {
            let (key, value) = match write {
                Write::Put { key, value, .. } => (key, value.len()),
                Write::Delete { key } => (key, 0),
            };
            check_key(key)?;
            if value > MAX_VALUE_BYTES {
                return invalid(format!(
                    "the value of `{key}` has {value} bytes, at most {MAX_VALUE_BYTES}"
                ));
            }
            if !seen.insert(key.as_str()) {
                return invalid(format!("`{key}` is written twice"));
            }
            bytes += key.len() + value;
        }
        if bytes > MAX_COMMIT_BYTES {
            return invalid(format!("{bytes} bytes in all, at most {MAX_COMMIT_BYTES}"));
        }
        self.compare.iter().try_for_each(|it| check_key(it.key()))
    }
}

impl Compare {
    /// The key it looks at.
    pub fn key(&self) -> &str {
        match self {
            Self::Modified { key, .. } | Self::Created { key, .. } | Self::Absent { key } => key,
        }
    }
}

fn check_key(key: &str) -> Result<(), StoreError> {
    if (1..=MAX_KEY_BYTES).contains(&key.len()) {
        return Ok(());
    }
    let shown: String = key.chars().take(40).collect();
    Err(StoreError::Invalid {
        detail: format!(
            "the key `{shown}...` has {} bytes, 1 to {MAX_KEY_BYTES} are allowed",
            key.len()
        ),
    })
}
