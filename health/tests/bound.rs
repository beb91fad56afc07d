//! Simulated time: a target that stops answering is suspect and down within the documented bounds, wherever in the
//! rhythm of its probes it stops; and it is back in bounded time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic as tests do"
)]

use minato_config::HealthTiming;
use minato_health::{Evidence, Failure, Finding, Layer, Outcome, ProbeNumber, Verdict, Watch};
use std::time::{Duration, Instant};

/// How a target behaves from the moment it stops.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stop {
    /// Probes in flight and new ones get no answer.
    Freeze,
    /// Probes in flight break at once, new ones are refused.
    Refuse,
}

/// A target that answers after `latency`, stops at `stops` and is well again at `thaws`.
#[derive(Debug, Clone, Copy)]
struct Target {
    how: Stop,
    latency: Duration,
    stops: Instant,
    thaws: Option<Instant>,
}

impl Target {
    /// When a probe that starts at `start` ends, and how.
    fn answer(&self, start: Instant, timeout: Duration) -> (Instant, Outcome) {
        let failure = |layer| Err(Failure::new(layer, "simulated"));
        let well = |at: Instant| at < self.stops || self.thaws.is_some_and(|it| at >= it);
        let end = start + self.latency;
        if well(start) && (end < self.stops || start >= self.stops) {
            return (end, Ok(()));
        }
        match self.how {
            Stop::Freeze => (start + timeout, failure(Layer::NoAnswer)),
            Stop::Refuse => (start.max(self.stops), failure(Layer::ConnectRefused)),
        }
    }
}

/// A watch, and its probes in flight as the kernel would hold them.
struct Simulation {
    watch: Watch,
    timing: HealthTiming,
    target: Target,
    flying: Vec<(Instant, ProbeNumber, Outcome)>,
    rng: fastrand::Rng,
    now: Instant,
    starts: Vec<Instant>,
    most_flying: usize,
}

impl Simulation {
    fn new(timing: &HealthTiming, from: Verdict, target: Target, now: Instant, seed: u64) -> Self {
        Self {
            watch: Watch::new(timing, from),
            timing: timing.clone(),
            target,
            flying: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
            now,
            starts: Vec::new(),
            most_flying: 0,
        }
    }

    /// Goes to the next event, not past `end`; what it found, and when.
    fn step(&mut self, end: Instant) -> Option<Finding> {
        let due = self.watch.due(self.now).map(|it| it.max(self.now));
        let answer = self.flying.iter().map(|it| it.0).min();
        let next = [due, answer].into_iter().flatten().min().unwrap_or(end);
        self.now = next.min(end);
        if next > end {
            return None;
        }
        if let Some(index) = self.flying.iter().position(|it| it.0 <= self.now) {
            let (_, number, outcome) = self.flying.remove(index);
            return self.watch.answered(number, &outcome, self.now);
        }
        let number = self.watch.started(self.now, self.rng.f64());
        let (end, outcome) = self.target.answer(self.now, self.timing.timeout);
        self.flying.push((end, number, outcome));
        self.starts.push(self.now);
        self.most_flying = self.most_flying.max(self.flying.len());
        None
    }

    /// Runs until the verdict is `wanted`, or `end`.
    fn until(&mut self, wanted: Verdict, end: Instant) -> Option<Finding> {
        while self.now < end {
            let found = self.step(end);
            if found.as_ref().is_some_and(|it| it.change.to == wanted) {
                return found;
            }
        }
        None
    }

    fn run(&mut self, end: Instant) {
        while self.now < end {
            self.step(end);
        }
    }
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[expect(
    clippy::disallowed_methods,
    reason = "an origin for simulated time; nothing depends on its value"
)]
fn origin() -> Instant {
    Instant::now()
}

fn timing(interval: u64, fast: u64, timeout: u64, fall: u8, rise: u8) -> HealthTiming {
    HealthTiming {
        interval: ms(interval),
        fast: ms(fast),
        timeout: ms(timeout),
        fall,
        rise,
    }
}

fn timings() -> Vec<HealthTiming> {
    vec![
        HealthTiming::default(),
        timing(2000, 2000, 1000, 3, 2),
        timing(1000, 900, 100, 3, 2),
        timing(1000, 50, 900, 5, 2),
        timing(1000, 20, 990, 12, 3),
        timing(300, 100, 250, 1, 1),
        timing(700, 33, 650, 2, 5),
        timing(20_000, 500, 5_000, 3, 2),
    ]
}

/// From a steady up, stopped at `offset` into the rhythm: suspect and down in time?
fn check_stop(timing: &HealthTiming, how: Stop, latency: Duration, offset: Duration, seed: u64) {
    let begin = origin();
    let stops = begin + timing.interval * 3 + offset;
    let target = Target {
        how,
        latency,
        stops,
        thaws: None,
    };
    let mut it = Simulation::new(timing, Verdict::Up, target, begin, seed);
    let context = format!("{timing:?} {how:?} latency {latency:?} offset {offset:?} seed {seed}");
    it.run(stops - ms(1));
    assert_eq!(it.watch.verdict(), Verdict::Up, "before: {context}");

    let wait = match how {
        Stop::Freeze => timing.timeout,
        Stop::Refuse => Duration::ZERO,
    };
    let bound = stops + timing.interval + timing.fast * u32::from(timing.fall - 1) + wait;
    let mut suspected = None;
    let mut down = None;
    while down.is_none() && it.now <= bound {
        match it.step(bound + ms(1)) {
            Some(found) if found.change.to == Verdict::Suspect => suspected = Some(it.now),
            Some(found) if found.change.to == Verdict::Down => down = Some(found),
            Some(found) => panic!("{found:?}: {context}"),
            None => {}
        }
    }
    let down = down.unwrap_or_else(|| panic!("not down within the bound: {context}"));
    assert!(it.now <= bound, "{context}");
    let failing = |start: &&Instant| target.answer(**start, timing.timeout).1.is_err();
    let first = *it.starts.iter().find(failing).unwrap();
    let seen = suspected.unwrap_or(it.now);
    assert_eq!(
        seen,
        target.answer(first, timing.timeout).0,
        "at the first failure: {context}"
    );
    assert!(seen <= stops + timing.interval + wait, "{context}");
    assert_eq!(down.first_detected, seen, "{context}");
}

#[test]
fn down_within_the_bound_at_every_millisecond_of_the_interval() {
    for (row, timing) in timings().iter().enumerate() {
        let step = if timing.interval > ms(2000) { 7 } else { 1 };
        for offset in (0..=u64::try_from(timing.interval.as_millis()).unwrap()).step_by(step) {
            for how in [Stop::Freeze, Stop::Refuse] {
                let seed = offset * 31 + u64::try_from(row).unwrap();
                check_stop(timing, how, ms(3), ms(offset), seed);
            }
        }
    }
}

#[test]
fn down_within_the_bound_at_random_moments_and_latencies() {
    for seed in 0..20_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let timing = rng.choice(timings()).unwrap();
        let latency = timing.timeout.mul_f64(rng.f64() * 0.99);
        let offset = timing.interval.mul_f64(rng.f64());
        let how = if rng.bool() {
            Stop::Freeze
        } else {
            Stop::Refuse
        };
        check_stop(&timing, how, latency, offset, seed);
    }
}

#[test]
fn the_default_bound_is_four_seconds() {
    let timing = HealthTiming::default();
    assert_eq!(timing.interval + timing.fast * 2 + timing.timeout, ms(4000));
}

/// A new run that listens `after` its start.
fn starting(timing: &HealthTiming, after: Duration, how: Stop) -> Duration {
    let begin = origin();
    let target = Target {
        how,
        latency: ms(2),
        stops: begin,
        thaws: Some(begin + after),
    };
    let mut it = Simulation::new(timing, Verdict::Down, target, begin, 7);
    it.until(Verdict::Up, begin + ms(120_000))
        .expect("comes up");
    it.now - (begin + after)
}

#[test]
fn a_new_run_is_up_soon_after_it_listens() {
    let timing = HealthTiming::default();
    for after in [0, 1, 180, 499, 501, 3_000, 12_345, 29_000] {
        for how in [Stop::Refuse, Stop::Freeze] {
            let took = starting(&timing, ms(after), how);
            let bound = timing.fast * 2 + ms(3);
            assert!(
                took <= bound,
                "listening after {after} ms, {how:?}: up {took:?} later"
            );
        }
    }
}

#[test]
fn a_target_long_down_is_probed_seldom_and_is_back_within_the_slowest_pace() {
    let timing = HealthTiming::default();
    let begin = origin();
    let thaws = begin + ms(300_000);
    let target = Target {
        how: Stop::Refuse,
        latency: ms(2),
        stops: begin,
        thaws: Some(thaws),
    };
    let mut it = Simulation::new(&timing, Verdict::Down, target, begin, 3);
    it.run(thaws - ms(1));
    let late = it
        .starts
        .iter()
        .filter(|it| **it > begin + ms(60_000))
        .count();
    assert!((16..=18).contains(&late), "{late} probes in 240 s");
    it.until(Verdict::Up, thaws + ms(60_000)).expect("comes up");
    assert!(it.now <= thaws + ms(15_000) + timing.fast + ms(4));
}

#[test]
fn a_hint_makes_a_target_long_down_fast_again() {
    let timing = HealthTiming::default();
    let begin = origin();
    let thaws = begin + ms(300_000);
    let target = Target {
        how: Stop::Refuse,
        latency: ms(2),
        stops: begin,
        thaws: Some(thaws),
    };
    let mut it = Simulation::new(&timing, Verdict::Down, target, begin, 3);
    it.run(thaws);
    it.watch.learn(&Evidence::MayBeBack, it.now);
    it.until(Verdict::Up, thaws + ms(60_000)).expect("comes up");
    assert!(
        it.now <= thaws + timing.fast + ms(4),
        "{:?}",
        it.now - thaws
    );
}

#[test]
fn an_ejected_target_that_passes_its_probes_is_back_right_after_the_hold() {
    let timing = HealthTiming::default();
    for (hold, at_least) in [
        (ms(10_000), ms(10_000)),
        (ms(300_000), ms(10_000)),
        (ms(700), ms(700)),
    ] {
        let begin = origin();
        let target = Target {
            how: Stop::Freeze,
            latency: ms(2),
            stops: begin + ms(900_000),
            thaws: None,
        };
        let mut it = Simulation::new(&timing, Verdict::Up, target, begin, 3);
        it.run(begin + ms(5_000));
        let ejected = it.now;
        let failure = Failure::new(Layer::Traffic, "5 requests in a row failed");
        let found = it
            .watch
            .learn(&Evidence::Eject(failure.clone(), ejected + hold), ejected);
        assert_eq!(found.unwrap().change.cause, Some(failure));
        let up = it
            .until(Verdict::Up, ejected + ms(60_000))
            .expect("comes up");
        let took = it.now - ejected;
        assert!(
            took >= at_least && took <= at_least + timing.fast + ms(4),
            "{took:?} of {hold:?}"
        );
        assert!(up.first_detected >= ejected + at_least);
    }
}

#[test]
fn outstanding_probes_are_bounded() {
    let timing = timing(60_000, 10, 50_000, 3, 2);
    let begin = origin();
    let target = Target {
        how: Stop::Freeze,
        latency: ms(1),
        stops: begin,
        thaws: None,
    };
    let mut it = Simulation::new(&timing, Verdict::Down, target, begin, 3);
    it.run(begin + ms(40_000));
    assert_eq!(it.most_flying, 8);
    assert_eq!(it.watch.due(it.now), None);
}

/// Outcomes in any order: up is never concluded past a known failure of a probe that started later.
#[test]
fn a_stale_pass_never_restores() {
    for seed in 0..3_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut now = origin();
        let mut watch = Watch::new(&timing(1000, 100, 800, 3, 2), Verdict::Up);
        let mut flying = Vec::new();
        let mut newest_failure = None;
        let mut restored = 0;
        for _ in 0..200 {
            now += ms(rng.u64(1..100));
            if watch.due(now).is_some() && rng.bool() {
                flying.push(watch.started(now, rng.f64()));
            } else if !flying.is_empty() {
                let number = flying.swap_remove(rng.usize(..flying.len()));
                let outcome = if rng.u8(..10) < 6 {
                    Ok(())
                } else {
                    newest_failure = newest_failure.max(Some(number));
                    Err(Failure::new(Layer::NoAnswer, "simulated"))
                };
                let found = watch.answered(number, &outcome, now);
                if found.is_some_and(|it| it.change.to == Verdict::Up) {
                    restored += 1;
                    assert!(Some(number) > newest_failure, "seed {seed}");
                }
            }
        }
        assert!(restored > 0, "seed {seed} tests nothing");
    }
}
