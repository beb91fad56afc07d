//! `GET /v1/services/{name}` and `/settled`: one service as it is, and whether a change of it has come true.

use super::answer::Refusal;
use super::settle;
use super::state::{Shared, known};
use super::status::Sources;
use crate::api::{ServiceStatus, Settled};
use crate::clock;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

pub(super) async fn show(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<ServiceStatus>, Refusal> {
    let observed = shared.look_now().await?;
    let view = &shared.admin.view;
    let (traffic, endpoints) = (view.traffic(), view.endpoints());
    let served = endpoints.iter().find(|it| it.service.as_str() == name);
    let name = match served {
        Some(it) => it.service.clone(),
        None => known(&observed, &name)?,
    };
    let sources = Sources::new(&observed.world, &traffic, &endpoints, clock::wall());
    Ok(Json(sources.service(&name)))
}

#[derive(Deserialize)]
pub(super) struct SettledAsked {
    /// `scale`, `restart`, `update`, `rollback` or `drain`; without it, what the service is now decides.
    change: Option<String>,
    /// Of `update` and `rollback`: what their answer said.
    number: Option<u64>,
}

pub(super) async fn settled(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    asked: Result<Query<SettledAsked>, QueryRejection>,
) -> Result<Json<Settled>, Refusal> {
    let asked = asked.ok().map(|Query(it)| it);
    let number = asked.as_ref().and_then(|it| it.number);
    let awaited = match asked.as_ref().and_then(|it| it.change.as_deref()) {
        Some("scale") => settle::Awaited::Instances,
        Some("restart" | "update" | "rollback") => settle::Awaited::Version(number),
        _ => settle::Awaited::Service,
    };
    let observed = shared.look_now().await?;
    let name = known(&observed, &name)?;
    let traffic = shared.admin.view.traffic();
    let traffic = traffic.iter().find(|it| it.service == name);
    let settled = settle::settled(&observed.world, &name, traffic, awaited);
    Ok(Json(settled))
}
