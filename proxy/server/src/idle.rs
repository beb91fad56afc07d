//! Client connections that wait for their next request, oldest first: the first to go when places run out.
//!
//! Not here: when that is (`accept`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// All idle client connections; as many at most as there are connections.
#[derive(Debug, Default)]
pub(crate) struct Idle(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    by_age: BTreeMap<u64, Arc<Notify>>,
}

/// One idle connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    idle: &'a Idle,
    number: u64,
    leave: Arc<Notify>,
}

impl Idle {
    /// The youngest of all from now on.
    pub(crate) fn enter(&self) -> Place<'_> {
        let leave = Arc::new(Notify::new());
        let mut waiting = self.waiting();
        let number = waiting.next;
        waiting.next += 1;
        waiting.by_age.insert(number, Arc::clone(&leave));
        Place {
            idle: self,
            number,
            leave,
        }
    }

    /// Tells the oldest to close.
    pub(crate) fn evict_oldest(&self) {
        if let Some((_, leave)) = self.waiting().by_age.pop_first() {
            leave.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Ends when this connection is to close.
    pub(crate) async fn evicted(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.idle.waiting().by_age.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test]
    async fn the_oldest_leaves_first_and_only_once() {
        let idle = Idle::default();
        let (one, two) = (idle.enter(), idle.enter());
        idle.evict_oldest();
        one.evicted().await;
        idle.evict_oldest();
        two.evicted().await;
        let three = idle.enter();
        drop(three);
        idle.evict_oldest();
        assert!(
            timeout(std::time::Duration::ZERO, one.evicted())
                .await
                .is_err()
        );
    }
}
