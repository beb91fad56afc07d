//! Tokyo fails, osaka takes over; looked four times a second.

use super::*;

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
