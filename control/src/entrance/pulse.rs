//! Whether the threads that serve still turn. No clock: what counts is how often nothing had changed.

use std::time::Duration;

/// From one look to the next.
pub const LOOK: Duration = Duration::from_secs(1);
/// Looks in a row that see a thread stand still before the gateway counts as stuck: 5 s. Threads tick ten times a second;
/// a machine that is merely busy, or was paused as a whole, pauses the looks as well.
const STILL: u32 = 5;

/// What was seen of each thread so far.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Beats as last seen, and looks since they changed.
    threads: Vec<(u64, u32)>,
}

impl Pulse {
    /// One look, at the beats that each thread has counted so far. False while one of them stands still.
    pub fn look(&mut self, beats: &[u64]) -> bool {
        if self.threads.len() != beats.len() {
            self.threads = beats.iter().map(|it| (*it, 0)).collect();
            return true;
        }
        for ((seen, still), now) in self.threads.iter_mut().zip(beats) {
            *still = if seen == now {
                still.saturating_add(1)
            } else {
                0
            };
            *seen = *now;
        }
        self.threads.iter().all(|(_, still)| *still < STILL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row a look, one column a thread.
    #[track_caller]
    fn check(looks: &[[u64; 2]], expected: &str) {
        let mut pulse = Pulse::default();
        let turns = looks.iter().map(|it| pulse.look(it));
        let seen: String = turns.map(|it| if it { '.' } else { 'x' }).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn one_thread_that_stands_still_is_enough_and_its_next_beat_ends_it() {
        let turning = [[1, 1], [2, 2], [3, 3], [4, 4], [5, 5], [6, 6], [7, 7]];
        check(&turning, ".......");
        let one = [
            [1, 9],
            [2, 9],
            [3, 9],
            [4, 9],
            [5, 9],
            [6, 9],
            [7, 9],
            [8, 10],
        ];
        check(&one, ".....xx.");
        check(&[[0, 0]; 7], ".....xx");
    }

    #[test]
    fn threads_that_never_began_are_seen_as_well() {
        let mut pulse = Pulse::default();
        assert!((0..5).all(|_| pulse.look(&[0])));
        assert!(!pulse.look(&[0]));
        // Others in their place begin anew.
        assert!(pulse.look(&[0, 0]));
    }
}
