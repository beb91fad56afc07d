//! `GET /v1/logs/{name}` and `/v1/access/{name}`: the last lines that a service's instances wrote, and that its visitors left, here or
//! fetched from another site.

use super::answer::Refusal;
use super::state::Shared;
use crate::api::{AccessLines, GatherStatus, LogLines};
use crate::clock;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use minato_config::{ServiceName, SiteId, SlotIndex};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Lines of a log without `lines`, and at most.
const LOG_LINES: (usize, usize) = (200, 10_000);
/// How long an answer waits for what is fetched from another site.
const GATHER: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
pub(super) struct LogsAsked {
    #[serde(default)]
    slot: u16,
    lines: Option<usize>,
}

pub(super) async fn logs(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    asked: Result<Query<LogsAsked>, QueryRejection>,
) -> Result<Json<LogLines>, Refusal> {
    let Query(asked) = asked
        .map_err(|it| Refusal::bad(it.body_text()).hint("?slot=NUMBER (from 0), ?lines=NUMBER"))?;
    let (few, most) = LOG_LINES;
    let count = asked.lines.unwrap_or(few).clamp(1, most);
    let service = ServiceName::parse(&name).map_err(|it| Refusal::bad(it.to_string()))?;
    let view = Arc::clone(&shared.admin.view);
    let slot = asked.slot;
    // Files are read, which blocks.
    let lines = tokio::task::spawn_blocking(move || view.logs(&service, SlotIndex(slot), count))
        .await
        .map_err(|error| Refusal::unavailable(format!("the log was not read: {error}")))?
        .map_err(|error| Refusal::new(StatusCode::NOT_FOUND, error))?;
    Ok(Json(LogLines {
        service: name,
        slot,
        lines,
    }))
}

#[derive(Deserialize)]
pub(super) struct AccessAsked {
    #[serde(default)]
    site: Option<String>,
    #[serde(default)]
    lines: Option<usize>,
    /// Fetch what is missing first.
    #[serde(default)]
    gather: bool,
}

pub(super) async fn access(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    asked: Result<Query<AccessAsked>, QueryRejection>,
) -> Result<Json<AccessLines>, Refusal> {
    let Query(asked) =
        asked.map_err(|it| Refusal::bad(it.body_text()).hint("?site=SITE, ?lines=NUMBER"))?;
    let (few, most) = LOG_LINES;
    let count = asked.lines.unwrap_or(few).clamp(1, most);
    let service = ServiceName::parse(&name).map_err(|it| Refusal::bad(it.to_string()))?;
    let site = asked.site.as_deref().map(SiteId::parse).transpose();
    let site = site.map_err(|it| Refusal::bad(it.to_string()))?;
    let gathered = match &site {
        Some(site) if asked.gather => gathered(&shared, &service, site).await,
        _ => None,
    };
    let view = Arc::clone(&shared.admin.view);
    // Files are read, which blocks.
    let lines =
        tokio::task::spawn_blocking(move || view.access_log(&service, site.as_ref(), count))
            .await
            .map_err(|error| Refusal::unavailable(format!("the log was not read: {error}")))?
            .map_err(|error| Refusal::new(StatusCode::NOT_FOUND, error))?;
    Ok(Json(AccessLines {
        service: name,
        site: asked.site,
        lines,
        gathered,
    }))
}

/// What fetching it came to; it goes on where it takes longer than an answer may.
async fn gathered(shared: &Shared, service: &ServiceName, site: &SiteId) -> Option<GatherStatus> {
    let done = shared.admin.view.gather(service, site)?;
    match tokio::time::timeout(GATHER, done).await {
        Ok(Ok(status)) => Some(status),
        Ok(Err(_)) | Err(_) => Some(GatherStatus {
            site: site.to_string(),
            at_ms: clock::wall().0,
            is_under_way: true,
            ..GatherStatus::default()
        }),
    }
}
