//! What every backend must do, as one suite that each backend's tests run with fresh stores.
//!
//! It speaks through the trait only and assumes no absolute revision. Cases answer with a reason and never panic, so
//! that one run tells every case that fails. Only tests use it.

mod commits;
mod compares;
mod leases;
mod stress;
mod watches;

use crate::{Entry, Event, Listing, Revision, SharedStore, Store, StoreError, Watch};
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A case may take this long; leases live for a second, so most of it is reserve for a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// How a case ends: the reason is a sentence.
pub type Outcome = Result<(), String>;

/// One promise of [`Store`].
#[derive(Clone, Copy)]
pub struct Case {
    /// What it promises.
    pub name: &'static str,
    run: fn(SharedStore) -> Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

impl Case {
    /// Runs it against a fresh store.
    pub async fn run(&self, store: SharedStore) -> Outcome {
        tokio::time::timeout(LIMIT, (self.run)(store))
            .await
            .unwrap_or_else(|_| Err(format!("no end after {LIMIT:?}")))
    }
}

/// Builds the list of a file's cases from its functions.
macro_rules! promises {
    ($($name:ident),* $(,)?) => {
        pub(super) const CASES: &[super::Case] = &[$(super::Case {
            name: stringify!($name),
            run: |store| Box::pin($name(store)),
        }),*];
    };
}
use promises;

/// All cases.
pub fn cases() -> impl Iterator<Item = Case> {
    [
        commits::CASES,
        compares::CASES,
        watches::CASES,
        leases::CASES,
        stress::CASES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Runs every case at the same time, each with a store that `fresh` makes; the error lists all that failed.
pub async fn run<F, S>(mut fresh: F) -> Outcome
where
    F: FnMut() -> S,
    S: Future<Output = SharedStore>,
{
    let mut running = tokio::task::JoinSet::new();
    for case in cases() {
        let store = fresh().await;
        running.spawn(async move {
            let outcome = case.run(store).await;
            outcome.map_err(|reason| format!("{}: {reason}", case.name))
        });
    }
    let ended = running.join_all().await;
    let failed: Vec<String> = ended.into_iter().filter_map(Result::err).collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("\n"))
    }
}

/// A step that must work.
fn works<T>(what: &str, result: Result<T, StoreError>) -> Result<T, String> {
    result.map_err(|cause| format!("{what}: {cause}"))
}

/// Two values that must be the same.
fn same<T: PartialEq + Debug>(what: &str, found: &T, wanted: &T) -> Outcome {
    holds(found == wanted, || {
        format!("{what}: wanted {wanted:?}, found {found:?}")
    })
}

/// A condition that must hold; `reason` says it otherwise.
fn holds(condition: bool, reason: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(reason()) }
}

/// A call that must be refused, in the way that `expected` accepts.
fn refused<T: Debug>(
    what: &str,
    result: Result<T, StoreError>,
    expected: fn(&StoreError) -> bool,
) -> Outcome {
    match result {
        Err(error) if expected(&error) => Ok(()),
        other => Err(format!(
            "{what}: should be refused in its own way, got {other:?}"
        )),
    }
}

fn is_conflict(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict { .. })
}

fn is_invalid(error: &StoreError) -> bool {
    matches!(error, StoreError::Invalid { .. })
}

fn is_lease_gone(error: &StoreError) -> bool {
    matches!(error, StoreError::LeaseGone { .. })
}

async fn list(store: &dyn Store, prefix: &str) -> Result<Listing, String> {
    works("list", store.list(prefix).await)
}

async fn get(store: &dyn Store, key: &str) -> Result<Option<Entry>, String> {
    works("get", store.get(key).await)
}

/// An entry that must be there.
async fn present(store: &dyn Store, key: &str) -> Result<Entry, String> {
    let found = get(store, key).await?;
    found.ok_or_else(|| format!("`{key}` is not there"))
}

/// A watch on what comes after now.
async fn watch_on(store: &dyn Store, prefix: &str) -> Result<Box<dyn Watch>, String> {
    let now = list(store, prefix).await?.revision;
    works("watch", store.watch(prefix, after(now)).await)
}

async fn next(watch: &mut Box<dyn Watch>) -> Result<Vec<Event>, String> {
    works("next", watch.next().await)
}

fn after(revision: Revision) -> Revision {
    Revision(revision.0 + 1)
}

fn revision_of(event: &Event) -> Revision {
    event.revision()
}

fn key_of(event: &Event) -> &str {
    event.key()
}
