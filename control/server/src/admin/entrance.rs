//! `GET /v1/entrance`, `POST /v1/entrance/drain` and `POST /v1/entrance/names/{name}`.

use super::answer::Refusal;
use super::change::{Answer, Body, read};
use super::state::Shared;
use crate::api::{DrainRequest, EntranceStatus, PublishRequest};
use crate::clock;
use crate::journal::emit;
use axum::Json;
use axum::extract::{Path, State};
use minato_control::{Event, EventKind};
use std::sync::Arc;

pub(super) async fn status(State(shared): State<Shared>) -> Json<EntranceStatus> {
    Json(shared.admin.view.entrance())
}

/// Takes this gateway out of traffic, or lets it in again. True at once, and kept on disk.
pub(super) async fn drain(State(shared): State<Shared>, body: Body) -> Answer {
    let asked: DrainRequest = read(body)?;
    let view = Arc::clone(&shared.admin.view);
    let changed = tokio::task::spawn_blocking(move || view.drain_entrance(asked, clock::wall()));
    let answer = changed
        .await
        .map_err(|error| Refusal::unavailable(format!("nothing was changed: {error}")))?
        .map_err(Refusal::refused)?;
    if let Some(undo) = &answer.undo {
        let event = Event::info(clock::wall(), EventKind::Entrance, &answer.message);
        emit(&shared.admin.events, event.hint(format!("undo: {undo}")));
    }
    Ok(Json(answer))
}

/// Takes a word about a name in; how far it is says [`status`], by the number of the answer.
pub(super) async fn publish(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: Body,
) -> Answer {
    let asked: PublishRequest = read(body)?;
    let answer = shared.admin.view.publish(&name, asked);
    answer.map(Json).map_err(Refusal::refused)
}
