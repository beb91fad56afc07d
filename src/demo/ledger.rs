//! The orders that were executed against those that were acknowledged.
//!
//! Pure: the text of the ledger in, a verdict out. Each line is `NUMBER PID`.

use std::collections::{BTreeMap, BTreeSet};

/// What the ledger shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Check {
    /// Orders executed.
    pub(crate) executed: usize,
    /// Executed more than once. Must be empty.
    pub(crate) twice: Vec<u64>,
    /// Acknowledged to the client and not in the ledger. Must be empty.
    pub(crate) lost: Vec<u64>,
    /// Executed without an answer reaching the client; allowed for POSTs cut in flight.
    pub(crate) unanswered: usize,
    /// Lines that are no orders. Must be 0.
    pub(crate) torn: usize,
}

impl Check {
    /// Nothing twice, nothing lost, nothing torn.
    pub(crate) fn is_good(&self) -> bool {
        self.twice.is_empty() && self.lost.is_empty() && self.torn == 0
    }
}

/// Compares the ledger with the numbers that the client got a yes for.
pub(crate) fn check(text: &str, acknowledged: &BTreeSet<u64>) -> Check {
    let mut times: BTreeMap<u64, u32> = BTreeMap::new();
    let mut torn = 0;
    for line in text.lines() {
        let mut words = line.split(' ');
        let number = words.next().and_then(|it| it.parse().ok());
        let pid = words.next().and_then(|it| it.parse::<u32>().ok());
        match (number, pid, words.next()) {
            (Some(number), Some(_), None) => *times.entry(number).or_default() += 1,
            _ => torn += 1,
        }
    }
    let lost = acknowledged.iter().filter(|it| !times.contains_key(it));
    Check {
        executed: times.len(),
        twice: times
            .iter()
            .filter(|(_, count)| **count > 1)
            .map(|(number, _)| *number)
            .collect(),
        lost: lost.copied().collect(),
        unanswered: times.keys().filter(|it| !acknowledged.contains(it)).count(),
        torn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledger_table() {
        let good = |executed, unanswered| Check {
            executed,
            unanswered,
            ..Check::default()
        };
        let table: [(&str, &[u64], Check); 6] = [
            ("", &[], good(0, 0)),
            ("1 10\n2 11\n", &[1, 2], good(2, 0)),
            ("1 10\n2 11\n", &[1], good(2, 1)),
            (
                "1 10\n2 11\n1 11\n",
                &[1, 2],
                Check {
                    twice: vec![1],
                    ..good(2, 0)
                },
            ),
            (
                "1 10\n",
                &[1, 3],
                Check {
                    lost: vec![3],
                    ..good(1, 0)
                },
            ),
            (
                "1 10\n2 1\u{0}\n3\n",
                &[1],
                Check {
                    torn: 2,
                    ..good(1, 0)
                },
            ),
        ];
        for (text, acknowledged, wanted) in table {
            let found = check(text, &acknowledged.iter().copied().collect());
            assert_eq!(found, wanted, "{text:?}");
            let clean = wanted.twice.is_empty() && wanted.lost.is_empty() && wanted.torn == 0;
            assert_eq!(found.is_good(), clean, "{text:?}");
        }
    }
}
