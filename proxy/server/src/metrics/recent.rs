//! What a service did lately: requests, errors of the gateway's own making, percentiles of a sliding window.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The percentiles of status speak of the last 30 to 60 seconds.
const WINDOW: Duration = Duration::from_secs(30);
/// Buckets of [`Recent`]: eight for each doubling from 64 us to about 70 s.
const RECENT: usize = 160;

#[derive(Debug)]
pub(crate) struct ServiceCounts {
    pub(super) requests: AtomicU64,
    pub(super) gateway_errors: AtomicU64,
    recent: RwLock<[Recent; 2]>,
}

#[derive(Debug)]
struct Recent {
    began: Option<Instant>,
    buckets: Box<[AtomicU32; RECENT]>,
}

impl Recent {
    fn new(began: Option<Instant>) -> Self {
        Self {
            began,
            buckets: Box::new(std::array::from_fn(|_| AtomicU32::new(0))),
        }
    }
}

impl ServiceCounts {
    pub(super) fn new() -> Self {
        Self {
            requests: AtomicU64::new(0),
            gateway_errors: AtomicU64::new(0),
            recent: RwLock::new([Recent::new(None), Recent::new(None)]),
        }
    }

    pub(crate) fn add(&self, took: Duration, now: Instant) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        {
            let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
            if recent[0].began.is_some_and(|began| now < began + WINDOW) {
                recent[0].buckets[bucket(took)].fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        if recent[0].began.is_none_or(|began| now >= began + WINDOW) {
            recent.swap(0, 1);
            recent[0] = Recent::new(Some(now));
        }
        recent[0].buckets[bucket(took)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_gateway_error(&self) {
        self.gateway_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn percentiles<const N: usize>(&self, shares: [f64; N]) -> [Option<Duration>; N] {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        let sums: Vec<u64> = (0..RECENT)
            .map(|i| {
                recent
                    .iter()
                    .map(|it| u64::from(it.buckets[i].load(Ordering::Relaxed)))
                    .sum()
            })
            .collect();
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
}

fn bucket(took: Duration) -> usize {
    let micros = took.as_micros().max(64);
    let octave = micros.ilog2() - 6;
    let within = (micros >> (octave + 3)) & 7;
    usize::try_from(octave * 8)
        .unwrap_or(RECENT)
        .saturating_add(usize::try_from(within).unwrap_or(0))
        .min(RECENT - 1)
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
        let counts = ServiceCounts::new();
        let start = crate::clock::now();
        counts.add(Duration::from_secs(1), start);
        for _ in 0..99 {
            counts.add(Duration::from_millis(1), start + WINDOW);
        }
        let [p50, p999] = counts.percentiles([0.5, 0.999]);
        assert!(p50 < Some(Duration::from_millis(2)), "{p50:?}");
        assert!(p999 >= Some(Duration::from_secs(1)), "{p999:?}");
        counts.add(Duration::from_millis(1), start + WINDOW * 3);
        let [p999] = counts.percentiles([0.999]);
        assert!(p999 < Some(Duration::from_millis(2)), "{p999:?}");
    }
}
