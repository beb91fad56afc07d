//! The leader loop against the embedded store.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod site;

use minato_config::{NodeId, SlotIndex, Timestamp};
use minato_control::EventKind;
use minato_control_server::{LeadOptions, LeaderRecord, lead};
use minato_control_store::keys::Key;
use minato_control_store::{Commit, Compare, LeaseId};
use site::{PATIENCE, Site, command, name, node, slots};
use std::time::Duration;
use tokio::task::JoinHandle;

fn start(site: &Site) -> JoinHandle<()> {
    let options = LeadOptions {
        tick: Duration::from_millis(50),
        keep_alive: Duration::from_millis(50),
        settle: Duration::ZERO,
        ..LeadOptions::new(site.keys.clone(), node())
    };
    let (store, events) = (site.store.clone(), site.events.clone());
    tokio::spawn(lead(options, store, events, site.stop.subscribe()))
}

fn record(of: &str) -> Vec<u8> {
    let record = LeaderRecord {
        v: 1,
        node: NodeId::parse(of).unwrap(),
        pid: 1,
        since: Timestamp(1),
    };
    serde_json::to_vec(&record).unwrap()
}

impl Site {
    /// Another process takes the lead, whoever has it.
    async fn usurp(&self) {
        let key = self.key(&Key::Leader);
        let delete = Commit::delete(&key);
        self.store.commit(delete).await.unwrap();
        let put = Commit::put(&key, record("other")).when(Compare::Absent { key });
        self.store.commit(put).await.unwrap();
    }

    async fn lease_of_leader(&self) -> LeaseId {
        let key = self.key(&Key::Leader);
        self.store.get(&key).await.unwrap().unwrap().lease.unwrap()
    }
}

/// As its minato wrote it before there were labels and overcommit; and a document of a format that was given up.
#[tokio::test]
async fn an_agent_of_an_older_version_is_named_with_what_to_do_and_all_else_goes_on() {
    let site = Site::new();
    site.put_node().await;
    let info = site.key(&Key::NodeInfo(node()));
    let old = r#"{"v":1,"version":"0.0.9","cpus":2,"memory_bytes":1073741824}"#;
    site.store
        .commit(Commit::put(info, old.into()))
        .await
        .unwrap();
    let load = site.key(&Key::NodeLoad(node()));
    let load = Commit::put(load, r#"{"v":0,"busy":"very"}"#.into());
    site.store.commit(load).await.unwrap();
    site.put_service(&command("library", 2)).await;
    let leader = start(&site);
    let told = site
        .told("the agent of node one is of an older version, 0.0.9 where")
        .await;
    assert_eq!(told.kind, EventKind::Node);
    let hint = told.hint.unwrap();
    assert!(
        hint.contains("on one, then there: minato upgrade"),
        "{hint}"
    );
    let odd = site.told("nodes/one/load is not understood").await;
    assert!(
        odd.message.contains("an older minato wrote it") && odd.message.contains("upgrade"),
        "{odd:?}"
    );
    // It gets its part of what there is, as ever.
    site.until("two slots", |it| slots(it, "library") == 2)
        .await;
    // Once it is of this version nothing more is said.
    let same = old.replace("0.0.9", env!("CARGO_PKG_VERSION"));
    let info = site.key(&Key::NodeInfo(node()));
    site.store
        .commit(Commit::put(info, same.into_bytes()))
        .await
        .unwrap();
    site.put_service(&command("library", 3)).await;
    site.until("three slots", |it| slots(it, "library") == 3)
        .await;
    let said = site.messages();
    let named = said.iter().filter(|it| it.contains("older version"));
    assert_eq!(named.count(), 1, "{said:#?}");
    drop(leader);
}

#[tokio::test]
async fn slots_appear_follow_the_replicas_and_are_told() {
    let site = Site::new();
    site.put_node().await;
    site.put_service(&command("library", 2)).await;
    let leader = start(&site);
    let seen = site
        .until("two slots", |it| slots(it, "library") == 2)
        .await;
    let told = site.told("library/1 is assigned to one").await;
    assert_eq!(told.kind, EventKind::Assigned);
    assert_eq!(told.service, Some(name("library")));
    for n in 0..2 {
        let key = (name("library"), SlotIndex(n));
        let generation = seen.world.slots[&key].value.generation;
        site.put_instance(
            &name("library"),
            n,
            generation,
            minato_health::Verdict::Up,
            "",
        )
        .await;
    }
    site.put_service(&command("library", 1)).await;
    let seen = site.until("one slot", |it| slots(it, "library") == 1).await;
    assert!(
        seen.world.slots[&(name("library"), SlotIndex(1))]
            .value
            .removed
    );
    site.told("library/1 is to end").await;
    site.stop.send_replace(true);
    tokio::time::timeout(PATIENCE, leader)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn many_slots_are_more_than_one_commit() {
    let site = Site::new();
    site.put_node().await;
    site.put_service(&command("library", 300)).await;
    let _leader = start(&site);
    site.until("300 slots", |it| slots(it, "library") == 300)
        .await;
}

#[tokio::test]
async fn who_stops_gives_the_lead_up_at_once() {
    let site = Site::new();
    let leader = start(&site);
    site.told("one leads").await;
    site.stop.send_replace(true);
    tokio::time::timeout(PATIENCE, leader)
        .await
        .unwrap()
        .unwrap();
    let key = site.key(&Key::Leader);
    assert_eq!(site.store.get(&key).await.unwrap(), None);
}

#[tokio::test]
async fn a_leader_that_was_replaced_cannot_write() {
    let site = Site::new();
    site.put_node().await;
    site.put_service(&command("library", 1)).await;
    let _leader = start(&site);
    site.until("one slot", |it| slots(it, "library") == 1).await;
    site.usurp().await;
    // The old leader still thinks that it leads; now it has something to do.
    site.put_service(&command("library", 3)).await;
    site.told("one no longer leads: another was elected").await;
    assert_eq!(slots(&site.world().await, "library"), 1);
    // The other one goes, and it is elected anew.
    let delete = Commit::delete(site.key(&Key::Leader));
    site.store.commit(delete).await.unwrap();
    site.until("three slots", |it| slots(it, "library") == 3)
        .await;
}

#[tokio::test]
async fn a_leader_whose_lease_ended_is_elected_anew() {
    let site = Site::new();
    site.put_node().await;
    let _leader = start(&site);
    site.told("one leads").await;
    site.store
        .revoke(site.lease_of_leader().await)
        .await
        .unwrap();
    site.told("one no longer leads: its lease ended").await;
    site.put_service(&command("library", 1)).await;
    site.until("one slot", |it| slots(it, "library") == 1).await;
}

#[tokio::test]
async fn the_lease_outlives_its_time_while_the_leader_lives() {
    let site = Site::new();
    let options = LeadOptions {
        lease: Duration::from_secs(1),
        keep_alive: Duration::from_millis(100),
        settle: Duration::ZERO,
        ..LeadOptions::new(site.keys.clone(), node())
    };
    let (store, events) = (site.store.clone(), site.events.clone());
    let leader = tokio::spawn(lead(options, store, events, site.stop.subscribe()));
    site.told("one leads").await;
    let lease = site.lease_of_leader().await;
    // Another lease of the same length, which nobody keeps alive, ends meanwhile.
    let mark = site.store.grant(Duration::from_secs(1)).await.unwrap();
    let key = Key::NodeAlive(NodeId::parse("mark").unwrap());
    let put = Commit::default().and_put(
        site.key(&key),
        b"{\"v\":1,\"since\":1}".to_vec(),
        Some(mark),
    );
    site.store.commit(put).await.unwrap();
    for _ in 0..2 {
        site.until("the mark is gone", |it| it.world.nodes.is_empty())
            .await;
    }
    assert_eq!(site.lease_of_leader().await, lease);
    leader.abort();
}

#[tokio::test]
async fn a_dead_predecessor_of_this_node_is_not_waited_for_but_another_node_is() {
    let site = Site::new();
    let key = site.key(&Key::Leader);
    let lease = site.store.grant(Duration::from_secs(600)).await.unwrap();
    let put = Commit::default().and_put(&key, record("one"), Some(lease));
    site.store.commit(put).await.unwrap();
    let leader = start(&site);
    site.told("one leads").await;
    site.stop.send_replace(true);
    leader.await.unwrap();

    let site = Site::new();
    let key = site.key(&Key::Leader);
    let lease = site.store.grant(Duration::from_secs(600)).await.unwrap();
    let put = Commit::default().and_put(&key, record("other"), Some(lease));
    site.store.commit(put).await.unwrap();
    let _leader = start(&site);
    site.put_node().await;
    site.put_service(&command("library", 1)).await;
    let waited = tokio::time::timeout(Duration::from_millis(500), site.told("one leads"));
    assert!(waited.await.is_err(), "it took the lead of another node");
    site.store.revoke(lease).await.unwrap();
    site.until("one slot", |it| slots(it, "library") == 1).await;
}

#[tokio::test]
async fn a_document_that_is_not_understood_is_an_alarm_once() {
    let site = Site::new();
    let key = site.key(&Key::Service(name("alien")));
    let put = Commit::put(key, b"{\"v\": 99}".to_vec());
    site.store.commit(put).await.unwrap();
    let _leader = start(&site);
    let event = site.told("services/alien").await;
    assert_eq!(event.kind, EventKind::Alarm);
    // Something else happens; the alarm is not told again.
    site.put_node().await;
    site.put_service(&command("library", 1)).await;
    site.told("library/0 is assigned").await;
    let told = site.messages();
    let alarms = told.iter().filter(|it| it.contains("services/alien"));
    assert_eq!(alarms.count(), 1, "{told:?}");
}

#[tokio::test]
async fn a_service_that_cannot_be_written_does_not_keep_the_others_from_it() {
    let site = Site::new();
    site.put_node().await;
    // Its record is not understood any more: the last good one is of another revision, so each commit is a conflict.
    site.put_service(&command("archive", 1)).await;
    let leader = start(&site);
    site.until("one slot", |it| slots(it, "archive") == 1).await;
    let key = site.key(&Key::Service(name("archive")));
    let put = Commit::put(key, b"{\"v\": 99}".to_vec());
    site.store.commit(put).await.unwrap();
    site.told("services/archive is not understood").await;
    let intent = minato_config::Intent {
        v: 1,
        replicas: Some(3),
        ..Default::default()
    };
    site.put(&Key::Intent(name("archive")), &intent).await;
    site.put_service(&command("library", 2)).await;
    site.until("two slots", |it| slots(it, "library") == 2)
        .await;
    assert_eq!(slots(&site.world().await, "archive"), 1);
    assert!(!leader.is_finished());
}
