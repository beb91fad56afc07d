//! Many observers, one truth.

use crate::Verdict;

/// What all live gateways together say about one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combined {
    /// Running.
    Up,
    /// Stopped: act on it.
    Down,
    /// Too few observers, or they disagree without a majority: nobody acts.
    Unknown,
}

/// `reports`: one verdict for each live gateway that reported on this run. `local`: the agent's own probe.
///
/// | n | down | unknown |
/// |---|---|---|
/// | 0 | – | always |
/// | 1 | it, and the agent's local probe too | it says down, the local probe does not |
/// | 2 | both | one of them |
/// | 3 and more | more than half | exactly half |
///
/// Otherwise up: a suspect instance runs.
pub fn combine(reports: &[Verdict], local: Option<Verdict>) -> Combined {
    let down = reports.iter().filter(|it| **it == Verdict::Down).count();
    let running = reports.len() - down;
    match (reports.len(), down) {
        (0, _) => Combined::Unknown,
        (1, 1) if local != Some(Verdict::Down) => Combined::Unknown,
        _ if down > running => Combined::Down,
        _ if down == running => Combined::Unknown,
        _ => Combined::Up,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTERS: [Verdict; 3] = [Verdict::Up, Verdict::Suspect, Verdict::Down];

    /// Every list of `n` verdicts.
    fn all(n: usize) -> Vec<Vec<Verdict>> {
        (0..n).fold(vec![Vec::new()], |lists, _| {
            lists
                .iter()
                .flat_map(|list| LETTERS.map(|it| [list.as_slice(), &[it]].concat()))
                .collect()
        })
    }

    #[test]
    fn every_list_of_up_to_five_observers() {
        /// For n observers, the answer by number of downs; `l` needs the local probe.
        const TABLE: [&str; 6] = ["?", "Ul", "U?D", "UUDD", "UU?DD", "UUUDDD"];
        for (n, row) in TABLE.iter().enumerate() {
            for reports in all(n) {
                for local in [None].into_iter().chain(LETTERS.map(Some)) {
                    let down = reports.iter().filter(|it| **it == Verdict::Down).count();
                    let expected = match (row.as_bytes()[down], local) {
                        (b'U', _) => Combined::Up,
                        (b'D', _) | (b'l', Some(Verdict::Down)) => Combined::Down,
                        _ => Combined::Unknown,
                    };
                    assert_eq!(combine(&reports, local), expected, "{reports:?} {local:?}");
                }
            }
        }
    }

    #[test]
    fn one_cut_off_gateway_of_three_cannot_stop_an_instance() {
        let reports = [Verdict::Down, Verdict::Up, Verdict::Suspect];
        assert_eq!(combine(&reports, Some(Verdict::Down)), Combined::Up);
    }
}
