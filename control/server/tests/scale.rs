//! The leader follows the load that gateways tell, against the embedded store, with short times.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod site;

use minato_config::{
    Backend, GatewayId, Grant, Image, ImageReference, Intent, Overcommit, Resources, Run, Scale,
    Service, SlotIndex,
};
use minato_control::{EventKind, ScaleRecord};
use minato_control_server::{LeadOptions, lead};
use minato_control_store::keys::Key;
use minato_control_store::{Commit, Observed};
use minato_health::{InstanceUsage, NodeInfo, NodeUsage, ServiceLoad, Verdict};
use site::{Site, command, name, node, slots};
use std::time::Duration;
use tokio::task::JoinHandle;

const PERIOD: Duration = Duration::from_millis(50);
const WINDOW: Duration = Duration::from_millis(500);

fn start(site: &Site) -> JoinHandle<()> {
    let options = LeadOptions {
        tick: Duration::from_millis(20),
        settle: Duration::ZERO,
        scale_period: PERIOD,
        scale_window: WINDOW,
        ..LeadOptions::new(site.keys.clone(), node())
    };
    let (store, events) = (site.store.clone(), site.events.clone());
    tokio::spawn(lead(options, store, events, site.stop.subscribe()))
}

/// One to four, 40 in flight each.
fn library() -> Service {
    Service {
        scale: Some(Scale {
            max: 4,
            in_flight: Some(40),
            p95: None,
            cpu_percent: None,
        }),
        ..command("library", 1)
    }
}

fn load_key() -> Key {
    Key::Load(GatewayId::parse("g").unwrap(), name("library"))
}

impl Site {
    async fn load(&self, in_flight: u32) {
        let load = ServiceLoad {
            v: 1,
            in_flight,
            p95: None,
            called: 0,
        };
        self.put(&load_key(), &load).await;
    }

    /// Waits until `count` slots are assigned, and lets their instances be up.
    async fn runs(&self, count: usize) -> Observed {
        let seen = self
            .until("the slots", |it| slots(it, "library") == count)
            .await;
        for ((service, n), slot) in &seen.world.slots {
            if !slot.value.removed {
                let generation = slot.value.generation;
                self.put_instance(service, n.0, generation, Verdict::Up, "")
                    .await;
            }
        }
        seen
    }

    async fn record(&self) -> Option<ScaleRecord> {
        let world = self.world().await.world;
        world
            .scales
            .get(&name("library"))
            .map(|it| it.value.clone())
    }

    /// Time for several decisions, known by the revision that another load takes: each is told anew.
    async fn decisions(&self, in_flight: u32) {
        for _ in 0..3 {
            tokio::time::sleep(WINDOW / 2).await;
            self.load(in_flight).await;
        }
    }
}

#[tokio::test]
async fn a_load_step_of_four_brings_four_and_its_end_brings_one() {
    let site = Site::new();
    site.put_node().await;
    site.put_service(&library()).await;
    let _leader = start(&site);
    site.load(10).await;
    site.runs(1).await;
    let began = tokio::time::Instant::now();
    site.load(160).await;
    site.runs(4).await;
    let up = began.elapsed();
    let event = site.told("library: 4 instances in place of 1").await;
    assert_eq!(event.kind, EventKind::Scaled);
    assert_eq!(
        event.message,
        "library: 4 instances in place of 1: 160 in flight of 40 each"
    );
    assert_eq!(site.record().await.unwrap().replicas, 4);
    let began = tokio::time::Instant::now();
    site.load(40).await;
    let seen = site.until("one slot", |it| slots(it, "library") == 1).await;
    assert!(
        !seen.world.slots[&(name("library"), SlotIndex(0))]
            .value
            .removed
    );
    site.told("library: 1 instances in place of 4").await;
    let row = "measured | row 14, a step and back, a window of 0.5 s";
    println!("{row} | up | {:.2} s", up.as_secs_f64());
    println!("{row} | down | {:.2} s", began.elapsed().as_secs_f64());
}

#[tokio::test]
async fn a_gateway_that_tells_nothing_more_makes_nothing_smaller() {
    let site = Site::new();
    site.put_node().await;
    site.put_service(&library()).await;
    let _leader = start(&site);
    site.load(160).await;
    site.runs(4).await;
    site.load(0).await;
    site.store
        .commit(Commit::delete(site.key(&load_key())))
        .await
        .unwrap();
    tokio::time::sleep(WINDOW * 3).await;
    assert_eq!(slots(&site.world().await, "library"), 4);
    // Its own document vanishes: there stays what there is, and it is written again.
    let key = Key::Scale(name("library"));
    site.store
        .commit(Commit::delete(site.key(&key)))
        .await
        .unwrap();
    site.until("the document", |it| {
        it.world
            .scales
            .get(&name("library"))
            .is_some_and(|it| it.value.replicas == 4)
    })
    .await;
    assert_eq!(slots(&site.world().await, "library"), 4);
    println!("measured | row 14, the figures stop | instances that ended | 0");
}

#[tokio::test]
async fn an_operators_number_wins_and_the_load_goes_on_from_it() {
    let site = Site::new();
    site.put_node().await;
    site.put_service(&library()).await;
    let _leader = start(&site);
    site.load(160).await;
    site.runs(4).await;
    let by_hand = |replicas| Intent {
        v: 1,
        replicas,
        ..Intent::default()
    };
    let key = Key::Intent(name("library"));
    site.put(&key, &by_hand(Some(2))).await;
    site.until("two slots", |it| slots(it, "library") == 2)
        .await;
    site.decisions(160).await;
    assert_eq!(slots(&site.world().await, "library"), 2);
    assert_eq!(site.record().await.unwrap().replicas, 2);
    site.put(&key, &by_hand(None)).await;
    site.runs(4).await;
}

#[tokio::test]
async fn at_the_most_an_alarm_says_so_once() {
    let site = Site::new();
    site.put_node().await;
    site.put_service(&library()).await;
    let _leader = start(&site);
    site.load(1_000).await;
    site.runs(4).await;
    let event = site.told("the load asks for more than 4 instances").await;
    assert_eq!(event.kind, EventKind::Alarm);
    site.decisions(900).await;
    let told = site.messages();
    let alarms = told.iter().filter(|it| it.contains("asks for more than"));
    assert_eq!(alarms.count(), 1, "{told:?}");
}

#[tokio::test]
async fn a_file_that_gives_a_number_again_ends_it() {
    let site = Site::new();
    site.put_node().await;
    site.put_service(&library()).await;
    let _leader = start(&site);
    site.load(160).await;
    site.runs(4).await;
    site.put_service(&command("library", 2)).await;
    site.until("two slots and no document", |it| {
        slots(it, "library") == 2 && it.world.scales.is_empty()
    })
    .await;
}

/// Half a processor and 100 MiB, up to two and 400 MiB; one to four of them by processors.
fn contained() -> Service {
    let mut service = Service {
        scale: Some(Scale {
            max: 4,
            in_flight: None,
            p95: None,
            cpu_percent: Some(50),
        }),
        ..command("library", 1)
    };
    if let Backend::Command(command) = &mut service.backend {
        command.image = Some(Box::new(Image {
            reference: ImageReference::parse("library").unwrap(),
            port: Some(80),
            network: "bridge".to_owned(),
            pull: Default::default(),
            init: false,
            user: None,
            secrets: Default::default(),
            volumes: Default::default(),
            resources: Resources {
                cpu_milli: Some(500),
                cpu_limit_milli: None,
                memory_bytes: Some(100 << 20),
            },
            ceiling: Grant {
                cpu_milli: Some(2_000),
                memory_bytes: Some(400 << 20),
            },
        }));
    }
    service
}

impl Site {
    /// What the agent tells of each slot that is there.
    async fn uses(&self, cpu_milli: u32, mib: u64) {
        let world = self.world().await.world;
        let each = world.slots.iter().filter(|(_, it)| !it.value.removed);
        let usage = each.map(|((service, slot), it)| InstanceUsage {
            service: service.clone(),
            slot: *slot,
            generation: it.value.generation,
            run: Run(1),
            cpu_milli,
            memory_bytes: mib << 20,
            disk: None,
            network: None,
        });
        let usage = NodeUsage {
            v: 1,
            instances: usage.collect(),
        };
        self.put(&Key::NodeUsage(node()), &usage).await;
    }

    /// Waits until each instance is given so much.
    async fn gives(&self, cpu_milli: u32, mib: u64) {
        let grant = Grant {
            cpu_milli: Some(cpu_milli),
            memory_bytes: Some(mib << 20),
        };
        self.until("the grant", |it| {
            let scale = it.world.scales.get(&name("library"));
            scale.is_some_and(|it| it.value.grant == Some(grant))
        })
        .await;
    }

    async fn put_machine(&self, cpus: u32, mib: u64) {
        let info = NodeInfo {
            v: 1,
            version: "0".to_owned(),
            cpus,
            memory_bytes: mib << 20,
            labels: Default::default(),
            overcommit: Overcommit {
                cpu_percent: 100,
                memory_percent: 100,
            },
        };
        self.put(&Key::NodeInfo(node()), &info).await;
    }
}

#[tokio::test]
async fn what_runs_is_given_more_before_more_run_and_it_is_taken_back() {
    let site = Site::new();
    site.put_node().await;
    site.put_machine(4, 300).await;
    site.put_service(&contained()).await;
    let _leader = start(&site);
    site.runs(1).await;
    site.uses(400, 120).await;
    // Half of what is given is what each should use; of memory four fifths.
    site.gives(800, 150).await;
    let told = site.told("each instance is given").await;
    assert_eq!(
        told.message,
        "library: each instance is given 0.8 processors and 150 MiB in place of 0.5 processors and 100 MiB: the busiest uses 0.4 processors and 120 MiB"
    );
    assert_eq!(slots(&site.world().await, "library"), 1, "{told:?}");
    // At its ceiling of processors there must be more of them; of memory the machine has no more than 300 MiB.
    site.uses(1_900, 400).await;
    site.gives(2_000, 150).await;
    site.until("two slots", |it| slots(it, "library") == 2)
        .await;
    // All that is asked for less is taken back after the window.
    site.runs(2).await;
    site.uses(10, 10).await;
    site.gives(500, 100).await;
}
