//! `GET /v1/route`: where a URL would go.

use super::answer::Refusal;
use super::state::Shared;
use crate::api::RouteTest;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;

/// Bytes of a URL to test.
const URL: usize = 8 << 10;

#[derive(Deserialize)]
pub(super) struct RouteAsked {
    url: String,
}

pub(super) async fn show(
    State(shared): State<Shared>,
    asked: Result<Query<RouteAsked>, QueryRejection>,
) -> Result<Json<RouteTest>, Refusal> {
    let Query(asked) = asked
        .map_err(|it| Refusal::bad(it.body_text()).hint("?url=http%3A%2F%2Fexample.org%2F"))?;
    if asked.url.len() > URL {
        return Err(Refusal::bad(format!("the URL is longer than {URL} bytes")));
    }
    let test = shared.admin.view.route_test(&asked.url);
    test.map(Json)
        .map_err(|error| Refusal::bad(error).hint("write it like http://example.org/library"))
}
