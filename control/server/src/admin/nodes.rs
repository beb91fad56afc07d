//! The machines of the site: what they are, draining them, and why instances are where they are.

use super::answer::Refusal;
use super::change::{Body, caller, read};
use super::state::{Shared, known};
use crate::api::{
    ChangeAnswer, DrainRequest, Explained, ExplainedNode, ExplainedSlot, NodeStatus, Nodes, Settled,
};
use crate::clock;
use crate::journal::emit;
use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use minato_config::NodeId;
use minato_control::{Absence, Event, EventKind, Losses, World, clock_text};
use minato_control_store::keys::Key;
use minato_control_store::{Commit, Compare, Revision, StoreError};
use minato_health::{NodeDrain, Phase};
use std::collections::BTreeSet;

/// Tries of one change while others write the same.
const TRIES: usize = 20;

pub(super) async fn list(State(shared): State<Shared>) -> Result<Json<Nodes>, Refusal> {
    let observed = shared.look_now().await?;
    let world = &observed.world;
    let nodes = names(world).into_iter().map(|it| status(world, it));
    let record = world.absences.as_ref().map(|it| &it.value);
    Ok(Json(Nodes {
        nodes: nodes.collect(),
        alarm: record.and_then(|it| it.alarm.clone()).unwrap_or_default(),
    }))
}

/// Every machine that anything speaks of.
fn names(world: &World) -> BTreeSet<&NodeId> {
    let slots = world.slots.values().map(|it| &it.value.node);
    let told = world.nodes.keys().chain(world.node_infos.keys());
    told.chain(slots).collect()
}

fn status(world: &World, node: &NodeId) -> NodeStatus {
    let alive = world.nodes.get(node);
    let info = world.node_infos.get(node).map(|it| &it.value);
    let drain = world.drains.get(node).map(|it| &it.value);
    let absence = absence(world, node);
    // What a machine that is gone said last is no longer so.
    let load = alive.and_then(|_| world.node_loads.get(node));
    let load = load.map(|it| &it.value);
    let slots = world.slots.values().filter(|it| it.value.node == *node);
    let instances = world.instances.iter().filter(|(key, _)| key.node == *node);
    let running = instances.filter(|(_, it)| it.value.phase == Phase::Running);
    NodeStatus {
        name: node.to_string(),
        state: if alive.is_some() { "alive" } else { "gone" }.to_owned(),
        absence: absence.map(Absence::text).unwrap_or_default(),
        hint: absence.map(|it| it.hint(node)).unwrap_or_default(),
        drained: drain.is_some_and(|it| it.drain),
        drained_by: drain
            .filter(|it| it.drain)
            .map(|it| format!("{} since {}", it.who, clock_text(it.since)))
            .unwrap_or_default(),
        version: info.map(|it| it.version.clone()).unwrap_or_default(),
        labels: info.map(|it| it.labels.clone()).unwrap_or_default(),
        slots: slots.count(),
        running: running.count(),
        cpus: info.map(|it| it.cpus),
        memory_bytes: info.map(|it| it.memory_bytes),
        cpu_percent: load.map(|it| f64::from(it.cpu_permille) / 10.0),
        memory_free_bytes: load.map(|it| it.memory_free_bytes),
        disk_free_bytes: load.map(|it| it.disk_free_bytes),
        received_per_s: load.map(|it| it.received_per_s),
        sent_per_s: load.map(|it| it.sent_per_s),
        since_ms: alive.map_or(0, |it| it.value.since.0),
    }
}

/// What the leader says of a node that is gone.
pub(super) fn absence<'a>(world: &'a World, node: &NodeId) -> Option<&'a Absence> {
    let record = world.absences.as_ref()?;
    let absence = record.value.nodes.get(node)?;
    (!world.nodes.contains_key(node)).then_some(absence)
}

/// What a person should know of nodes that are gone, a sentence each; at most as many as the site has nodes.
pub(super) fn absence_alarms(world: &World) -> Vec<String> {
    let nodes = world.absences.iter().flat_map(|it| &it.value.nodes);
    let gone = nodes.filter_map(|(node, _)| Some((node, absence(world, node)?)));
    gone.map(|(node, it)| format!("node {node} is {}; {}", it.text(), it.hint(node)))
        .collect()
}

/// Nodes as the leader judged them; nobody else can say which are given up.
pub(super) fn losses(world: &World) -> Losses {
    let record = world.absences.as_ref();
    record.map(|it| it.value.losses()).unwrap_or_default()
}

fn find(world: &World, name: &str) -> Result<NodeId, Refusal> {
    let names = names(world);
    let found = NodeId::parse(name).ok().filter(|it| names.contains(it));
    found.ok_or_else(|| {
        let shown: Vec<&str> = names.iter().take(20).map(|it| it.as_str()).collect();
        let clipped: String = name.chars().take(80).collect();
        Refusal::new(
            StatusCode::NOT_FOUND,
            format!("there is no node `{clipped}`"),
        )
        .hint(format!("there are: {}", shown.join(", ")))
    })
}

pub(super) async fn drain(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<ChangeAnswer>, Refusal> {
    let asked: DrainRequest = read(body)?;
    let who = caller(&asked.who);
    for _ in 0..TRIES {
        let observed = shared.look_now().await?;
        let node = find(&observed.world, &name)?;
        let old = observed.world.drains.get(&node);
        let was = old.is_some_and(|it| it.value.drain);
        let answer = answer(&observed.world, &node, asked.drain);
        if was == asked.drain {
            return Ok(Json(answer));
        }
        let key = shared.admin.keys.text(&Key::Drain(node));
        let now = clock::wall();
        let word = NodeDrain {
            v: 1,
            drain: asked.drain,
            who: who.clone(),
            since: now,
        };
        let compare = match old {
            Some(it) => Compare::Modified {
                key: key.clone(),
                revision: Revision(it.modified),
            },
            None => Compare::Absent { key: key.clone() },
        };
        let commit = Commit::default()
            .when(compare)
            .and_put(key, crate::document(&word)?, None);
        match shared.admin.store.commit(commit).await {
            Ok(_) => {
                let text = format!("{} (by {who})", answer.message);
                let event = Event::info(now, EventKind::Node, text);
                let undo = answer.undo.iter().map(|it| format!("undo: {it}")).next();
                let event = match undo {
                    Some(undo) => event.hint(undo),
                    None => event,
                };
                emit(&shared.admin.events, event);
                return Ok(Json(answer));
            }
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refusal::new(
        StatusCode::CONFLICT,
        format!("others change node {name} at the same moment; nothing was changed by this call"),
    )
    .hint("look at `minato node list`, then try again"))
}

fn answer(world: &World, node: &NodeId, drain: bool) -> ChangeAnswer {
    let was = world.drains.get(node).is_some_and(|it| it.value.drain);
    let message = match (drain, was) {
        (true, true) => format!("node {node} is drained already"),
        (false, false) => format!("node {node} takes instances already"),
        (true, false) => format!(
            "node {node} is to be empty: it takes nothing new, and each instance goes once another serves in its place"
        ),
        (false, true) => {
            format!("node {node} takes instances again; what moved away stays where it is")
        }
    };
    let undo = if drain {
        format!("minato node undrain {node}")
    } else {
        format!("minato node drain {node}")
    };
    ChangeAnswer {
        message,
        undo: (was != drain).then_some(undo),
        number: None,
    }
}

/// Whether a drained node is empty; of one that is not drained there is nothing to wait for.
pub(super) async fn settled(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Settled>, Refusal> {
    let observed = shared.look_now().await?;
    let world = &observed.world;
    let node = find(world, &name)?;
    let status = status(world, &node);
    let alive = world.nodes.contains_key(&node);
    // Of a machine that is gone nobody says when its instances end.
    let left = if alive {
        status.slots.max(status.running)
    } else {
        let kept = world.slots.values();
        let kept = kept.filter(|it| it.value.node == node && !it.value.removed);
        kept.count()
    };
    Ok(Json(match (status.drained, left) {
        (false, _) => Settled {
            done: true,
            detail: format!("node {node} takes instances"),
            failed: None,
            unchanged: false,
        },
        (true, 0) => Settled {
            done: true,
            detail: format!("node {node} is empty"),
            failed: None,
            unchanged: false,
        },
        (true, left) => Settled {
            done: false,
            detail: format!("{left} slots are left on node {node}{}", held(world, &node)),
            failed: None,
            unchanged: false,
        },
    }))
}

/// What holds a drain, as far as it is known.
fn held(world: &World, node: &NodeId) -> String {
    let plan = minato_control::plan_with(world, &losses(world), clock::wall());
    let on_node = |service| {
        let mut slots = world.slots.iter();
        slots.any(|((of, _), slot)| of == service && slot.value.node == *node)
    };
    let note = plan.notes.iter().find(|(service, _)| on_node(service));
    note.map(|(service, note)| format!("; {service}: {note}"))
        .unwrap_or_default()
}

pub(super) async fn explain(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Explained>, Refusal> {
    let observed = shared.look_now().await?;
    let service = known(&observed, &name)?;
    let world = &observed.world;
    let found = minato_control::explain(world, &losses(world), &service, clock::wall());
    let found = found.ok_or_else(|| {
        Refusal::new(
            StatusCode::NOT_FOUND,
            format!("nothing speaks of {service} any more"),
        )
    })?;
    let of_service = world.slots.iter().filter(|((of, _), _)| *of == service);
    let nodes: BTreeSet<&NodeId> = of_service.map(|(_, slot)| &slot.value.node).collect();
    let gone = nodes.into_iter().filter_map(|node| {
        let it = absence(world, node)?;
        Some(format!("node {node} is {}; {}", it.text(), it.hint(node)))
    });
    Ok(Json(Explained {
        service: service.to_string(),
        wanted: found.wanted,
        slots: found
            .slots
            .into_iter()
            .map(|it| ExplainedSlot {
                slot: it.n.0,
                node: it.node.to_string(),
                generation: it.generation.to_string(),
                condition: it.condition,
                why: it.why,
                otherwise: it.otherwise,
            })
            .collect(),
        nodes: found
            .nodes
            .into_iter()
            .map(|it| ExplainedNode {
                name: it.node.to_string(),
                here: it.here,
                slots: it.slots,
                fits: it.fits,
                why: it.why,
            })
            .collect(),
        next: found.next,
        missing: found.missing.into_iter().chain(gone).collect(),
    }))
}
