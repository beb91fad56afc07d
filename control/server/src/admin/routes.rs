//! The routes of the API and what stands around every one of them.

use super::answer::Refusal;
use super::state::Shared;
use super::{
    change, dependencies, entrance, events, front, guard, logs, nodes, operations, overview,
    rebalance, recovery, release, restored, route_test, scrape, services, sites, switches, upgrade,
};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderValue, StatusCode, header};
use std::time::Duration;

/// A whole answer but for streams, whose head it bounds; a slow body is cut off by it.
const ANSWER: Duration = Duration::from_secs(15);
/// The whole API.
pub(super) fn router(shared: Shared) -> Router {
    let guarded = shared.clone();
    Router::new()
        .route("/", get(front::show))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(scrape::scrape))
        .route("/v1/status", get(overview::status))
        .route("/v1/services/{name}", get(services::show))
        .route("/v1/services/{name}/settled", get(services::settled))
        .route("/v1/services/{name}/scale", post(change::scale))
        .route("/v1/services/{name}/restart", post(change::restart))
        .route("/v1/services/{name}/update", post(release::update))
        .route("/v1/services/{name}/rollback", post(release::rollback))
        .route("/v1/services/{name}/drain", post(change::drain))
        .route("/v1/services/{name}/explain", get(nodes::explain))
        .route("/v1/nodes", get(nodes::list))
        .route("/v1/nodes/{name}/drain", post(nodes::drain))
        .route("/v1/nodes/{name}/settled", get(nodes::settled))
        .route(
            "/v1/operations",
            get(operations::list).post(operations::create),
        )
        .route("/v1/switches", post(switches::create))
        .route("/v1/sites/{site}/operations", get(switches::list_there))
        .route(
            "/v1/sites/{site}/operations/{id}",
            get(switches::show_there),
        )
        .route(
            "/v1/sites/{site}/operations/{id}/{word}",
            post(switches::word_there),
        )
        .route("/v1/operations/{id}", get(operations::show))
        .route("/v1/operations/{id}/abort", post(operations::abort))
        .route("/v1/operations/{id}/resume", post(operations::resume))
        .route(
            "/v1/rebalance",
            get(rebalance::show)
                .post(rebalance::ask)
                .delete(rebalance::stop),
        )
        .route(
            "/v1/store/confirm",
            get(restored::show).post(restored::confirm),
        )
        .route("/v1/rebalance/settled", get(rebalance::settled))
        .route("/v1/dependencies", get(dependencies::show))
        .route("/v1/entrance", get(entrance::status))
        .route("/v1/entrance/drain", post(entrance::drain))
        .route("/v1/entrance/names/{name}", post(entrance::publish))
        .route("/v1/sites", get(sites::show))
        .route("/v1/sites/report", get(recovery::show))
        .route("/v1/sites/{site}/release", post(sites::release))
        .route("/v1/upgrade", get(upgrade::status).post(upgrade::begin))
        .route("/v1/events", get(events::list))
        .route("/v1/logs/{name}", get(logs::logs))
        .route("/v1/access/{name}", get(logs::access))
        .route("/v1/route", get(route_test::show))
        .fallback(|| async {
            Refusal::new(StatusCode::NOT_FOUND, "there is no such page")
                .hint("/ is the status page, /v1/status the same as JSON, /metrics for Prometheus")
        })
        .method_not_allowed_fallback(|| async {
            Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this page does not take this method",
            )
            .hint("read with GET, change with POST")
        })
        .layer(DefaultBodyLimit::max(guard::BODY))
        .layer(middleware::from_fn_with_state(guarded, around))
        .with_state(shared)
}

/// Guards every request and bounds every answer.
async fn around(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let checked = guard::check(
        request.method(),
        request.uri(),
        request.headers(),
        shared.port,
    );
    let mut response = match checked {
        Ok(()) => match tokio::time::timeout(ANSWER, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Refusal::unavailable(format!("no answer within {ANSWER:?}"))
                .hint("the store or a disk is slow: look at the log")
                .into_response(),
        },
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    let mut set = |name, value| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CACHE_CONTROL, "no-store");
    set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    );
    response
}
