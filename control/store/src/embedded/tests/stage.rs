//! Requests of one batch, decided one after the other before any of them is durable.

use crate::embedded::stage::{Keep, Stage};
use crate::embedded::state::State;
use crate::{Commit, Compare, LeaseId, Revision, StoreError};
use std::time::Duration;

const KEEP: Keep = Keep {
    commits: 100,
    bytes: 1 << 20,
};
/// Bytes that fit in.
const ROOM: usize = 1000;
const TTL: Duration = Duration::from_secs(1);

fn on(lease: LeaseId, key: &str) -> Commit {
    Commit::default().and_put(key, vec![], Some(lease))
}

/// The state after one batch.
fn after(mut state: State, batch: impl FnOnce(&mut Stage<'_>)) -> State {
    let mut stage = Stage::new(&state, ROOM);
    batch(&mut stage);
    if let Some(delta) = stage.finish(KEEP) {
        state.apply(delta);
    }
    state
}

fn keys(state: &State) -> Vec<&str> {
    state.entries.keys().map(String::as_str).collect()
}

/// A state with `/a` and `/b` on lease 1, at revision 2.
fn leased() -> State {
    after(State::default(), |stage| {
        let lease = stage.grant(TTL);
        stage.commit(on(lease, "/a")).unwrap();
        stage.commit(on(lease, "/b")).unwrap();
    })
}

#[test]
fn a_commit_sees_those_before_it_in_the_batch() {
    let state = after(State::default(), |stage| {
        let put = stage.commit(Commit::put("/k", vec![1])).unwrap();
        assert_eq!(put, Revision(1));
        let key = "/k".to_owned();
        let absent = Commit::put("/k", vec![2]).when(Compare::Absent { key });
        let conflict = stage.commit(absent).unwrap_err();
        assert!(matches!(conflict, StoreError::Conflict { key } if key == "/k"));
        let key = "/k".to_owned();
        let modified = Compare::Modified { key, revision: put };
        let next = stage.commit(Commit::put("/k", vec![3]).when(modified));
        assert_eq!(next.unwrap(), Revision(2));
        assert_eq!(stage.commit(Commit::delete("/k")).unwrap(), Revision(3));
        assert_eq!(stage.commit(Commit::delete("/k")).unwrap(), Revision(3));
    });
    assert_eq!(keys(&state), Vec::<&str>::new());
    assert_eq!(state.history.commits.len(), 3);
    assert_eq!(state.sequence, 1);
}

#[test]
fn revoking_takes_what_is_on_the_lease_now_and_nothing_else() {
    // Set free, moved, deleted, and put on it, all in the batch of the revocation.
    let state = after(leased(), |stage| {
        let other = stage.grant(TTL);
        stage.commit(Commit::put("/a", vec![])).unwrap();
        stage.commit(on(other, "/b")).unwrap();
        stage.commit(on(LeaseId(1), "/c")).unwrap();
        stage.commit(on(LeaseId(1), "/d")).unwrap();
        stage.commit(Commit::delete("/d")).unwrap();
        stage.revoke(LeaseId(1)).unwrap();
    });
    assert_eq!(keys(&state), ["/a", "/b"]);
    let (revision, last) = state.history.since(state.revision).next().unwrap();
    assert_eq!((revision, last.len()), (state.revision, 1));
    assert_eq!(last[0].key(), "/c");
}

#[test]
fn a_lease_that_ended_in_the_batch_takes_no_more_keys() {
    let state = after(leased(), |stage| {
        stage.revoke(LeaseId(1)).unwrap();
        let gone =
            |it: StoreError| matches!(it, StoreError::LeaseGone { lease } if lease == LeaseId(1));
        assert!(gone(stage.commit(on(LeaseId(1), "/c")).unwrap_err()));
        assert!(gone(stage.revoke(LeaseId(1)).unwrap_err()));
        assert_eq!(stage.grant(TTL), LeaseId(2));
    });
    assert_eq!(keys(&state), Vec::<&str>::new());
    assert_eq!(state.leases.len(), 1);
}

#[test]
fn a_batch_that_changes_nothing_is_not_written() {
    let state = leased();
    let mut stage = Stage::new(&state, ROOM);
    stage.commit(Commit::default()).unwrap();
    stage.commit(Commit::delete("/missing")).unwrap();
    stage.compact(Revision(0));
    assert!(stage.finish(KEEP).is_none());
}

#[test]
fn compacting_ahead_forgets_everything_and_no_more() {
    let state = after(leased(), |stage| stage.compact(Revision(u64::MAX)));
    assert_eq!(state.history.oldest, Revision(3));
    assert_eq!((state.history.commits.len(), state.history.bytes), (0, 0));
    let state = after(state, |stage| {
        stage.commit(Commit::put("/c", vec![])).unwrap();
    });
    let kept: Vec<Revision> = state.history.since(Revision(0)).map(|it| it.0).collect();
    assert_eq!(kept, [Revision(3)]);
}

#[test]
fn a_full_store_takes_no_more_but_gives_back() {
    let put = |key: &str, size| Commit::put(key, vec![0; size]);
    let full = |it: Result<Revision, StoreError>| matches!(it, Err(StoreError::Invalid { .. }));
    let state = after(State::default(), |stage| {
        stage.commit(put("/a", ROOM / 2)).unwrap();
        assert!(full(stage.commit(put("/b", ROOM / 2))));
        stage.commit(put("/b", ROOM / 2 - 4)).unwrap();
    });
    assert_eq!(state.bytes, ROOM);
    let state = after(state, |stage| {
        assert!(full(stage.commit(put("/c", 0))));
        // The same size in another place, and a batch that makes room first.
        stage.commit(put("/d", 0).and_delete("/b")).unwrap();
        assert!(full(stage.commit(put("/e", ROOM / 2))));
        stage.commit(Commit::delete("/a")).unwrap();
        stage.commit(put("/e", ROOM / 2)).unwrap();
    });
    assert_eq!(keys(&state), ["/d", "/e"]);
    assert_eq!(state.bytes, 4 + ROOM / 2);
}
