//! Says how busy this machine is: often while that changes, rarely while it does not.
//!
//! The whole machine is measured, other programs included: what they use cannot be promised. Not here: what single
//! instances use (the runtimes), what is made of it (`control::plan`).

use crate::alive::field_bytes;
use crate::clock::now;
use crate::figures::{Figures, NodeFigures};
use minato_config::NodeId;
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, SharedStore, StoreError};
use minato_health::NodeLoad;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// From look to look.
const EACH: Duration = Duration::from_secs(5);
/// What has not changed is told again after this long: a clock that went wrong shows in it.
const AT_LEAST: Duration = Duration::from_secs(60);
/// The first words come one after the other: a clock that is wrong shows only in several.
const FIRST_WORDS: u32 = 3;
/// Thousandths of processors or memory that make a difference.
const NOTABLE: u64 = 100;

/// Runs until dropped, or until the store is closed.
pub(crate) async fn tell_load(
    store: SharedStore,
    keys: Keys,
    node: NodeId,
    data: PathBuf,
    figures: Figures,
) {
    let key = keys.text(&Key::NodeLoad(node));
    let mut before = Counters::read();
    let (mut told, mut words): (Option<(NodeLoad, u64, Instant)>, u32) = (None, 0);
    // A first span of a second, so that a node that joins is not taken for an idle one.
    sleep(Duration::from_secs(1)).await;
    loop {
        let counters = Counters::read();
        let (load, memory) = measure(&before, &counters, &data);
        before = counters;
        figures.show_node(NodeFigures {
            cpu_permille: load.cpu_permille,
            memory_free_bytes: load.memory_free_bytes,
            memory_bytes: memory,
            disk_free_bytes: load.disk_free_bytes,
            disk_bytes: load.disk_bytes,
            received_bytes: before.network.received,
            sent_bytes: before.network.sent,
        });
        let due = told.is_none_or(|(last, _, at)| {
            let is_old = before.at.duration_since(at) >= AT_LEAST;
            is_old || words < FIRST_WORDS || is_notable(&last, &load, memory)
        });
        if due {
            match write(&store, &key, &load).await {
                Ok(()) => {
                    told = Some((load, memory, before.at));
                    words = words.saturating_add(1);
                }
                Err(StoreError::Closed) => return,
                // Whoever needs the store says so; this is tried again with the next look.
                Err(error) => tracing::debug!(%error, "the load of this node could not be stored"),
            }
        }
        sleep(EACH).await;
    }
}

async fn write(store: &SharedStore, key: &str, load: &NodeLoad) -> Result<(), StoreError> {
    let value = serde_json::to_vec(load).map_err(|error| StoreError::Invalid {
        detail: format!("the load of this node cannot be written as JSON: {error}"),
    })?;
    store.commit(Commit::put(key, value)).await.map(drop)
}

/// Whether a planner could decide otherwise. `memory`: bytes of the machine.
fn is_notable(last: &NodeLoad, load: &NodeLoad, memory: u64) -> bool {
    let cpu = u64::from(last.cpu_permille.abs_diff(load.cpu_permille));
    let moved = last.memory_free_bytes.abs_diff(load.memory_free_bytes);
    let disk = last.disk_free_bytes.abs_diff(load.disk_free_bytes);
    cpu >= NOTABLE
        || permille(moved, memory) >= NOTABLE
        || permille(disk, load.disk_bytes) >= NOTABLE
}

fn permille(part: u64, whole: u64) -> u64 {
    let share = u128::from(part) * 1_000 / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// What the kernel counts since the machine began.
#[derive(Debug, Clone, Copy)]
struct Counters {
    at: Instant,
    processors: Processors,
    network: Network,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Processors {
    busy: u64,
    all: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Network {
    received: u64,
    sent: u64,
}

impl Counters {
    fn read() -> Self {
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            at: now().instant,
            processors: processors(&text("/proc/stat")).unwrap_or_default(),
            network: network(&text("/proc/net/dev")),
        }
    }
}

/// The load over the span between two readings, and the machine's memory in bytes. What cannot be read counts as 0.
fn measure(before: &Counters, after: &Counters, data: &Path) -> (NodeLoad, u64) {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let disk = rustix::fs::statvfs(data).ok();
    let disk = disk.map(|it| {
        let bytes = |blocks: u64| blocks.saturating_mul(it.f_frsize);
        (bytes(it.f_bavail), bytes(it.f_blocks))
    });
    let (disk_free_bytes, disk_bytes) = disk.unwrap_or_default();
    let all = after.processors.all.saturating_sub(before.processors.all);
    let busy = after.processors.busy.saturating_sub(before.processors.busy);
    let span = after.at.duration_since(before.at).as_millis().max(1);
    let each_second = |before: u64, after: u64| {
        let rate = u128::from(after.saturating_sub(before)) * 1_000 / span;
        u64::try_from(rate).unwrap_or(u64::MAX)
    };
    let load = NodeLoad {
        v: 1,
        at: now().wall,
        cpu_permille: u16::try_from(permille(busy, all).min(1_000)).unwrap_or(1_000),
        memory_free_bytes: field_bytes(&memory, "MemAvailable:").unwrap_or_default(),
        disk_free_bytes,
        disk_bytes,
        received_per_s: each_second(before.network.received, after.network.received),
        sent_per_s: each_second(before.network.sent, after.network.sent),
    };
    let memory = field_bytes(&memory, "MemTotal:").unwrap_or_default();
    (load, memory)
}

/// The first line of `/proc/stat`: `cpu  user nice system idle iowait irq softirq steal guest guest_nice`. Guests are
/// within user already; waiting for a disk is no work.
fn processors(text: &str) -> Option<Processors> {
    let line = text.lines().find_map(|it| it.strip_prefix("cpu "))?;
    let numbers: Option<Vec<u64>> = line
        .split_whitespace()
        .take(8)
        .map(|it| it.parse().ok())
        .collect();
    let numbers = numbers?;
    let [user, nice, system, idle, rest @ ..] = numbers.as_slice() else {
        return None;
    };
    let waiting = rest.first().copied().unwrap_or_default();
    let other: u64 = rest.iter().skip(1).sum();
    let busy = user + nice + system + other;
    Some(Processors {
        busy,
        all: busy + idle + waiting,
    })
}

/// Of `/proc/net/dev`, `  eth0: received packets errs drop fifo frame compressed multicast sent ...`, loopback left out.
fn network(text: &str) -> Network {
    let mut all = Network::default();
    for line in text.lines() {
        let Some((name, numbers)) = line.split_once(':') else {
            continue;
        };
        if name.trim() == "lo" {
            continue;
        }
        let mut numbers = numbers.split_whitespace().map(|it| it.parse().unwrap_or(0));
        all.received = all.received.saturating_add(numbers.next().unwrap_or(0));
        all.sent = all.sent.saturating_add(numbers.nth(7).unwrap_or(0));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::Timestamp;

    #[test]
    fn processors_count_work_and_not_waiting() {
        let text = "cpu  10 20 30 400 50 6 7 8 9 1\ncpu0 1 1 1 1\n";
        let found = processors(text).unwrap();
        assert_eq!((found.busy, found.all), (81, 531));
        assert_eq!(processors("intr 1\n"), None);
        assert_eq!(processors("cpu  1 x 3 4\n"), None);
    }

    #[test]
    fn networks_are_added_up_without_loopback() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes    packets\n\
                    lo: 9 9 9 9 9 9 9 9 9 9\n  eth0: 100 1 0 0 0 0 0 0 40 2 0\n eth1:7 1 0 0 0 0 0 0 3 2 0\n";
        let found = network(text);
        assert_eq!((found.received, found.sent), (107, 43));
    }

    #[test]
    fn only_what_could_change_a_decision_is_told_early() {
        let gib = 1 << 30;
        let load = NodeLoad {
            v: 1,
            at: Timestamp(0),
            cpu_permille: 300,
            memory_free_bytes: 4 * gib,
            disk_free_bytes: 50 * gib,
            disk_bytes: 100 * gib,
            received_per_s: 0,
            sent_per_s: 0,
        };
        type Change = fn(&mut NodeLoad);
        let table: [(&str, Change, bool); 5] = [
            ("nothing", |_| {}, false),
            ("a little", |it| it.cpu_permille = 399, false),
            ("processors", |it| it.cpu_permille = 400, true),
            ("memory", |it| it.memory_free_bytes = 3 << 30, true),
            ("disk", |it| it.disk_free_bytes = 40 << 30, true),
        ];
        for (name, change, notable) in table {
            let mut other = load;
            change(&mut other);
            assert_eq!(is_notable(&load, &other, 8 * gib), notable, "{name}");
        }
    }

    #[test]
    fn this_machine_tells() {
        let before = Counters::read();
        let (load, memory) = measure(&before, &Counters::read(), Path::new("/"));
        assert!(load.memory_free_bytes > 0 && load.memory_free_bytes <= memory);
        assert!(load.disk_bytes >= load.disk_free_bytes && load.disk_bytes > 0);
        assert!(load.cpu_permille <= 1_000);
    }
}
