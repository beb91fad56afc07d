//! The routes of the API and what stands around every one of them.

use super::answer::Refusal;
use super::guard;
use super::metrics::{self, Numbers};
use super::page::{self, Refresh};
use super::settle;
use super::state::{Seen, Shared, known};
use super::status::Sources;
use super::{
    change, entrance, events, nodes, operations, rebalance, recovery, release, restored, sites,
    switches, upgrade,
};
use crate::LeaderRecord;
use crate::api::{
    AccessLines, ConfigStatus, Dependencies, DependencyStatus, GatherStatus, LogLines, RouteTest,
    ServiceStatus, Settled, Status, StoreStatus,
};
use crate::claim::Gone;
use crate::clock;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderValue, StatusCode, header};
use minato_config::{ServiceName, SiteId, SlotIndex};
use minato_control_store::keys::Key;
use serde::Deserialize;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// A whole answer but for streams, whose head it bounds; a slow body is cut off by it.
const ANSWER: Duration = Duration::from_secs(15);
/// Lines of a log without `lines`, and at most.
const LOG_LINES: (usize, usize) = (200, 10_000);
/// How long an answer waits for what is fetched from another site.
const GATHER: Duration = Duration::from_secs(10);
/// Bytes of a URL to test.
const URL: usize = 8 << 10;
/// Events on the page.
const PAGE_EVENTS: usize = 50;

/// The whole API.
pub(super) fn router(shared: Shared) -> Router {
    let guarded = shared.clone();
    Router::new()
        .route("/", get(front))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(scrape))
        .route("/v1/status", get(status))
        .route("/v1/services/{name}", get(service))
        .route("/v1/services/{name}/settled", get(settled))
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
        .route("/v1/dependencies", get(dependencies))
        .route("/v1/entrance", get(entrance::status))
        .route("/v1/entrance/drain", post(entrance::drain))
        .route("/v1/entrance/names/{name}", post(entrance::publish))
        .route("/v1/sites", get(sites::show))
        .route("/v1/sites/report", get(recovery::show))
        .route("/v1/sites/{site}/release", post(sites::release))
        .route("/v1/upgrade", get(upgrade::status).post(upgrade::begin))
        .route("/v1/events", get(events::list))
        .route("/v1/logs/{name}", get(logs))
        .route("/v1/access/{name}", get(access))
        .route("/v1/route", get(route))
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

async fn status(State(shared): State<Shared>) -> Json<Status> {
    Json(overview(&shared).await)
}

async fn service(
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
struct SettledAsked {
    /// `scale`, `restart`, `update`, `rollback` or `drain`; without it, what the service is now decides.
    change: Option<String>,
    /// Of `update` and `rollback`: what their answer said.
    number: Option<u64>,
}

async fn settled(
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

#[derive(Deserialize)]
struct LogsAsked {
    #[serde(default)]
    slot: u16,
    lines: Option<usize>,
}

async fn logs(
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
struct AccessAsked {
    #[serde(default)]
    site: Option<String>,
    #[serde(default)]
    lines: Option<usize>,
    /// Fetch what is missing first.
    #[serde(default)]
    gather: bool,
}

async fn access(
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

async fn dependencies(State(shared): State<Shared>) -> Json<Dependencies> {
    Json(Dependencies {
        node: shared.admin.about.node.to_string(),
        dependencies: shared.admin.view.dependencies(),
    })
}

/// What of them needs a person, one sentence each.
fn dependency_alarms(dependencies: &[DependencyStatus]) -> Vec<String> {
    let mut alarms = Vec::new();
    for it in dependencies {
        let DependencyStatus { noun, name, .. } = it;
        if it.state == "down" {
            alarms.push(format!("{noun} {name} is down: {}", it.reason));
        }
        if !it.alarm.is_empty() {
            alarms.push(format!("{noun} {name}: {}", it.alarm));
        }
    }
    alarms
}

#[derive(Deserialize)]
struct RouteAsked {
    url: String,
}

async fn route(
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

async fn scrape(State(shared): State<Shared>) -> Response {
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
    let leader = leader(&shared).await;
    text.push_str(&metrics::text(&Numbers {
        version: &admin.about.version,
        files: folder.files,
        problems: folder.problems.len(),
        revision: seen.map(|it| it.observed.revision.0),
        writable: admin.store.trouble().is_none(),
        leading: leader.is_some_and(|it| is_self(&shared, &it)),
        events: admin.journal.counts(),
    }));
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

#[derive(Deserialize)]
struct FrontAsked {
    refresh: Option<String>,
}

async fn front(
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

async fn overview(shared: &Shared) -> Status {
    let (admin, now) = (&shared.admin, clock::wall());
    let about = &admin.about;
    let leader = leader(shared).await;
    let folder = Arc::clone(&admin.folder.borrow());
    let (traffic, endpoints) = (admin.view.traffic(), admin.view.endpoints());
    let looked = shared.look().await;
    let (services, mut alarms, open, observers, revision, trouble) = match &looked {
        Ok(Seen { observed, stale }) => {
            let sources = Sources::new(&observed.world, &traffic, &endpoints, now);
            let losses = nodes::losses(&observed.world);
            let plan = minato_control::plan_with(&observed.world, &losses, now);
            let notes = plan.notes.into_iter().map(|(_, text)| text);
            let nobody = "nobody leads: slots are neither assigned nor replaced until someone does";
            let nobody = leader.is_none().then(|| nobody.to_owned());
            let gone = Gone::of(&folder, &observed.world.services).alarms();
            let alarms: Vec<String> = nobody
                .into_iter()
                .chain(gone)
                .chain(losses.alarm)
                .chain(nodes::absence_alarms(&observed.world))
                .chain(rebalance::notice(&observed.world, plan.balancing.as_ref()))
                .chain(notes)
                .chain(observed.oddities())
                .chain(minato_control::mirror::conflicts(&observed.world))
                .chain(sites::disputes(&observed.world))
                .chain(recovery::alarms(&observed.world, now))
                .collect();
            (
                sources.services(),
                alarms,
                operations::open(&observed.world),
                sites::observers(&observed.world),
                observed.revision.0,
                stale.clone(),
            )
        }
        Err(why) => {
            let why = Some(why.clone());
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), 0, why)
        }
    };
    alarms.extend(operations::alarms(&open));
    alarms.extend(dependency_alarms(&admin.view.dependencies()));
    alarms.extend(admin.view.identity_trouble());
    let trouble = trouble
        .or_else(|| admin.store.trouble())
        .or_else(|| admin.journal.store_trouble());
    Status {
        site: about.site.to_string(),
        node: about.node.to_string(),
        version: about.version.clone(),
        pid: about.pid,
        since_ms: about.since.0,
        now_ms: now.0,
        leading: leader.as_ref().is_some_and(|it| is_self(shared, it)),
        leader: leader.map(|it| it.node.to_string()),
        listeners: about.listeners.iter().map(ToString::to_string).collect(),
        admin: about.admin.to_string(),
        config: ConfigStatus {
            folder: about.folder.display().to_string(),
            files: folder.files,
            services: folder.services.len(),
            problems: folder.problems.iter().map(ToString::to_string).collect(),
            loaded_at_ms: folder.loaded_at.0,
        },
        store: StoreStatus {
            path: about.store.clone(),
            revision,
            healthy: trouble.is_none(),
            detail: trouble.unwrap_or_default(),
        },
        services,
        alarms,
        operations: open,
        draining: admin.view.upgrade().draining,
        entrance: Some(admin.view.entrance())
            .filter(|it| !(it.asked_at.is_empty() && it.reason.is_empty() && it.names.is_empty())),
        links: admin.view.links(),
        observers,
        shares: admin.view.shares(),
    }
}

/// Who leads; `None` while nobody does, or the store does not answer.
async fn leader(shared: &Shared) -> Option<LeaderRecord> {
    // Who leads through a store in trouble nobody knows, and asking would only take time.
    if shared.admin.store.trouble().is_some() {
        return None;
    }
    let key = shared.admin.keys.text(&Key::Leader);
    let reading = shared.admin.store.get(&key);
    let entry = tokio::time::timeout(Duration::from_secs(1), reading).await;
    serde_json::from_slice(&entry.ok()?.ok()??.value).ok()
}

fn is_self(shared: &Shared, leader: &LeaderRecord) -> bool {
    leader.node == shared.admin.about.node && leader.pid == shared.admin.about.pid
}
