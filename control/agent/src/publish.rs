//! Keeps this node's instance documents in the store as they should be, however long the store is away.

use minato_control::{Event, EventKind, InstanceKey, Stored};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, Revision, SharedStore, StoreError};
use minato_health::Instance;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

/// Writes of one commit at most; the store takes 128.
const BATCH: usize = 100;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What should be, and what is known to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Publication {
    /// All documents of this node.
    pub(crate) wanted: BTreeMap<InstanceKey, Instance>,
    /// Those in the store at `revision`.
    pub(crate) stored: BTreeMap<InstanceKey, Stored<Instance>>,
    pub(crate) revision: Revision,
}

/// Our own last writes that `stored` does not show yet; `None` is a delete.
type Written = BTreeMap<InstanceKey, (Option<Instance>, Revision)>;

/// Runs until the sender of `publications` is gone and the last one is written.
pub(crate) async fn publish(
    store: SharedStore,
    keys: Keys,
    mut publications: watch::Receiver<Publication>,
    events: mpsc::Sender<Event>,
) {
    let (mut written, mut seen) = (Written::new(), Revision(0));
    let (mut pause, mut failing) = (FIRST_PAUSE, false);
    loop {
        let publication = publications.borrow_and_update().clone();
        forget(&mut written, seen, publication.revision);
        seen = publication.revision;
        let changes = changes(&publication, &written);
        if changes.is_empty() {
            if publications.changed().await.is_err() {
                return;
            }
            continue;
        }
        match write(&store, &keys, &changes).await {
            Ok(revision) => {
                written.extend(
                    changes
                        .into_iter()
                        .map(|(key, value)| (key, (value, revision))),
                );
                pause = FIRST_PAUSE;
                if std::mem::take(&mut failing) {
                    let _ = events.try_send(Event::info(
                        crate::clock::now().wall,
                        EventKind::Store,
                        "the store takes what this agent has to say again",
                    ));
                }
            }
            Err(StoreError::Closed) => return,
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    let sentence = format!(
                        "what this agent has to say could not be stored, and is tried again: {error}"
                    );
                    let _ = events.try_send(Event::warn(
                        crate::clock::now().wall,
                        EventKind::Store,
                        sentence,
                    ));
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Forgets the writes that the store at revision `now` shows. All of them where it was at a later one `before`: it was restored, and
/// what was written since the snapshot is gone, however its revisions compare.
fn forget(written: &mut Written, before: Revision, now: Revision) {
    if now < before {
        written.clear();
    }
    written.retain(|_, (_, revision)| *revision > now);
}

/// What differs, at most one commit's worth; `None` deletes.
fn changes(
    publication: &Publication,
    written: &Written,
) -> BTreeMap<InstanceKey, Option<Instance>> {
    let Publication { wanted, stored, .. } = publication;
    let keys: BTreeSet<&InstanceKey> = wanted
        .keys()
        .chain(stored.keys())
        .chain(written.keys())
        .collect();
    keys.into_iter()
        .filter(|key| {
            let present = match written.get(*key) {
                Some((value, _)) => value.as_ref(),
                None => stored.get(*key).map(|it| &it.value),
            };
            present != wanted.get(*key)
        })
        .map(|key| (key.clone(), wanted.get(key).cloned()))
        .take(BATCH)
        .collect()
}

async fn write(
    store: &SharedStore,
    keys: &Keys,
    changes: &BTreeMap<InstanceKey, Option<Instance>>,
) -> Result<Revision, StoreError> {
    let mut commit = Commit::default();
    for (key, value) in changes {
        let text = keys.text(&Key::Instance(
            key.node.clone(),
            key.service.clone(),
            key.slot,
            key.generation,
        ));
        commit = match value {
            Some(value) => {
                let value = serde_json::to_vec(value).map_err(|error| StoreError::Invalid {
                    detail: format!("an instance document cannot be written as JSON: {error}"),
                })?;
                commit.and_put(text, value, None)
            }
            None => commit.and_delete(text),
        };
    }
    store.commit(commit).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::{Generation, NodeId, Run, ServiceName, SlotIndex, Timestamp};
    use minato_health::Phase;

    fn instance() -> Instance {
        Instance {
            v: 1,
            run: Run(1),
            phase: Phase::Running,
            address: "127.0.0.1:9".parse().unwrap(),
            since: Timestamp(0),
            pid: Some(7),
            restarts: 0,
            local: None,
            reason: String::new(),
            retry_at: None,
        }
    }

    fn key(slot: u16) -> InstanceKey {
        InstanceKey {
            node: NodeId::parse("here").unwrap(),
            service: ServiceName::parse("app").unwrap(),
            slot: SlotIndex(slot),
            generation: Generation { era: 0, counter: 1 },
        }
    }

    #[test]
    fn what_was_written_is_forgotten_once_it_is_seen_and_all_of_it_once_the_store_went_back() {
        let fresh = || {
            Written::from([
                (key(0), (None, Revision(8))),
                (key(1), (None, Revision(12))),
            ])
        };
        for (before, now, left) in [(5, 7, 2), (7, 8, 1), (8, 11, 1), (11, 12, 0), (12, 12, 0)] {
            let mut written = fresh();
            forget(&mut written, Revision(before), Revision(now));
            assert_eq!(written.len(), left, "{before} {now}");
        }
        // Restored from a snapshot of revision 5: neither write is there, and both are ahead of it.
        let mut written = fresh();
        forget(&mut written, Revision(11), Revision(5));
        assert!(written.is_empty());
    }

    #[test]
    fn what_a_restored_store_lacks_is_written_again() {
        let publication = Publication {
            stored: BTreeMap::new(),
            wanted: BTreeMap::from([(key(0), instance())]),
            revision: Revision(5),
        };
        let mut written = Written::from([(key(0), (Some(instance()), Revision(12)))]);
        assert!(changes(&publication, &written).is_empty());
        forget(&mut written, Revision(12), publication.revision);
        assert_eq!(changes(&publication, &written).len(), 1);
    }
}
