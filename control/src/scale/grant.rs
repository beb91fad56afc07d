//! What each instance of a service is given above its file: processors and memory, up to its ceiling.
//!
//! The rule of the number of instances: what is used, divided by a target; up at once where the nodes have room, down to the
//! highest wish of a window; what is not known never takes anything back. All instances of a service are given the same, by
//! what the busiest of them uses.

use super::TOLERANCE;
use super::usage::Used;
use minato_config::{Grant, Image, Resources};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Hundredths of its processors that an instance should use, where no target says so.
const CPU_PERCENT: u32 = 75;
/// The same of memory.
const MEMORY_PERCENT: u32 = 80;
/// Processors are given by hundredths, memory by MiB.
const CPU_STEP: u64 = 10;
const MEMORY_STEP: u64 = 1 << 20;
/// Wishes that are kept.
const MOST_WISHES: usize = 64;

/// Follows one service.
#[derive(Debug, Clone)]
pub(super) struct Granter {
    /// Oldest first.
    wishes: VecDeque<(Instant, Grant)>,
    /// Since when all wishes are known.
    known_since: Instant,
    window: Duration,
}

/// What a grant is decided from.
pub(super) struct Need<'a> {
    pub(super) image: &'a Image,
    /// The target of `replicas`, if there is one.
    pub(super) cpu_percent: Option<u32>,
    /// What is in force; `None` where nobody decided yet.
    pub(super) granted: Option<Grant>,
    pub(super) used: &'a Used,
}

/// Which way a grant goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// More processors or memory, and no less of either.
    Raised(Grant),
    /// Less of one, and no more of the other; or the first word on it.
    Lowered(Grant),
    Same,
}

impl Granter {
    pub(super) fn new(window: Duration, now: Instant) -> Self {
        Self {
            wishes: VecDeque::new(),
            known_since: now,
            window,
        }
    }

    /// `fits`: whether the nodes take it.
    pub(super) fn decide(
        &mut self,
        need: &Need<'_>,
        fits: impl Fn(Grant) -> bool,
        now: Instant,
    ) -> Change {
        let image = need.image;
        if image.ceiling.is_nothing() {
            return match need.granted {
                Some(it) if !it.is_nothing() => Change::Lowered(Grant::default()),
                _ => Change::Same,
            };
        }
        let Some(most) = need.used.most else {
            self.forget(now);
            return Change::Same;
        };
        let current = image.granted(need.granted.unwrap_or_default());
        let wish = wish(
            image,
            need.cpu_percent.unwrap_or(CPU_PERCENT),
            most,
            current,
        );
        if need.used.gap.is_some() {
            self.forget(now);
        } else {
            self.remember(wish, now);
        }
        // Both, else memory, which ends what lacks it, else processors.
        let raised = highest(of(current), wish);
        let tries = [
            raised,
            Grant {
                memory_bytes: raised.memory_bytes,
                ..of(current)
            },
            Grant {
                cpu_milli: raised.cpu_milli,
                ..of(current)
            },
        ];
        let more = tries.into_iter().find(|it| *it != of(current) && fits(*it));
        if let Some(more) = more {
            return Change::Raised(more);
        }
        let known = now.saturating_duration_since(self.known_since) >= self.window;
        let low = self.wishes.iter().map(|(_, it)| *it).reduce(highest);
        match low.filter(|_| known).map(|it| lowest(of(current), it)) {
            Some(low) if low != of(current) => Change::Lowered(low),
            _ if need.granted.is_none() && need.used.gap.is_none() => Change::Lowered(of(current)),
            _ => Change::Same,
        }
    }

    fn remember(&mut self, wish: Grant, now: Instant) {
        let window = self.window;
        self.wishes
            .retain(|(at, _)| now.saturating_duration_since(*at) <= window);
        if self.wishes.len() == MOST_WISHES {
            self.wishes.pop_front();
        }
        self.wishes.push_back((now, wish));
    }

    /// What is under way changes what is used: begin anew.
    pub(super) fn forget(&mut self, now: Instant) {
        self.wishes.clear();
        self.known_since = now;
    }
}

/// Within what the file gives and the ceiling. Only what may be raised is named.
fn wish(image: &Image, cpu_percent: u32, most: (u32, u64), current: Resources) -> Grant {
    let ask = |used: u64, percent: u32, step: u64, current: u64| {
        let wanted = used.saturating_mul(100) / u64::from(percent.max(1));
        // Within the tolerance nothing changes.
        let (low, high) = (1.0 - TOLERANCE, 1.0 + TOLERANCE);
        let ratio = ratio(wanted, current);
        if (low..=high).contains(&ratio) {
            return current;
        }
        wanted.div_ceil(step).saturating_mul(step)
    };
    let cpu = current.cpu_milli.map(|it| {
        let wanted = ask(most.0.into(), cpu_percent, CPU_STEP, it.into());
        u32::try_from(wanted).unwrap_or(u32::MAX)
    });
    let memory = current
        .memory_bytes
        .map(|it| ask(most.1, MEMORY_PERCENT, MEMORY_STEP, it));
    of(image.granted(Grant {
        cpu_milli: cpu,
        memory_bytes: memory,
    }))
}

#[expect(clippy::cast_precision_loss, reason = "compared within a tenth")]
fn ratio(wanted: u64, current: u64) -> f64 {
    wanted as f64 / current.max(1) as f64
}

fn of(it: Resources) -> Grant {
    Grant {
        cpu_milli: it.cpu_milli,
        memory_bytes: it.memory_bytes,
    }
}

fn highest(a: Grant, b: Grant) -> Grant {
    Grant {
        cpu_milli: a.cpu_milli.max(b.cpu_milli),
        memory_bytes: a.memory_bytes.max(b.memory_bytes),
    }
}

fn lowest(a: Grant, b: Grant) -> Grant {
    Grant {
        cpu_milli: a.cpu_milli.min(b.cpu_milli),
        memory_bytes: a.memory_bytes.min(b.memory_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::{ImageReference, Pull};

    const MIB: u64 = 1 << 20;

    /// Half a processor and 100 MiB, up to two and 400 MiB.
    fn image() -> Image {
        Image {
            reference: ImageReference::parse("a").unwrap(),
            port: Some(80),
            network: "bridge".to_owned(),
            pull: Pull::Missing,
            init: false,
            user: None,
            secrets: Default::default(),
            volumes: Default::default(),
            resources: Resources {
                cpu_milli: Some(500),
                cpu_limit_milli: None,
                memory_bytes: Some(100 * MIB),
            },
            ceiling: Grant {
                cpu_milli: Some(2_000),
                memory_bytes: Some(400 * MIB),
            },
        }
    }

    struct Play {
        image: Image,
        granter: Granter,
        now: Instant,
        granted: Option<Grant>,
        gap: Option<String>,
        /// Up to where the nodes have room: thousandths and MiB.
        room: (u32, u64),
    }

    impl Play {
        #[expect(clippy::disallowed_methods, reason = "any moment to begin from")]
        fn new() -> Self {
            let now = Instant::now();
            Self {
                image: image(),
                granter: Granter::new(super::super::WINDOW, now),
                now,
                granted: None,
                gap: None,
                room: (10_000, 10_000),
            }
        }

        /// One decision each 15 s; thousandths and MiB, used by the busiest and then given.
        fn see(&mut self, cpu: u32, memory: u64, seconds: u64) -> (u32, u64) {
            let used = Used {
                most: Some((cpu, memory * MIB)),
                gap: self.gap.clone(),
                ..Used::default()
            };
            for _ in 0..seconds / 15 {
                let need = Need {
                    image: &self.image,
                    cpu_percent: None,
                    granted: self.granted,
                    used: &used,
                };
                let room = self.room;
                let fits = |it: Grant| {
                    it.cpu_milli <= Some(room.0) && it.memory_bytes <= Some(room.1 * MIB)
                };
                match self.granter.decide(&need, fits, self.now) {
                    Change::Raised(it) | Change::Lowered(it) => self.granted = Some(it),
                    Change::Same => {}
                }
                self.now += super::super::PERIOD;
            }
            let it = self.image.granted(self.granted.unwrap_or_default());
            (it.cpu_milli.unwrap(), it.memory_bytes.unwrap() / MIB)
        }
    }

    #[test]
    fn raised_at_once_within_the_ceiling_and_taken_back_after_the_window() {
        let mut play = Play::new();
        assert_eq!(play.see(100, 50, 600), (500, 100));
        // Near enough: 375 of 500 is what should be.
        assert_eq!(play.see(400, 80, 15), (500, 100));
        assert_eq!(play.see(600, 120, 15), (800, 150));
        assert_eq!(play.see(9_000, 9_000, 15), (2_000, 400));
        assert_eq!(play.see(100, 50, 300), (2_000, 400));
        assert_eq!(play.see(100, 50, 15), (500, 100));
    }

    #[test]
    fn what_is_not_known_takes_nothing_back() {
        let mut play = Play::new();
        assert_eq!(play.see(600, 120, 15), (800, 150));
        play.gap = Some("node b does not tell".to_owned());
        assert_eq!(play.see(0, 0, 3_000), (800, 150));
        // What is known raises.
        assert_eq!(play.see(900, 120, 15), (1_200, 150));
        play.gap = None;
        assert_eq!(play.see(0, 50, 285), (1_200, 150));
        assert_eq!(play.see(0, 50, 15), (500, 100));
    }

    #[test]
    fn nothing_is_given_that_the_nodes_do_not_have() {
        let mut play = Play::new();
        play.room = (500, 10_000);
        assert_eq!(play.see(900, 160, 15), (500, 200));
        play.room = (500, 200);
        assert_eq!(play.see(900, 300, 60), (500, 200));
        play.room = (2_000, 200);
        assert_eq!(play.see(900, 300, 15), (1_200, 200));
    }

    #[test]
    fn a_file_without_a_ceiling_ends_what_was_given() {
        let mut play = Play::new();
        assert_eq!(play.see(600, 120, 15), (800, 150));
        play.image.ceiling = Grant::default();
        assert_eq!(play.see(600, 120, 15), (500, 100));
        assert_eq!(play.granted, Some(Grant::default()));
    }
}
