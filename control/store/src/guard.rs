//! Notices a store that was restored: another one than before, or one that went back in time. Until a person confirms it,
//! this process sees nothing of it and writes nothing to it, as if it were away: all goes on with what is known.
//!
//! What the store was is remembered in the data folder. Who notices writes it into the store's `meta`, so that machines
//! hold that have never seen it before. A later era is not doubted: a copy, or a person's confirmation, began it.
//!
//! What a running process believes of a store (what it has written, which lease it holds, at which revision) is worth nothing
//! once that store was restored. So nothing goes through it any more from then on, also when the store is confirmed: then
//! [`Guard::renewed`] says so, and its owner begins everything anew with another guard, which needs no other process.
//! Not here: who may confirm (`control/server`), copying (`copy`).

use crate::copy::{fresh_id, meta, put};
use crate::etcd::went_back;
use crate::keys::{Key, Keys};
use crate::{
    Commit, Entry, Event, LeaseId, Listing, Revision, SharedStore, Store, StoreError, Watch, world,
};
use async_trait::async_trait;
use minato_config::Timestamp;
use minato_control::{Confirmation, Doubt, Meta, StoreState, clock_text};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

const FILE: &str = "store-seen.json";
/// Bytes of the file.
const MOST: u64 = 64 << 10;
/// Revisions that may go by before the file is written again. A restore that goes back by less is still known by its cluster.
const NOTABLE: u64 = 100;
/// While another cluster answers, each so many looks it is looked whether the one of before answers again.
const LOOK_ELSEWHERE: u32 = 8;

/// What the store was when it was last listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    v: u32,
    store_id: String,
    era: u32,
    /// Of etcd: which cluster.
    #[serde(default)]
    cluster: Option<String>,
    revision: u64,
}

#[derive(Debug, Default)]
struct State {
    memory: Option<Memory>,
    /// The revision that stands in the file.
    saved: u64,
    /// Why nothing goes through.
    doubt: Option<Doubt>,
    /// A list was let through since this guard began.
    listed: bool,
    /// Id and era of the store that was let through.
    passed: Option<(String, u32)>,
    /// It was let through, and is not what it was: nothing goes through this guard any more.
    over: bool,
    /// What cannot be, and was seen all the same: it is at an earlier revision than it was.
    went_back: Option<String>,
    /// Looks at a cluster that is not the one of before.
    elsewhere: u32,
}

/// A store that is looked at before it is believed. See the module.
pub struct Guard {
    inner: SharedStore,
    keys: Keys,
    path: PathBuf,
    who: String,
    wall: fn() -> Timestamp,
    state: Arc<Mutex<State>>,
    renewed: watch::Sender<bool>,
}

/// A restored store, before and after a person has confirmed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Who noticed what, and when; `None` where nothing waits for a person.
    pub doubt: Option<Doubt>,
    /// What the store holds.
    pub listing: Listing,
}

impl Guard {
    /// `data`: where is remembered what the store was. `who`: this machine. A memory that cannot be read counts as none.
    pub fn new(
        inner: SharedStore,
        keys: Keys,
        data: &Path,
        who: String,
        wall: fn() -> Timestamp,
    ) -> Self {
        let path = data.join(FILE);
        let memory = read(&path);
        let state = State {
            saved: memory.as_ref().map_or(0, |it| it.revision),
            memory,
            ..State::default()
        };
        Self {
            inner,
            keys,
            path,
            who,
            wall,
            state: Arc::new(Mutex::new(state)),
            renewed: watch::Sender::new(false),
        }
    }

    /// Waits until the store is good that is not the one which was let through. Its owner begins anew then: nothing goes through this
    /// guard any more. Cancel-safe.
    pub async fn renewed(&self) {
        let mut renewed = self.renewed.subscribe();
        // The sender lives as long as this.
        let _ = renewed.wait_for(|it| *it).await;
    }

    /// The store as it is, believed or not.
    pub async fn look(&self) -> Result<Restored, StoreError> {
        let listing = self.inner.list(self.keys.root()).await?;
        let doubt = match self.meta_of(&listing).map(|it| it.state) {
            Some(StoreState::Doubted(doubt)) => Some(doubt),
            _ => self.state().doubt.clone(),
        };
        Ok(Restored { doubt, listing })
    }

    /// A person says that this store is right: a new era begins, and everybody goes on with it. `None` where nobody doubts it.
    pub async fn confirm(&self, by: &str) -> Result<Option<Meta>, StoreError> {
        let found = meta(&*self.inner, &self.keys).await?;
        let (old, at) = match found {
            Some(it) => (it.meta, Some(it.at)),
            None => (Meta::new(fresh_id()), None),
        };
        // Above the era of before as well, where the store comes from an older one.
        let (known, waits) = {
            let state = self.state();
            let known = state.memory.as_ref().map_or(0, |it| it.era);
            (known, state.doubt.is_some())
        };
        if !waits && !matches!(old.state, StoreState::Doubted(_)) {
            return Ok(None);
        }
        let confirmed = Meta {
            era: old.era.max(known).saturating_add(1),
            state: StoreState::Serving,
            confirmed: Some(Confirmation {
                by: by.to_owned(),
                at: (self.wall)(),
            }),
            ..old
        };
        let commit = put(&self.keys, &confirmed, at)?;
        self.inner.commit(commit).await?;
        Ok(Some(confirmed))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// What the store below answered. Where it is not the one of before, all that this process believes of it is over.
    async fn heard<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Replaced { detail, known, .. }) = &answer {
            {
                let mut state = self.state();
                state.over |= state.listed;
                if let Some(known) = known {
                    state.went_back.get_or_insert(detail.clone());
                    if let Some(memory) = &mut state.memory {
                        memory.revision = memory.revision.max(known.0);
                    }
                }
                self.save(&mut state);
            }
            self.inner.begin_anew().await;
        }
        answer
    }

    /// While another cluster answers than the one of before, that one may come back: it is looked for now and then.
    async fn look_elsewhere(&self) {
        let wanted = {
            let mut state = self.state();
            let before = state.memory.as_ref().and_then(|it| it.cluster.clone());
            let answers = self.inner.identity();
            let is_another = answers.is_some() && before != answers && state.doubt.is_some();
            state.elsewhere = if is_another { state.elsewhere + 1 } else { 0 };
            let is_time = state.elsewhere.is_multiple_of(LOOK_ELSEWHERE);
            before.filter(|_| is_another && is_time)
        };
        if let Some(cluster) = wanted {
            self.inner.look_for(&cluster).await;
        }
    }

    fn meta_of(&self, listing: &Listing) -> Option<Meta> {
        let key = self.keys.text(&Key::Meta);
        let entry = listing.entries.iter().find(|it| it.key == key)?;
        Some(world::decode(entry).ok()?.value)
    }

    /// Lets a whole listing through, or says why not. `before`: what was known when it was asked for, since others write and list
    /// at the same time.
    async fn judge(&self, listing: Listing, before: Option<Memory>) -> Result<Listing, StoreError> {
        let cluster = self.inner.identity();
        let found = self.meta_of(&listing);
        if let Some(StoreState::Left { .. } | StoreState::Filling { .. }) =
            found.as_ref().map(|it| &it.state)
        {
            // It says itself that it is not the one in use.
            return Ok(listing);
        }
        let doubt = before.and_then(|it| {
            let said = suspicion(&it, found.as_ref(), cluster.as_deref(), listing.revision);
            // A later era was begun since: whoever began it knew.
            let later = found.as_ref().is_some_and(|meta| meta.era > it.era);
            said.or_else(|| self.state().went_back.clone().filter(|_| !later))
        });
        let doubt = match (found, doubt) {
            (
                Some(Meta {
                    state: StoreState::Doubted(doubt),
                    ..
                }),
                _,
            ) => doubt,
            (found, Some(why)) => self.raise(found.as_ref(), why).await,
            (found, None) => {
                let is_over = self.is_over_with(found.as_ref());
                self.remember(found, cluster, listing.revision);
                if is_over {
                    self.renewed.send_replace(true);
                    return Err(self.over());
                }
                return Ok(listing);
            }
        };
        {
            let mut state = self.state();
            state.over |= state.listed;
            state.doubt = Some(doubt);
            self.save(&mut state);
        }
        self.refuse().map(|()| listing)
    }

    /// Whether a store that is good is not the one that was let through before.
    fn is_over_with(&self, found: Option<&Meta>) -> bool {
        let mut state = self.state();
        let found = found.map(|it| (it.store_id.clone(), it.era));
        if let (Some(passed), Some(found)) = (&state.passed, &found) {
            state.over |= passed != found;
        }
        if !state.over {
            state.listed = true;
            state.passed = found.or(state.passed.take());
        }
        state.over
    }

    fn over(&self) -> StoreError {
        StoreError::Unfit {
            key: self.keys.text(&Key::Meta),
            detail: "this store is not the one that this process began with".to_owned(),
            remedy: "minato begins anew with it by itself",
        }
    }

    /// Writes down what is known, as it is.
    fn save(&self, state: &mut State) {
        let Some(memory) = &state.memory else { return };
        match write(&self.path, memory) {
            Ok(()) => state.saved = memory.revision,
            Err(error) => {
                tracing::warn!(%error, path = %self.path.display(), "What the store was is not remembered; a restore may go unnoticed here");
            }
        }
    }

    /// Makes the doubt known, so that everybody waits, where this is the same store as before. A store that is simply another
    /// one may be somebody else's: then only this process waits.
    async fn raise(&self, found: Option<&Meta>, why: String) -> Doubt {
        let known = self.state().doubt.clone();
        let doubt = known.filter(|it| it.why == why).unwrap_or(Doubt {
            by: self.who.clone(),
            why,
            since: (self.wall)(),
        });
        let same = {
            let state = self.state();
            let memory = state.memory.as_ref();
            found.filter(|it| memory.is_some_and(|memory| memory.store_id == it.store_id))
        };
        let Some(same) = same else { return doubt };
        let doubted = Meta {
            state: StoreState::Doubted(doubt.clone()),
            ..same.clone()
        };
        if let Err(error) = self.write_down(&doubted).await {
            tracing::warn!(%error, "The store was restored, and other machines cannot be told: they may go on with it");
        }
        doubt
    }

    async fn write_down(&self, doubted: &Meta) -> Result<(), StoreError> {
        let at = match meta(&*self.inner, &self.keys).await? {
            Some(it) if matches!(it.meta.state, StoreState::Doubted(_)) => return Ok(()),
            stored => stored.map(|it| it.at),
        };
        let commit = put(&self.keys, doubted, at)?;
        match self.inner.commit(commit).await {
            // Another machine was faster.
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn remember(&self, found: Option<Meta>, cluster: Option<String>, revision: Revision) {
        let mut state = self.state();
        state.doubt = None;
        state.went_back = None;
        let Some(meta) = found else {
            // Begun anew: what was is no measure for what will be.
            if state.memory.take().is_some() {
                let _ = std::fs::remove_file(&self.path);
            }
            return;
        };
        let mut memory = Memory {
            v: 1,
            store_id: meta.store_id,
            era: meta.era,
            cluster,
            revision: revision.0,
        };
        let is_same = state.memory.as_ref().is_some_and(|it| {
            (&it.store_id, it.era, &it.cluster) == (&memory.store_id, memory.era, &memory.cluster)
        });
        if let Some(known) = &state.memory {
            // Others write and list at the same time; the newest word counts.
            if known.era > memory.era {
                return;
            }
            if is_same {
                memory.revision = memory.revision.max(known.revision);
            }
        }
        let is_notable = !is_same || memory.revision >= state.saved.saturating_add(NOTABLE);
        state.memory = Some(memory);
        if is_notable {
            self.save(&mut state);
        }
    }

    /// A later revision of the same store.
    fn advance(&self, revision: Revision) {
        if let Some(memory) = &mut self.state().memory {
            memory.revision = memory.revision.max(revision.0);
        }
    }

    fn refuse(&self) -> Result<(), StoreError> {
        let state = self.state();
        match &state.doubt {
            None if state.over => {
                drop(state);
                Err(self.over())
            }
            None => Ok(()),
            Some(doubt) => Err(StoreError::Unfit {
                key: self.keys.text(&Key::Meta),
                detail: restored(doubt),
                remedy: CONFIRM,
            }),
        }
    }
}

pub(crate) const CONFIRM: &str = "nothing is stopped until a person has looked: minato store confirm --dry-run, then minato store confirm";

pub(crate) fn restored(doubt: &Doubt) -> String {
    let since = clock_text(doubt.since);
    format!(
        "this store was restored, or is another one, {} says since {since}: {}",
        doubt.by, doubt.why
    )
}

/// Why what was found may not be what was there; in words that name both.
fn suspicion(
    memory: &Memory,
    found: Option<&Meta>,
    cluster: Option<&str>,
    revision: Revision,
) -> Option<String> {
    let another = match (memory.cluster.as_deref(), cluster) {
        (Some(old), Some(new)) if old != new => {
            Some(format!("it is etcd cluster {new}, and was {old}"))
        }
        _ => None,
    };
    let Some(meta) = found else {
        // A file that was moved away takes its machine's word with it; a cluster does not.
        let empty = format!("it is empty, and held store {}", memory.store_id);
        return cluster.map(|_| another.map_or(empty.clone(), |it| format!("{it}; {empty}")));
    };
    if meta.era > memory.era {
        return None;
    }
    if meta.era < memory.era {
        let (new, old) = (meta.era, memory.era);
        return Some(format!("it is of era {new}, and was of era {old}"));
    }
    if meta.store_id != memory.store_id {
        let (new, old) = (&meta.store_id, &memory.store_id);
        return Some(format!("it is store {new}, and was {old}"));
    }
    if another.is_some() {
        return another;
    }
    let (new, old) = (revision.0, memory.revision);
    (new < old).then(|| went_back(new, old))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A watch on a store that may turn out not to be the one of before: where its era changes it has to be listed anew, and judged.
struct Watched {
    inner: Box<dyn Watch>,
    state: Arc<Mutex<State>>,
    meta: String,
}

#[async_trait]
impl Watch for Watched {
    async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        let batch = self.inner.next().await?;
        let changed = batch.iter().find_map(|it| match it {
            Event::Put(entry) if entry.key == self.meta => Some(entry),
            _ => None,
        });
        if let Some(entry) = changed
            && let Ok(meta) = world::decode::<Meta>(entry)
        {
            let passed = lock(&self.state).passed.clone();
            let found = (meta.value.store_id, meta.value.era);
            let doubted = matches!(meta.value.state, StoreState::Doubted(_));
            if doubted || passed.is_some_and(|it| it != found) {
                return Err(StoreError::Compacted {
                    oldest: Revision(entry.modified.0.saturating_add(1)),
                });
            }
        }
        Ok(batch)
    }
}

fn read(path: &Path) -> Option<Memory> {
    let size = std::fs::metadata(path).ok()?.len();
    if size > MOST {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Whole or not at all; a crash leaves the one of before.
fn write(path: &Path, memory: &Memory) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, serde_json::to_vec(memory)?)?;
    std::fs::rename(fresh, path)
}

#[async_trait]
impl Store for Guard {
    fn trouble(&self) -> Option<String> {
        let doubt = || {
            let state = self.state();
            let doubt = state.doubt.as_ref()?;
            Some(format!("{}; {CONFIRM}", restored(doubt)))
        };
        self.inner.trouble().or_else(doubt)
    }

    fn identity(&self) -> Option<String> {
        self.inner.identity()
    }

    async fn begin_anew(&self) {
        self.inner.begin_anew().await;
    }

    async fn look_for(&self, identity: &str) {
        self.inner.look_for(identity).await;
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.heard(self.inner.get(key).await).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        if prefix != self.keys.root() {
            return self.heard(self.inner.list(prefix).await).await;
        }
        self.look_elsewhere().await;
        let mut before = self.state().memory.clone();
        let mut listing = self.heard(self.inner.list(prefix).await).await;
        if let Err(StoreError::Replaced { .. }) = &listing {
            // The store of before is gone; this is the first look at the one that is there.
            before = self.state().memory.clone();
            listing = self.heard(self.inner.list(prefix).await).await;
        }
        self.judge(listing?, before).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, StoreError> {
        let inner = self.heard(self.inner.watch(prefix, from).await).await?;
        if prefix != self.keys.root() {
            return Ok(inner);
        }
        Ok(Box::new(Watched {
            inner,
            state: Arc::clone(&self.state),
            meta: self.keys.text(&Key::Meta),
        }))
    }

    async fn commit(&self, commit: Commit) -> Result<Revision, StoreError> {
        self.refuse()?;
        let revision = self.heard(self.inner.commit(commit).await).await?;
        self.advance(revision);
        Ok(revision)
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.refuse()?;
        self.heard(self.inner.grant(ttl).await).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.refuse()?;
        self.heard(self.inner.keep_alive(lease).await).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.refuse()?;
        self.heard(self.inner.revoke(lease).await).await
    }

    async fn compact(&self, before: Revision) -> Result<(), StoreError> {
        self.refuse()?;
        self.heard(self.inner.compact(before).await).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Embedded, Options};
    use std::sync::Arc;

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
            let said = suspicion(&memory(cluster), found.as_ref(), now, Revision(revision));
            assert_eq!(said.as_deref(), expected);
        }
    }

    #[tokio::test]
    async fn a_file_that_is_put_back_waits_and_one_that_begins_anew_does_not() {
        let (data, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let keys = Keys::new(&minato_config::SiteId::local());
        let root = keys.root().to_owned();
        let open = |folder: &Path| Arc::new(Embedded::open(folder, Options::default()).unwrap());
        let guard = |store: &Arc<Embedded>| {
            let wall = || Timestamp(5);
            Guard::new(
                store.clone(),
                keys.clone(),
                data.path(),
                "one".to_owned(),
                wall,
            )
        };
        let store = open(copy.path());
        let first = guard(&store);
        crate::make_fit(&first, &keys).await.unwrap();
        first.list(&root).await.unwrap();
        store.close().await;
        let file = std::fs::read_dir(copy.path()).unwrap().flatten();
        let saved: Vec<_> = file
            .filter(|it| it.file_type().unwrap().is_file())
            .map(|it| (it.path(), std::fs::read(it.path()).unwrap()))
            .collect();
        let store = open(copy.path());
        let second = guard(&store);
        for n in 0..NOTABLE * 2 {
            let put = Commit::put(format!("{root}drains/n{n}"), b"{}".to_vec());
            second.commit(put).await.unwrap();
        }
        second.list(&root).await.unwrap();
        store.close().await;
        for (path, bytes) in saved {
            std::fs::write(path, bytes).unwrap();
        }
        let store = open(copy.path());
        let back = guard(&store);
        let error = back.list(&root).await.unwrap_err().to_string();
        assert!(error.contains("and was at"), "{error}");
        assert!(back.confirm("alice").await.unwrap().is_some());
        back.list(&root).await.unwrap();
        store.close().await;

        let empty = tempfile::tempdir().unwrap();
        let store = open(empty.path());
        let anew = guard(&store);
        anew.list(&root).await.unwrap();
        crate::make_fit(&anew, &keys).await.unwrap();
        anew.list(&root).await.unwrap();
        store.close().await;
    }
}
