//! One test for each rule, on small worlds.

use super::*;
use crate::{InstanceKey, Stored};
use minato_config::{
    Backend, Command, GatewayId, Generation, Health, HealthProbe, HealthTiming, Intent, Limits,
    NodeId, Restart, Run, Service, ServiceRecord, Source, StopPolicy, Timeouts,
};
use minato_health::{GatewayAlive, Instance, NodeAlive, Phase, Verdict, VerdictReport};

/// The time in every test; long after everything began.
pub(super) const NOW: Timestamp = Timestamp(1_000_000);

/// A world under construction, about one service. Everything is written at revision 1 unless `at` says otherwise.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) world: World,
    name: ServiceName,
    revision: u64,
}

impl Scene {
    /// Node a, gateway g, and `library` with this many replicas of version 1.
    pub(super) fn of(replicas: u16) -> Self {
        Self::empty()
            .service("library", replicas)
            .node("a")
            .gateway("g")
    }

    pub(super) fn empty() -> Self {
        Self {
            world: World::default(),
            name: name("library"),
            revision: 1,
        }
    }

    /// Adds a service; what follows speaks of it.
    pub(super) fn service(mut self, text: &str, replicas: u16) -> Self {
        self.name = name(text);
        let record = ServiceRecord {
            v: 1,
            source: Source::File {
                path: format!("services/{text}.toml"),
            },
            service: Service {
                name: name(text),
                backend: Backend::Command(command("1")),
                replicas,
                routes: Vec::new(),
                health: Health::On {
                    probe: HealthProbe::Tcp,
                    timing: HealthTiming::default(),
                },
                limits: Limits::default(),
                timeouts: Timeouts::default(),
                retries: 1,
            },
            removed: false,
        };
        let record = self.stored(record);
        self.world.services.insert(name(text), record);
        self
    }

    /// Everything added from here on was written by this commit.
    pub(super) fn at(mut self, revision: u64) -> Self {
        self.revision = revision;
        self
    }

    fn stored<T>(&self, value: T) -> Stored<T> {
        Stored {
            value,
            modified: self.revision,
        }
    }

    pub(super) fn node(mut self, text: &str) -> Self {
        let alive = self.stored(NodeAlive {
            v: 1,
            since: Timestamp(0),
        });
        self.world.nodes.insert(NodeId::parse(text).unwrap(), alive);
        self
    }

    pub(super) fn gateway(mut self, text: &str) -> Self {
        let alive = self.stored(GatewayAlive {
            v: 1,
            since: Timestamp(0),
        });
        let id = GatewayId::parse(text).unwrap();
        self.world.gateways.insert(id, alive);
        self
    }

    pub(super) fn record(mut self, change: impl FnOnce(&mut ServiceRecord)) -> Self {
        change(&mut self.world.services.get_mut(&self.name).unwrap().value);
        self
    }

    pub(super) fn version(self, version: &str) -> Self {
        self.record(|it| it.service.backend = Backend::Command(command(version)))
    }

    pub(super) fn intent(mut self, change: impl FnOnce(&mut Intent)) -> Self {
        let fresh = self.stored(Intent::default());
        let intent = self.world.intents.entry(self.name.clone()).or_insert(fresh);
        change(&mut intent.value);
        self
    }

    /// A slot of version 1 in generation 0.`counter`, without an instance.
    pub(super) fn slot(mut self, n: u16, node: &str, counter: u64) -> Self {
        let slot = self.stored(Slot {
            v: 1,
            node: NodeId::parse(node).unwrap(),
            generation: generation(counter),
            digest: command("1").digest(),
            restart: None,
            removed: false,
        });
        let key = (self.name.clone(), SlotIndex(n));
        self.world.slots.insert(key, slot);
        self
    }

    pub(super) fn change_slot(mut self, n: u16, change: impl FnOnce(&mut Slot)) -> Self {
        let key = (self.name.clone(), SlotIndex(n));
        change(&mut self.world.slots.get_mut(&key).unwrap().value);
        self
    }

    pub(super) fn lose_slot(mut self, n: u16) -> Self {
        let key = (self.name.clone(), SlotIndex(n));
        assert!(self.world.slots.remove(&key).is_some());
        self
    }

    /// An instance, in its phase for 100 s.
    pub(super) fn instance(mut self, n: u16, node: &str, counter: u64, phase: Phase) -> Self {
        let key = InstanceKey {
            node: NodeId::parse(node).unwrap(),
            service: self.name.clone(),
            slot: SlotIndex(n),
            generation: generation(counter),
        };
        let instance = self.stored(Instance {
            v: 1,
            run: Run(1),
            phase,
            address: ([127, 0, 0, 1], 20_000 + n).into(),
            since: Timestamp(NOW.0 - 100_000),
            pid: None,
            restarts: 0,
            local: None,
            reason: match phase {
                Phase::Exited | Phase::Failed => "exited with status 3".to_owned(),
                Phase::Running | Phase::Stopping => String::new(),
            },
            retry_at: None,
        });
        self.world.instances.insert(key, instance);
        self
    }

    pub(super) fn change_instances(mut self, change: impl Fn(&mut Instance)) -> Self {
        let all = self.world.instances.values_mut();
        all.for_each(|it| change(&mut it.value));
        self
    }

    /// Gateway `by` reports on run 1, since 100 s.
    pub(super) fn verdict(mut self, n: u16, by: &str, counter: u64, verdict: Verdict) -> Self {
        let report = self.stored(VerdictReport {
            v: 1,
            generation: generation(counter),
            run: Run(1),
            verdict,
            reason: match verdict {
                Verdict::Up => String::new(),
                Verdict::Suspect | Verdict::Down => "connect refused".to_owned(),
            },
            since: Timestamp(NOW.0 - 100_000),
            drained: false,
        });
        let gateway = GatewayId::parse(by).unwrap();
        let key = (self.name.clone(), SlotIndex(n), gateway);
        self.world.verdicts.insert(key, report);
        self
    }

    pub(super) fn change_verdicts(mut self, change: impl Fn(&mut VerdictReport)) -> Self {
        let all = self.world.verdicts.values_mut();
        all.for_each(|it| change(&mut it.value));
        self
    }

    /// Slot, running instance, and what gateway g says of it.
    pub(super) fn running(self, n: u16, node: &str, counter: u64, verdict: Verdict) -> Self {
        self.slot(n, node, counter)
            .instance(n, node, counter, Phase::Running)
            .verdict(n, "g", counter, verdict)
    }

    pub(super) fn up(self, n: u16, node: &str, counter: u64) -> Self {
        self.running(n, node, counter, Verdict::Up)
    }

    /// Compares the plan, line by line.
    #[track_caller]
    pub(super) fn plans(&self, expected: &[&str]) {
        let plan = plan(&self.world, NOW);
        let text = plan.to_string();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert_eq!(plan, super::plan(&self.world.clone(), NOW));
    }

    #[track_caller]
    pub(super) fn is_done(&self, expected: &str) {
        let found = settled(&self.world, &self.name);
        assert_eq!(found, Settled::Done(expected.to_owned()));
    }

    #[track_caller]
    pub(super) fn waits(&self, expected: &str) {
        let found = settled(&self.world, &self.name);
        assert_eq!(found, Settled::Waiting(expected.to_owned()));
    }
}

pub(super) fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

pub(super) fn generation(counter: u64) -> Generation {
    Generation { era: 0, counter }
}

pub(super) fn command(version: &str) -> Command {
    Command {
        argv: vec!["serve".to_owned(), version.to_owned()],
        env: Default::default(),
        directory: None,
        port: None,
        stop: StopPolicy::default(),
    }
}

#[test]
fn missing_slots_get_the_lowest_free_index() {
    Scene::of(3).up(1, "a", 4).plans(&[
        "library/0: assign 0.1 on node a: 3 wanted, 1 assigned",
        "library/2: assign 0.1 on node a: 3 wanted, 2 assigned",
    ]);
}

#[test]
fn an_index_that_is_being_stopped_is_not_free() {
    Scene::of(1)
        .up(0, "a", 1)
        .change_slot(0, |it| it.removed = true)
        .plans(&["library/1: assign 0.1 on node a: 1 wanted, 0 assigned"]);
}

#[test]
fn a_service_spreads_first_then_the_nodes_fill_evenly() {
    let scene = Scene::of(3).node("b").node("c");
    scene
        .service("archive", 1)
        .up(0, "a", 1)
        .service("library", 3)
        .up(0, "b", 1)
        .plans(&[
            "library/1: assign 0.1 on node c: 3 wanted, 1 assigned",
            "library/2: assign 0.1 on node a: 3 wanted, 2 assigned",
        ]);
}

#[test]
fn services_of_one_plan_see_each_others_slots() {
    Scene::of(1).node("b").service("archive", 1).plans(&[
        "archive/0: assign 0.1 on node a: 1 wanted, 0 assigned",
        "library/0: assign 0.1 on node b: 1 wanted, 0 assigned",
    ]);
}

#[test]
fn without_a_node_nothing_is_placed() {
    let scene = Scene::empty().service("library", 2).gateway("g");
    scene.plans(&["library: note: 0 of 2 slots have a node: no node is alive"]);
    scene.waits("0 of 2 up; 2 without a node yet");
}

#[test]
fn a_fixed_port_takes_one_instance_on_a_node() {
    let fixed = |scene: Scene| {
        let mut command = command("1");
        command.port = Some(9000);
        let digest = command.digest();
        scene
            .record(|it| it.service.backend = Backend::Command(command.clone()))
            .change_slot(0, |it| it.digest = digest)
    };
    let note =
        "library: note: 1 of 2 slots have a node: port 9000 is fixed, so a node takes one at most";
    fixed(Scene::of(2).up(0, "a", 1)).plans(&[note]);
    fixed(Scene::of(2).up(0, "a", 1))
        .node("b")
        .plans(&["library/1: assign 0.1 on node b: 2 wanted, 1 assigned"]);
    fixed(Scene::of(1).up(0, "a", 1))
        .change_slot(0, |it| it.removed = true)
        .plans(&[
            "library: note: 0 of 1 slots have a node: port 9000 is fixed, so a node takes one at most",
        ]);
}

#[test]
fn a_new_slot_never_takes_a_used_generation() {
    let mut scene = Scene::of(1).instance(0, "a", 7, Phase::Stopping);
    scene.plans(&["library/0: assign 0.8 on node a: 1 wanted, 0 assigned"]);
    scene.world.revision = 40;
    scene.plans(&["library/0: assign 0.41 on node a: 1 wanted, 0 assigned"]);
}

#[test]
fn a_new_slot_begins_in_the_highest_era() {
    let scene = Scene::of(2).slot(0, "a", 3);
    scene
        .change_slot(0, |it| it.generation.era = 2)
        .plans(&["library/1: assign 2.1 on node a: 2 wanted, 1 assigned"]);
}

#[test]
fn an_intent_beats_the_file() {
    let scene = Scene::of(1).up(0, "a", 1);
    let scene = scene.intent(|it| it.replicas = Some(2));
    assert_eq!(wanted(&scene.world, &name("library")), 2);
    scene.plans(&["library/1: assign 0.1 on node a: 2 wanted, 1 assigned"]);
}

#[test]
fn surplus_goes_worst_first_then_highest_index() {
    let scene = Scene::of(1)
        .up(0, "a", 1)
        .up(1, "a", 1)
        .running(2, "a", 1, Verdict::Down)
        .running(3, "a", 1, Verdict::Suspect)
        .slot(4, "a", 1)
        .slot(5, "a", 1)
        .instance(5, "a", 1, Phase::Failed)
        .up(6, "a", 1);
    let all = [
        "library/5: remove: 1 wanted, 7 assigned; failed: exited with status 3",
        "library/4: remove: 1 wanted, 7 assigned; not started yet",
        "library/2: remove: 1 wanted, 7 assigned; down: connect refused",
        "library/3: remove: 1 wanted, 7 assigned; suspect: connect refused",
        "library/6: remove: 1 wanted, 7 assigned",
        "library/1: remove: 1 wanted, 7 assigned",
    ];
    scene.plans(&all);
    for keep in 2..=6_u16 {
        let count = 7 - usize::from(keep);
        let lines: Vec<String> = all[..count]
            .iter()
            .map(|it| it.replace("1 wanted", &format!("{keep} wanted")))
            .collect();
        let scene = scene.clone().intent(|it| it.replicas = Some(keep));
        let text = plan(&scene.world, NOW).to_string();
        let removed: Vec<&str> = text.lines().filter(|it| it.contains(": remove")).collect();
        assert_eq!(removed, lines);
    }
}

#[test]
fn a_removed_slot_is_forgotten_once_its_instances_are_gone() {
    let scene = Scene::of(1)
        .up(0, "a", 1)
        .slot(1, "a", 2)
        .change_slot(1, |it| it.removed = true);
    scene.plans(&["library/1: forget: removed, and its instances are gone"]);
    scene.waits("1 of 1 up; library/1 to be stopped");
    // An older generation that still stops counts.
    scene.instance(1, "a", 1, Phase::Stopping).plans(&[]);
}

#[test]
fn a_removed_service_ends_slot_by_slot() {
    let removed = |scene: Scene| scene.record(|it| it.removed = true);
    let scene = removed(Scene::of(2).up(0, "a", 1).up(1, "a", 1));
    scene.plans(&[
        "library/1: remove: the service is removed",
        "library/0: remove: the service is removed",
    ]);
    scene.waits("library is removed; 2 slots are left");
    let scene = removed(Scene::of(2).slot(0, "a", 1)).change_slot(0, |it| it.removed = true);
    scene.plans(&[
        "library/0: forget: removed, and its instances are gone",
        "library: forget: removed, and no slot is left",
    ]);
    removed(Scene::of(2).instance(0, "a", 1, Phase::Running)).plans(&[
        "library/0: assign 0.1 on node a: its document vanished while an instance runs; if the command was being \
         changed: minato restart library",
    ]);
    Scene::empty().is_done("library is not there");
}

#[test]
fn a_service_that_became_fixed_endpoints_needs_no_slots() {
    let endpoints = Backend::Endpoints(vec![([10, 0, 0, 7], 80).into()]);
    let scene = Scene::of(1).up(0, "a", 1);
    let scene = scene.record(|it| it.service.backend = endpoints.clone());
    scene.plans(&["library/0: remove: fixed endpoints need no slots"]);
    scene.waits("library has fixed endpoints; 1 slots of its command are left");
    let scene = Scene::of(1).record(|it| it.service.backend = endpoints);
    scene.plans(&[]);
    scene.is_done("1 fixed endpoints");
    assert_eq!(wanted(&scene.world, &name("library")), 1);
}

#[test]
fn a_changed_command_replaces_one_slot_at_a_time() {
    let scene = Scene::of(2).up(0, "a", 1).up(1, "a", 1).version("2");
    scene.plans(&["library/0: assign 0.2 on node a: its command changed; 1 more to come"]);
    let half = scene.slot(0, "a", 2);
    let half = half.change_slot(0, |it| it.digest = command("2").digest());
    half.plans(&[]);
    let half = half.instance(0, "a", 2, Phase::Running);
    half.clone()
        .verdict(0, "g", 2, Verdict::Suspect)
        .plans(&["library: note: the update holds at library/1: library/0 is not ready"]);
    half.clone()
        .verdict(0, "g", 2, Verdict::Up)
        .plans(&["library/1: assign 0.2 on node a: its command changed; 0 more to come"]);
}

#[test]
fn a_restart_replaces_one_slot_at_a_time() {
    let scene = Scene::of(2).up(0, "a", 1).up(1, "a", 1);
    let scene = scene.intent(|it| it.restart = Some(Restart(9)));
    scene.plans(&["library/0: assign 0.2 on node a: a restart was asked for; 1 more to come"]);
    scene.waits(
        "2 of 2 up; library/0 to be replaced: a restart was asked for; library/1 to be replaced: a restart was asked for",
    );
    let done = scene.change_slot(0, |it| it.restart = Some(Restart(9)));
    let done = done.change_slot(1, |it| it.restart = Some(Restart(10)));
    done.plans(&[]);
    done.is_done("2 of 2 up");
}

#[test]
fn what_is_broken_and_out_of_date_is_replaced_at_once() {
    Scene::of(4)
        .up(0, "a", 1)
        .running(1, "a", 1, Verdict::Down)
        .slot(2, "a", 1)
        .slot(3, "a", 1)
        .instance(3, "a", 1, Phase::Failed)
        .version("2")
        .plans(&[
            "library/1: assign 0.2 on node a: its command changed; down: connect refused",
            "library/2: assign 0.2 on node a: its command changed; not started yet",
            "library/3: assign 0.2 on node a: its command changed; failed: exited with status 3",
        ]);
}

#[test]
fn observers_that_have_just_started_break_nothing() {
    let scene = Scene::of(2).version("2");
    let scene = scene.running(0, "a", 1, Verdict::Down);
    let scene = scene.running(1, "a", 1, Verdict::Down);
    let scene = scene.change_instances(|it| it.local = Some(Verdict::Down));
    let note = "library: note: the update holds at library/0: library/1 is not ready";
    let fresh = |ms: u64| {
        let scene = scene.clone();
        scene.change_verdicts(move |it| it.since = Timestamp(NOW.0 - ms))
    };
    fresh(9_999).plans(&[note]);
    assert_eq!(plan(&fresh(10_000).world, NOW).steps.len(), 2);
    // No report on this generation at all: nobody knows.
    scene
        .change_verdicts(|it| it.generation = generation(9))
        .plans(&[note]);
}

#[test]
fn an_update_waits_for_a_slot_that_is_not_ready() {
    let scene = Scene::of(2).up(0, "a", 1).version("2");
    let scene = scene.running(1, "a", 2, Verdict::Down);
    let scene = scene.change_slot(1, |it| it.digest = command("2").digest());
    scene.plans(&["library: note: the update holds at library/0: library/1 is not ready"]);
    scene.waits(
        "1 of 2 up; library/0 to be replaced: its command changed; library/1 down: connect refused",
    );
    // Freshly started: no reason to tell anybody.
    let young = |it: &mut Instance| it.since = Timestamp(NOW.0 - 59_000);
    scene.change_instances(young).plans(&[]);
}

#[test]
fn a_single_replica_is_replaced_in_place() {
    Scene::of(1)
        .up(0, "a", 1)
        .version("2")
        .plans(&["library/0: assign 0.2 on node a: its command changed; 0 more to come"]);
}

#[test]
fn no_update_begins_while_slots_come_or_go() {
    Scene::of(3)
        .up(0, "a", 1)
        .up(1, "a", 1)
        .version("2")
        .plans(&["library/2: assign 0.1 on node a: 3 wanted, 2 assigned"]);
    Scene::of(1)
        .up(0, "a", 1)
        .up(1, "a", 1)
        .version("2")
        .plans(&["library/1: remove: 1 wanted, 2 assigned"]);
}

#[test]
fn failed_is_tried_again_after_a_minute_and_not_before() {
    let scene = Scene::of(1)
        .slot(0, "a", 3)
        .instance(0, "a", 3, Phase::Failed);
    let since = |ms: u64| {
        let scene = scene.clone();
        scene.change_instances(move |it| it.since = Timestamp(NOW.0 - ms))
    };
    since(60_000)
        .plans(&["library/0: assign 0.4 on node a: failed: exited with status 3 for 60 s"]);
    let note =
        "library: note: library/0 failed: exited with status 3; tried again 60 s after it failed";
    since(59_999).plans(&[note]);
    // A clock that went backwards waits, and does not overflow.
    scene
        .clone()
        .change_instances(|it| it.since = Timestamp(u64::MAX))
        .plans(&[note]);
    scene.waits("0 of 1 up; library/0 failed: exited with status 3");
}

#[test]
fn failed_moves_where_fewer_slots_are() {
    let scene = Scene::of(2)
        .node("b")
        .slot(0, "a", 3)
        .instance(0, "a", 3, Phase::Failed)
        .up(1, "a", 1);
    scene
        .clone()
        .plans(&["library/0: assign 0.4 on node b: failed: exited with status 3 for 60 s"]);
    scene
        .service("archive", 2)
        .up(0, "b", 1)
        .up(1, "b", 1)
        .plans(&["library/0: assign 0.4 on node a: failed: exited with status 3 for 60 s"]);
}

#[test]
fn slots_of_a_lost_node_wait_for_it() {
    let scene = Scene::of(2)
        .up(0, "a", 1)
        .slot(1, "z", 1)
        .instance(1, "z", 1, Phase::Failed);
    scene.plans(&["library: note: node z is gone: library/1 waits for it"]);
    scene.waits("1 of 2 up; library/1 waits for node z, which is gone");
    scene.version("2").plans(&[
        "library: note: node z is gone: library/1 waits for it",
        "library: note: the update holds at library/0: library/1 is not ready",
    ]);
}

#[test]
fn a_record_that_vanishes_stops_nothing() {
    let mut scene = Scene::of(2)
        .up(0, "a", 1)
        .instance(3, "a", 1, Phase::Running);
    scene.world.services.clear();
    scene.plans(&[
        "library: note: its record vanished without having been removed; 1 slots and 1 instances without one stay as \
         they are until it is written again",
    ]);
    scene.waits("the record of library vanished; 2 slots are left as they are");
}

#[test]
fn slots_that_vanish_come_back_as_they_were() {
    let scene = Scene::of(2).node("b").up(0, "a", 5).up(1, "b", 6);
    let why = "its document vanished while an instance runs; if the command was being changed: minato restart library";
    let lost = scene.lose_slot(0).lose_slot(1);
    lost.plans(&[
        &format!("library/0: assign 0.5 on node a: {why}"),
        &format!("library/1: assign 0.6 on node b: {why}"),
    ]);
    lost.waits(
        "0 of 2 up; 2 without a node yet; library/0 without a slot; library/1 without a slot",
    );
    // Of several generations the newest; one that is being stopped does not come back.
    let lost = lost.instance(1, "b", 7, Phase::Running);
    lost.instance(0, "a", 5, Phase::Stopping)
        .plans(&[&format!("library/1: assign 0.7 on node b: {why}")]);
}

#[test]
fn an_instance_document_that_vanishes_is_no_reason_to_replace() {
    let mut scene = Scene::of(2).up(0, "a", 1).up(1, "a", 1).version("2");
    scene.world.instances.clear();
    scene.plans(&[]);
}

#[test]
fn ready_is_what_the_observers_agree_on() {
    use Verdict::{Down, Suspect, Up};
    let watched = |verdicts: &[Verdict]| {
        let gateways = ["g", "h", "i"];
        let scene = Scene::of(1)
            .slot(0, "a", 1)
            .instance(0, "a", 1, Phase::Running);
        let pairs = gateways.iter().zip(verdicts);
        pairs.fold(scene, |scene, (by, verdict)| {
            scene.gateway(by).verdict(0, by, 1, *verdict)
        })
    };
    for (verdicts, expected) in [
        (&[Up][..], Ok("1 of 1 up")),
        (&[Up, Suspect], Ok("1 of 1 up")),
        (
            &[Up, Down],
            Err("0 of 1 up; library/0 down: connect refused"),
        ),
        (
            &[Suspect],
            Err("0 of 1 up; library/0 suspect: connect refused"),
        ),
        (
            &[Up, Up, Down],
            Err("0 of 1 up; library/0 down: connect refused"),
        ),
        (
            &[],
            Err("0 of 1 up; library/0 starting: no gateway has checked it yet"),
        ),
    ] {
        match expected {
            Ok(text) => watched(verdicts).is_done(text),
            Err(text) => watched(verdicts).waits(text),
        }
    }
    // Another run, another generation, a gateway that no longer lives: not a word about this one.
    let starting = "0 of 1 up; library/0 starting: no gateway has checked it yet";
    watched(&[Up])
        .change_verdicts(|it| it.run = Run(2))
        .waits(starting);
    watched(&[Up])
        .change_verdicts(|it| it.generation = generation(2))
        .waits(starting);
    watched(&[]).verdict(0, "z", 1, Up).waits(starting);
}

#[test]
fn without_gateways_the_agent_decides_and_with_health_off_the_process() {
    let scene = Scene::empty().service("library", 1).node("a");
    let scene = scene.slot(0, "a", 1).instance(0, "a", 1, Phase::Running);
    scene.is_done("1 of 1 up");
    let local = |verdict| {
        scene
            .clone()
            .change_instances(move |it| it.local = Some(verdict))
    };
    local(Verdict::Up).is_done("1 of 1 up");
    local(Verdict::Down).waits("0 of 1 up; library/0 its agent's probe does not pass");
    let off = local(Verdict::Down)
        .gateway("g")
        .verdict(0, "g", 1, Verdict::Down);
    off.record(|it| it.service.health = Health::Off)
        .is_done("1 of 1 up");
}

#[test]
fn a_service_settles_in_every_state_but_up() {
    let with = |phase| Scene::of(1).slot(0, "a", 1).instance(0, "a", 1, phase);
    with(Phase::Exited).waits("0 of 1 up; library/0 ended: exited with status 3");
    with(Phase::Stopping).waits("0 of 1 up; library/0 stopping");
    Scene::of(0).is_done("0 of 0 up");
    Scene::of(1)
        .up(0, "a", 1)
        .up(1, "a", 1)
        .waits("1 of 1 up; library/1 to be stopped");
    let many = (0..9).fold(Scene::of(9), |scene, n| scene.slot(n, "a", 1));
    many.waits(
        "0 of 9 up; library/0 not started yet; library/1 not started yet; library/2 not started yet; \
         library/3 not started yet; library/4 not started yet; and 4 more",
    );
}

#[test]
fn a_plan_fits_in_one_transaction() {
    let plan = plan(&Scene::of(500).world, NOW);
    assert_eq!(plan.steps.len(), STEPS_PER_SERVICE);
    let removed = (0..200).fold(Scene::of(1), |scene, n| scene.slot(n, "a", 1));
    let removed = removed.record(|it| it.removed = true);
    assert_eq!(
        super::plan(&removed.world, NOW).steps.len(),
        STEPS_PER_SERVICE
    );
}

#[test]
fn the_highest_counter_does_not_overflow() {
    let scene = Scene::of(2).slot(0, "a", u64::MAX).version("2").instance(
        1,
        "a",
        u64::MAX,
        Phase::Stopping,
    );
    assert_eq!(plan(&scene.world, NOW).steps.len(), 2);
}

#[test]
fn a_step_names_what_it_relies_on() {
    let scene = Scene::of(2)
        .at(5)
        .up(0, "a", 1)
        .at(6)
        .intent(|it| it.replicas = Some(3))
        .at(7)
        .slot(2, "a", 1)
        .change_slot(2, |it| it.removed = true);
    let relied = |object, modified| Relied { object, modified };
    let slot = |n| Object::Slot(name("library"), SlotIndex(n));
    let base = [
        relied(Object::Service(name("library")), Some(1)),
        relied(Object::Intent(name("library")), Some(6)),
        relied(slot(0), Some(5)),
    ];
    let plan = plan(&scene.world, NOW);
    let [forget, first, second] = plan.steps.as_slice() else {
        panic!("{plan}")
    };
    assert_eq!(forget.relies_on, [relied(slot(2), Some(7))]);
    let with = |absent| {
        let mut all = base.to_vec();
        all.extend([relied(slot(2), Some(7)), relied(slot(absent), None)]);
        all.sort();
        all
    };
    assert_eq!(first.relies_on, with(1));
    assert_eq!(second.relies_on, with(3));
    // No intent: it must stay so.
    let step = &super::plan(&Scene::of(1).world, NOW).steps[0];
    assert_eq!(
        step.relies_on[1],
        relied(Object::Intent(name("library")), None)
    );
}
