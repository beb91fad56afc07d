//! What this gateway measures of services that follow their load, and when that is worth telling.

use minato_config::ServiceName;
use minato_health::ServiceLoad;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Samples of the mean; one each second.
const SAMPLES: usize = 5;
/// What is called for must last for so many samples: a link that is about to come up, or blinks, asks for nothing.
const LASTS: usize = 3;
/// Told again after this long also where nothing changed: control takes what is much older for a gap.
const AGAIN: Duration = Duration::from_secs(60);

/// Means and what was told of them, by service.
#[derive(Debug, Default)]
pub(super) struct Loads(BTreeMap<ServiceName, Load>);

#[derive(Debug, Default)]
struct Load {
    /// Requests being served or waiting; the newest last.
    recent: Vec<u32>,
    /// Instances called for; the newest last.
    calls: Vec<u32>,
    told: Option<(ServiceLoad, Instant)>,
    /// Samples since it was told.
    since: usize,
}

/// What one moment shows of a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Requests being served or waiting.
    pub(super) in_flight: u32,
    pub(super) p95: Option<Duration>,
    /// Instances that this site must have for visitors whom other sites do not serve.
    pub(super) called: u32,
}

impl Loads {
    /// One sample, a second after the one before. What to tell, if anything: at most once in [`SAMPLES`] seconds, but for a call, which is
    /// told at once.
    pub(super) fn sample(
        &mut self,
        service: &ServiceName,
        sample: Sample,
        now: Instant,
    ) -> Option<ServiceLoad> {
        let load = self.0.entry(service.clone()).or_default();
        if load.recent.len() == SAMPLES {
            load.recent.remove(0);
        }
        load.recent.push(sample.in_flight);
        if load.calls.len() == LASTS {
            load.calls.remove(0);
        }
        load.calls.push(sample.called);
        let lasts = load.calls.len() == LASTS;
        load.since = load.since.saturating_add(1);
        let sum: u64 = load.recent.iter().map(|it| u64::from(*it)).sum();
        let count = load.recent.len() as u64;
        let mean = (sum + count / 2) / count;
        let fresh = ServiceLoad {
            v: 1,
            in_flight: u32::try_from(mean).unwrap_or(u32::MAX),
            p95: sample.p95.map(|it| Duration::from_millis(millis(it))),
            called: load
                .calls
                .iter()
                .copied()
                .min()
                .filter(|_| lasts)
                .unwrap_or(0),
        };
        let is_due = match &load.told {
            None => load.recent.len() == SAMPLES,
            Some((told, at)) => {
                now.saturating_duration_since(*at) >= AGAIN
                    || told.called != fresh.called
                    || (load.since >= SAMPLES && differs(told, &fresh))
            }
        };
        is_due.then(|| {
            load.told = Some((fresh, now));
            load.since = 0;
            fresh
        })
    }

    /// Forgets all but `kept`; those forgotten.
    pub(super) fn retain(&mut self, kept: impl Fn(&ServiceName) -> bool) -> Vec<ServiceName> {
        let gone: Vec<ServiceName> = self.0.keys().filter(|it| !kept(it)).cloned().collect();
        gone.iter().for_each(|it| drop(self.0.remove(it)));
        gone
    }
}

fn millis(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}

/// By more than a twentieth: half of what control tolerates.
fn differs(told: &ServiceLoad, fresh: &ServiceLoad) -> bool {
    let far = |a: u64, b: u64| a.abs_diff(b) * 20 > a.max(b);
    let p95 = |it: &ServiceLoad| it.p95.map(millis);
    far(told.in_flight.into(), fresh.in_flight.into())
        || match (p95(told), p95(fresh)) {
            (Some(a), Some(b)) => far(a, b),
            (a, b) => a != b,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    struct Play {
        loads: Loads,
        now: Instant,
        told: Vec<u32>,
        called: u32,
    }

    impl Play {
        fn new() -> Self {
            Self {
                loads: Loads::default(),
                now: clock::now(),
                told: Vec::new(),
                called: 0,
            }
        }

        fn see(&mut self, in_flight: u32, seconds: u64) -> &[u32] {
            let name = ServiceName::parse("library").unwrap();
            self.told.clear();
            for _ in 0..seconds {
                let sample = Sample {
                    in_flight,
                    p95: Some(Duration::from_millis(20)),
                    called: self.called,
                };
                let told = self.loads.sample(&name, sample, self.now);
                self.told.extend(told.map(|it| it.in_flight));
                self.now += Duration::from_secs(1);
            }
            &self.told
        }
    }

    #[test]
    fn a_mean_of_five_seconds_is_told_when_it_changes() {
        let mut play = Play::new();
        assert_eq!(play.see(10, 4), [0; 0]);
        assert_eq!(play.see(10, 20), [10]);
        // At once, and again when the mean has arrived.
        assert_eq!(play.see(110, 20), [30, 110]);
        assert_eq!(play.see(112, 20), [0; 0]);
        assert_eq!(play.see(0, 20), [90, 0]);
    }

    #[test]
    fn what_does_not_change_is_told_once_a_minute() {
        let mut play = Play::new();
        play.see(0, 5);
        assert_eq!(play.see(0, 179), [0, 0]);
        assert_eq!(play.see(0, 1), [0]);
    }

    #[test]
    fn a_call_is_told_once_it_lasts_and_when_it_ends() {
        let mut play = Play::new();
        play.see(0, 20);
        play.called = 5;
        assert_eq!(play.see(0, 2), [0; 0]);
        assert_eq!(play.see(0, 30).len(), 1);
        play.called = 0;
        assert_eq!(play.see(0, 1).len(), 1);
        // A blink.
        play.called = 5;
        play.see(0, 2);
        play.called = 0;
        assert_eq!(play.see(0, 20), [0; 0]);
    }

    #[test]
    fn a_service_that_no_longer_follows_its_load_is_forgotten() {
        let mut play = Play::new();
        play.see(3, 6);
        assert_eq!(play.loads.retain(|_| true).len(), 0);
        assert_eq!(play.loads.retain(|_| false).len(), 1);
        assert_eq!(play.see(3, 5), [3]);
    }
}
