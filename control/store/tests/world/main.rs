//! Documents become a world: golden files, lenience, and events that lead where a list does.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, outside their functions"
)]

mod events;
mod golden;
mod lenience;
mod vanished;

use minato_config::*;
use minato_control::operation::{OperationState, Repeat, StepState, WaveChange, Work};
use minato_control::{
    FailureKind, ImageState, InstanceKey, Object, OperationId, RolloutStage, World,
};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Entry, Event, Listing, Observed, Revision};
use minato_health::{Phase, Verdict};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

fn keys() -> Keys {
    Keys::new(&SiteId::parse("tokyo").unwrap())
}

fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::read(folder.join(name)).unwrap()
}

fn entry(key: &str, value: Vec<u8>, modified: u64) -> Entry {
    Entry {
        key: key.to_owned(),
        value,
        created: Revision(1),
        modified: Revision(modified),
        lease: None,
    }
}

fn put(observed: &mut Observed, key: &Key, value: Vec<u8>, modified: u64) {
    let key = keys().text(key);
    observed.apply(&Event::Put(entry(&key, value, modified)));
}

fn service(name: &str) -> ServiceName {
    ServiceName::parse(name).unwrap()
}

fn node() -> NodeId {
    NodeId::parse("tokyo-1").unwrap()
}

fn gateway() -> GatewayId {
    GatewayId::parse("gw-1").unwrap()
}

const GENERATION: Generation = Generation { era: 1, counter: 5 };

/// Each golden file, and where it lies.
fn documents() -> Vec<(&'static str, Key)> {
    let slot = SlotIndex(1);
    vec![
        ("service.json", Key::Service(service("library"))),
        ("service_endpoints.json", Key::Service(service("archive"))),
        ("service_tcp.json", Key::Service(service("mail"))),
        ("intent.json", Key::Intent(service("library"))),
        ("slot.json", Key::Slot(service("library"), slot)),
        (
            "instance.json",
            Key::Instance(node(), service("library"), slot, GENERATION),
        ),
        (
            "verdict.json",
            Key::Verdict(gateway(), service("library"), slot),
        ),
        ("node_alive.json", Key::NodeAlive(node())),
        ("node_info.json", Key::NodeInfo(node())),
        ("node_load.json", Key::NodeLoad(node())),
        ("node_usage.json", Key::NodeUsage(node())),
        ("node_reach.json", Key::NodeReach(node())),
        ("node_drain.json", Key::Drain(node())),
        ("gateway_alive.json", Key::GatewayAlive(gateway())),
        ("load.json", Key::Load(gateway(), service("library"))),
        ("scale.json", Key::Scale(service("library"))),
        ("rollout.json", Key::Rollout(service("library"))),
        ("image.json", Key::Image(node(), service("library"))),
        (
            "mirror.json",
            Key::Mirror(SiteId::parse("osaka").unwrap(), service("shop")),
        ),
        ("order.json", Key::Order(service("library"))),
        ("absences.json", Key::Absences),
        ("operation.json", Key::Operation(OperationId(12))),
    ]
}

fn golden_world() -> Observed {
    let mut observed = Observed::new(keys());
    for (revision, (name, key)) in (1..).zip(documents()) {
        put(&mut observed, &key, golden(name), revision);
    }
    observed
}

fn count(world: &World) -> usize {
    world.services.len()
        + world.intents.len()
        + world.slots.len()
        + world.instances.len()
        + world.verdicts.len()
        + world.nodes.len()
        + world.node_infos.len()
        + world.node_loads.len()
        + world.usages.len()
        + world.reaches.len()
        + usize::from(world.absences.is_some())
        + world.drains.len()
        + world.gateways.len()
        + world.loads.len()
        + world.scales.len()
        + world.rollouts.len()
        + world.images.len()
        + world.mirrors.len()
        + world.orders.len()
        + world.operations.len()
}

fn gone(key: &Key, revision: u64) -> Event {
    Event::Delete {
        key: keys().text(key),
        revision: Revision(revision),
    }
}

#[test]
fn keys_are_taken_apart_as_they_are_put_together() {
    for (_, key) in documents() {
        assert_eq!(keys().parse(&keys().text(&key)), Some(key));
    }
    for key in [Key::Meta, Key::Leader] {
        assert_eq!(keys().parse(&keys().text(&key)), Some(key));
    }
    for strange in [
        "",
        "/minato/v1/tokyo/",
        "/minato/v1/osaka/leader",
        "/minato/v1/tokyo/leader/x",
        "/minato/v1/tokyo/slots/library/007",
        "/minato/v1/tokyo/slots/library/+7",
        "/minato/v1/tokyo/slots/library/70000",
        "/minato/v1/tokyo/slots/Library/7",
        "/minato/v1/tokyo/services/",
        "/minato/v1/tokyo/instances/tokyo-1/library/1/1.05",
        "/minato/v1/tokyo/instances/tokyo-1/library/1/1",
        "/minato/v1/tokyo/tomorrow/library",
    ] {
        assert_eq!(keys().parse(strange), None, "{strange}");
    }
}
