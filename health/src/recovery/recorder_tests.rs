//! Tokyo fails, osaka takes over; looked four times a second.

use super::*;
use crate::recovery::RecoveryLog;
use minato_config::MoveKind;

const LOOK: Duration = Duration::from_millis(250);

struct Scene {
    recorder: Recorder,
    begin: Instant,
    looks: u32,
    served: [u64; 2],
    errors: u64,
    percent: [u8; 2],
    up: [u32; 2],
    condition: Condition,
    found: Vec<Recovery>,
}

fn site(name: &str) -> SiteId {
    SiteId::parse(name).unwrap()
}

impl Scene {
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn new() -> Self {
        Self {
            recorder: Recorder::default(),
            begin: Instant::now(),
            looks: 0,
            served: [0, 0],
            errors: 0,
            percent: [100, 100],
            up: [2, 2],
            condition: Condition::Well,
            found: Vec::new(),
        }
    }

    fn glimpse(&self) -> Glimpse {
        let one = |n: usize, name: &str, condition: Condition| SiteGlimpse {
            site: site(name),
            condition,
            percent: self.percent[n],
            up: self.up[n],
            served: self.served[n],
        };
        Glimpse {
            now: self.begin + LOOK * self.looks,
            wall: Timestamp(1_000_000 + 250 * u64::from(self.looks)),
            errors: self.errors,
            sites: vec![
                one(0, "tokyo", self.condition),
                one(1, "osaka", Condition::Well),
            ],
        }
    }

    /// So many looks, in each of which each site serves so many and so many requests fail.
    fn look(&mut self, looks: u32, served: [u64; 2], errors: u64) -> &mut Self {
        for _ in 0..looks {
            self.looks += 1;
            self.served[0] += served[0];
            self.served[1] += served[1];
            self.errors += errors;
            let seen = self.glimpse();
            self.found.extend(self.recorder.look(&seen));
        }
        self
    }

    fn turn(&mut self, turn: Turn) -> &mut Self {
        if turn == Turn::Leaves {
            self.percent[0] = 0;
        }
        let seen = self.glimpse();
        self.found
            .extend(self.recorder.turned(&site("tokyo"), turn, &seen));
        self
    }

    /// A person moves them from tokyo to osaka, having let requests wait for so many looks.
    fn moved(&mut self, kind: MoveKind, waited: Option<u32>) -> &mut Self {
        let by = Move {
            kind,
            from: site("tokyo"),
            data_age_ms: waited.map(|it| u64::from(it) * 250),
        };
        let seen = self.glimpse();
        let held = waited.map(|it| seen.now - LOOK * it);
        let over = self.recorder.moved(&by, &site("osaka"), held, &seen);
        self.found.extend(over);
        self
    }

    /// Detect, decide, start, first, errors of the only one.
    #[track_caller]
    fn figures(&self) -> (u64, Option<u64>, Option<u64>, Option<u64>, u64) {
        let [it] = self.found.as_slice() else {
            panic!("{:?}", self.found);
        };
        (
            it.detect_ms,
            it.decide_ms,
            it.start_ms,
            it.first_ms,
            it.errors,
        )
    }
}

#[test]
fn a_cut_is_measured_from_the_last_request_that_was_served() {
    let mut scene = Scene::new();
    scene.look(40, [5, 0], 0);
    // Cut after look 40: for 3 s nobody serves, and requests fail.
    scene.look(12, [0, 0], 2);
    scene.condition = Condition::Silent;
    scene.look(1, [0, 0], 1).turn(Turn::Leaves);
    assert!(scene.recorder.is_open());
    scene.look(1, [0, 5], 0).look(60, [0, 5], 0);
    // Served last between looks 39 and 40: the earlier of the two counts.
    assert_eq!(
        scene.figures(),
        (3_500, Some(3_500), Some(0), Some(3_750), 25)
    );
    let it = &scene.found[0];
    assert_eq!(it.at, Timestamp(1_000_000 + 39 * 250));
    assert_eq!(
        (&it.from, it.to.as_ref()),
        (&site("tokyo"), Some(&site("osaka")))
    );
    assert!(!scene.recorder.is_open());
}

#[test]
fn without_traffic_silence_itself_is_counted_and_nobody_was_served() {
    let mut scene = Scene::new();
    scene.look(40, [0, 0], 0);
    scene.condition = Condition::Silent;
    scene
        .look(1, [0, 0], 0)
        .turn(Turn::Leaves)
        .look(60, [0, 0], 0);
    assert_eq!(scene.figures(), (3_000, Some(3_000), Some(0), None, 0));
}

#[test]
fn a_cold_site_has_to_start_first() {
    let mut scene = Scene::new();
    scene.up[1] = 0;
    scene.look(40, [1, 0], 0);
    scene.condition = Condition::Gone;
    scene
        .look(12, [0, 0], 1)
        .turn(Turn::Leaves)
        .look(8, [0, 0], 1);
    scene.up[1] = 1;
    scene.look(2, [0, 0], 1).look(60, [0, 1], 0);
    assert_eq!(
        scene.figures(),
        (500, Some(3_250), Some(5_500), Some(6_000), 22)
    );
}

#[test]
fn a_blink_that_nobody_noticed_is_no_event() {
    let mut scene = Scene::new();
    scene.look(40, [1, 0], 0);
    scene.condition = Condition::Gone;
    scene.look(4, [0, 0], 0);
    scene.condition = Condition::Well;
    scene.look(60, [1, 0], 0);
    assert_eq!(scene.found, []);
    assert!(!scene.recorder.is_open());
    // One that visitors noticed is.
    scene.condition = Condition::Gone;
    scene.look(4, [0, 0], 1);
    scene.condition = Condition::Well;
    scene.look(60, [1, 0], 0);
    assert_eq!(scene.figures(), (500, None, Some(0), None, 4));
}

#[test]
fn what_does_not_end_is_recorded_once() {
    let mut scene = Scene::new();
    scene.look(40, [1, 0], 0);
    scene.up[1] = 0;
    scene.condition = Condition::Gone;
    scene.look(9_000, [0, 0], 1);
    let (_, decide, start, first, errors) = scene.figures();
    assert_eq!((decide, start, first), (None, None, None));
    assert!((2_300..2_500).contains(&errors), "{errors}");
}

#[test]
fn what_was_never_there_cannot_fail() {
    let mut scene = Scene::new();
    scene.condition = Condition::Gone;
    scene.look(100, [0, 0], 5);
    assert_eq!(scene.found, []);
}

#[test]
fn a_return_is_measured_too() {
    let mut scene = Scene::new();
    scene.percent = [0, 100];
    scene.look(10, [0, 1], 0).turn(Turn::Returns(10));
    scene.look(40, [1, 1], 0).turn(Turn::Returns(50));
    scene.look(40, [1, 1], 0);
    scene.errors += 1;
    scene.turn(Turn::Back);
    assert_eq!(scene.figures(), (0, Some(0), Some(0), Some(20_000), 1));
    assert_eq!(scene.found[0].kind, RecoveryKind::Return);
    assert_eq!(scene.found[0].from, site("osaka"));
    // One that is broken off is none.
    scene.found.clear();
    scene
        .turn(Turn::Returns(10))
        .turn(Turn::Leaves)
        .turn(Turn::Back);
    assert_eq!(scene.found, []);
}

#[test]
fn counters_that_begin_anew_are_no_success() {
    let mut scene = Scene::new();
    scene.look(40, [5, 5], 0).look(20, [5, 0], 0);
    scene.condition = Condition::Silent;
    scene.served = [0, 0];
    scene
        .look(1, [0, 0], 0)
        .turn(Turn::Leaves)
        .look(60, [0, 0], 0);
    assert_eq!(scene.figures().3, None);
}

#[test]
fn a_turn_between_two_looks_is_not_missed_and_who_was_sent_on_counts_from_then() {
    let mut scene = Scene::new();
    scene.look(40, [5, 0], 0);
    // Each request is tried at the next site at once, long before tokyo is given up.
    scene.look(12, [0, 5], 0);
    scene.condition = Condition::Silent;
    scene.turn(Turn::Leaves);
    assert!(scene.recorder.is_open());
    scene.look(60, [0, 5], 0);
    assert_eq!(scene.figures(), (3_250, Some(3_250), Some(0), Some(500), 0));
    assert_eq!(scene.found[0].to, Some(site("osaka")));
}

#[test]
fn a_move_is_measured_from_when_requests_wait() {
    for (kind, expected) in [
        (MoveKind::Switch, RecoveryKind::Switch),
        (MoveKind::Drill, RecoveryKind::Drill),
        (MoveKind::Return, RecoveryKind::Return),
    ] {
        let mut scene = Scene::new();
        scene.look(40, [5, 0], 0).look(4, [0, 0], 1);
        scene.moved(kind, Some(4)).look(60, [0, 5], 0);
        assert_eq!(
            scene.figures(),
            (0, Some(1_000), Some(0), Some(1_250), 4),
            "{kind:?}"
        );
        let it = &scene.found[0];
        assert_eq!((it.kind, it.data_age_ms), (expected, Some(1_000)));
        assert_eq!(it.at, Timestamp(1_000_000 + 40 * 250));
    }
}

#[test]
fn a_move_that_lets_nobody_wait_takes_from_one_look_to_the_next() {
    let mut scene = Scene::new();
    scene.look(40, [5, 0], 0);
    scene.moved(MoveKind::Switch, None).look(60, [0, 5], 0);
    assert_eq!(scene.figures(), (0, Some(0), Some(0), Some(250), 0));
    assert_eq!(scene.found[0].data_age_ms, None);
    // Nobody came: that it was moved is known all the same.
    let mut scene = Scene::new();
    scene.look(40, [0, 0], 0);
    scene.moved(MoveKind::Drill, None).look(60, [0, 0], 0);
    assert_eq!(scene.figures(), (0, Some(0), Some(0), None, 0));
    assert_eq!(scene.found[0].to, Some(site("osaka")));
}

#[test]
fn who_left_a_dead_site_by_themselves_is_not_moved_again() {
    let mut scene = Scene::new();
    scene.look(40, [5, 0], 0);
    scene.condition = Condition::Silent;
    scene.look(12, [0, 0], 0).turn(Turn::Leaves);
    scene.look(60, [0, 5], 0);
    assert_eq!(scene.found.len(), 1);
    let first = scene.figures();
    scene.moved(MoveKind::Failover, None).look(60, [0, 5], 0);
    assert_eq!(scene.figures(), first);
}

#[test]
fn a_person_who_comes_late_is_part_of_the_time() {
    let mut scene = Scene::new();
    scene.look(40, [5, 0], 0).look(12, [0, 0], 1);
    scene.condition = Condition::Silent;
    // Visitors are not led away by themselves: half an hour of nothing, then somebody types it.
    scene.look(7_188, [0, 0], 1);
    assert_eq!(scene.found.len(), 1, "recorded as it was");
    scene.moved(MoveKind::Failover, None).look(60, [0, 5], 0);
    let [before, after] = scene.found.as_slice() else {
        panic!("{:?}", scene.found);
    };
    assert_eq!((before.decide_ms, before.first_ms), (None, None));
    assert_eq!(after.decide_ms, Some(1_800_250));
    assert_eq!(after.first_ms, Some(1_800_500));
    assert_eq!((after.errors, after.detect_ms), (7_200, before.detect_ms));
    // It is one event.
    let mut log = RecoveryLog::default();
    scene.found.iter().for_each(|it| log.add(it.clone()));
    assert_eq!(log.events, std::slice::from_ref(after));
    // A site that was well in between is another one.
    scene.found.clear();
    scene.condition = Condition::Well;
    scene.look(40, [5, 0], 0);
    scene.moved(MoveKind::Switch, None).look(60, [0, 5], 0);
    assert_eq!(scene.figures(), (0, Some(0), Some(0), Some(250), 0));
}

#[test]
fn a_way_back_before_it_is_calm_ends_what_was_measured() {
    let mut scene = Scene::new();
    scene.look(40, [5, 0], 0);
    scene.moved(MoveKind::Drill, None).look(8, [0, 5], 0);
    let by = Move {
        kind: MoveKind::Return,
        from: site("osaka"),
        data_age_ms: None,
    };
    let seen = scene.glimpse();
    let over = scene.recorder.moved(&by, &site("tokyo"), None, &seen);
    scene.found.extend(over);
    assert_eq!(scene.figures(), (0, Some(0), Some(0), Some(250), 0));
    assert_eq!(scene.found[0].kind, RecoveryKind::Drill);
    scene.found.clear();
    scene.look(60, [5, 0], 0);
    assert_eq!(scene.found[0].kind, RecoveryKind::Return);
}

#[test]
fn a_move_a_moment_after_a_blink_is_not_counted_from_the_blink() {
    for (errors, expected) in [(0, &[][..]), (2, &[RecoveryKind::Failover][..])] {
        let mut scene = Scene::new();
        scene.look(40, [5, 0], 0);
        scene.condition = Condition::Gone;
        scene.look(4, [0, 0], errors);
        scene.condition = Condition::Well;
        // Well again, but not for long enough to be over.
        scene.look(12, [5, 0], 0);
        assert!(scene.recorder.is_open());
        scene.moved(MoveKind::Drill, None);
        // A blink that visitors noticed is an event of its own.
        let kinds: Vec<_> = scene.found.iter().map(|it| it.kind).collect();
        assert_eq!(kinds, expected);
        scene.found.clear();
        scene.look(60, [0, 5], 0);
        assert_eq!(scene.figures(), (0, Some(0), Some(0), Some(250), 0));
        assert_eq!(scene.found[0].kind, RecoveryKind::Drill);
    }
}
