//! What the control of another site asks of this one's, over a link: moves to here, and how they go.
//!
//! Who asks is who its certificate says. It may ask for moves of services that list both sites, look at operations, and end those that
//! move services; everything else is for operators of this site.

use super::Admin;
use super::answer::Refusal;
use super::change::Body;
use super::state::Shared;
use super::{operations, switches};
use crate::api::SwitchRequest;
use crate::holds::{HoldAsk, HoldFailure, carry_out_hold};
use crate::lead::{PeerAnswer, PeerCall};
use axum::extract::{Path, State};
use http::{Method, StatusCode};
use minato_config::SiteId;
use minato_control::OperationId;
use minato_control::operation::Work;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long an answer may take: checks ask the other site in their turn.
const ANSWER: Duration = Duration::from_secs(12);

/// Answers what `site` asks.
pub async fn answer_peer(admin: &Arc<Admin>, site: &SiteId, call: &PeerCall) -> PeerAnswer {
    let (_, stop) = watch::channel(false);
    let shared = Shared::new(Arc::clone(admin), 0, stop);
    match timeout(ANSWER, answer(&shared, site, call)).await {
        Ok(answer) => answer,
        Err(_) => PeerAnswer::refused(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("no answer within {ANSWER:?}"),
        ),
    }
}

pub(super) async fn answer(shared: &Shared, site: &SiteId, call: &PeerCall) -> PeerAnswer {
    let answered = handle(shared, site, call).await;
    answered.unwrap_or_else(|refusal| {
        let error = crate::api::ApiError {
            error: refusal.error,
            hint: refusal.hint,
        };
        PeerAnswer {
            status: refusal.status,
            body: serde_json::to_vec(&error).unwrap_or_default(),
        }
    })
}

fn json<T: Serialize>(it: &T) -> Result<PeerAnswer, Refusal> {
    let body = serde_json::to_vec(it).map_err(|it| Refusal::unavailable(it.to_string()))?;
    Ok(PeerAnswer {
        status: StatusCode::OK,
        body,
    })
}

async fn handle(shared: &Shared, site: &SiteId, call: &PeerCall) -> Result<PeerAnswer, Refusal> {
    let path: Vec<&str> = call.path.split('/').collect();
    let body: Body = Ok(bytes::Bytes::copy_from_slice(&call.body));
    let state = || State(shared.clone());
    match (&call.method, path.as_slice()) {
        (&Method::POST, ["switches"]) => {
            let mut request: SwitchRequest = super::change::read(body)?;
            let own = &shared.admin.about.site;
            if request.to != own.as_str() {
                return Err(Refusal::refused(format!(
                    "this is {own}, and {site} asks for a move to {}",
                    request.to
                )));
            }
            if !request.who.contains(" at ") {
                request.who = format!("{} at {site}", super::change::caller(&request.who));
            }
            let answer = switches::ask(shared, &request, own).await?;
            json(&answer)
        }
        (&Method::POST, ["holds"]) => {
            let ask: HoldAsk = super::change::read(body)?;
            let admin = &shared.admin;
            let own = &admin.about.site;
            let carried = carry_out_hold(&admin.store, &admin.keys, own, site, &ask).await;
            json(&carried.map_err(|failure| match failure {
                HoldFailure::Refused(why) => Refusal::refused(why),
                failure @ HoldFailure::Store(..) => Refusal::unavailable(failure.to_string()),
            })?)
        }
        (&Method::GET, ["busy"]) => {
            let observed = shared.look_now().await?;
            json(&switches::under_way(&observed.world))
        }
        (&Method::GET, ["operations"]) => json(&operations::list(state()).await?.0),
        (&Method::GET, ["operations", id]) => {
            json(&operations::show(state(), Path((*id).to_owned())).await?.0)
        }
        (&Method::POST, ["operations", id, word]) => {
            is_theirs(shared, id).await?;
            let path = Path((*id).to_owned());
            let answer = match *word {
                "abort" => operations::abort(state(), path, body).await?,
                "resume" => operations::resume(state(), path, body).await?,
                _ => return Err(Refusal::new(StatusCode::NOT_FOUND, "there is no such word")),
            };
            json(&answer.0)
        }
        _ => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("this version does not know `{}`", call.path),
        )),
    }
}

/// Waves are for operators of this site.
async fn is_theirs(shared: &Shared, id: &str) -> Result<(), Refusal> {
    let observed = shared.look_now().await?;
    let id = id.parse().ok().map(OperationId);
    let operation = id.and_then(|it| observed.world.operations.get(&it));
    match operation.map(|it| &it.value.work) {
        Some(Work::Wave(_)) => Err(Refusal::refused(format!(
            "it is an update of services of {0}: type it at {0}",
            shared.admin.about.site
        ))),
        // One that is not there is refused by who looks for it.
        _ => Ok(()),
    }
}
