//! `GET` and `POST /v1/upgrade`.

use super::answer::Refusal;
use super::caller::{Ends, user};
use super::change::read;
use super::state::Shared;
use crate::api::{UpgradeRequest, UpgradeStatus};
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::{Extension, Json};
use http::StatusCode;
use rustix::process::geteuid;

pub(super) async fn status(State(shared): State<Shared>) -> Json<UpgradeStatus> {
    Json(shared.admin.view.upgrade())
}

/// Begins one. Who asked looks at [`status`] from then on: the process that answers may be another by then.
pub(super) async fn begin(
    State(shared): State<Shared>,
    Extension(ends): Extension<Ends>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<UpgradeStatus>, Refusal> {
    let asked: UpgradeRequest = read(body)?;
    let caller = tokio::task::spawn_blocking(move || user(ends)).await;
    match caller {
        Ok(Ok(Some(uid))) if uid == 0 || uid == geteuid().as_raw() => {}
        Ok(Ok(_)) => {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "only root, or the user that minato runs as, may put another binary in its place",
            )
            .hint("try again with sudo"));
        }
        Ok(Err(error)) => return Err(unknown(&error)),
        Err(error) => return Err(unknown(&error)),
    }
    shared
        .admin
        .view
        .begin_upgrade(asked)
        .map(Json)
        .map_err(Refusal::refused)
}

fn unknown(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::unavailable(format!("who asks cannot be told: {error}"))
}
