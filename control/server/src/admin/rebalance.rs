//! Rebalancing on request: one document of the site, the last word holds.

use super::answer::Refusal;
use super::change::{Answer, Body, caller, read};
use super::nodes::losses;
use super::state::{Shared, known};
use crate::api::{ChangeAnswer, RebalanceRequest, RebalanceStatus, Settled};
use crate::clock;
use crate::journal::emit;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use minato_config::ServiceName;
use minato_control::{
    Balancing, Event, EventKind, REBALANCE_LIMIT, Rebalance, World, clock_text, plan_with,
    would_move,
};
use minato_control_store::keys::Key;
use minato_control_store::{Commit, Observed};
use serde::Deserialize;

/// Moves that an answer names.
const SHOWN: usize = 200;

#[derive(Deserialize)]
pub(super) struct Asked {
    service: Option<String>,
}

pub(super) async fn show(
    State(shared): State<Shared>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<RebalanceStatus>, Refusal> {
    let Query(asked) =
        asked.map_err(|it| Refusal::bad(it.body_text()).hint("?service=NAME, or nothing"))?;
    let observed = shared.look_now().await?;
    let world = &observed.world;
    let only = named(&observed, asked.service.as_deref())?;
    let last = world.rebalance.as_ref().map(|it| &it.value);
    let standing = standing(world).unwrap_or_default();
    Ok(Json(RebalanceStatus {
        active: active(world).is_some(),
        asked: last.map(told).unwrap_or_default(),
        ended: last.and_then(|it| it.ended.clone()).unwrap_or_default(),
        moving: standing.moving,
        waiting: standing.waiting,
        would_move: would_move(world, only.as_ref(), SHOWN),
    }))
}

pub(super) async fn ask(State(shared): State<Shared>, body: Body) -> Answer {
    let asked: RebalanceRequest = read(body)?;
    let observed = shared.look_now().await?;
    let service = named(&observed, asked.service.as_deref())?;
    let request = Rebalance {
        v: 1,
        service,
        who: caller(&asked.who),
        since: clock::wall(),
        round: 0,
        ended: None,
    };
    write(&shared, &request).await?;
    let what = match &request.service {
        Some(service) => format!("instances of {service}"),
        None => "instances".to_owned(),
    };
    let minutes = REBALANCE_LIMIT.as_secs() / 60;
    let message = format!(
        "{what} go to nodes that suit them clearly better, at most two services at once, each once another serves in its place; \
         it ends by itself, at the latest after {minutes} min"
    );
    say(&shared, &format!("{message} (by {})", request.who));
    Ok(Json(ChangeAnswer {
        message,
        undo: Some("minato rebalance --stop".to_owned()),
        number: None,
    }))
}

pub(super) async fn stop(State(shared): State<Shared>, body: Body) -> Answer {
    let asked: RebalanceRequest = read(body)?;
    let observed = shared.look_now().await?;
    let Some(under_way) = active(&observed.world) else {
        return Ok(Json(ChangeAnswer {
            message: "no rebalance is under way".to_owned(),
            undo: None,
            number: None,
        }));
    };
    let who = caller(&asked.who);
    let ended = Rebalance {
        ended: Some(format!("{who} ended it at {}", clock_text(clock::wall()))),
        ..under_way.clone()
    };
    write(&shared, &ended).await?;
    let message = "the rebalance is over; what moved stays where it is".to_owned();
    say(&shared, &format!("{message} (by {who})"));
    Ok(Json(ChangeAnswer {
        message,
        undo: Some("minato rebalance".to_owned()),
        number: None,
    }))
}

/// Whether none is under way.
pub(super) async fn settled(State(shared): State<Shared>) -> Result<Json<Settled>, Refusal> {
    let observed = shared.look_now().await?;
    let last = observed.world.rebalance.as_ref().map(|it| &it.value);
    let ended = match last {
        None => Some("no rebalance is under way".to_owned()),
        Some(it) => it.ended.clone(),
    };
    let detail = match (&ended, standing(&observed.world)) {
        (Some(why), _) => why.clone(),
        (None, Some(it)) if !it.moving.is_empty() => it.moving.join("; "),
        (None, Some(it)) if !it.waiting.is_empty() => format!("waits: {}", it.waiting.join("; ")),
        (None, Some(it)) if it.queued > 0 => {
            format!("{} more: the nodes' loads are awaited", it.queued)
        }
        (None, _) => "about to end".to_owned(),
    };
    Ok(Json(Settled {
        done: ended.is_some(),
        detail,
        failed: None,
        unchanged: false,
    }))
}

/// One sentence for status while one is under way.
pub(super) fn notice(world: &World, standing: Option<&Balancing>) -> Option<String> {
    let asked = active(world)?;
    let mut text = format!(
        "a rebalance is under way, {}; end it: minato rebalance --stop",
        told(asked)
    );
    if let Some(it) = standing {
        for (word, list) in [("moves", &it.moving), ("waits", &it.waiting)] {
            if !list.is_empty() {
                text.push_str(&format!("; {word}: {}", list.join("; ")));
            }
        }
    }
    Some(text)
}

fn active(world: &World) -> Option<&Rebalance> {
    let last = world.rebalance.as_ref().map(|it| &it.value);
    last.filter(|it| it.ended.is_none())
}

fn standing(world: &World) -> Option<Balancing> {
    plan_with(world, &losses(world), clock::wall()).balancing
}

/// `asked for by alice since 2026-11-22T14:35:01.123Z, of library`
fn told(it: &Rebalance) -> String {
    let of = it.service.as_ref().map(|it| format!(", of {it}"));
    let since = clock_text(it.since);
    format!(
        "asked for by {} at {since}{}",
        it.who,
        of.unwrap_or_default()
    )
}

fn named(observed: &Observed, name: Option<&str>) -> Result<Option<ServiceName>, Refusal> {
    name.map(|it| known(observed, it)).transpose()
}

/// The last word holds, whoever else writes.
async fn write(shared: &Shared, word: &Rebalance) -> Result<(), Refusal> {
    let key = shared.admin.keys.text(&Key::Rebalance);
    let commit = Commit::default().and_put(key, crate::document(word)?, None);
    shared.admin.store.commit(commit).await?;
    Ok(())
}

fn say(shared: &Shared, text: &str) {
    let event = Event::info(clock::wall(), EventKind::Node, text.to_owned());
    emit(&shared.admin.events, event);
}
