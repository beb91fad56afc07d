//! Operations of other sites, asked for at this one: passed on over the link.

use super::super::answer::Refusal;
use super::super::change::Body;
use super::super::state::Shared;
use crate::api::{ApiError, OperationStatus};
use crate::lead::{PeerAnswer, PeerCall, PeerServices};
use axum::Json;
use axum::extract::{Path, State};
use http::{Method, StatusCode};
use minato_config::SiteId;
use serde::de::DeserializeOwned;

/// Asks the control of another site, and gives its answer as it is.
pub(in crate::admin) async fn pass<T: DeserializeOwned>(
    shared: &Shared,
    site: &SiteId,
    method: Method,
    path: String,
    body: Vec<u8>,
) -> Result<T, Refusal> {
    let way = way(shared, site)?;
    let call = PeerCall { method, path, body };
    let answer = way.call(site, &call).await.map_err(|why| {
        Refusal::unavailable(format!("{site} does not answer: {why}")).hint(format!(
            "nothing was changed by this call; type it at {site}, or look at the link: minato status"
        ))
    })?;
    understood(site, &answer)
}

fn understood<T: DeserializeOwned>(site: &SiteId, answer: &PeerAnswer) -> Result<T, Refusal> {
    let odd = |error: serde_json::Error| {
        Refusal::unavailable(format!("{site} answers what is not understood: {error}"))
            .hint("bring both sites to the same version: minato upgrade")
    };
    if answer.status.is_success() {
        return serde_json::from_slice(&answer.body).map_err(odd);
    }
    let error: ApiError = serde_json::from_slice(&answer.body).map_err(odd)?;
    Err(Refusal::new(answer.status, format!("{site}: {}", error.error)).hint(error.hint))
}

pub(super) fn way<'a>(shared: &'a Shared, site: &SiteId) -> Result<&'a dyn PeerServices, Refusal> {
    let peers = shared.admin.peers.as_ref();
    if let Some(peers) = peers.filter(|it| it.sites.contains(site)) {
        return Ok(peers.way.as_ref());
    }
    let known: Vec<&str> = peers
        .into_iter()
        .flat_map(|it| it.sites.iter().map(SiteId::as_str))
        .collect();
    let own = &shared.admin.about.site;
    let hint = match known.as_slice() {
        [] => format!("this is {own}, and minato.toml names no other: [sites.{site}]"),
        names => format!("this is {own}, which knows {}", names.join(", ")),
    };
    Err(Refusal::refused(format!("there is no site {site}")).hint(hint))
}

/// `GET /v1/sites/{site}/operations`
pub(in crate::admin) async fn list_there(
    State(shared): State<Shared>,
    Path(site): Path<String>,
) -> Result<Json<crate::api::Operations>, Refusal> {
    there(&shared, &site, Method::GET, "operations".to_owned(), None).await
}

/// `GET /v1/sites/{site}/operations/{id}`
pub(in crate::admin) async fn show_there(
    State(shared): State<Shared>,
    Path((site, id)): Path<(String, String)>,
) -> Result<Json<OperationStatus>, Refusal> {
    there(
        &shared,
        &site,
        Method::GET,
        format!("operations/{id}"),
        None,
    )
    .await
}

/// `POST /v1/sites/{site}/operations/{id}/{word}`
pub(in crate::admin) async fn word_there(
    State(shared): State<Shared>,
    Path((site, id, word)): Path<(String, String, String)>,
    body: Body,
) -> Result<Json<crate::api::OperationAnswer>, Refusal> {
    let path = format!("operations/{id}/{word}");
    there(&shared, &site, Method::POST, path, Some(body)).await
}

async fn there<T: DeserializeOwned>(
    shared: &Shared,
    site: &str,
    method: Method,
    path: String,
    body: Option<Body>,
) -> Result<Json<T>, Refusal> {
    let site = SiteId::parse(site).map_err(|it| Refusal::bad(it.to_string()))?;
    let is_plain = |it: char| it.is_ascii_alphanumeric() || it == '/';
    if !path.chars().all(is_plain) {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "there is no such operation",
        ));
    }
    let body = match body {
        Some(body) => body.map_err(|it| Refusal::new(it.status(), it.body_text()))?,
        None => bytes::Bytes::new(),
    };
    if site == shared.admin.about.site {
        let call = PeerCall {
            method,
            path,
            body: body.to_vec(),
        };
        let answer = super::super::peer::answer(shared, &site, &call).await;
        return understood(&site, &answer).map(Json);
    }
    pass(shared, &site, method, path, body.to_vec())
        .await
        .map(Json)
}
