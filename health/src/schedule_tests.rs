use super::*;

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

/// The gap after a start at `stage`, decided at that moment.
#[track_caller]
fn gap(schedule: &Schedule, last: Instant, stage: Stage, outstanding: usize) -> Duration {
    schedule.next_start(last, stage, outstanding).unwrap() - last
}

#[test]
fn the_first_probe_is_due_at_once() {
    let schedule = Schedule::new(HealthTiming::default());
    assert_eq!(schedule.next_start(origin(), Stage::Down, 0), None);
}

#[test]
fn pace_by_stage() {
    let start = origin();
    let mut schedule = Schedule::new(HealthTiming::default());
    schedule.started(start, Stage::Steady, 0.0);
    for (stage, outstanding, expected) in [
        (Stage::Steady, 0, ms(2000)),
        (Stage::Steady, 1, ms(500)),
        (Stage::Edge, 0, ms(500)),
        (Stage::Edge, 2, ms(500)),
        (Stage::Down, 0, ms(2000)),
        (Stage::Down, 2, ms(2000)),
    ] {
        assert_eq!(
            gap(&schedule, start, stage, outstanding),
            expected,
            "{stage:?} {outstanding}"
        );
    }
}

#[test]
fn intervals_are_spread_downwards_by_at_most_five_percent() {
    let mut rng = fastrand::Rng::with_seed(11);
    let mut gaps = Vec::new();
    for _ in 0..1_000 {
        let start = origin();
        let mut schedule = Schedule::new(HealthTiming::default());
        schedule.started(start, Stage::Steady, rng.f64());
        gaps.push(gap(&schedule, start, Stage::Steady, 0));
    }
    let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
    assert!(*least >= ms(1900) && *least < ms(1910), "{least:?}");
    assert!(*most <= ms(2000) && *most > ms(1990), "{most:?}");
}

#[test]
fn a_new_target_that_does_not_answer_is_not_asked_faster_than_fast() {
    let start = origin();
    let mut schedule = Schedule::new(HealthTiming::default());
    schedule.started(start, Stage::Down, 0.0);
    assert_eq!(gap(&schedule, start, Stage::Down, 1), ms(500));
    assert_eq!(gap(&schedule, start, Stage::Down, 0), ms(100));
    schedule.came_up();
    schedule.started(start, Stage::Down, 0.0);
    assert_eq!(gap(&schedule, start, Stage::Down, 0), ms(4000));
}

#[test]
fn a_new_target_is_probed_fast_for_thirty_seconds_and_then_ever_slower() {
    let mut now = origin();
    let begin = now;
    let mut schedule = Schedule::new(HealthTiming::default());
    let mut gaps = Vec::new();
    schedule.started(now, Stage::Down, 0.0);
    while gaps.len() < 107 {
        let next = schedule.next_start(now, Stage::Down, 0).unwrap();
        // As the shell does: look again when it is due.
        let next = schedule.next_start(next, Stage::Down, 0).unwrap();
        gaps.push((next - now).as_millis());
        now = next;
        schedule.started(now, Stage::Down, 0.0);
    }
    assert!(gaps[..49].iter().all(|it| *it == 100), "{gaps:?}");
    let gaps = &gaps[49..];
    assert!(gaps[..50].iter().all(|it| *it == 500), "{gaps:?}");
    assert_eq!(
        gaps[50..],
        [2000, 4000, 8000, 15000, 15000, 15000, 15000, 15000]
    );
    assert!(now > begin + STARTING);
}

#[test]
fn a_nudge_makes_down_fast_and_starts_the_backing_off_anew() {
    let start = origin();
    let mut schedule = Schedule::new(HealthTiming::default());
    schedule.started(start, Stage::Steady, 0.0);
    let mut now = start;
    for _ in 0..5 {
        now += ms(15_000);
        schedule.started(now, Stage::Down, 0.0);
    }
    assert_eq!(gap(&schedule, now, Stage::Down, 0), ms(15_000));
    schedule.nudge(now);
    assert_eq!(gap(&schedule, now, Stage::Down, 0), ms(500));
    let after = schedule.next_start(now + NUDGED, Stage::Down, 0).unwrap();
    assert_eq!(after - now, ms(2000));
}

#[test]
fn one_that_was_up_and_goes_down_backs_off_from_the_interval() {
    let start = origin();
    let mut schedule = Schedule::new(HealthTiming::default());
    schedule.started(start, Stage::Down, 0.0);
    schedule.came_up();
    assert_eq!(gap(&schedule, start, Stage::Down, 0), ms(2000));
}

#[test]
fn an_interval_longer_than_the_slowest_pace_is_kept() {
    let timing = HealthTiming {
        interval: ms(60_000),
        ..HealthTiming::default()
    };
    let start = origin();
    let mut schedule = Schedule::new(timing);
    schedule.started(start, Stage::Steady, 0.0);
    let mut now = start;
    for _ in 0..50 {
        now += ms(60_000);
        schedule.started(now, Stage::Down, 0.0);
        assert_eq!(gap(&schedule, now, Stage::Down, 0), ms(60_000));
    }
}
