//! Rows of measures over time, and what follows.

use super::*;
use crate::Room;
use minato_config::Scale;
use std::time::Instant;

/// One service under a load, a decision each [`PERIOD`].
struct Play {
    scale: Scale,
    least: u16,
    wanted: u16,
    scaler: Scaler,
    now: Instant,
    room: Room,
    state: State,
    alarm: Option<String>,
    reason: String,
}

impl Play {
    /// From 1 to `max` with 40 in flight each.
    #[expect(clippy::disallowed_methods, reason = "any moment to begin from")]
    fn new(max: u16) -> Self {
        let now = Instant::now();
        Self {
            scale: Scale {
                max,
                in_flight: Some(40),
                p95: None,
                cpu_percent: None,
            },
            least: 1,
            wanted: 1,
            scaler: Scaler::new(WINDOW, now),
            now,
            room: Room {
                slots: u16::MAX,
                lacking: None,
            },
            state: State::Steady,
            alarm: None,
            reason: String::new(),
        }
    }

    fn wanting(mut self, wanted: u16) -> Self {
        self.wanted = wanted;
        self
    }

    fn see(&mut self, measures: Measures) -> u16 {
        let sight = Sight {
            scale: &self.scale,
            least: self.least,
            wanted: self.wanted,
            ready: self.wanted,
            measures,
            state: self.state,
        };
        let room = self.room.clone();
        let room = |number: u16| Room {
            slots: room.slots.min(number),
            ..room
        };
        let decision = self.scaler.decide(&sight, room, self.now);
        self.now += PERIOD;
        self.wanted = decision.replicas;
        self.alarm = decision.alarm;
        self.reason = decision.reason;
        self.wanted
    }

    /// So many in flight for so long; the numbers on the way, each once.
    fn load(&mut self, in_flight: u64, seconds: u64) -> Vec<u16> {
        let rounds = seconds / PERIOD.as_secs();
        let mut numbers: Vec<u16> = (0..rounds).map(|_| self.see(known(in_flight))).collect();
        numbers.dedup();
        numbers
    }
}

fn known(in_flight: u64) -> Measures {
    Measures {
        in_flight: Some(in_flight),
        ..Measures::default()
    }
}

#[test]
fn a_load_step_of_four_is_answered_at_once_and_ends_after_the_window() {
    let mut play = Play::new(8);
    assert_eq!(play.load(40, 600), [1]);
    assert_eq!(play.load(160, 15), [4]);
    assert_eq!(play.reason, "160 in flight of 40 each");
    assert_eq!(play.load(160, 600), [4]);
    // As many as before until nobody has asked for four for 300 s.
    assert_eq!(play.load(40, 300), [4]);
    assert_eq!(play.load(40, 15), [1]);
    assert_eq!(play.reason, "10 in flight of 40 each, for 300s");
}

#[test]
fn a_step_adds_at_most_four_or_as_many_as_there_are() {
    let mut play = Play::new(100);
    assert_eq!(play.load(4_000, 90), [5, 10, 20, 40, 80, 100]);
}

#[test]
fn a_saw_tooth_does_not_flap() {
    let mut play = Play::new(8);
    let mut numbers = Vec::new();
    for _ in 0..20 {
        numbers.extend(play.load(160, 60));
        numbers.extend(play.load(20, 60));
    }
    numbers.dedup();
    assert_eq!(numbers, [4]);
}

#[test]
fn within_a_tenth_nothing_changes() {
    let mut play = Play::new(8).wanting(2);
    assert_eq!(play.load(88, 900), [2]);
    assert_eq!(play.load(72, 900), [2]);
    assert_eq!(play.load(89, 15), [3]);
}

#[test]
fn nothing_shrinks_on_a_gap_and_it_grows_by_what_is_known() {
    let mut play = Play::new(8).wanting(4);
    play.load(160, 300);
    let gap = |in_flight| Measures {
        in_flight,
        gap: Some("gateway b does not tell its load".to_owned()),
        ..Measures::default()
    };
    for _ in 0..100 {
        assert_eq!(play.see(gap(Some(10))), 4);
        assert_eq!(play.see(gap(None)), 4);
    }
    // All is known again: a whole window passes before it shrinks.
    assert_eq!(play.load(40, 285), [4]);
    assert_eq!(play.load(40, 15), [1]);
    assert_eq!(play.see(gap(Some(160))), 4);
}

#[test]
fn one_missing_figure_in_between_begins_the_window_anew() {
    let mut play = Play::new(8).wanting(4);
    assert_eq!(play.load(40, 285), [4]);
    assert_eq!(play.see(Measures::default()), 4);
    assert_eq!(play.load(40, 285), [4]);
    assert_eq!(play.load(40, 15), [1]);
}

#[test]
fn nothing_changes_while_an_update_is_under_way() {
    let mut play = Play::new(8).wanting(2);
    play.load(80, 600);
    play.state = State::Updating;
    assert_eq!(play.load(400, 300), [2]);
    assert_eq!(play.load(0, 900), [2]);
    play.state = State::Steady;
    // What was asked for meanwhile says nothing.
    assert_eq!(play.load(0, 285), [2]);
    assert_eq!(play.load(0, 15), [1]);
}

#[test]
fn at_the_most_it_says_so_while_it_lasts() {
    let mut play = Play::new(4);
    assert_eq!(play.load(400, 15), [4]);
    assert_eq!(play.alarm, None);
    play.load(400, 15);
    assert_eq!(
        play.alarm.as_deref(),
        Some(
            "the load asks for more than 4 instances, the most that its file allows; raise `max` of `replicas`"
        )
    );
    let said = play.alarm.clone();
    play.load(900, 15);
    assert_eq!(play.alarm, said);
    play.load(160, 15);
    assert_eq!(play.alarm, None);
}

#[test]
fn beyond_the_nodes_room_it_says_what_is_missing() {
    let mut play = Play::new(8);
    play.room = Room {
        slots: 2,
        lacking: Some("no node has 512 MiB left".to_owned()),
    };
    assert_eq!(play.load(160, 60), [2]);
    assert_eq!(
        play.alarm.as_deref(),
        Some("the load asks for more instances than the nodes take: no node has 512 MiB left")
    );
    // Fewer than there are is no reason to stop some.
    play.room.slots = 0;
    assert_eq!(play.load(160, 60), [2]);
    play.room.slots = 9;
    assert_eq!(play.load(160, 15), [4]);
    assert_eq!(play.alarm, None);
}

#[test]
fn an_operators_number_wins_and_it_goes_on_from_there() {
    let mut play = Play::new(4);
    for (said, follows) in [(3, 3), (9, 4), (1, 1)] {
        play.state = State::ByHand(said);
        assert_eq!(play.load(4_000, 600), [follows]);
    }
    play.state = State::ByHand(3);
    play.load(0, 600);
    play.state = State::Steady;
    assert_eq!(play.load(0, 285), [3]);
    assert_eq!(play.load(0, 15), [1]);
}

#[test]
fn the_files_bounds_hold_at_once() {
    let mut play = Play::new(4).wanting(6);
    assert_eq!(play.load(600, 15), [4]);
    assert_eq!(play.reason, "the file says 1 to 4");
    play.least = 2;
    play.wanted = 1;
    assert_eq!(play.see(Measures::default()), 2);
    assert_eq!(play.load(0, 600), [2]);
}

#[test]
fn percentiles_of_before_a_change_ask_for_nothing() {
    let mut play = Play::new(100);
    play.scale.in_flight = None;
    play.scale.p95 = Some(Duration::from_millis(100));
    let slow = |ms| Measures {
        in_flight: Some(1),
        p95: Some(Duration::from_millis(ms)),
        ..Measures::default()
    };
    assert_eq!(play.see(slow(200)), 2);
    // The percentiles still hold requests of before.
    let numbers: Vec<u16> = (0..4).map(|_| play.see(slow(200))).collect();
    assert_eq!(numbers, [2, 2, 2, 4]);
    // Idle: one fewer after the percentiles' minute and a window.
    let numbers: Vec<u16> = (0..80).map(|_| play.see(slow(1))).collect();
    assert_eq!(numbers.iter().filter(|it| **it == 3).count(), 24);
    assert_eq!(numbers.last(), Some(&1));
}

#[test]
fn what_is_about_to_move_here_is_grown_for_and_keeps_that_for_a_window() {
    let mut play = Play::new(8);
    assert_eq!(play.load(0, 600), [1]);
    play.state = State::Arriving(6);
    // In steps, as ever.
    assert_eq!(play.load(0, 60), [5, 6]);
    assert_eq!(play.reason, "");
    // It is here; its load has not been seen yet.
    play.state = State::Steady;
    assert_eq!(play.load(40, 285), [6]);
    assert_eq!(play.load(40, 15), [1]);
    // No more than the machines take, and it is said.
    play.state = State::Arriving(6);
    play.room = Room {
        slots: 3,
        lacking: Some("no node has 512 MiB left".to_owned()),
    };
    assert_eq!(play.load(0, 30), [3]);
    let alarm = play.alarm.clone().unwrap();
    assert!(alarm.contains("512 MiB"), "{alarm}");
}
