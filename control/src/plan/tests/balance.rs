//! A rebalance that was asked for: what moves, what holds it, that it ends and that nothing swings.

use crate::plan::balance::would_move;
use crate::plan::scene::{NOW, Scene, generation, name};
use crate::plan::{
    Absences, Action, Balancing, BalancingNext, Losses, Patience, Rebalance, plan, plan_with,
};
use crate::{Going, InstanceKey, RolloutStage, Stored, World};
use minato_config::{NodeId, ServiceName, SlotIndex, Timestamp};
use minato_health::{InstanceUsage, NodeLoad, NodeUsage, Phase, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The commit of the request; everything that a scene wrote before is older.
const ASKED: u64 = 10;

fn asked(mut scene: Scene) -> Scene {
    let value = Rebalance {
        v: 1,
        service: None,
        who: "alice".to_owned(),
        since: Timestamp(NOW.0 - 1_000),
        round: 0,
        ended: None,
    };
    scene.world.rebalance = Some(Stored {
        value,
        modified: ASKED,
    });
    scene.world.revision = ASKED;
    scene.at(ASKED + 1)
}

fn standing(scene: &Scene) -> Balancing {
    plan(&scene.world, NOW).balancing.unwrap()
}

fn over(scene: &Scene) -> Option<String> {
    match standing(scene).next {
        BalancingNext::End(why) => Some(why),
        BalancingNext::GoOn | BalancingNext::Round => None,
    }
}

/// Two on a, none on b.
fn crowded() -> Scene {
    Scene::of(2).node("b").up(0, "a", 1).up(1, "a", 1)
}

#[test]
fn one_is_started_on_the_better_node_and_the_old_one_ends_when_it_is_ready() {
    crowded().plans(&[]);
    let scene = asked(crowded());
    scene.plans(&[
        "library/2: assign 0.11 on node b: in place of library/1: asked to be balanced; a: 2 of it there, 0% in use, 2 in all; \
         b: 0 of it there, 0% in use, 0 in all; b of 2 nodes: 0 of it there, 0% in use",
    ]);
    assert_eq!(standing(&scene).moving, ["library/1 from a to b"]);
    let coming = scene.clone().slot(2, "b", 11);
    coming.plans(&[]);
    assert_eq!(over(&coming), None);
    assert_eq!(
        standing(&coming).moving,
        ["library/1 from a to b: library/2 on b is not started yet"]
    );
    let there = scene.up(2, "b", 11);
    there
        .plans(&["library/1: remove: asked to be balanced; a: 2 of it there, 0% in use, 2 in all"]);
    let ending = there.change_slot(1, |it| it.removed = true);
    ending.plans(&[]);
    assert_eq!(standing(&ending).moving, ["library/1 ends on a"]);
    let done = ending.drop_slot(1);
    done.plans(&[]);
    // Something moved, so all is looked at once more.
    assert_eq!(standing(&done).next, BalancingNext::Round);
    let mut again = done;
    let request = again.world.rebalance.as_mut().unwrap();
    request.modified = ASKED + 2;
    assert_eq!(
        over(&again).unwrap(),
        "no other node suits anything clearly better"
    );
}

#[test]
fn what_is_not_clearly_better_stays() {
    for (on_a, on_b) in [(1, 1), (2, 1), (1, 0), (3, 2)] {
        let mut scene = Scene::of(on_a + on_b).node("b");
        for n in 0..on_a + on_b {
            scene = scene.up(n, if n < on_a { "a" } else { "b" }, 1);
        }
        let scene = asked(scene);
        scene.plans(&[]);
        assert!(over(&scene).is_some(), "{on_a} and {on_b}");
    }
}

fn load(cpu_permille: u16) -> NodeLoad {
    NodeLoad {
        v: 1,
        at: NOW,
        cpu_permille,
        memory_free_bytes: 0,
        disk_free_bytes: 0,
        disk_bytes: 0,
        received_per_s: 0,
        sent_per_s: 0,
    }
}

/// One instance, on a; it uses `milli` of the 2,000 there.
fn busy(a: u16, b: u16, milli: u32) -> Scene {
    let mut scene = Scene::of(1)
        .node("b")
        .info("a", |_| {})
        .info("b", |_| {})
        .load("a", load(a))
        .load("b", load(b))
        .up(0, "a", 1);
    let usage = NodeUsage {
        v: 1,
        instances: vec![InstanceUsage {
            service: name("library"),
            slot: SlotIndex(0),
            generation: generation(1),
            run: minato_config::Run(1),
            cpu_milli: milli,
            memory_bytes: 0,
            disk: None,
            network: None,
        }],
    };
    let stored = Stored {
        value: usage,
        modified: 0,
    };
    scene
        .world
        .usages
        .insert(NodeId::parse("a").unwrap(), stored);
    asked(scene)
}

#[test]
fn a_busy_node_gives_away_only_what_would_not_make_the_other_as_busy() {
    for (a, b, milli, moves) in [
        (800, 100, 400, true),
        // Its own use goes with it: a move would only swap them.
        (800, 100, 1400, false),
        (300, 100, 100, true),
        (350, 100, 200, false),
        // What it leaves behind is as busy as before.
        (850, 100, 10, false),
        (100, 800, 0, false),
    ] {
        let plan = plan(&busy(a, b, milli).world, NOW);
        assert_eq!(!plan.steps.is_empty(), moves, "{a} {b} {milli}\n{plan}");
    }
}

#[test]
fn loads_that_do_not_show_the_last_move_yet_are_awaited() {
    let scene = busy(800, 100, 400);
    let mut absences = Absences::default();
    let mut found = |second: u64| {
        let office = Duration::from_secs(second);
        absences.observe(&scene.world, office);
        let losses = absences.judge(&scene.world, office, Patience::default());
        plan_with(&scene.world, &losses, NOW)
    };
    let early = found(0);
    assert!(early.steps.is_empty());
    let standing = early.balancing.unwrap();
    assert_eq!((standing.queued, standing.next), (1, BalancingNext::GoOn));
    assert!(found(19).steps.is_empty());
    assert_eq!(found(20).steps.len(), 1);
    // How many there are is known at once.
    let crowd = asked(crowded());
    let mut absences = Absences::default();
    absences.observe(&crowd.world, Duration::ZERO);
    let losses = absences.judge(&crowd.world, Duration::ZERO, Patience::default());
    assert_eq!(losses.unmeasured.len(), 2);
    assert_eq!(plan_with(&crowd.world, &losses, NOW).steps.len(), 1);
}

#[test]
fn what_comes_first_holds_it_and_is_named() {
    let ill = |scene: Scene| scene.change_verdicts(|it| it.verdict = Verdict::Down);
    let going = |it: &mut crate::RolloutRecord| {
        it.stable = Some(crate::plan::scene::version("1"));
        it.going = Some(Going {
            to: crate::plan::scene::version("1"),
            step: RolloutStage::Fetching,
            fetch: 0,
            freshness: Default::default(),
            nodes: BTreeSet::new(),
            reason: String::new(),
            since: NOW,
        });
    };
    let table: Vec<(Scene, &str)> = vec![
        (ill(crowded()), "library/1: library/0 down"),
        (
            crowded().rollout(going),
            "library/1: another version is being put in place",
        ),
        (
            crowded()
                .node("c")
                .drained("c")
                .service("other", 1)
                .up(0, "c", 1),
            "library/1: node c is being emptied",
        ),
        (
            crowded().service("other", 1).up(0, "z", 1),
            "library/1: node z is gone, and what it has comes first; give it up: minato node drain z",
        ),
    ];
    for (scene, expected) in table {
        let standing = standing(&asked(scene));
        assert_eq!(standing.waiting, [expected]);
        assert_eq!(
            (standing.moving.len(), standing.next),
            (0, BalancingNext::GoOn)
        );
    }
    let losses = Losses {
        alarm: Some("many are gone".to_owned()),
        ..Losses::default()
    };
    let plan = plan_with(&asked(crowded()).world, &losses, NOW);
    assert_eq!(plan.steps, []);
    assert_eq!(
        plan.balancing.unwrap().waiting,
        ["library/1: too many nodes are gone at once"]
    );
}

#[test]
fn two_services_at_once_and_only_those_that_were_named() {
    let mut scene = Scene::empty().node("a").node("b").gateway("g");
    for service in ["one", "two", "three", "four"] {
        scene = scene.service(service, 3);
        for n in 0..3 {
            scene = scene.up(n, "a", 1);
        }
    }
    let mut scene = asked(scene);
    let moves = |scene: &Scene| standing(scene).moving;
    assert_eq!(moves(&scene), ["four/2 from a to b", "one/2 from a to b"]);
    assert_eq!(standing(&scene).queued, 2);
    let only = scene.world.rebalance.as_mut().unwrap();
    only.value.service = Some(name("three"));
    assert_eq!(moves(&scene), ["three/2 from a to b"]);
}

#[test]
fn a_move_under_way_is_ended_after_the_hour_and_none_begins() {
    let late = |mut scene: Scene| {
        let request = scene.world.rebalance.as_mut().unwrap();
        request.value.since = Timestamp(0);
        scene
    };
    // NOW is less than an hour after 0: ask as of a clock that is ahead by more than that.
    let ahead = |mut scene: Scene| {
        let request = scene.world.rebalance.as_mut().unwrap();
        request.value.since = Timestamp(NOW.0 + 3_600_000);
        scene
    };
    assert_eq!(moving(&late(asked(crowded()))), 1);
    let scene = ahead(asked(crowded()));
    assert_eq!(
        (moving(&scene), over(&scene).unwrap().as_str()),
        (0, "its 60 min are over")
    );
    let half = ahead(asked(crowded()).up(2, "b", 11));
    assert_eq!((moving(&half), over(&half)), (1, None));
    // Ended by hand: what is one too many goes as ever.
    let mut ended = half;
    let request = ended.world.rebalance.as_mut().unwrap();
    request.value.ended = Some("bob ended it".to_owned());
    ended.plans(&["library/2: remove: 2 wanted, 3 assigned"]);
    assert_eq!(plan(&ended.world, NOW).balancing, None);
}

fn moving(scene: &Scene) -> usize {
    standing(scene).moving.len()
}

#[test]
fn a_dry_run_says_what_comes() {
    let scene = crowded();
    let found = would_move(&scene.world, None, 10);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("library/1 from a to b; asked to be balanced; a: 2 of it there"));
    assert_eq!(would_move(&scene.world, Some(&name("other")), 10), [""; 0]);
}

/// A site whose agents and gateways are perfect, so that only the plans are looked at.
struct Site {
    scene: Scene,
    use_milli: BTreeMap<ServiceName, u32>,
    replicas: BTreeMap<ServiceName, usize>,
    rounds: u32,
}

impl Site {
    fn any(random: &mut fastrand::Rng) -> Self {
        let nodes = &["a", "b", "c", "d", "e"][..random.usize(2..=5)];
        let mut scene = Scene::empty().gateway("g");
        for node in nodes {
            let cpus = [2, 4, 8][random.usize(0..3)];
            scene = scene.node(node).info(node, |it| it.cpus = cpus);
        }
        let (mut use_milli, mut replicas) = (BTreeMap::new(), BTreeMap::new());
        for service in &["p", "q", "r", "s", "t", "u"][..random.usize(1..=6)] {
            let count = random.u16(1..=5);
            scene = scene.service(service, count);
            replicas.insert(name(service), usize::from(count));
            use_milli.insert(name(service), random.u32(0..900));
            for n in 0..count {
                scene = scene.up(n, nodes[random.usize(0..nodes.len())], 1);
            }
        }
        let mut site = Self {
            scene,
            use_milli,
            replicas,
            rounds: 0,
        };
        site.measure();
        site
    }

    fn ask(&mut self) {
        self.scene.world.revision += 1;
        let value = Rebalance {
            v: 1,
            who: "alice".to_owned(),
            since: NOW,
            ..Rebalance::default()
        };
        let modified = self.scene.world.revision;
        self.scene.world.rebalance = Some(Stored { value, modified });
    }

    fn measure(&mut self) {
        let world = &mut self.scene.world;
        world.revision += 1;
        let modified = world.revision;
        for (node, info) in &world.node_infos {
            let there = world.slots.iter().filter(|(_, it)| it.value.node == *node);
            let instances: Vec<InstanceUsage> = there
                .map(|((service, slot), it)| InstanceUsage {
                    service: service.clone(),
                    slot: *slot,
                    generation: it.value.generation,
                    run: minato_config::Run(1),
                    cpu_milli: self.use_milli[service],
                    memory_bytes: 0,
                    disk: None,
                    network: None,
                })
                .collect();
            let used: u32 = instances.iter().map(|it| it.cpu_milli).sum();
            let permille = u16::try_from(used / info.value.cpus).unwrap();
            let load = Stored {
                value: load(permille),
                modified,
            };
            world.node_loads.insert(node.clone(), load);
            let value = NodeUsage { v: 1, instances };
            let usage = Stored { value, modified };
            world.usages.insert(node.clone(), usage);
        }
    }

    /// Carries one plan out; how many it moved.
    fn turn(&mut self) -> (usize, BalancingNext) {
        let plan = plan(&self.scene.world, NOW);
        let mut begun = 0;
        for step in &plan.steps {
            let world = &mut self.scene.world;
            world.revision += 1;
            let key = |n: SlotIndex| (step.service.clone(), n);
            match &step.action {
                Action::Assign(n, slot) => {
                    begun += 1;
                    let modified = world.revision;
                    let value = slot.clone();
                    world.slots.insert(key(*n), Stored { value, modified });
                    self.run(&step.service, *n);
                }
                Action::Remove(n) => {
                    world.slots.remove(&key(*n));
                    world
                        .instances
                        .retain(|it, _| (&it.service, it.slot) != (&step.service, *n));
                    world
                        .verdicts
                        .retain(|(of, slot, _), _| (of, slot) != (&step.service, n));
                }
                Action::Forget(_) | Action::ForgetService => unreachable!("{step}"),
            }
            self.check();
        }
        self.measure();
        let next = plan.balancing.unwrap().next;
        if next == BalancingNext::Round {
            self.rounds += 1;
            self.scene.world.revision += 1;
            let revision = self.scene.world.revision;
            let request = self.scene.world.rebalance.as_mut().unwrap();
            request.value.round += 1;
            request.modified = revision;
        }
        (begun, next)
    }

    fn run(&mut self, service: &ServiceName, n: SlotIndex) {
        let world = &mut self.scene.world;
        let slot = world.slots[&(service.clone(), n)].value.clone();
        let (like, instance) = world.instances.iter().next().unwrap();
        let verdict = world.verdicts.values().next().unwrap().clone();
        let instance = Stored {
            value: minato_health::Instance {
                phase: Phase::Running,
                ..instance.value.clone()
            },
            modified: world.revision,
        };
        let key = InstanceKey {
            node: slot.node.clone(),
            service: service.clone(),
            slot: n,
            generation: slot.generation,
        };
        let _ = like;
        world.instances.insert(key, instance);
        let gateway = world.gateways.keys().next().unwrap().clone();
        let report = Stored {
            value: minato_health::VerdictReport {
                generation: slot.generation,
                ..verdict.value
            },
            modified: world.revision,
        };
        world.verdicts.insert((service.clone(), n, gateway), report);
    }

    fn check(&self) {
        let world: &World = &self.scene.world;
        let mut moving = BTreeSet::new();
        for (service, wanted) in &self.replicas {
            let has = world.slots.keys().filter(|(of, _)| of == service).count();
            assert!(
                has == *wanted || has == wanted + 1,
                "{service}: {has} of {wanted}"
            );
            if has > *wanted {
                moving.insert(service);
            }
        }
        assert!(moving.len() <= 2, "{moving:?}");
    }
}

#[test]
fn it_ends_and_a_second_request_moves_nothing() {
    let (mut moved, mut rounds, mut again) = (0, 0, Vec::new());
    for seed in 0..2_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut site = Site::any(&mut random);
        let slots: usize = site.replicas.values().sum();
        site.ask();
        let mut has_ended = false;
        for _ in 0..20 * slots + 20 {
            let (begun, next) = site.turn();
            moved += begun;
            has_ended = matches!(next, BalancingNext::End(_));
            if has_ended {
                break;
            }
        }
        assert!(has_ended, "seed {seed} does not end");
        rounds = rounds.max(site.rounds);
        site.ask();
        let (begun, next) = site.turn();
        if begun > 0 || !matches!(next, BalancingNext::End(_)) {
            again.push(seed);
        }
    }
    eprintln!("{moved} moves in 2000 sites, at most {rounds} rounds");
    assert!(moved > 2_000, "{moved}");
    assert!(
        again.is_empty(),
        "{} of 2000 move again: {again:?}",
        again.len()
    );
}
