use super::*;
use crate::sample::endpoint;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

#[expect(
    clippy::disallowed_methods,
    reason = "an Instant to count from; the tests move it by hand"
)]
fn start() -> Instant {
    Instant::now()
}

/// What may happen to an endpoint.
#[derive(Debug, Clone, Copy)]
enum Do {
    Set(Standing),
    Drain,
    Retire,
    Connect,
}

#[test]
fn standings_change_as_documented() {
    use Do::{Connect, Drain, Retire, Set};
    use Standing::{Draining, Held, Out, Suspect, Up};
    let table: [(Verdict, &[Do], Standing); 17] = [
        (Verdict::Up, &[], Up),
        (Verdict::Suspect, &[], Suspect),
        (Verdict::Down, &[], Out),
        (Verdict::Down, &[Set(Up)], Up),
        (Verdict::Up, &[Set(Held)], Held),
        (Verdict::Up, &[Connect], Suspect),
        (Verdict::Up, &[Set(Held), Connect], Held),
        (Verdict::Down, &[Connect], Out),
        (Verdict::Up, &[Connect, Set(Up)], Up),
        (Verdict::Up, &[Drain], Draining),
        (Verdict::Up, &[Drain, Connect], Draining),
        (Verdict::Up, &[Set(Draining), Set(Up)], Draining),
        (Verdict::Up, &[Drain, Set(Suspect), Set(Held)], Draining),
        (Verdict::Up, &[Drain, Set(Out)], Out),
        (Verdict::Down, &[Drain, Set(Up)], Out),
        (Verdict::Up, &[Retire, Set(Up), Drain], Out),
        (Verdict::Up, &[Drain, Retire], Out),
    ];
    for (verdict, doings, expected) in table {
        let endpoint = endpoint(0, 0, verdict);
        for doing in doings {
            match *doing {
                Set(standing) => endpoint.set_standing(standing),
                Drain => endpoint.drain(),
                Retire => endpoint.retire(),
                Connect => {
                    endpoint.suspect_now();
                }
            }
        }
        assert_eq!(endpoint.standing(), expected, "{verdict:?} {doings:?}");
        assert_eq!(endpoint.is_out(), expected == Out);
    }
}

#[test]
fn marks_beside_the_standing_keep_to_themselves() {
    let endpoint = endpoint(0, 0, Verdict::Down);
    assert!(!endpoint.has_been_up());
    for reach in [Reach::Refusing, Reach::Stopped, Reach::Open] {
        endpoint.set_reach(reach);
        assert_eq!(endpoint.reach(), reach);
        assert_eq!(endpoint.standing(), Standing::Out);
    }
    endpoint.remember_up();
    assert!(endpoint.has_been_up());
    assert_eq!(endpoint.standing(), Standing::Out);
    let doubted = crate::sample::endpoint(0, 0, Verdict::Suspect);
    doubted.set_standing(Standing::Out);
    assert!(doubted.has_been_up());
    endpoint.set_standing(Standing::Held);
    endpoint.set_reach(Reach::Refusing);
    assert_eq!(
        (endpoint.standing(), endpoint.reach()),
        (Standing::Held, Reach::Refusing)
    );
    assert!(endpoint.has_been_up() && !endpoint.is_draining());
}

#[test]
fn without_checks_a_failed_connect_changes_nothing() {
    let endpoint = endpoint(0, 0, Verdict::Up);
    endpoint.set_checks(Checks::Off);
    assert!(!endpoint.suspect_now());
    assert_eq!(endpoint.standing(), Standing::Up);
    endpoint.set_checks(Checks::On);
    assert!(endpoint.suspect_now());
}

#[test]
fn one_of_many_failed_connects_makes_it_suspect() {
    let endpoint = endpoint(0, 0, Verdict::Up);
    for _ in 0..500 {
        endpoint.set_standing(Standing::Up);
        let barrier = std::sync::Barrier::new(4);
        let made = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    made.fetch_add(u32::from(endpoint.suspect_now()), Ordering::Relaxed);
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
        assert_eq!(endpoint.standing(), Standing::Suspect);
    }
}

#[test]
fn a_failure_weighs_one_request_for_a_second() {
    let endpoint = endpoint(0, 0, Verdict::Up);
    let start = start();
    let at = |ms| start + Duration::from_millis(ms);
    assert_eq!(endpoint.load(at(0)), 0);
    let _one = endpoint.begin();
    endpoint.record(AttemptEnd::Reset, at(0));
    endpoint.record(AttemptEnd::Answered(503), at(100));
    endpoint.record(AttemptEnd::Answered(500), at(100));
    endpoint.record(AttemptEnd::Abandoned, at(100));
    endpoint.record(AttemptEnd::TimedOut, at(600));
    // For 1 s whole, and gone a quarter later.
    for (ms, expected) in [
        (0, 4),
        (600, 4),
        (1_100, 4),
        (1_350, 2),
        (1_600, 2),
        (1_850, 1),
        (90_000, 1),
    ] {
        assert_eq!(endpoint.load(at(ms)), expected, "at {ms} ms");
    }
    // Another failure long after wakes none of the old ones.
    endpoint.record(AttemptEnd::ConnectFailed, at(90_000));
    assert_eq!(endpoint.load(at(90_000)), 2);
    // A clock that is read earlier on another core sees it all the same, and a late record does no harm.
    assert_eq!(endpoint.load(at(89_000)), 2);
    endpoint.record(AttemptEnd::ConnectFailed, at(80_000));
    assert!(endpoint.load(at(90_000)) <= 3);
}

#[test]
fn failures_in_a_row_end_with_a_success() {
    use AttemptEnd::{Abandoned, Answered, ConnectFailed, Invalid, Reset, TimedOut};
    let endpoint = endpoint(0, 0, Verdict::Up);
    let now = start();
    for (end, expected) in [
        (Reset, 1),
        (ConnectFailed, 2),
        (Abandoned, 2),
        (TimedOut, 3),
        (Invalid, 4),
        (Answered(504), 5),
        (Answered(502), 6),
        (Answered(500), 0),
        (Abandoned, 0),
        (Reset, 1),
        (Answered(200), 0),
    ] {
        assert_eq!(endpoint.record(end, now), expected, "{end:?}");
        assert_eq!(endpoint.failures(), expected);
    }
}

#[test]
fn coming_back_forgets_old_failures_but_one_passed_probe_does_not() {
    let now = start();
    for (away, left) in [
        (Standing::Out, 0),
        (Standing::Held, 0),
        (Standing::Suspect, 4),
    ] {
        let endpoint = endpoint(0, 0, Verdict::Up);
        (0..4).for_each(|_| {
            endpoint.record(AttemptEnd::Reset, now);
        });
        endpoint.set_standing(away);
        assert_eq!(endpoint.failures(), 4);
        endpoint.set_standing(Standing::Up);
        assert_eq!(endpoint.failures(), left, "{away:?}");
    }
}

#[test]
fn every_count_of_a_streak_is_seen_by_exactly_one_thread() {
    let endpoint = endpoint(0, 0, Verdict::Up);
    let now = start();
    let seen = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mine: Vec<_> = (0..2_500)
                    .map(|_| endpoint.record(AttemptEnd::Reset, now))
                    .collect();
                seen.lock().unwrap().extend(mine);
            });
        }
    });
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.len(), 10_000);
    assert_eq!(
        seen.into_iter().collect::<BTreeSet<_>>(),
        (1..=10_000).collect()
    );
    assert_eq!(endpoint.load(now), 10_000);
}

#[test]
fn every_request_gives_its_place_back() {
    let endpoint = endpoint(0, 0, Verdict::Up);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let endpoint = &endpoint;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                let mut held: Vec<InFlight> = Vec::new();
                for _ in 0..20_000 {
                    if held.len() < 50 && random.bool() {
                        held.push(endpoint.begin());
                        assert!(endpoint.in_flight() as usize >= held.len());
                    } else {
                        held.pop();
                    }
                }
            });
        }
    });
    assert_eq!(endpoint.in_flight(), 0);
    let guard = endpoint.begin();
    assert!(Arc::ptr_eq(guard.endpoint(), &endpoint));
    assert_eq!(endpoint.in_flight(), 1);
}
