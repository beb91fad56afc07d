//! Whether the clocks of nodes agree with the leader's, as far as the store shows it.
//!
//! Nothing that decides hangs on them: leases and graces are counted on clocks that nobody sets. Logs, events and
//! certificates do.

use crate::World;
use minato_config::{NodeId, Timestamp};
use std::collections::BTreeMap;

/// Milliseconds that a clock may differ: what the store may take, and more than any working time service leaves.
const TOLERATED_MS: u64 = 5_000;
/// Words in a row that must disagree: one may have waited in a queue.
const IN_A_ROW: u8 = 2;

/// What a leader heard of the clocks of nodes.
#[derive(Debug, Clone, Default)]
pub struct Clocks {
    heard: BTreeMap<NodeId, Heard>,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    /// The commit of the last word.
    modified: u64,
    wrong: u8,
    told: bool,
}

impl Clocks {
    /// Takes in what nodes said since the last call, to be called soon after they said it: one sentence for each clock
    /// that is found wrong, once, and again after it was right.
    pub fn observe(&mut self, world: &World, now: Timestamp) -> Vec<(NodeId, String)> {
        self.heard
            .retain(|node, _| world.node_loads.contains_key(node));
        let mut found = Vec::new();
        for (node, load) in &world.node_loads {
            let Some(heard) = self.heard.get_mut(node) else {
                // How long ago this was said nobody knows.
                let first = Heard {
                    modified: load.modified,
                    wrong: 0,
                    told: false,
                };
                self.heard.insert(node.clone(), first);
                continue;
            };
            if heard.modified == load.modified {
                continue;
            }
            heard.modified = load.modified;
            let at = load.value.at;
            if at.0.abs_diff(now.0) <= TOLERATED_MS {
                (heard.wrong, heard.told) = (0, false);
                continue;
            }
            heard.wrong = heard.wrong.saturating_add(1);
            if heard.wrong >= IN_A_ROW && !std::mem::replace(&mut heard.told, true) {
                let seconds = at.0.abs_diff(now.0) / 1_000;
                let side = if at.0 > now.0 { "ahead of" } else { "behind" };
                let text = format!(
                    "the clock of node {node} is {seconds} s {side} that of the leading node: times in its events and logs are \
                     wrong, and certificates may be refused"
                );
                found.push((node.clone(), text));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stored;
    use minato_health::NodeLoad;

    /// Words of one node: at which commit, its clock, and the leader's; `true` where it is told.
    #[track_caller]
    fn check(words: &[(u64, u64, u64, bool)]) {
        let (mut clocks, mut world) = (Clocks::default(), World::default());
        let node = NodeId::parse("a").unwrap();
        for (n, (modified, at, now, told)) in words.iter().enumerate() {
            let value = NodeLoad {
                v: 1,
                at: Timestamp(*at),
                cpu_permille: 0,
                memory_free_bytes: 0,
                disk_free_bytes: 0,
                disk_bytes: 0,
                received_per_s: 0,
                sent_per_s: 0,
            };
            let load = Stored {
                value,
                modified: *modified,
            };
            world.node_loads.insert(node.clone(), load);
            let found = clocks.observe(&world, Timestamp(*now));
            assert_eq!(!found.is_empty(), *told, "word {n}: {found:?}");
        }
    }

    #[test]
    fn a_clock_that_is_wrong_twice_in_a_row_is_told_once() {
        let ahead = 600_000;
        check(&[
            (1, 100 + ahead, 100, false),
            (2, 200 + ahead, 200, false),
            (2, 200 + ahead, 900, false),
            (3, 300 + ahead, 300, true),
            (4, 400 + ahead, 400, false),
            // Set right, and wrong again.
            (5, 500, 500, false),
            (6, 600_600, 600, false),
            (7, 600_700, 700, true),
        ]);
        check(&[
            (1, 0, 9_000, false),
            (2, 0, 9_000, false),
            (3, 0, 9_000, true),
        ]);
    }

    #[test]
    fn an_old_word_is_no_wrong_clock() {
        // Listed long after it was said; then the same clock, heard at once.
        check(&[
            (1, 0, 900_000, false),
            (1, 0, 950_000, false),
            (2, 951_000, 951_100, false),
            (3, 952_000, 956_900, false),
            // One word that waited.
            (4, 960_000, 990_000, false),
            (5, 991_000, 991_000, false),
            (6, 992_000, 999_000, false),
        ]);
    }
}
