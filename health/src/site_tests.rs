//! Courses second by second.

use super::*;
use minato_config::Timestamp;

#[expect(clippy::disallowed_methods, reason = "any moment will do")]
fn start() -> Instant {
    Instant::now()
}

fn observe(course: &mut Course, letter: char, now: Instant) -> Option<Turn> {
    let condition = match letter {
        'w' => Condition::Well,
        'd' => Condition::Degraded,
        's' => Condition::Silent,
        'u' => Condition::Unreached,
        _ => Condition::Gone,
    };
    course.observe(condition, Moves::ByItself, Moves::ByItself, now)
}

/// What is seen, as `w3 g4`: for each second one observation, the first at second 0. Expects turns with their second, in words.
#[track_caller]
fn check(seen: &str, expected: &[(u64, Turn)]) -> Course {
    check_from(Course::new(start()), seen, expected)
}

#[track_caller]
fn check_from(mut course: Course, seen: &str, expected: &[(u64, Turn)]) -> Course {
    let begin = course.since;
    let mut second = 0;
    let mut turns = Vec::new();
    for word in seen.split(' ') {
        let letter = word.chars().next().unwrap();
        let count: u64 = word[1..].parse().unwrap();
        for _ in 0..count {
            let now = begin + Duration::from_secs(second);
            if let Some(turn) = observe(&mut course, letter, now) {
                turns.push((second, turn));
            }
            second += 1;
        }
    }
    assert_eq!(turns, expected, "{seen}");
    course
}

#[test]
fn what_was_never_well_has_nothing_to_leave() {
    let course = check("g300", &[]);
    assert_eq!(course.allows().percent, 100);
}

#[test]
fn it_is_left_after_three_seconds_and_a_blink_is_nothing() {
    check("w5 g3 w5", &[]);
    check("w5 g2 w1 g3 w1 g3 w5", &[]);
    // Who has been silent for so long already is left at once.
    check("w5 s1", &[(5, Turn::Leaves)]);
    check("s9 w5", &[]);
    let course = check("w5 g4", &[(8, Turn::Leaves)]);
    assert_eq!(course.allows().percent, 0);
}

#[test]
fn it_comes_back_after_a_minute_in_steps() {
    let left = (8, Turn::Leaves);
    // Well from second 10 on.
    check("w5 g5 w60", &[left]);
    check("w5 g5 w61", &[left, (70, Turn::Returns(10))]);
    let course = check(
        "w5 g5 w75",
        &[left, (70, Turn::Returns(10)), (80, Turn::Returns(50))],
    );
    assert_eq!(course.allows().percent, 50);
    let steps = [
        left,
        (70, Turn::Returns(10)),
        (80, Turn::Returns(50)),
        (90, Turn::Back),
    ];
    let course = check("w5 g5 w100", &steps);
    let whole = Leave {
        percent: 100,
        is_measured: false,
    };
    assert_eq!(course.allows(), whole);
    // The minute begins anew with each failure, a degraded second too.
    check("w5 g5 w50 g1 w60", &[left]);
    check("w5 g5 w50 d1 w60", &[left]);
}

#[test]
fn a_failure_within_the_steps_ends_them_at_once() {
    check(
        "w5 g5 w65 g1 w10",
        &[
            (8, Turn::Leaves),
            (70, Turn::Returns(10)),
            (75, Turn::Leaves),
        ],
    );
}

#[test]
fn what_it_cannot_carry_leaves_after_ten_seconds() {
    check("w5 d10 w5", &[]);
    let course = check("w5 d11", &[(15, Turn::Spills)]);
    let measured = Leave {
        percent: 100,
        is_measured: true,
    };
    assert_eq!(course.allows(), measured);
    check("w5 d20 w5", &[(15, Turn::Spills), (25, Turn::Whole)]);
    check("w5 d20 g4", &[(15, Turn::Spills), (28, Turn::Leaves)]);
}

#[test]
fn after_three_swings_within_an_hour_it_waits_for_a_person() {
    let once = "g4 w100";
    let seen = format!("w5 {once} {once} g4 w4000");
    let back = |at: u64| {
        [
            (at, Turn::Returns(10)),
            (at + 10, Turn::Returns(50)),
            (at + 20, Turn::Back),
        ]
    };
    let mut expected = vec![(8, Turn::Leaves)];
    expected.extend(back(69));
    expected.push((112, Turn::Leaves));
    expected.extend(back(173));
    expected.push((216, Turn::Leaves));
    expected.push((277, Turn::Holds));
    let mut course = check(&seen, &expected);
    assert_eq!(course.allows().percent, 0);
    course.release();
    assert_eq!(course.allows().percent, 100);
    // Three within more than an hour are none too many.
    let slow = "w5 g4 w3700 g4 w3700 g4 w100";
    let course = check(
        slow,
        &[
            &[(8, Turn::Leaves)][..],
            &back(69),
            &[(3_712, Turn::Leaves)],
            &back(3_773),
            &[(7_416, Turn::Leaves)],
            &back(7_477),
        ]
        .concat(),
    );
    assert_eq!(course.allows().percent, 100);
}

#[test]
fn a_person_is_asked_once() {
    let begin = start();
    let mut course = Course::new(begin);
    let mut told = Vec::new();
    for second in 0..200 {
        let now = begin + Duration::from_secs(second);
        let condition = match second {
            0..5 => Condition::Well,
            5..20 => Condition::Gone,
            _ => Condition::Well,
        };
        told.extend(course.observe(condition, Moves::WhenTold, Moves::ByItself, now));
        assert_eq!(course.allows().percent, 100);
    }
    assert_eq!(told, [Turn::AsksToLeave]);
    let mut told = Vec::new();
    let mut course = Course::new(begin);
    for second in 0..200 {
        let now = begin + Duration::from_secs(second);
        let condition = match second {
            5..20 => Condition::Gone,
            _ => Condition::Well,
        };
        told.extend(course.observe(condition, Moves::ByItself, Moves::WhenTold, now));
    }
    assert_eq!(told, [Turn::Leaves, Turn::AsksToReturn]);
    assert_eq!(course.allows().percent, 0);
}

#[test]
fn where_a_person_moves_visitors_nothing_is_said_to_spill() {
    let begin = start();
    let mut course = Course::new(begin);
    for second in 0..60 {
        let now = begin + Duration::from_secs(second);
        let condition = if second < 5 {
            Condition::Well
        } else {
            Condition::Degraded
        };
        let turn = course.observe(condition, Moves::WhenTold, Moves::ByItself, now);
        assert_eq!(turn, None, "second {second}");
    }
}

#[test]
fn what_only_this_entrance_cannot_reach_is_left_later_and_is_no_swing() {
    check("w5 u9 w5", &[]);
    let course = check("w5 u11 w5", &[(15, Turn::LeavesAlone)]);
    assert_eq!(course.swings.len(), 0);
    // Once the others lose it too it is left at once.
    let course = check("w5 u2 s1", &[(7, Turn::Leaves)]);
    assert_eq!(course.swings.len(), 1);
    check("u99", &[]);
    // On its way back.
    check(
        "w5 g5 w62 u1",
        &[
            (8, Turn::Leaves),
            (70, Turn::Returns(10)),
            (72, Turn::LeavesAlone),
        ],
    );
}

/// Seconds of wall time; the process before ends `after` its begin, the next starts at the same moment.
fn restarted(course: &Course, second: u64) -> Course {
    let now = course.since + Duration::from_secs(second);
    let text = serde_json::to_string(&course.memory(now, Timestamp(9_000_000))).unwrap();
    let memory: Memory = serde_json::from_str(&text).unwrap();
    Course::recall(&memory, now, Timestamp(9_000_000))
}

#[test]
fn that_it_was_left_and_how_often_outlives_the_process() {
    let left = check("w5 g4", &[(8, Turn::Leaves)]);
    let again = restarted(&left, 4);
    assert_eq!(again.allows().percent, 0);
    // The minute begins anew.
    check_from(again.clone(), "s2 w60", &[]);
    let mut course = check_from(again, "s2 w61", &[(62, Turn::Returns(10))]);
    for _ in 0..2 {
        course = restarted(&course, 0);
        assert_eq!(course.allows().percent, 10, "also on its way back");
        course = check_from(course, "w1 g1", &[(1, Turn::Leaves)]);
        course = check_from(restarted(&course, 0), "w1", &[]);
        course.stage = Stage::Step(0, course.since);
    }
    course.stage = Stage::Away;
    let course = check_from(restarted(&course, 0), "w62", &[(60, Turn::Holds)]);
    assert_eq!(course.swings.len(), SWINGS);
}

#[test]
fn a_start_is_no_end_of_a_site() {
    let mut course = check("w5 g5 w61", &[(8, Turn::Leaves), (70, Turn::Returns(10))]);
    course = restarted(&course, 61);
    // Links come up within their time; then it goes on, or is left.
    check_from(course.clone(), "s4 w7", &[(9, Turn::Returns(50))]);
    check_from(course, "s6", &[(5, Turn::Leaves)]);
}

#[test]
fn a_clock_that_was_set_back_breaks_nothing() {
    let left = check("w5 g4", &[(8, Turn::Leaves)]);
    let now = left.since;
    let memory = left.memory(now, Timestamp(9_000_000));
    let course = Course::recall(&memory, now, Timestamp(1_000));
    assert_eq!(course.swings, [now]);
    assert_eq!(course.allows().percent, 0);
}
