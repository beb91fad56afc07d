use super::*;
use crate::Layer;
use std::time::Duration;

#[expect(
    clippy::disallowed_methods,
    reason = "an origin for simulated time; nothing depends on its value"
)]
fn origin() -> Instant {
    Instant::now()
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn failure() -> Failure {
    Failure::new(Layer::Status, "503")
}

/// A watch and its clock; probes answer 1 ms after their start.
struct Driven {
    watch: Watch,
    now: Instant,
}

impl Driven {
    fn new(start: Verdict) -> Self {
        Self {
            watch: Watch::new(&HealthTiming::default(), start),
            now: origin(),
        }
    }

    /// Waits for the next probe; how long, and what its outcome found.
    fn probe(&mut self, outcome: &Outcome) -> (Duration, Option<Finding>) {
        let before = self.now;
        // As the shell does: look again when it is due.
        let due = self.watch.due(self.now).unwrap().max(self.now);
        self.now = self.watch.due(due).unwrap().max(due);
        let waited = self.now - before;
        let number = self.watch.started(self.now, 0.0);
        self.now += ms(1);
        (waited, self.watch.answered(number, outcome, self.now))
    }

    fn pass(&mut self) -> Option<Finding> {
        self.probe(&Ok(())).1
    }

    fn fail(&mut self) -> Option<Finding> {
        self.probe(&Err(failure())).1
    }
}

#[test]
fn a_row_is_detected_by_its_first_outcome() {
    let mut it = Driven::new(Verdict::Down);
    assert_eq!(it.pass(), None);
    it.fail();
    assert_eq!(it.pass(), None);
    let first = it.now;
    assert_eq!(
        it.pass().unwrap().first_detected,
        first,
        "the broken row is forgotten"
    );
    assert_eq!(it.fail().unwrap().first_detected, it.now);
    let first = it.now;
    it.fail();
    let down = it.fail().unwrap();
    assert_eq!(
        (down.change.to, down.first_detected),
        (Verdict::Down, first)
    );
}

#[test]
fn the_pass_that_restores_a_suspect_is_its_own_detection() {
    let mut it = Driven::new(Verdict::Up);
    it.fail().unwrap();
    let up = it.pass().unwrap();
    assert_eq!((up.change.to, up.first_detected), (Verdict::Up, it.now));
}

#[test]
fn an_ejection_of_a_suspect_was_detected_when_it_was_suspected() {
    let mut it = Driven::new(Verdict::Up);
    it.watch
        .learn(&Evidence::ConnectFailed(failure()), it.now)
        .unwrap();
    let (suspected, ejected) = (it.now, it.now + ms(20));
    let evidence = Evidence::Eject(failure(), ejected + ms(10_000));
    let down = it.watch.learn(&evidence, ejected).unwrap();
    assert_eq!(
        (down.change.from, down.first_detected),
        (Verdict::Suspect, suspected)
    );
}

#[test]
fn the_latest_failure_is_kept_until_it_is_up() {
    let mut it = Driven::new(Verdict::Down);
    assert_eq!(it.watch.last_failure(), None);
    it.fail();
    it.pass();
    assert_eq!(it.watch.last_failure(), Some(&failure()));
    it.pass();
    assert_eq!(it.watch.last_failure(), None);
}

#[test]
fn one_that_was_up_is_starting_no_longer() {
    let mut it = Driven::new(Verdict::Down);
    while it.watch.verdict() != Verdict::Up {
        it.pass();
    }
    while it.watch.verdict() != Verdict::Down {
        it.fail();
    }
    let waited = it.probe(&Err(failure())).0;
    assert_eq!(waited, ms(1999), "not fast, though within its first 30 s");
}

#[test]
fn after_a_hold_it_is_probed_fast_even_if_the_first_probe_fails() {
    let mut it = Driven::new(Verdict::Up);
    it.pass();
    let end = it.now + EJECTION_HOLD;
    it.watch
        .learn(&Evidence::Eject(failure(), end + ms(90_000)), it.now);
    while it.now < end {
        assert_eq!(it.pass(), None, "passes count for nothing in the hold");
    }
    it.fail();
    assert_eq!(it.probe(&Err(failure())).0, ms(499));
}

#[test]
fn a_probe_without_an_outcome_changes_nothing() {
    let mut it = Driven::new(Verdict::Up);
    let number = it.watch.started(it.now, 0.0);
    it.watch.abandoned(number);
    assert_eq!(it.watch.answered(number, &Err(failure()), it.now), None);
    assert_eq!(
        (it.watch.verdict(), it.watch.last_failure()),
        (Verdict::Up, None)
    );
    let due = it.watch.due(it.now).unwrap();
    assert_eq!(due - it.now, ms(2000), "none is outstanding");
}
