//! `GET /metrics`: the numbers of this process, then of the site as far as it is known.
//!
//! Not here: the text (`metrics`).

use super::metrics::{self, Numbers};
use super::state::Shared;
use super::{recovery, sites};
use crate::clock;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use std::sync::Arc;

pub(super) async fn scrape(State(shared): State<Shared>) -> Response {
    let admin = &shared.admin;
    let seen = shared.look().await.ok().filter(|it| it.stale.is_none());
    let folder = Arc::clone(&admin.folder.borrow());
    let mut text = admin.view.metrics();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if let Some(seen) = &seen {
        text.push_str(&sites::metrics(&seen.observed.world));
        text.push_str(&recovery::metrics(&seen.observed.world, clock::wall()));
    }
    let leader = shared.leader().await;
    text.push_str(&metrics::text(&Numbers {
        version: &admin.about.version,
        files: folder.files,
        problems: folder.problems.len(),
        revision: seen.map(|it| it.observed.revision.0),
        writable: admin.store.trouble().is_none(),
        leading: leader.is_some_and(|it| shared.is_own(&it)),
        events: admin.journal.counts(),
    }));
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
