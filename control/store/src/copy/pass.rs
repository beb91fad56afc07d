//! Steps 2 and 4 of a copy: what differs goes to the target, in commits that compare its `meta`. What differs, and how it is cut
//! into commits, is decided purely.

use super::{BYTES, CopyError, Copying, WRITES};
use crate::keys::{Key, Keys};
use crate::meta::Found;
use crate::{Commit, Compare, Entry, Listing};
use std::collections::BTreeMap;

/// What is copied of a store: values by key.
type Content = BTreeMap<String, Vec<u8>>;
/// A key and its new value; `None` deletes it.
type Change = (String, Option<Vec<u8>>);

impl Copying<'_> {
    /// Writes what differs from what the target holds. How many keys there are, and how many differed.
    pub(super) async fn pass(
        &self,
        filling: &Found,
        target: Listing,
    ) -> Result<(usize, usize), CopyError> {
        let source = self.list(self.source).await.map_err(CopyError::Source)?;
        let wanted = copied(source, self.keys);
        let count = wanted.len();
        let changes = differences(wanted, &copied(target, self.keys));
        let changed = changes.len();
        for commit in commits(changes, &self.fence(filling)) {
            self.target
                .commit(commit)
                .await
                .map_err(CopyError::Target)?;
        }
        Ok((count, changed))
    }

    fn fence(&self, filling: &Found) -> Commit {
        Commit::default().when(Compare::Modified {
            key: self.keys.text(&Key::Meta),
            revision: filling.at,
        })
    }
}

/// What goes from store to store.
pub(super) fn copied(listing: Listing, keys: &Keys) -> Content {
    let own = [Key::Meta, Key::Leader].map(|it| keys.text(&it));
    let goes = |it: &Entry| it.lease.is_none() && !own.contains(&it.key);
    let entries = listing.entries.into_iter().filter(goes);
    entries.map(|it| (it.key, it.value)).collect()
}

/// What makes `wanted` of `present`: deletes first.
fn differences(wanted: Content, present: &Content) -> Vec<Change> {
    let gone = present.keys().filter(|key| !wanted.contains_key(*key));
    let mut changes: Vec<Change> = gone.map(|key| (key.clone(), None)).collect();
    let puts = wanted.into_iter();
    let puts = puts.filter(|(key, value)| present.get(key) != Some(value));
    changes.extend(puts.map(|(key, value)| (key, Some(value))));
    changes
}

/// As few commits as their bounds allow, each behind `fence`.
fn commits(changes: Vec<Change>, fence: &Commit) -> Vec<Commit> {
    let mut commits = Vec::new();
    let (mut commit, mut bytes) = (fence.clone(), 0);
    for (key, value) in changes {
        let size = key.len() + value.as_ref().map_or(0, Vec::len);
        if commit.write.len() == WRITES || bytes + size > BYTES {
            commits.push(std::mem::replace(&mut commit, fence.clone()));
            bytes = 0;
        }
        commit = match value {
            Some(value) => commit.and_put(key, value, None),
            None => commit.and_delete(key),
        };
        bytes += size;
    }
    if !commit.write.is_empty() {
        commits.push(commit);
    }
    commits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str) -> Content {
        let words = text.split_whitespace().map(|it| it.split_once('='));
        let pairs = words.map(|it| it.expect("key=value"));
        pairs
            .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn only_what_differs_is_written_and_deletes_come_first() {
        let found = differences(content("a=1 b=2 d=4 e=5"), &content("a=1 b=0 c=3 d=4"));
        let expected = [("c", None), ("b", Some("2")), ("e", Some("5"))];
        let expected = expected.map(|(key, value)| {
            let value = value.map(|it: &str| it.as_bytes().to_vec());
            (key.to_owned(), value)
        });
        assert_eq!(found, expected);
        assert!(differences(content("a=1"), &content("a=1")).is_empty());
    }

    #[test]
    fn commits_keep_their_bounds_and_each_has_the_fence() {
        let fence = Commit::default().when(Compare::Absent {
            key: "meta".to_owned(),
        });
        let writes = |changes: Vec<Change>| {
            let commits = commits(changes, &fence);
            assert!(commits.iter().all(|it| it.compare == fence.compare));
            let writes = commits.iter().map(|it| it.write.len());
            writes.collect::<Vec<_>>()
        };
        let small = |n: usize| -> Vec<Change> {
            let changes = (0..n).map(|it| (format!("k{it}"), None));
            changes.collect()
        };
        assert!(writes(small(0)).is_empty());
        assert_eq!(writes(small(WRITES)), [WRITES]);
        assert_eq!(writes(small(WRITES + 1)), [WRITES, 1]);
        let large = |_| ("k".to_owned(), Some(vec![0; BYTES / 2 - 1]));
        assert_eq!(writes((0..5).map(large).collect()), [2, 2, 1]);
    }
}
