use super::*;
use crate::Layer;

fn timing(fall: u8, rise: u8) -> HealthTiming {
    HealthTiming {
        fall,
        rise,
        ..HealthTiming::default()
    }
}

fn failure() -> Failure {
    Failure::new(Layer::NoAnswer, "no answer in 1s")
}

fn letter(verdict: Verdict) -> char {
    match verdict {
        Verdict::Up => 'U',
        Verdict::Suspect => 's',
        Verdict::Down => 'd',
    }
}

/// `.` passes, `x` fails, `c` a real connect fails, `E` passive ejection; expects the verdict after each.
#[track_caller]
fn check_with(mut judge: Judge, events: &str, expected: &str) {
    let mut seen = String::new();
    for event in events.chars() {
        let before = judge.verdict();
        let change = match event {
            '.' => judge.observe(&Ok(())),
            'x' => judge.observe(&Err(failure())),
            'c' => judge.suspect_by(&failure()),
            'E' => judge.eject_by(&failure()),
            other => panic!("no event `{other}`"),
        };
        assert_eq!(
            change.is_some(),
            before != judge.verdict(),
            "{events}: a change is reported exactly when there is one"
        );
        if let Some(change) = change {
            assert_eq!((change.from, change.to), (before, judge.verdict()));
            assert_eq!(change.cause.is_some(), change.to != Verdict::Up);
        }
        seen.push(letter(judge.verdict()));
    }
    assert_eq!(seen, expected, "{events}");
}

#[track_caller]
fn check(events: &str, expected: &str) {
    check_with(Judge::new(&timing(3, 2)), events, expected);
}

#[test]
fn a_new_run_earns_traffic_by_two_passes() {
    check("..", "dU");
    check(".x..", "dddU");
    check("xxxx", "dddd");
}

#[test]
fn one_failure_makes_suspect_and_one_pass_restores() {
    check("..x.x.", "dUsUsU");
    check("..xx.xx.", "dUssUssU");
}

#[test]
fn three_failures_eject_and_two_passes_restore() {
    check("..xxx..", "dUssddU");
    check("..xxxxx.x..", "dUssddddddU");
}

#[test]
fn a_failed_connect_suspects_at_once_and_does_not_count() {
    check("..c.", "dUsU");
    check("..cxxx", "dUsssd");
    check("..ccccc.", "dUsssssU");
    check("..xcxcx", "dUssssd");
}

#[test]
fn a_failed_connect_changes_nothing_while_down() {
    check(".c.", "ddU");
    check("c", "d");
}

#[test]
fn passive_ejection_is_down_at_once() {
    check("..E..", "dUddU");
    check("..xE..", "dUsddU");
    check(".E..", "dddU");
}

#[test]
fn other_numbers() {
    check_with(Judge::new(&timing(1, 1)), ".x.x", "UdUd");
    check_with(Judge::new(&timing(2, 3)), "...xx...", "ddUsdddU");
    check_with(Judge::new(&timing(0, 0)), ".x.", "UdU");
}

#[test]
fn a_resumed_verdict_holds_until_the_first_outcome() {
    let resume = |verdict| Judge::resume(&timing(3, 2), verdict);
    check_with(resume(Verdict::Up), ".x", "Us");
    check_with(resume(Verdict::Up), "xxx", "ssd");
    check_with(resume(Verdict::Suspect), ".", "U");
    check_with(resume(Verdict::Suspect), "xxx", "ssd");
    check_with(resume(Verdict::Down), "..", "dU");
}

/// Outcomes by number of start, in order of arrival: `3x 1.`; expects the verdict after each, from `from`.
#[track_caller]
fn overlap(from: Verdict, arrivals: &str, expected: &str) {
    let mut judge = Judge::resume(&timing(3, 2), from);
    let probes: Vec<ProbeNumber> = (0..9).map(|_| judge.start()).collect();
    let mut seen = String::new();
    for arrival in arrivals.split(' ') {
        let index: usize = arrival[..1].parse().unwrap();
        let outcome = match &arrival[1..] {
            "." => Ok(()),
            _ => Err(failure()),
        };
        judge.observe_of(probes[index - 1], &outcome);
        seen.push(letter(judge.verdict()));
    }
    assert_eq!(seen, expected, "{arrivals}");
}

#[test]
fn a_pass_that_started_before_a_newer_failure_does_not_restore() {
    overlap(Verdict::Up, "2x 1.", "ss");
    overlap(Verdict::Up, "2x 1. 3.", "ssU");
    overlap(Verdict::Up, "2x 1. 3x 4x", "sssd");
    overlap(Verdict::Down, "2x 1. 3. 4.", "dddU");
    overlap(Verdict::Down, "1. 3x 2. 4. 5.", "ddddU");
}

#[test]
fn a_late_pass_takes_older_failures_out_of_the_row() {
    overlap(Verdict::Up, "1x 3x 2. 4x 5x", "ssssd");
    overlap(Verdict::Up, "1x 3x 4x", "ssd");
}

#[test]
fn a_failure_older_than_a_known_pass_counts_for_nothing() {
    overlap(Verdict::Up, "2. 1x", "UU");
    overlap(Verdict::Up, "1x 3. 2x", "sUU");
}

#[test]
fn an_older_failure_behind_newer_ones_counts() {
    overlap(Verdict::Up, "3x 2x 1x", "ssd");
}

#[test]
fn passes_out_of_order_count_while_no_failure_is_newer() {
    overlap(Verdict::Down, "2. 1.", "dU");
    overlap(Verdict::Down, "1. 2x 3. 4.", "dddU");
}

#[test]
fn a_pass_in_flight_does_not_undo_a_failed_connect_or_an_ejection() {
    let mut judge = Judge::resume(&timing(3, 1), Verdict::Up);
    let (before, also) = (judge.start(), judge.start());
    judge.suspect_by(&failure());
    assert_eq!(judge.observe_of(before, &Ok(())), None);
    let after = judge.start();
    judge.observe_of(after, &Ok(()));
    assert_eq!(judge.verdict(), Verdict::Up);
    let running = judge.start();
    judge.eject_by(&failure());
    assert_eq!(judge.observe_of(running, &Ok(())), None);
    assert_eq!(judge.observe_of(also, &Ok(())), None);
    judge.observe(&Ok(()));
    assert_eq!(judge.verdict(), Verdict::Up);
}

#[test]
fn the_edge_is_where_an_outcome_may_change_the_verdict() {
    let mut judge = Judge::new(&timing(3, 2));
    assert!(!judge.is_edge(), "down");
    judge.observe(&Ok(()));
    assert!(judge.is_edge(), "down with one pass");
    judge.observe(&Ok(()));
    assert!(!judge.is_edge(), "up");
    judge.observe(&Err(failure()));
    assert!(judge.is_edge(), "suspect");
    judge.observe(&Err(failure()));
    judge.observe(&Err(failure()));
    assert!(!judge.is_edge(), "down again");
}
