//! Every order of a few threads at one endpoint, by loom: limits hold, counts come back to zero, and what is out for good
//! never comes back.

#![cfg(loom)]

use super::*;
use crate::sample::endpoint;
use loom::thread;

/// Runs both, in every order, on an endpoint that is up; then looks.
fn both(
    one: impl Fn(&Arc<Endpoint>) + Send + Sync + Copy + 'static,
    other: impl Fn(&Arc<Endpoint>) + Send + Sync + Copy + 'static,
    then: impl Fn(&Endpoint) + Send + Sync + Copy + 'static,
) {
    loom::model(move || {
        let endpoint = endpoint(0, 0, Verdict::Up);
        let there = Arc::clone(&endpoint);
        let thread = thread::spawn(move || other(&there));
        one(&endpoint);
        thread.join().unwrap();
        then(&endpoint);
    });
}

fn is_at_rest(endpoint: &Endpoint) {
    let counts = (
        endpoint.in_flight(),
        endpoint.connections(),
        endpoint.idle_connections(),
    );
    assert_eq!(counts, (0, 0, 0));
}

#[test]
fn one_place_is_never_taken_twice() {
    loom::model(|| {
        let endpoint = endpoint(0, 0, Verdict::Up);
        let there = Arc::clone(&endpoint);
        let thread = thread::spawn(move || there.connect(1));
        let here = endpoint.connect(1);
        let there = thread.join().unwrap();
        assert!(here.is_some() != there.is_some());
        assert_eq!(endpoint.connections(), 1);
        drop((here, there));
        is_at_rest(&endpoint);
    });
}

/// A place that was given back can be taken again, and the limit holds all the while.
#[test]
fn places_come_back() {
    fn pass(endpoint: &Arc<Endpoint>) {
        if let Some(mut connection) = endpoint.connect(1) {
            assert_eq!(endpoint.connections(), 1);
            connection.rest();
        }
    }
    both(
        |it| {
            pass(it);
            pass(it);
        },
        pass,
        is_at_rest,
    );
}

#[test]
fn idle_connections_add_up() {
    fn pass(endpoint: &Arc<Endpoint>) {
        let mut connection = endpoint.connect(0).unwrap();
        connection.rest();
        assert!(endpoint.idle_connections() >= 1);
        connection.work();
        connection.rest();
    }
    both(pass, pass, is_at_rest);
}

#[test]
fn requests_in_flight_add_up() {
    fn pass(endpoint: &Arc<Endpoint>) {
        let in_flight = endpoint.begin();
        assert!((1..=2).contains(&endpoint.in_flight()));
        drop(in_flight);
    }
    both(pass, pass, is_at_rest);
}

#[test]
fn what_is_retired_never_comes_back() {
    both(
        |it| it.retire(),
        |it| {
            it.set_standing(Standing::Up);
            it.suspect_now();
            it.drain();
        },
        |it| assert_eq!(it.standing(), Standing::Out),
    );
    // Nor does anyone see it come back.
    both(
        |it| {
            let was_out = it.is_out();
            assert!(!was_out || it.is_out());
        },
        |it| {
            it.set_standing(Standing::Held);
            it.retire();
            it.set_standing(Standing::Up);
        },
        |it| assert!(it.is_out()),
    );
}

#[test]
fn what_drains_takes_no_requests_again() {
    for standing in [Standing::Up, Standing::Suspect, Standing::Held] {
        both(
            |it| it.drain(),
            move |it| it.set_standing(standing),
            |it| assert_eq!(it.standing(), Standing::Draining),
        );
    }
    both(
        |it| it.drain(),
        |it| it.set_standing(Standing::Out),
        |it| assert!(it.is_out() && it.is_draining()),
    );
}

#[test]
fn one_failed_connect_makes_it_suspect() {
    loom::model(|| {
        let endpoint = endpoint(0, 0, Verdict::Up);
        let there = Arc::clone(&endpoint);
        let thread = thread::spawn(move || there.suspect_now());
        let here = endpoint.suspect_now();
        assert!(here != thread.join().unwrap());
        assert_eq!(endpoint.standing(), Standing::Suspect);
    });
}

/// A connect that fails late says nothing against what the health loop has decided meanwhile.
#[test]
fn a_failed_connect_brings_nothing_back() {
    both(
        |it| {
            it.suspect_now();
        },
        |it| it.set_standing(Standing::Out),
        |it| assert!(it.is_out()),
    );
    both(
        |it| {
            it.suspect_now();
        },
        |it| it.set_standing(Standing::Held),
        |it| assert_eq!(it.standing(), Standing::Held),
    );
}

/// Marks beside the standing are not lost when both change at once.
#[test]
fn marks_and_standing_change_at_once() {
    both(
        |it| it.set_reach(Reach::Refusing),
        |it| {
            it.set_standing(Standing::Out);
            it.set_checks(Checks::Off);
        },
        |it| {
            assert_eq!(
                (it.reach(), it.standing()),
                (Reach::Refusing, Standing::Out)
            );
            assert!(it.has_been_up() && !it.suspect_now());
        },
    );
}

#[test]
fn every_count_of_a_streak_is_seen_once() {
    let now = start();
    loom::model(move || {
        let endpoint = endpoint(0, 0, Verdict::Up);
        let there = Arc::clone(&endpoint);
        let thread = thread::spawn(move || there.record(AttemptEnd::Reset, now));
        let here = endpoint.record(AttemptEnd::Reset, now);
        let mut seen = [here, thread.join().unwrap()];
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
        assert_eq!(endpoint.load(now), 2);
    });
}

/// A success among failures ends the streak, whichever came first.
#[test]
fn a_success_ends_a_streak() {
    let now = start();
    both(
        move |it| {
            it.record(AttemptEnd::Reset, now);
        },
        move |it| assert_eq!(it.record(AttemptEnd::Answered(200), now), 0),
        |it| assert!(it.failures() <= 1),
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "an Instant to count from; the models do not look at it"
)]
fn start() -> Instant {
    Instant::now()
}
