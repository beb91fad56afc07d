//! Latencies of the last 30 to 60 s, for the percentiles that status shows. Written by one core, read by anyone.

use super::tally::Tally;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The percentiles of status speak of the last one to two windows.
pub(super) const WINDOW: Duration = Duration::from_secs(30);
/// Buckets: eight for each doubling from 64 us to about 70 s.
pub(super) const BUCKETS: usize = 160;

/// Two windows, used in turn.
#[derive(Debug, Default)]
pub(super) struct Recent([Window; 2]);

#[derive(Debug)]
struct Window {
    /// Which window since the process started, counted from 1.
    number: AtomicU64,
    buckets: [Tally; BUCKETS],
}

impl Default for Window {
    fn default() -> Self {
        Self {
            number: AtomicU64::new(0),
            buckets: std::array::from_fn(|_| Tally::default()),
        }
    }
}

/// The window that holds a moment, which is given as the time since the process started.
fn number(now: Duration) -> u64 {
    now.as_secs() / WINDOW.as_secs() + 1
}

impl Recent {
    /// By its one writer.
    pub(super) fn add(&self, took: Duration, now: Duration) {
        let number = number(now);
        let window = &self.0[usize::from(number.is_multiple_of(2))];
        if window.number.load(Ordering::Relaxed) != number {
            window.buckets.iter().for_each(Tally::clear);
            window.number.store(number, Ordering::Relaxed);
        }
        window.buckets[bucket(took)].add(1);
    }

    /// Adds what is recent to `sums`.
    pub(super) fn sum_into(&self, sums: &mut [u64; BUCKETS], now: Duration) {
        let current = number(now);
        for window in &self.0 {
            let number = window.number.load(Ordering::Relaxed);
            if number != 0 && number + 1 >= current {
                for (sum, bucket) in sums.iter_mut().zip(&window.buckets) {
                    *sum += bucket.value();
                }
            }
        }
    }
}

/// The upper bound of the bucket in which each share falls; `None` without any latency.
pub(super) fn percentiles<const N: usize>(
    sums: &[u64; BUCKETS],
    shares: [f64; N],
) -> [Option<Duration>; N] {
    let total: u64 = sums.iter().sum();
    shares.map(|share| {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among counts"
        )]
        let rank = ((total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        sums.iter()
            .position(|n| {
                seen += n;
                seen >= rank && total > 0
            })
            .map(upper)
    })
}

fn bucket(took: Duration) -> usize {
    let micros = took.as_micros().max(64);
    let octave = micros.ilog2() - 6;
    let within = (micros >> (octave + 3)) & 7;
    usize::try_from(octave * 8)
        .unwrap_or(BUCKETS)
        .saturating_add(usize::try_from(within).unwrap_or(0))
        .min(BUCKETS - 1)
}

fn upper(bucket: usize) -> Duration {
    let (octave, within) = (bucket / 8, bucket % 8);
    Duration::from_micros(((9 + within as u64) << octave) * 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_own_upper_bound_and_is_at_most_an_eighth_wide() {
        for micros in [
            64_u64, 65, 100, 127, 128, 999, 1_000, 30_000, 1_000_000, 20_000_000,
        ] {
            let took = Duration::from_micros(micros);
            let up = upper(bucket(took));
            assert!(
                up >= took && up <= took * 9 / 8 + Duration::from_micros(8),
                "{took:?} {up:?}"
            );
        }
    }

    #[test]
    fn percentiles_speak_of_the_last_window_only() {
        let recent = Recent::default();
        let at = |windows: u32| WINDOW * windows;
        let read = |now, share| {
            let mut sums = [0; BUCKETS];
            recent.sum_into(&mut sums, now);
            percentiles(&sums, [share])[0]
        };
        assert_eq!(read(at(0), 0.5), None);
        recent.add(Duration::from_secs(1), at(0));
        for _ in 0..99 {
            recent.add(Duration::from_millis(1), at(1));
        }
        assert!(read(at(1), 0.5) < Some(Duration::from_millis(2)));
        assert!(read(at(1), 0.999) >= Some(Duration::from_secs(1)));
        recent.add(Duration::from_millis(1), at(3));
        assert!(read(at(3), 0.999) < Some(Duration::from_millis(2)));
        assert_eq!(read(at(9), 0.5), None);
    }
}
