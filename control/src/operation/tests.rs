//! Tables of schedules, and operations driven look by look.

use super::*;
use crate::{Level, Stored, World};
use minato_config::{Intent, ServiceName, ServiceRecord, Source, Timestamp, parse_service};
use std::path::Path;

/// 2026-11-23 03:00 UTC.
const NOW: Timestamp = Timestamp(1_795_402_800_000);
const MINUTE: u64 = 60_000;

fn later(minutes: u64) -> Timestamp {
    Timestamp(NOW.0 + minutes * MINUTE)
}

#[test]
fn moments_are_read_with_their_zone_or_refused_with_what_to_write() {
    for (text, expected) in [
        // date -u -d 'TZ="Asia/Tokyo" 2026-12-20 08:00' +%s
        ("2026-12-20 08:00 Asia/Tokyo", Ok(1_797_721_200)),
        ("2026-12-20T08:00", Err("is no time")),
        ("2026-12-20 08:00 UTC", Ok(1_797_753_600)),
        ("2026-12-20 08:00 +09:00", Ok(1_797_721_200)),
        ("2026-12-20 08:00:30 Z", Ok(1_797_753_630)),
        ("2026-12-20 08:00", Err("has no time zone")),
        ("2026-12-20 08:00 JST", Err("Asia/Tokyo")),
        ("2026-12-20 08:00 EST", Err("is no time zone")),
        ("2026-12-20 08:00 Asia/Nowhere", Err("is no time zone")),
        (
            "2026-12-20 08:00 Asia/Tokyo please",
            Err("more than a time zone"),
        ),
        ("2026-02-30 08:00 UTC", Err("no date and time")),
        ("2026-12-20 25:00 UTC", Err("no date and time")),
        ("tomorrow", Err("is no time")),
        ("", Err("is no time")),
        ("2026-12-20 08:00 +9", Err("is no time zone")),
        ("1969-01-01 08:00 UTC", Err("before 1970")),
        // The hour that is skipped, and the one that is there twice.
        ("2027-03-14 02:30 America/New_York", Err("does not exist")),
        ("2026-11-01 01:30 America/New_York", Err("there twice")),
        ("2026-11-01 01:30 -05:00", Ok(1_793_514_600)),
    ] {
        match (Moment::parse(text), expected) {
            (Ok(it), Ok(seconds)) => assert_eq!(it.at, Timestamp(seconds * 1000), "{text}"),
            (Err(why), Err(words)) => assert!(why.contains(words), "{text}: {why}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }
}

#[test]
fn what_is_there_twice_says_both_offsets_and_either_of_them_is_taken() {
    let why = Moment::parse("2026-11-01 01:30 America/New_York").unwrap_err();
    let offered: Vec<&str> = why
        .split('`')
        .filter(|it| it.contains(":00") && !it.contains('/'))
        .collect();
    assert_eq!(offered.len(), 2, "{why}");
    let taken: Vec<Moment> = offered
        .iter()
        .map(|it| Moment::parse(it).unwrap())
        .collect();
    assert_eq!(taken[1].at.since(taken[0].at).as_secs(), 3600, "{why}");
}

#[test]
fn schedules_are_checked_against_the_clock_and_themselves() {
    let parse = |at, until, repeat| Schedule::parse(at, until, repeat, NOW);
    let (once, daily) = (Repeat::Once, Repeat::Daily);
    assert_eq!(parse(None, None, once), Ok(Schedule::default()));
    for (at, until, repeat, words) in [
        (Some("2026-11-23 02:59 UTC"), None, once, "in the past"),
        (None, Some("2026-11-23 03:00 UTC"), once, "in the past"),
        (
            Some("2026-11-24 08:00 UTC"),
            Some("2026-11-24 08:00 UTC"),
            once,
            "not after",
        ),
        // Before it in time, whatever the numbers say.
        (
            Some("2026-11-24 08:00 UTC"),
            Some("2026-11-24 09:00 Asia/Tokyo"),
            once,
            "not after",
        ),
        (Some("2028-11-24 08:00 UTC"), None, once, "400 days"),
        (Some("2026-11-24 08:00 UTC"), None, daily, "needs both"),
        (
            Some("2026-11-24 08:00 UTC"),
            Some("2026-11-25 08:00 UTC"),
            daily,
            "shorter than one",
        ),
    ] {
        let why = parse(at, until, repeat).unwrap_err();
        assert!(why.contains(words), "{at:?} {until:?}: {why}");
    }
    let it = parse(
        Some("2026-12-20 08:00 Asia/Tokyo"),
        Some("2026-12-20 18:00 Asia/Tokyo"),
        once,
    )
    .unwrap();
    assert_eq!(
        it.text(),
        "from 2026-12-20 08:00 Asia/Tokyo until 2026-12-20 18:00 Asia/Tokyo"
    );
}

#[test]
fn a_daily_window_keeps_its_local_time_over_a_change_of_clocks() {
    let at = "2026-10-31 01:30 America/New_York";
    let until = "2026-10-31 03:00 America/New_York";
    let now = Timestamp(Moment::parse(at).unwrap().at.0 - 1000);
    let it = Schedule::parse(Some(at), Some(until), Repeat::Daily, now).unwrap();
    let over = it.until.unwrap();
    // 01:30 is there twice on the next day; the first one counts. The day after it is 01:30 again.
    let next = it.next_window(over).unwrap();
    assert_eq!(next.at.unwrap().since(it.at.unwrap()).as_secs(), 86_400);
    let third = next.next_window(next.until.unwrap()).unwrap();
    assert_eq!(
        local_text(third.at.unwrap(), &third.zone),
        "2026-11-02 01:30 America/New_York"
    );
    // A leader that was away for ten days goes on at the next one, not at all that were missed.
    let late = over.after(std::time::Duration::from_secs(10 * 86_400));
    let next = it.next_window(late).unwrap();
    assert!(next.at.unwrap() > late && next.at.unwrap().since(late).as_secs() < 86_400);
}

fn service(n: usize) -> ServiceName {
    ServiceName::parse(&format!("repo-{n:02}")).unwrap()
}

/// A restart of services in waves of at most two, held after `stop_after` failures.
fn wave(count: usize, stop_after: u16, schedule: Schedule) -> Operation {
    let steps = (0..count).map(|n| OperationStep {
        name: "restart".to_owned(),
        service: service(n + 1),
        wave: u16::try_from(n.div_ceil(2) + 1).unwrap(),
        state: StepState::Waiting,
        since: Timestamp::default(),
        number: None,
        detail: String::new(),
        switch: None,
    });
    Operation {
        v: 1,
        work: Work::Wave(Wave {
            change: WaveChange::Restart,
            size: 2,
            stop_after,
            forgiven: 0,
        }),
        who: "alice".to_owned(),
        why: String::new(),
        asked: NOW,
        schedule,
        state: OperationState::Scheduled,
        since: NOW,
        reason: String::new(),
        steps: steps.collect(),
    }
}

fn offer(n: usize) -> StepSight {
    StepSight::Offer(Box::new(Offer {
        service: service(n + 1),
        intent: Intent::default(),
        number: 7,
        record: 1,
        before: None,
    }))
}

/// What a letter says of a step: `o`ffer, `u`nfit, `n`eedless, `w`aiting, `d`one, `f`ailed, `s`uperseded.
fn seen(letters: &str) -> Sights {
    let text = || "because".to_owned();
    let sight = |n, letter| match letter {
        'o' => Some(offer(n)),
        'u' => Some(StepSight::Unfit(text())),
        'n' => Some(StepSight::Needless(text())),
        'w' => Some(StepSight::Waiting(text())),
        'd' => Some(StepSight::Done(text())),
        'f' => Some(StepSight::Failed(text())),
        's' => Some(StepSight::Superseded(text())),
        _ => None,
    };
    let letters = letters.chars().enumerate();
    letters
        .filter_map(|(n, it)| Some((n, sight(n, it)?)))
        .collect()
}

/// Its steps as letters: `.` waiting, `w` running, `d`one, `f`ailed, `s`kipped.
fn letters(operation: &Operation) -> String {
    let letter = |it: &OperationStep| match it.state {
        StepState::Waiting => '.',
        StepState::Running => 'w',
        StepState::Done => 'd',
        StepState::Failed => 'f',
        StepState::Skipped => 's',
    };
    operation.steps.iter().map(letter).collect()
}

/// Looks one after the other, each: what is seen, minutes, state and steps afterwards, orders.
#[track_caller]
fn drive(
    mut operation: Operation,
    looks: &[(&str, u64, OperationState, &str, usize)],
) -> Operation {
    for (at, (see, minutes, state, steps, orders)) in looks.iter().enumerate() {
        let sights = seen(see);
        let turn = advance(OperationId(3), &operation, &sights, later(*minutes));
        assert_eq!(
            (turn.next.state, letters(&turn.next).as_str()),
            (*state, *steps),
            "look {at}: {see}"
        );
        assert_eq!(turn.orders.len(), *orders, "look {at}");
        for order in &turn.orders {
            let step = turn
                .next
                .steps
                .iter()
                .find(|it| it.service == order.service)
                .unwrap();
            assert_eq!(
                (step.state, step.number),
                (StepState::Running, Some(order.number)),
                "written with its number"
            );
        }
        let is_told = turn.news.is_empty() || turn.next != operation;
        assert!(
            is_told,
            "look {at}: what is told is written: {:?}",
            turn.news
        );
        // The same look at what was written orders nothing again.
        let again = advance(OperationId(3), &turn.next, &Sights::new(), later(*minutes));
        assert_eq!(again.orders, [], "look {at}");
        operation = turn.next;
    }
    operation
}

use OperationState::{Aborted, Aborting, Closed, Done, Held, Missed, Paused, Running, Scheduled};

#[test]
fn each_wave_waits_for_the_one_before() {
    drive(
        wave(4, 1, Schedule::default()),
        &[
            ("o...", 0, Running, "w...", 1),
            ("wooo", 1, Running, "w...", 0),
            ("d", 2, Running, "d...", 0),
            (".oo.", 2, Running, "dww.", 2),
            (".dwo", 3, Running, "ddw.", 0),
            ("..do", 4, Running, "dddw", 1),
            ("...d", 5, Done, "dddd", 0),
        ],
    );
}

#[test]
fn too_many_failures_hold_it_and_a_word_lets_it_go_on() {
    let it = drive(
        wave(4, 1, Schedule::default()),
        &[
            ("o...", 0, Running, "w...", 1),
            ("d", 1, Running, "d...", 0),
            (".oo", 1, Running, "dww.", 2),
            // One failed while another is on its way: that one is seen to its end, and nothing more begins.
            (".fwo", 2, Held, "dfw.", 0),
            ("..do", 3, Held, "dfd.", 0),
            ("...o", 9, Held, "dfd.", 0),
        ],
    );
    assert!(it.reason.contains("repo-02"), "{}", it.reason);
    let it = it.resume("bob", later(10)).unwrap();
    let it = drive(
        it,
        &[
            ("...o", 10, Running, "dfdw", 1),
            ("...f", 11, Done, "dfdf", 0),
        ],
    );
    // All have ended: there is nothing left to hold.
    assert_eq!(it.progress(), "2 of 4 done, 2 failed");
    assert!(it.resume("bob", later(13)).is_err() && it.abort("bob", later(13)).is_err());
}

#[test]
fn as_many_failures_as_were_allowed_go_by() {
    drive(
        wave(3, 2, Schedule::default()),
        &[
            ("o", 0, Running, "w..", 1),
            ("f", 1, Running, "f..", 0),
            (".oo", 1, Running, "fww", 2),
            (".dd", 2, Done, "fdd", 0),
        ],
    );
}

#[test]
fn what_is_not_well_is_waited_for_and_then_left_out() {
    let it = drive(
        wave(2, 1, Schedule::default()),
        &[
            ("u", 0, Running, "..", 0),
            ("u", 9, Running, "..", 0),
            ("u", 10, Running, "s.", 0),
            (".n", 10, Running, "ss", 0),
            ("", 10, Done, "ss", 0),
        ],
    );
    assert!(it.steps[0].detail.contains("10 min"), "{:?}", it.steps);
    // One that becomes well in time is begun.
    drive(
        wave(1, 1, Schedule::default()),
        &[("u", 0, Running, ".", 0), ("o", 9, Running, "w", 1)],
    );
}

#[test]
fn another_word_between_is_no_failure_and_what_never_ends_is_one() {
    drive(
        wave(2, 1, Schedule::default()),
        &[
            ("o", 0, Running, "w.", 1),
            ("s", 1, Running, "s.", 0),
            (".o", 1, Running, "sw", 1),
            (".w", 60, Running, "sw", 0),
            (".w", 61, Done, "sf", 0),
        ],
    );
}

#[test]
fn ending_it_waits_for_what_is_under_way_and_begins_nothing() {
    let it = drive(
        wave(4, 1, Schedule::default()),
        &[
            ("o", 0, Running, "w...", 1),
            ("d", 1, Running, "d...", 0),
            (".oo", 1, Running, "dww.", 2),
        ],
    );
    let it = it.abort("bob", later(2)).unwrap();
    assert_eq!(it.state, Aborting);
    assert!(it.abort("carol", later(2)).unwrap_err().contains("bob"));
    drive(
        it,
        &[
            (".dwo", 3, Aborting, "ddw.", 0),
            ("..fo", 4, Aborted, "ddf.", 0),
        ],
    );
    let it = wave(2, 1, Schedule::default())
        .abort("bob", later(1))
        .unwrap();
    assert_eq!(it.state, Aborted);
    drive(it, &[("oo", 2, Aborted, "..", 0)]);
}

fn window(from: u64, until: Option<u64>, repeat: Repeat) -> Schedule {
    Schedule {
        at: Some(later(from)),
        until: until.map(later),
        zone: "Asia/Tokyo".to_owned(),
        repeat,
    }
}

#[test]
fn a_schedule_is_kept_within_its_grace_and_else_missed() {
    let it = || wave(1, 1, window(10, None, Repeat::Once));
    drive(
        it(),
        &[("o", 9, Scheduled, ".", 0), ("o", 10, Running, "w", 1)],
    );
    drive(it(), &[("o", 15, Running, "w", 1)]);
    let missed = drive(
        it(),
        &[("o", 16, Missed, ".", 0), ("o", 17, Missed, ".", 0)],
    );
    assert!(missed.reason.contains("nobody led"), "{}", missed.reason);
    let turn = advance(OperationId(3), &it(), &Sights::new(), later(16));
    let again = format!(
        "minato wave --services {} --restart --size 2 --at \"DATE TIME Asia/Tokyo\", or without --at for now",
        service(1)
    );
    assert_eq!(turn.news[0].hint.as_deref(), Some(again.as_str()));
    // Of one that stopped half way, what is left; the window as well.
    let mut half = wave(3, 2, window(10, Some(12), Repeat::Once));
    half.state = OperationState::Paused;
    half.steps[0].state = StepState::Done;
    let Work::Wave(work) = &mut half.work else {
        panic!("a wave");
    };
    (work.change, work.size) = (WaveChange::Pull, 5);
    let turn = advance(OperationId(3), &half, &Sights::new(), later(16));
    let again = format!(
        "minato wave --services {},{} --pull --stop-after 2 --until \"DATE TIME Asia/Tokyo\" --at \"DATE TIME Asia/Tokyo\", or without --at for now",
        service(2),
        service(3)
    );
    assert_eq!(turn.news[0].hint.as_deref(), Some(again.as_str()));
    // The same for what should have begun at once.
    drive(wave(1, 1, Schedule::default()), &[("o", 6, Missed, ".", 0)]);
    // What has begun is gone on with, however late.
    drive(
        it(),
        &[("o", 10, Running, "w", 1), ("d", 300, Done, "d", 0)],
    );
    let turn = advance(OperationId(3), &it(), &Sights::new(), later(16));
    assert_eq!(turn.news[0].level, Level::Warn);
}

#[test]
fn a_window_that_is_over_ends_it_or_goes_on_the_next_day() {
    let day = 24 * 60;
    drive(
        wave(3, 1, window(10, Some(20), Repeat::Once)),
        &[
            ("o", 10, Running, "w..", 1),
            ("d", 19, Running, "d..", 0),
            (".oo", 20, Closed, "d..", 0),
        ],
    );
    drive(
        wave(3, 1, window(10, Some(20), Repeat::Daily)),
        &[
            ("o", 10, Running, "w..", 1),
            // What is under way is seen to its end.
            ("woo", 20, Running, "w..", 0),
            ("doo", 21, Paused, "d..", 0),
            (".oo", day + 9, Paused, "d..", 0),
            (".oo", day + 10, Running, "dww", 2),
            (".dd", day + 11, Done, "ddd", 0),
        ],
    );
    // Nobody led on the second day: the third one counts.
    drive(
        wave(2, 1, window(10, Some(20), Repeat::Daily)),
        &[
            ("o", 10, Running, "w.", 1),
            ("d", 21, Paused, "d.", 0),
            (".o", day + 16, Paused, "d.", 0),
            (".o", 2 * day + 9, Paused, "d.", 0),
            (".o", 2 * day + 10, Running, "dw", 1),
        ],
    );
}

fn record(n: usize) -> Stored<ServiceRecord> {
    let text = "command = [\"serve\", \"{port}\"]\nroutes = [\"example.org\"]\n";
    let path = "services/repo.toml";
    Stored {
        value: ServiceRecord {
            v: 1,
            source: Source::File {
                path: path.to_owned(),
            },
            service: parse_service(Path::new(path), &service(n), text).unwrap(),
            removed: false,
        },
        modified: 1,
    }
}

#[test]
fn two_that_share_a_service_at_one_time_are_refused_and_named() {
    let mut world = World::default();
    let asked = |n: usize, schedule| Asked {
        services: vec![service(n).to_string()],
        change: WaveChange::Restart,
        size: 5,
        stop_after: 1,
        schedule,
        who: "bob".to_owned(),
        why: String::new(),
    };
    for n in 1..=3 {
        world.services.insert(service(n), record(n));
    }
    let first = wave(2, 1, window(60, Some(120), Repeat::Once));
    let stored = Stored {
        value: first,
        modified: 1,
    };
    world.operations.insert(OperationId(41), stored);
    let refused = |n, schedule| begin(&world, &asked(n, schedule), NOW).err();
    let why = refused(1, Schedule::default()).unwrap();
    assert!(
        why.why.contains("operation 41") && why.why.contains("alice"),
        "{why:?}"
    );
    assert!(refused(2, window(119, None, Repeat::Once)).is_some());
    assert!(refused(1, window(1, Some(2), Repeat::Daily)).is_some());
    assert_eq!(refused(1, window(120, None, Repeat::Once)), None);
    assert_eq!(refused(1, window(10, Some(60), Repeat::Once)), None);
    assert_eq!(refused(3, Schedule::default()), None);
    let made = begin(&world, &asked(3, Schedule::default()), NOW).unwrap();
    assert_eq!(made.id, OperationId(42));
}
