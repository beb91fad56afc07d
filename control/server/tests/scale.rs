//! The leader follows the load that gateways tell, against the embedded store, with short times.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod site;

use minato_config::{GatewayId, Intent, Scale, Service, SlotIndex};
use minato_control::{EventKind, ScaleRecord};
use minato_control_server::{LeadOptions, lead};
use minato_control_store::keys::Key;
use minato_control_store::{Commit, Observed};
use minato_health::{ServiceLoad, Verdict};
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
    site.load(160).await;
    site.runs(4).await;
    let event = site.told("library: 4 instances in place of 1").await;
    assert_eq!(event.kind, EventKind::Scaled);
    assert_eq!(
        event.message,
        "library: 4 instances in place of 1: 160 in flight of 40 each"
    );
    assert_eq!(site.record().await.unwrap().replicas, 4);
    site.load(40).await;
    let seen = site.until("one slot", |it| slots(it, "library") == 1).await;
    assert!(
        !seen.world.slots[&(name("library"), SlotIndex(0))]
            .value
            .removed
    );
    site.told("library: 1 instances in place of 4").await;
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
