//! How many processes of the service really run on each node, whatever tables and records say of them.

use crate::history::Look;
use crate::network::Host;
use crate::stage::LEDGER;
use crate::support::clock::{now, pause};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(150);
/// A number that is wanted no more is still being obeyed this long: what is too much drains and ends.
const OBEYED: Duration = Duration::from_secs(10);

/// What was counted at one moment, node by node.
#[derive(Debug, Clone)]
pub(crate) struct Count {
    at: Instant,
    nodes: Vec<usize>,
}

/// Counts until it is told to stop.
pub(crate) struct Census {
    stop: Arc<AtomicBool>,
    counting: JoinHandle<Vec<Count>>,
}

impl Census {
    pub(crate) fn start(mut count: impl FnMut() -> Vec<usize> + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let counting = std::thread::spawn(move || {
            let mut counts = Vec::new();
            while !ended.load(Ordering::SeqCst) {
                let at = now();
                let nodes = count();
                counts.push(Count { at, nodes });
                pause(LOOK);
            }
            counts
        });
        Self { stop, counting }
    }

    pub(crate) fn stop(self) -> Vec<Count> {
        self.stop.store(true, Ordering::SeqCst);
        self.counting.join().unwrap()
    }
}

/// Processes of the service `app` on each of these machines; a keeper names the program that it keeps and is none.
pub(crate) fn processes(hosts: &[Host]) -> Vec<usize> {
    Host::processes_of(hosts, |line| {
        line.contains(LEDGER) && !line.contains(" shim")
    })
}

/// Never more than wanted and `surge`, and those that were told to end and still drain, on all nodes together. Nodes of `cut` count apart, since nobody could tell them what was given to
/// others: there are never more there than when they were first counted.
#[track_caller]
pub(crate) fn never_too_many(counts: &[Count], looks: &[Look], surge: u64, cut: &[usize]) {
    assert!(counts.len() > 3, "too few counts: {}", counts.len());
    let first = &counts[0].nodes;
    for count in counts {
        let near = looks
            .iter()
            .filter(|it| it.at <= count.at + Duration::from_secs(1) && it.at + OBEYED >= count.at);
        // While a look takes long the last one of before speaks.
        let before = looks
            .iter()
            .rev()
            .find(|it| it.at <= count.at && it.wanted > 0);
        let looks = || near.clone().chain(before);
        let leave = |it: &Look| it.instances.iter().filter(|it| it.leaves).count();
        let leaving = looks().map(leave).max().unwrap_or_default() as u64;
        let wanted = looks().map(|it| it.wanted).max();
        let Some(wanted) = wanted.filter(|it| *it > 0) else {
            continue;
        };
        let all = count.nodes.iter().enumerate();
        let within: usize = (all.clone().filter(|(node, _)| !cut.contains(node)))
            .map(|(_, it)| it)
            .sum();
        assert!(
            within as u64 <= wanted + surge + leaving,
            "{within} run where {wanted}, {surge} and {leaving} that leave may: {count:?}"
        );
        for (node, it) in all.filter(|(node, _)| cut.contains(node)) {
            assert!(
                *it <= first[node],
                "more began on node {node}, which was cut off: {count:?}, first {first:?}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_found_also_when_no_table_shows_it() {
        let at = now();
        let look = Look {
            at,
            wanted: 2,
            instances: Vec::new(),
        };
        for (counts, cut, holds) in [
            ([[1, 1], [2, 1], [1, 1], [1, 1]], [].as_slice(), true),
            ([[1, 1], [2, 2], [1, 1], [1, 1]], &[], false),
            ([[1, 1], [3, 1], [1, 1], [1, 1]], &[1], true),
            ([[1, 1], [2, 2], [1, 1], [1, 1]], &[1], false),
            ([[1, 1], [4, 1], [1, 1], [1, 1]], &[1], false),
        ] {
            let counts = counts.map(|it| Count {
                at,
                nodes: it.to_vec(),
            });
            let looks = std::slice::from_ref(&look);
            let judged = std::panic::catch_unwind(|| never_too_many(&counts, looks, 1, cut));
            assert_eq!(judged.is_ok(), holds, "{counts:?} {cut:?}");
        }
    }
}
