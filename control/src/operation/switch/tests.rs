//! Many services of one operation: what is refused, what is begun, and what is said in the end.

use super::*;
use crate::operation::{
    Operation, OperationId, OperationState, Schedule, StepState, SwitchKind, Work,
};
use crate::{Level, Stored, World};
use minato_config::{
    Backend, Consent, Health, Intent, NodeId, OrderRecord, Service, ServiceName, ServiceRecord,
    SiteId, Sites, Standby, Timestamp,
};
use minato_health::{LinkState, SharedService};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) const NOW: Timestamp = Timestamp(10_000_000);

pub(super) fn site(text: &str) -> SiteId {
    SiteId::parse(text).unwrap()
}

pub(super) fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

pub(super) fn stored<T>(value: T) -> Stored<T> {
    Stored { value, modified: 1 }
}

pub(super) fn record(text: &str, order: &[&str]) -> ServiceRecord {
    ServiceRecord {
        v: 1,
        source: minato_config::Source::File {
            path: format!("services/{text}.toml"),
        },
        service: Service {
            name: name(text),
            backend: Backend::Endpoints(vec![
                ([127, 0, 0, 1], 1).into(),
                ([127, 0, 0, 1], 2).into(),
            ]),
            replicas: 2,
            scale: None,
            routes: Vec::new(),
            health: Health::Off,
            upstream: Default::default(),
            limits: Default::default(),
            timeouts: Default::default(),
            retries: 1,
            nodes: BTreeMap::new(),
            update: Default::default(),
            depends_on: BTreeSet::new(),
            sites: Some(Box::new(Sites {
                order: order.iter().map(|it| site(it)).collect(),
                standby: Standby::Warm,
                failover: Consent::Auto,
                failback: Consent::Auto,
                sync: None,
                at: BTreeMap::new(),
                targets: minato_config::Targets::default(),
                base: None,
            })),
        },
        removed: false,
    }
}

pub(super) fn order(first: &str, epoch: u64) -> OrderRecord {
    OrderRecord {
        v: 1,
        first: site(first),
        epoch,
        who: "bob".to_owned(),
        why: String::new(),
        since: Timestamp(1),
        moved: None,
    }
}

/// Osaka, with library and shop that tokyo serves first, and wiki that is tokyo's alone.
pub(super) fn world() -> World {
    let mut world = World::default();
    for (text, order) in [
        ("library", &["tokyo", "osaka"][..]),
        ("shop", &["tokyo", "osaka"]),
        ("wiki", &["tokyo"]),
    ] {
        world
            .services
            .insert(name(text), stored(record(text, order)));
    }
    world
}

fn asked(services: &[&str]) -> AskedSwitch {
    AskedSwitch {
        to: site("osaka"),
        services: services.iter().map(ToString::to_string).collect(),
        kind: SwitchKind::Switch,
        schedule: Schedule::default(),
        size: 1,
        stop_after: 1,
        timing: Timing {
            quiet_ms: 4_000,
            ..Timing::default()
        },
        accepted: Accepted::default(),
        asked_by: String::new(),
        who: "alice".to_owned(),
        why: String::new(),
    }
}

#[track_caller]
fn refused(world: &World, asked: &AskedSwitch, expected: &str) {
    let refusal = begin_switch(world, asked, NOW).unwrap_err();
    assert!(refusal.why.contains(expected), "{expected}: {refusal:?}");
    assert!(!refusal.hint.is_empty(), "{refusal:?}");
}

#[test]
fn what_cannot_be_moved_is_refused_with_the_reason() {
    let mut world = world();
    refused(
        &world,
        &asked(&["nothing"]),
        "no service is called `nothing`",
    );
    refused(
        &world,
        &asked(&["wiki"]),
        "wiki does not list osaka in its `sites` (tokyo)",
    );
    let mut it = asked(&["library"]);
    it.size = 21;
    refused(&world, &it, "1 to 20 services");
    world
        .orders
        .insert(name("library"), stored(order("osaka", 3)));
    refused(
        &world,
        &asked(&["library"]),
        "is served by osaka already, by bob (epoch 3)",
    );
    world.orders.insert(name("shop"), stored(order("osaka", 1)));
    refused(&world, &asked(&[]), "there is nothing to move to osaka");
}

#[test]
fn without_a_name_it_is_everything_that_can_be_moved() {
    let made = begin_switch(&world(), &asked(&[]), NOW).unwrap();
    let names: Vec<&str> = made
        .operation
        .steps
        .iter()
        .map(|it| it.service.as_str())
        .collect();
    assert_eq!(names, ["library", "shop"]);
    assert_eq!(made.back, None);
    assert_eq!(made.operation.title(), "switch of 2 services to osaka");
    let made = begin_switch(&world(), &asked(&["*"]), NOW).unwrap();
    assert_eq!(made.left_out.len(), 1, "{made:?}");
}

#[test]
fn of_two_operators_the_second_is_told_who_the_first_is() {
    let mut world = world();
    let made = begin_switch(&world, &asked(&["library"]), NOW).unwrap();
    world.operations.insert(made.id, stored(made.operation));
    let mut second = asked(&["*"]);
    second.who = "carol".to_owned();
    refused(
        &world,
        &second,
        "operation 1, switch of library to osaka by alice, is scheduled and has library",
    );
    let made = begin_switch(&world, &asked(&["shop"]), NOW).unwrap();
    assert_eq!(made.id, OperationId(2));
}

#[test]
fn an_end_is_a_return_that_is_scheduled_with_it() {
    let mut it = asked(&["library"]);
    it.schedule.at = Some(Timestamp(11_000_000));
    it.schedule.until = Some(Timestamp(12_000_000));
    "Asia/Tokyo".clone_into(&mut it.schedule.zone);
    let mut world = world();
    let made = begin_switch(&world, &it, NOW).unwrap();
    assert_eq!(
        made.operation.schedule.until, None,
        "what is under way is not cut off"
    );
    let (id, back) = made.back.clone().unwrap();
    assert_eq!(
        (id, back.schedule.at),
        (OperationId(2), Some(Timestamp(12_000_000)))
    );
    // Whatever comes in between would be led back over.
    world.operations.insert(made.id, stored(made.operation));
    world.operations.insert(id, stored(back));
    let mut between = asked(&["library"]);
    between.schedule.at = Some(Timestamp(11_500_000));
    refused(&world, &between, "operation 1,");
}

/// What tokyo says: instances wanted there, and the rest as it should be.
pub(super) fn states(wanted: u32) -> Vec<LinkState> {
    let shared = |wanted| SharedService {
        order: Vec::new(),
        wanted,
        up: wanted,
        draining: false,
        decided: None,
        in_flight: 0,
        quiet_since: None,
        came: None,
    };
    vec![LinkState {
        v: 1,
        site: site("tokyo"),
        node: NodeId::parse("one").unwrap(),
        version: "0.0.1".to_owned(),
        now: NOW,
        services: [("library", wanted), ("shop", wanted)]
            .map(|(text, wanted)| (name(text), shared(wanted)))
            .into(),
        follows_orders: true,
        sees: BTreeMap::new(),
    }]
}

/// Which checks fail, with their figures; `edit` makes something wrong.
#[track_caller]
fn check(edit: impl FnOnce(&mut World, &mut Peer, &mut Cause, &mut Accepted), expected: &[&str]) {
    let mut world = world();
    let mut peer = Peer {
        states: Ok(states(2)),
        delay: Duration::from_millis(31),
        record: None,
    };
    let (mut cause, mut accepted) = (Cause::Planned, Accepted::default());
    edit(&mut world, &mut peer, &mut cause, &mut accepted);
    let library = name("library");
    let there = (peer.states.as_ref().ok()).and_then(|it| wanted_there(it, &library));
    let ready = Ready::of(&world, &site("osaka"), [(&library, there)], NOW);
    let schedule = Schedule::default();
    let facts = Facts {
        world: &world,
        ready: &ready,
        to: &site("osaka"),
        peer: &peer,
        certificates: &[(
            "www.example.org".to_owned(),
            NOW.after(Duration::from_secs(90_000)),
        )],
        copy: None,
        schedule: &schedule,
        cause,
        accepted,
        own: OperationId(7),
        now: NOW,
    };
    let begin = start(&world, &site("osaka"), &name("library")).unwrap();
    let all = checks(&facts, &name("library"), &begin);
    let failing: Vec<String> = (all.iter().filter(|it| !it.is_met))
        .map(|it| format!("{}: {}", it.name, it.figure))
        .collect();
    assert_eq!(failing.len(), expected.len(), "{failing:?}");
    for (found, expected) in failing.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

#[test]
fn checks_name_what_fails_and_by_how_much() {
    check(|_, _, _, _| {}, &[]);
    check(
        |_, peer, _, _| peer.states = Err("no answer in 1.5s".to_owned()),
        &["link: tokyo is not heard: no answer in 1.5s; if it is dead: minato failover --to osaka"],
    );
    check(
        |_, peer, _, _| peer.delay = Duration::from_millis(1_200),
        &["link: tokyo answers after 1200.0 ms, more than 1s"],
    );
    check(
        |_, peer, _, _| {
            let mut told = states(2);
            told[0].now = NOW.after(Duration::from_secs(312));
            peer.states = Ok(told);
        },
        &["link: the clocks of tokyo and osaka differ by 312 s"],
    );
    check(
        |_, peer, _, _| {
            let mut told = states(2);
            told[0].follows_orders = false;
            peer.states = Ok(told);
        },
        &["link: one at tokyo runs minato 0.0.1, which follows no decisions"],
    );
    check(
        |_, peer, _, _| peer.states = Ok(states(6)),
        &[
            "capacity: 0 of 2 up at osaka, 6 wanted at tokyo: 46% of the work; raise [at.osaka] replicas",
        ],
    );
    check(
        |_, peer, _, accepted| {
            peer.states = Ok(states(6));
            accepted.overload = Bearing::Accepted;
        },
        &[],
    );
    check(
        |world, _, _, _| {
            let intent = Intent {
                v: 1,
                drain: true,
                who: "bob".to_owned(),
                ..Intent::default()
            };
            world.intents.insert(name("library"), stored(intent));
        },
        &["drain: bob took it out of traffic here"],
    );
    check(
        |world, _, _, _| {
            let mut made = begin_switch(world, &asked(&["library"]), NOW).unwrap();
            made.operation.state = OperationState::Running;
            world.operations.insert(made.id, stored(made.operation));
        },
        &["operations: operation 1, switch of library to osaka by alice"],
    );
    check(
        |world, _, _, _| {
            let mirrored = crate::mirror::MirrorRecord {
                v: 1,
                home: site("tokyo"),
                record: record("library", &["tokyo", "osaka"]),
                since: NOW,
            };
            let key = (site("tokyo"), name("library"));
            world.mirrors.insert(key, stored(mirrored));
            let here = world.services.get_mut(&name("library")).unwrap();
            here.value.source = minato_config::Source::Mirror {
                home: site("tokyo"),
                mode: minato_config::MirrorMode::Warm,
            };
        },
        &[],
    );
}

#[test]
fn a_failover_is_for_a_site_that_is_not_heard() {
    let lost = |cause: &mut Cause| *cause = Cause::Lost;
    check(
        |_, _, cause, _| lost(cause),
        &[
            "link: tokyo is heard (1 gateways, 31.0 ms): it can let go in order; minato switch --to osaka",
        ],
    );
    check(
        |_, peer, cause, _| {
            lost(cause);
            peer.states = Err("refused".to_owned());
        },
        &[],
    );
}

/// One operation, with what is seen of its services.
struct Story {
    world: World,
    operation: Operation,
    source_epoch: BTreeMap<ServiceName, u64>,
    problems: BTreeMap<ServiceName, String>,
    now: Timestamp,
    told: Vec<String>,
}

impl Story {
    fn new(asked: &AskedSwitch) -> Self {
        let world = world();
        let operation = begin_switch(&world, asked, NOW).unwrap().operation;
        Self {
            world,
            operation,
            source_epoch: BTreeMap::new(),
            problems: BTreeMap::new(),
            now: NOW,
            told: Vec::new(),
        }
    }

    /// A second passes, and one look is carried out.
    fn turn(&mut self) {
        self.now = self.now.after(Duration::from_secs(1));
        let to = site("osaka");
        let left = remaining(&self.world, &to);
        let mut seen = SwitchesSeen::new();
        for (n, step) in self.operation.steps.iter().enumerate() {
            let order = self
                .world
                .orders
                .get(&step.service)
                .map(|it| it.value.clone());
            let epoch = order.as_ref().map_or(0, |it| it.epoch);
            let found = match step.state {
                StepState::Waiting => match start(&self.world, &to, &step.service) {
                    Ok(it) => StepSeen::Start(it),
                    Err(why) => StepSeen::Needless(why),
                },
                StepState::Running => StepSeen::Under {
                    sight: Box::new(Sight {
                        problems: self
                            .problems
                            .get(&step.service)
                            .cloned()
                            .into_iter()
                            .collect(),
                        up: (2, 2),
                        need: Need::default(),
                        epoch,
                        answers: order.as_ref().is_some_and(|it| it.first == to),
                        source: Some(Source {
                            epoch: self.source_epoch.get(&step.service).copied().unwrap_or(0),
                            held: Held::No,
                            in_flight: 0,
                            quiet_since: Some(Timestamp(0)),
                            came: None,
                        }),
                        sync: Sync::None,
                        entrance: Entrance::None,
                    }),
                    order,
                },
                _ => continue,
            };
            seen.insert(n, found);
        }
        let turn = run(
            OperationId(1),
            &self.operation,
            None,
            &seen,
            &left,
            self.now,
        );
        for it in &turn.orders {
            match it.order {
                Order::First(epoch) => {
                    let record = OrderRecord {
                        who: "alice".to_owned(),
                        ..order("osaka", epoch)
                    };
                    self.world.orders.insert(it.service.clone(), stored(record));
                }
                Order::Tell(epoch) => drop(self.source_epoch.insert(it.service.clone(), epoch)),
                _ => {}
            }
        }
        self.operation = turn.next;
        self.told.extend(turn.news.into_iter().map(|it| it.text));
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&Operation) -> bool) {
        for _ in 0..60 {
            if is_so(&self.operation) {
                return;
            }
            self.turn();
        }
        panic!("never {what}: {:#?}", self.operation);
    }

    fn states(&self) -> Vec<StepState> {
        self.operation.steps.iter().map(|it| it.state).collect()
    }
}

#[test]
fn services_are_moved_a_few_at_a_time_and_the_old_site_is_called_safe_in_the_end() {
    let mut story = Story::new(&asked(&[]));
    story.turn();
    assert_eq!(story.states(), [StepState::Running, StepState::Waiting]);
    // The first one is being watched when the second begins.
    story.until("both under way", |it| it.count(StepState::Running) == 2);
    assert!(story.operation.steps[0].has_moved());
    assert!(!story.operation.steps[1].has_moved());
    story.until("done", |it| it.state == OperationState::Done);
    let reason = &story.operation.reason;
    assert!(reason.contains("tokyo is safe to power off"), "{reason}");
    assert_eq!(story.operation.progress(), "2 of 2 done");
}

#[test]
fn a_site_that_serves_more_is_not_called_safe() {
    let mut story = Story::new(&asked(&["library"]));
    story.until("done", |it| it.state == OperationState::Done);
    let reason = &story.operation.reason;
    assert!(
        reason.contains("still comes first for 1 more (shop): not safe to power off"),
        "{reason}"
    );
}

#[test]
fn what_fails_its_checks_stays_and_the_rest_waits_for_a_person() {
    let mut story = Story::new(&asked(&[]));
    story
        .problems
        .insert(name("library"), "capacity: 46%".to_owned());
    story.until("held", |it| it.state == OperationState::Held);
    assert_eq!(story.states(), [StepState::Failed, StepState::Waiting]);
    assert!(story.operation.steps[0].detail.contains("capacity: 46%"));
    assert!(!story.world.orders.contains_key(&name("library")));
    story.operation = story.operation.resume("bob", story.now).unwrap();
    story.until("done", |it| it.state == OperationState::Done);
    assert_eq!(story.states(), [StepState::Failed, StepState::Done]);
    assert!(!story.operation.reason.contains("safe to power off"));
}

#[test]
fn ended_by_a_person_what_has_moved_stays_and_the_rest_is_given_back() {
    let mut story = Story::new(&asked(&[]));
    story.until("one moved", |it| it.steps[0].has_moved());
    story.until("both under way", |it| it.count(StepState::Running) == 2);
    story.operation = story.operation.abort("bob", story.now).unwrap();
    story.until("aborted", |it| it.state == OperationState::Aborted);
    assert_eq!(story.states(), [StepState::Done, StepState::Skipped]);
    assert!(!story.world.orders.contains_key(&name("shop")));
    // All that is left has moved: there is only another switch.
    let mut story = Story::new(&asked(&["library"]));
    story.until("moved", |it| it.steps[0].has_moved());
    let why = story.operation.abort("bob", story.now).unwrap_err();
    assert!(why.contains("minato switch --to tokyo"), "{why}");
}

#[test]
fn a_newer_word_takes_over_from_one_that_has_moved() {
    let mut story = Story::new(&asked(&["library"]));
    story.until("moved", |it| it.steps[0].has_moved());
    story
        .world
        .orders
        .insert(name("library"), stored(order("tokyo", 2)));
    story.until("over", |it| !it.state.is_open());
    assert_eq!(story.states(), [StepState::Skipped]);
    let detail = &story.operation.steps[0].detail;
    assert!(
        detail.contains("tokyo comes first since epoch 2, by bob"),
        "{detail}"
    );
}

#[test]
fn before_its_time_nothing_happens_and_after_it_it_is_missed() {
    let mut it = asked(&["library"]);
    it.schedule.at = Some(NOW.after(Duration::from_secs(100)));
    let mut story = Story::new(&it);
    for _ in 0..50 {
        story.turn();
    }
    assert_eq!(
        (story.operation.state, story.told.len()),
        (OperationState::Scheduled, 0)
    );
    story.now = NOW.after(Duration::from_secs(1_000));
    story.turn();
    assert_eq!(story.operation.state, OperationState::Missed);
    assert!(
        story.told[0].contains("nobody led when its time came"),
        "{:?}",
        story.told
    );
    assert_eq!(story.states(), [StepState::Waiting]);
}

#[test]
fn what_several_gateways_of_a_site_say_is_the_least_that_all_of_them_know() {
    let mut told = states(2);
    told.extend(states(2));
    let library = name("library");
    let set = |state: &mut LinkState, epoch, in_flight, quiet: Option<u64>| {
        let it = state.services.get_mut(&name("library")).unwrap();
        it.decided = Some(order("osaka", epoch));
        (it.in_flight, it.quiet_since) = (in_flight, quiet.map(Timestamp));
    };
    set(&mut told[0], 5, 2, Some(100));
    set(&mut told[1], 4, 3, Some(300));
    let found = source(&told, &library).unwrap();
    assert_eq!((found.epoch, found.in_flight), (4, 5));
    assert_eq!(found.quiet_since, Some(Timestamp(300)));
    set(&mut told[1], 5, 0, None);
    assert_eq!(source(&told, &library).unwrap().quiet_since, None);
    assert_eq!(source(&[], &library), None);
}

/// A switch with a return that is due, in the world of osaka.
fn due(moved: bool) -> (World, OperationId, Operation) {
    let mut it = asked(&["library"]);
    it.schedule.until = Some(NOW.after(Duration::from_secs(60)));
    let mut world = world();
    let mut made = begin_switch(&world, &it, NOW).unwrap();
    if moved {
        let step = &mut made.operation.steps[0];
        let mut switch = Switch::new(site("tokyo"), site("osaka"), 0, Data::None, NOW);
        switch.phase = Phase::Quiet;
        (step.state, step.switch) = (StepState::Running, Some(Box::new(switch)));
        made.operation.state = OperationState::Running;
        world
            .orders
            .insert(name("library"), stored(order("osaka", 1)));
    }
    world.operations.insert(made.id, stored(made.operation));
    let (id, back) = made.back.unwrap();
    (world, id, back)
}

#[test]
fn a_return_asks_the_site_that_served_until_it_takes_it_back() {
    let (world, id, back) = due(true);
    assert!(matches!(back.work, Work::Return(_)));
    let early = way_back(id, &back, &world, &BackSeen::new(), NOW);
    assert_eq!((early.next, early.ask.len()), (back.clone(), 0));
    let now = NOW.after(Duration::from_secs(61));
    let turn = way_back(id, &back, &world, &BackSeen::new(), now);
    let expected = Asking {
        site: site("tokyo"),
        services: vec![name("library")],
    };
    assert_eq!(turn.ask, [expected]);
    let refuses = BackSeen::from([(site("tokyo"), Err("tokyo is not heard".to_owned()))]);
    let turn = way_back(id, &turn.next, &world, &refuses, now);
    assert_eq!(
        (turn.ask.len(), turn.next.state),
        (1, OperationState::Running)
    );
    assert!(
        turn.news[0].text.contains("tokyo is not heard"),
        "{:?}",
        turn.news
    );
    let again = way_back(id, &turn.next, &world, &refuses, now);
    assert_eq!(
        (again.news.len(), &again.next),
        (0, &turn.next),
        "told once"
    );
    let takes = BackSeen::from([(
        site("tokyo"),
        Ok("operation 4 of tokyo leads back".to_owned()),
    )]);
    let turn = way_back(id, &turn.next, &world, &takes, now);
    assert_eq!(turn.next.state, OperationState::Done);
    assert_eq!(turn.next.reason, "operation 4 of tokyo leads back");
    assert_eq!(turn.ask, []);
}

#[test]
fn what_was_not_moved_is_not_led_back() {
    let (mut world, id, back) = due(false);
    let first = world.operations.get_mut(&OperationId(1)).unwrap();
    first.value.state = OperationState::Aborted;
    let turn = way_back(id, &back, &world, &BackSeen::new(), NOW);
    assert_eq!(turn.next.state, OperationState::Aborted);
    // Somebody was faster.
    let (mut world, id, back) = due(true);
    world
        .orders
        .insert(name("library"), stored(order("tokyo", 2)));
    let late = NOW.after(Duration::from_secs(61));
    let turn = way_back(id, &back, &world, &BackSeen::new(), late);
    assert_eq!(turn.next.steps[0].state, StepState::Done);
    // It went on to somebody else meanwhile.
    let (mut world, id, back) = due(true);
    world
        .orders
        .insert(name("library"), stored(order("kyoto", 2)));
    let turn = way_back(
        id,
        &back,
        &world,
        &BackSeen::new(),
        NOW.after(Duration::from_secs(61)),
    );
    assert_eq!(
        (turn.next.state, turn.ask),
        (OperationState::Done, Vec::new())
    );
    assert_eq!(turn.next.steps[0].state, StepState::Skipped);
    // Nobody led for too long.
    let (world, id, back) = due(true);
    let turn = way_back(
        id,
        &back,
        &world,
        &BackSeen::new(),
        NOW.after(Duration::from_secs(1_000)),
    );
    assert_eq!(turn.next.state, OperationState::Missed);
    assert_eq!(
        turn.news[0].hint.as_deref(),
        Some("minato switch --to tokyo --services library --size 1 --quiet 4s leads back by hand")
    );
    // Nor for the switch: no alarm over what never moved, whichever is looked at first.
    let (mut world, id, back) = due(false);
    for state in [OperationState::Scheduled, OperationState::Missed] {
        let first = world.operations.get_mut(&OperationId(1)).unwrap();
        first.value.state = state;
        let late = NOW.after(Duration::from_secs(1_000));
        let turn = way_back(id, &back, &world, &BackSeen::new(), late);
        assert_eq!(turn.next.state, OperationState::Aborted, "{state}");
        assert_eq!(
            (turn.news[0].level, &turn.news[0].hint),
            (Level::Info, &None)
        );
    }
    // One that has begun may move it yet.
    let first = world.operations.get_mut(&OperationId(1)).unwrap();
    first.value.state = OperationState::Running;
    let late = NOW.after(Duration::from_secs(1_000));
    let turn = way_back(id, &back, &world, &BackSeen::new(), late);
    assert_eq!(turn.next.state, OperationState::Missed);
}

#[test]
fn what_was_missed_is_told_with_what_to_type() {
    let at = |it: &mut AskedSwitch| {
        it.schedule.at = Some(NOW.after(Duration::from_secs(100)));
        it.schedule.zone = "Asia/Tokyo".to_owned();
    };
    let drill = |it: &mut AskedSwitch| {
        at(it);
        it.kind = SwitchKind::Drill;
    };
    let failover = |it: &mut AskedSwitch| it.kind = SwitchKind::Failover;
    let until = |it: &mut AskedSwitch| {
        at(it);
        it.schedule.until = Some(NOW.after(Duration::from_secs(90_000)));
        it.accepted.overload = Bearing::Accepted;
        (it.size, it.stop_after) = (3, 2);
        (it.timing.quiet_ms, it.timing.watch_ms) = (0, 5_400_000);
    };
    let past = |it: &mut AskedSwitch| {
        at(it);
        it.schedule.until = Some(NOW.after(Duration::from_secs(900)));
    };
    let length = |it: &mut AskedSwitch| {
        drill(it);
        it.schedule.until = Some(NOW.after(Duration::from_secs(100 + 1_800)));
    };
    let lost = |it: &mut AskedSwitch| {
        failover(it);
        it.accepted.data_loss = Bearing::Accepted;
    };
    let back = super::super::local_text(NOW.after(Duration::from_secs(90_000)), "Asia/Tokyo");
    let whole = format!(
        "minato switch --to osaka --services library --until \"{back}\" --size 3 --stop-after 2 --quiet 0s --watch 90m --accept-overload --at \"DATE TIME Asia/Tokyo\", or without --at for now"
    );
    type Change<'a> = &'a dyn Fn(&mut AskedSwitch);
    let changes: [(Change<'_>, &str); 8] = [
        (
            &at,
            "minato switch --to osaka --services library --at \"DATE TIME Asia/Tokyo\", or without --at for now",
        ),
        (
            &drill,
            "minato drill --to osaka --services library --at \"DATE TIME Asia/Tokyo\", or without --at for now",
        ),
        (&failover, "minato failover --to osaka --services library"),
        (&|_| {}, "minato switch --to osaka --services library"),
        (&until, &whole),
        (
            &past,
            "minato switch --to osaka --services library --until \"DATE TIME Asia/Tokyo\" --at \"DATE TIME Asia/Tokyo\", or without --at for now",
        ),
        (
            &length,
            "minato drill --to osaka --services library --for 30m --at \"DATE TIME Asia/Tokyo\", or without --at for now",
        ),
        (
            &lost,
            "minato failover --to osaka --services library --accept-data-loss",
        ),
    ];
    for (change, expected) in changes {
        let mut it = asked(&["library"]);
        // As it is where nothing is typed.
        (it.size, it.stop_after, it.timing) = (10, 1, Timing::default());
        change(&mut it);
        let made = begin_switch(&world(), &it, NOW).unwrap();
        let back = made.back.as_ref().map(|(_, it)| it);
        let late = NOW.after(Duration::from_secs(1_000));
        let (seen, left) = (SwitchesSeen::new(), BTreeMap::new());
        let turn = run(OperationId(1), &made.operation, back, &seen, &left, late);
        assert_eq!(turn.next.state, OperationState::Missed);
        assert_eq!(turn.news[0].hint.as_deref(), Some(expected));
        // Somebody called the way back off.
        let Some(mut back) = back.cloned() else {
            continue;
        };
        back.state = OperationState::Aborted;
        let turn = run(
            OperationId(1),
            &made.operation,
            Some(&back),
            &seen,
            &left,
            late,
        );
        let hint = turn.news[0].hint.as_deref().unwrap();
        assert!(
            !hint.contains("--until") && !hint.contains("--for"),
            "{hint}"
        );
    }
}

#[test]
fn what_was_led_on_since_is_not_told_to_be_led_back() {
    let (mut world, id, back) = due(true);
    let late = NOW.after(Duration::from_secs(1_000));
    for (first, hint) in [("osaka", true), ("kyoto", false), ("tokyo", false)] {
        world
            .orders
            .insert(name("library"), stored(order(first, 2)));
        let turn = way_back(id, &back, &world, &BackSeen::new(), late);
        assert_eq!(turn.next.state, OperationState::Missed, "{first}");
        assert_eq!(turn.news[0].hint.is_some(), hint, "{first}");
    }
}
