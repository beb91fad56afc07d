//! What the contract cannot ask for: failing disks, damaged files, time, and the folder.

mod damage;
mod disk;
mod faults;
mod lease;
mod reopen;
mod stage;
mod watchers;

use super::*;

fn open(path: &Path) -> Embedded {
    Embedded::open(path, Options::default()).unwrap()
}

async fn put(store: &Embedded, key: &str, value: &str) -> Revision {
    store.commit(Commit::put(key, value.into())).await.unwrap()
}

/// Everything that a reader can see.
async fn seen(store: &Embedded) -> (Listing, Vec<(Revision, Vec<crate::Event>)>) {
    let state = store.shared.state();
    let history = state.history.since(Revision(0));
    let commits = history
        .map(|(revision, changes)| {
            (
                revision,
                changes.iter().map(|it| it.event(revision)).collect(),
            )
        })
        .collect();
    let entries: Vec<_> = state.under("").cloned().collect();
    (state::listing(state.revision, &entries), commits)
}

/// For tests that make hundreds of stores, where waiting for a real disk would only take time.
fn memory_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}
