//! `GET /`: the status page.
//!
//! Not here: how it looks (`page`), what it shows (`overview`).

use super::overview::overview;
use super::page::{self, Refresh};
use super::state::Shared;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Response};
use http::header;
use serde::Deserialize;
use std::hash::{BuildHasher, RandomState};

/// Events on the page.
const PAGE_EVENTS: usize = 50;

#[derive(Deserialize)]
pub(super) struct FrontAsked {
    refresh: Option<String>,
}

pub(super) async fn show(
    State(shared): State<Shared>,
    asked: Result<Query<FrontAsked>, QueryRejection>,
) -> Response {
    let off = asked.is_ok_and(|Query(it)| it.refresh.as_deref() == Some("off"));
    let refresh = if off { Refresh::Off } else { Refresh::Every2s };
    let status = overview(&shared).await;
    let events = shared.admin.journal.last(PAGE_EVENTS);
    let nonce = nonce();
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    let page = page::render(&status, &events, refresh, &nonce);
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(page)).into_response()
}

/// Names the page's own style; new for each answer. The standard library's hash keys come from the system's randomness.
fn nonce() -> String {
    format!("{:016x}", RandomState::new().hash_one("style"))
}
