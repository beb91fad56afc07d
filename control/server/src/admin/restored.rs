//! A store that was restored: what would follow from it, and a person's word that it is right.

use super::answer::Refusal;
use super::change::{Answer, Body, caller, read};
use super::state::Shared;
use crate::api::{ChangeAnswer, ConfirmRequest, RestoredStatus};
use crate::clock;
use crate::journal::emit;
use crate::view::EndpointView;
use axum::Json;
use axum::extract::State;
use minato_config::{Backend, ServiceName};
use minato_control::{Event, EventKind, World, clock_text};
use minato_control_store::{Guard, Observed};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Sentences of one answer.
const SHOWN: usize = 200;

pub(super) async fn show(State(shared): State<Shared>) -> Result<Json<RestoredStatus>, Refusal> {
    let guard = guard(&shared)?;
    let found = guard.look().await?;
    let mut observed = Observed::new(shared.admin.keys.clone());
    observed.relist(&found.listing);
    let world = &observed.world;
    let confirmed = world
        .meta
        .as_ref()
        .and_then(|it| it.value.confirmed.clone());
    let would = match &found.doubt {
        None => Vec::new(),
        Some(_) => consequences(
            &shared.admin.view.endpoints(),
            shared.before().as_ref().map(|it| &it.world),
            world,
        ),
    };
    Ok(Json(RestoredStatus {
        waits: found.doubt.is_some(),
        doubt: found
            .doubt
            .map(|it| format!("{} says since {}: {}", it.by, clock_text(it.since), it.why))
            .unwrap_or_default(),
        confirmed: confirmed
            .map(|it| format!("{} at {}", it.by, clock_text(it.at)))
            .unwrap_or_default(),
        would: would.into_iter().take(SHOWN).collect(),
    }))
}

pub(super) async fn confirm(State(shared): State<Shared>, body: Body) -> Answer {
    let asked: ConfirmRequest = read(body)?;
    let who = caller(&asked.who);
    let Some(meta) = guard(&shared)?.confirm(&who).await? else {
        return Ok(Json(ChangeAnswer {
            message: "no restored store waits for a word".to_owned(),
            undo: None,
            number: None,
        }));
    };
    let message = format!(
        "the restored store is right: everybody goes on with it, in era {}",
        meta.era
    );
    let event = Event::warn(
        clock::wall(),
        EventKind::Store,
        format!("{message} (by {who})"),
    );
    emit(&shared.admin.events, event);
    Ok(Json(ChangeAnswer {
        message,
        undo: None,
        number: None,
    }))
}

fn guard(shared: &Shared) -> Result<&Arc<Guard>, Refusal> {
    let guard = shared.admin.guard.as_ref();
    guard.ok_or_else(|| Refusal::unavailable("this process does not look after restores"))
}

/// What was there and is not, and the other way round, and what becomes of it. Pure.
///
/// `served`: what this machine's gateway sends requests to; `before`: the site as this process saw it last, if it did.
fn consequences(served: &[EndpointView], before: Option<&World>, now: &World) -> Vec<String> {
    let mut said = Vec::new();
    let kept = before.into_iter().flat_map(|it| &it.slots);
    let kept = kept.filter(|(_, it)| !it.value.removed);
    let slots = kept.map(|((service, n), it)| (service, *n, it.value.generation));
    let fixed = |service: &ServiceName| {
        let record = now
            .services
            .get(service)
            .map(|it| &it.value.service.backend);
        matches!(record, Some(Backend::Endpoints(_)))
    };
    let running = served.iter().filter(|it| it.generation.counter > 0);
    let running = running.map(|it| (&it.service, it.slot, it.generation));
    let all: BTreeSet<_> = slots.chain(running).collect();
    for (service, n, generation) in all {
        let stands = now.slots.get(&(service.clone(), n)).map(|it| &it.value);
        match (now.services.get(service), stands) {
            (None, _) => said.push(format!(
                "{service}/{n} goes on: its service is not in the restored store, and its file brings it back"
            )),
            _ if fixed(service) => {
                said.push(format!("{service}/{n} ends: the restored store has fixed addresses"));
            }
            (Some(record), _) if record.value.removed => {
                said.push(format!("{service}/{n} ends: the restored store says that its service is removed"));
            }
            (Some(_), None) => said.push(format!(
                "{service}/{n} has no place in the restored store: it gets one again, and ends if there are more than wanted"
            )),
            (Some(_), Some(slot)) if slot.generation < generation => said.push(format!(
                "{service}/{n} is of a later assignment ({generation}) than the restored store knows ({} on {}): it gets its place again",
                slot.generation, slot.node
            )),
            (Some(_), Some(slot)) if slot.removed => {
                said.push(format!("{service}/{n} ends: the restored store says so"));
            }
            (Some(_), Some(_)) => {}
        }
    }
    for (service, record) in &now.services {
        let was = before.is_some_and(|it| it.services.contains_key(service));
        if before.is_some() && !was && !record.value.removed {
            said.push(format!(
                "{service} begins again: it had ended since, and the restored store has it"
            ));
        }
        let by_hand = now.intents.get(service).and_then(|it| it.value.replicas);
        let was = before.and_then(|it| it.intents.get(service)?.value.replicas);
        if before.is_some() && by_hand != was {
            let word =
                |it: Option<u16>| it.map_or("what its file says".to_owned(), |it| it.to_string());
            said.push(format!(
                "{service} has {} instances by hand in place of {}",
                word(by_hand),
                word(was)
            ));
        }
    }
    said
}
