//! Moving services to another site by hand: `POST /v1/switches`, and operations of other sites.
//!
//! A switch lives at the site that shall serve. Asked at another one, it is passed on over the link, so that an operator types the same
//! at either side; what is passed on is not passed on again.

use super::answer::Refusal;
use super::change::{Body, caller, read};
use super::operations::{busy, status};
use super::state::Shared;
use crate::api::{
    ApiError, CheckStatus, LeftOutStatus, OperationStatus, SwitchAnswer, SwitchRequest,
};
use crate::clock;
use crate::journal::emit;
use crate::lead::{PeerAnswer, PeerCall, PeerServices, Pulled};
use axum::Json;
use axum::extract::{Path, State};
use http::{Method, StatusCode};
use minato_config::{ServiceName, ServiceRecord, SiteId, Source, Timestamp};
use minato_control::operation::switch::{
    Accepted, AskedSwitch, Bearing, Cause, Check, Facts, MadeSwitch, Peer, Ready, Timing,
    begin_switch, checks, start,
};
use minato_control::operation::{Repeat, Schedule, SwitchKind, Work};
use minato_control::{Event, EventKind, Operation, OperationId, World};
use minato_control_store::keys::Key;
use minato_control_store::{Commit, Compare, StoreError};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::time::Duration;

/// Tries while others begin operations.
const TRIES: usize = 20;
/// Names and patterns of one request.
const MOST_PATTERNS: usize = 1000;
/// Letters of a reason.
const MOST_WHY: usize = 200;
/// Failing checks that a refusal names.
const SHOWN: usize = 5;
/// A site that is thought dead is asked for so long.
const SILENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(300);
/// How long a mirror is compared with its home.
const PULL: Duration = Duration::from_secs(2);
const MOST_QUIET: u64 = 24 * 3600 * 1000;
const MOST_DRILL: u64 = 7 * 24 * 3600 * 1000;

pub(super) async fn create(
    State(shared): State<Shared>,
    body: Body,
) -> Result<Json<SwitchAnswer>, Refusal> {
    let request: SwitchRequest = read(body)?;
    let to = SiteId::parse(&request.to).map_err(|it| Refusal::bad(it.to_string()))?;
    if to == shared.admin.about.site {
        return ask(&shared, &request, &to).await.map(Json);
    }
    let body = serde_json::to_vec(&request).unwrap_or_default();
    pass(&shared, &to, Method::POST, "switches".to_owned(), body)
        .await
        .map(Json)
}

/// Asks the control of another site, and gives its answer as it is.
pub(super) async fn pass<T: DeserializeOwned>(
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

fn way<'a>(shared: &'a Shared, site: &SiteId) -> Result<&'a dyn PeerServices, Refusal> {
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

/// One that lives here.
pub(super) async fn ask(
    shared: &Shared,
    request: &SwitchRequest,
    to: &SiteId,
) -> Result<SwitchAnswer, Refusal> {
    let now = clock::wall();
    let asked = asked(shared, request, to, now)?;
    for _ in 0..TRIES {
        let observed = shared.look_now().await?;
        let world = &observed.world;
        if let Some((id, operation)) = known(world, &asked.asked_by) {
            return Ok(answer(world, to, id, operation, None, now));
        }
        let made = begin_switch(world, &asked, now)
            .map_err(|it| Refusal::refused(it.why).hint(it.hint))?;
        let looked = look(shared, world, &asked, &made, now).await;
        let mut answer = answer(world, to, made.id, &made.operation, made.back.as_ref(), now);
        answer.left_out = made
            .left_out
            .iter()
            .map(|it| LeftOutStatus {
                service: it.service.to_string(),
                why: it.why.clone(),
            })
            .collect();
        answer.checks = looked
            .iter()
            .map(|(service, it)| line(service, it))
            .collect();
        if request.dry_run {
            answer.operation.id = 0;
            if let Some(back) = &mut answer.back {
                back.id = 0;
            }
            return Ok(answer);
        }
        refuse(&asked, &looked)?;
        let mut commit = Commit::default();
        let documents = [(made.id, &made.operation)].into_iter();
        let documents = documents.chain(made.back.as_ref().map(|(id, it)| (*id, it)));
        for (id, document) in documents {
            let key = shared.admin.keys.text(&Key::Operation(id));
            commit = commit.when(Compare::Absent { key: key.clone() }).and_put(
                key,
                crate::document(document)?,
                None,
            );
        }
        match shared.admin.store.commit(commit).await {
            Ok(_) => {
                let undo = format!("minato operation abort {}", made.id);
                tell(shared, &made, now, &undo);
                answer.undo = Some(undo);
                return Ok(answer);
            }
            // Another operator was first: what they asked for counts from here on.
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(busy("operations are begun by others at the same moment"))
}

/// The one that was begun for this request before.
fn known<'a>(world: &'a World, asked_by: &str) -> Option<(OperationId, &'a Operation)> {
    let mut all = world.operations.iter().rev();
    let found = all.find(|(_, it)| match &it.value.work {
        Work::Switch(work) => !asked_by.is_empty() && work.asked_by == asked_by,
        Work::Wave(_) | Work::Return(_) => false,
    })?;
    Some((*found.0, &found.1.value))
}

fn answer(
    world: &World,
    to: &SiteId,
    id: OperationId,
    operation: &Operation,
    back: Option<&(OperationId, Operation)>,
    now: Timestamp,
) -> SwitchAnswer {
    SwitchAnswer {
        site: to.to_string(),
        operation: status(world, id, operation, now),
        back: back.map(|(id, it)| status(world, *id, it, now)),
        ..SwitchAnswer::default()
    }
}

fn line(service: &ServiceName, check: &Check) -> CheckStatus {
    CheckStatus {
        service: service.to_string(),
        name: check.name.to_owned(),
        met: check.is_met,
        figure: check.figure.clone(),
    }
}

fn asked(
    shared: &Shared,
    request: &SwitchRequest,
    to: &SiteId,
    now: Timestamp,
) -> Result<AskedSwitch, Refusal> {
    let kind = match request.kind.as_str() {
        "switch" => SwitchKind::Switch,
        "failover" => SwitchKind::Failover,
        "drill" => SwitchKind::Drill,
        _ => return Err(Refusal::bad("`kind` is switch, failover or drill")),
    };
    if request.services.len() > MOST_PATTERNS {
        return Err(Refusal::bad(format!(
            "at most {MOST_PATTERNS} names or patterns of services, not {}",
            request.services.len()
        )));
    }
    let (at, until) = (request.at.as_deref(), request.until.as_deref());
    let mut schedule = Schedule::parse(at, until, Repeat::Once, now)
        .map_err(|why| Refusal::refused(why).hint("`date` tells the time"))?;
    match (kind, request.for_ms) {
        (SwitchKind::Drill, Some(length)) if (1_000..=MOST_DRILL).contains(&length) => {
            let begin = schedule.at.unwrap_or(now);
            schedule.until = Some(begin.after(Duration::from_millis(length)));
            if schedule.zone.is_empty() {
                "UTC".clone_into(&mut schedule.zone);
            }
        }
        (SwitchKind::Drill, _) => {
            return Err(Refusal::bad("a drill takes 1 s to 7 days: `for_ms`"));
        }
        (_, Some(_)) => return Err(Refusal::bad("`for_ms` is for drills")),
        (_, None) => {}
    }
    if kind == SwitchKind::Failover && schedule != Schedule::default() {
        return Err(Refusal::bad(
            "a failover is for now: no `at` and no `until`",
        ));
    }
    let quiet_ms = match request.quiet_ms {
        Some(it) if it <= MOST_QUIET => it,
        Some(_) => return Err(Refusal::bad("`quiet_ms` is at most a day")),
        None => shared
            .admin
            .quiet
            .as_millis()
            .try_into()
            .unwrap_or(u64::MAX),
    };
    let bears = |it: bool| match it {
        true => Bearing::Accepted,
        false => Bearing::Refused,
    };
    let plain = |it: &char| !it.is_control();
    Ok(AskedSwitch {
        to: to.clone(),
        services: request.services.clone(),
        kind,
        schedule,
        size: request.size.unwrap_or(10),
        stop_after: request.stop_after.unwrap_or(1),
        timing: Timing {
            quiet_ms,
            ..Timing::default()
        },
        accepted: Accepted {
            overload: bears(request.accept_overload),
            data_loss: bears(request.accept_data_loss),
        },
        asked_by: request.asked_by.chars().filter(plain).take(100).collect(),
        who: caller(&request.who),
        why: request.why.chars().filter(plain).take(MOST_WHY).collect(),
    })
}

/// Everything that is looked at, of every service.
async fn look(
    shared: &Shared,
    world: &World,
    asked: &AskedSwitch,
    made: &MadeSwitch,
    now: Timestamp,
) -> Vec<(ServiceName, Check)> {
    let cause = match asked.kind {
        SwitchKind::Failover => Cause::Lost,
        SwitchKind::Switch | SwitchKind::Drill => Cause::Planned,
    };
    let services: Vec<&ServiceName> = made.operation.steps.iter().map(|it| &it.service).collect();
    let ready = Ready::of(world, &asked.to, services.iter().copied(), now);
    let ends = shared.admin.certificates.as_ref().map(|it| it.ends());
    let ends = ends.unwrap_or_default();
    let mut heard: BTreeMap<SiteId, Old> = BTreeMap::new();
    let mut all = Vec::new();
    for service in services {
        let Ok(begin) = start(world, &asked.to, service) else {
            continue;
        };
        if !heard.contains_key(&begin.from) {
            let old = Old::hear(shared, &begin.from, cause).await;
            heard.insert(begin.from.clone(), old);
        }
        let Some(old) = heard.get(&begin.from) else {
            continue;
        };
        let peer = old.peer(world, service);
        let copy = copied(shared, world, service, &begin.from, asked.timing).await;
        let facts = Facts {
            world,
            ready: &ready,
            to: &asked.to,
            peer: &peer,
            certificates: &ends,
            copy: copy.as_ref(),
            schedule: &asked.schedule,
            cause,
            accepted: asked.accepted,
            own: OperationId(0),
            now,
        };
        let of_it = checks(&facts, service, &begin);
        all.extend(of_it.into_iter().map(|it| (service.clone(), it)));
        if let Some(text) = old.busy.get(service.as_str()) {
            let check = Check {
                name: "operations",
                is_met: false,
                figure: format!("at {}: {text}", begin.from),
            };
            all.push((service.clone(), check));
        }
    }
    all
}

/// Whether the data of a service can be copied while requests wait; `None` where no command does.
async fn copied(
    shared: &Shared,
    world: &World,
    service: &ServiceName,
    from: &SiteId,
    timing: Timing,
) -> Option<Result<String, String>> {
    let record = &world.services.get(service)?.value;
    let hook = record.service.sites.as_ref()?.sync.as_ref()?;
    let Some(copies) = &shared.admin.copies else {
        return Some(Err(format!("this machine may not run {hook}")));
    };
    let hold = Duration::from_millis(timing.hold_ms);
    Some(copies.foresee(service, hook, from, hold).await)
}

/// The site that serves now, as it answers.
struct Old {
    site: SiteId,
    peer: Peer,
    records: BTreeMap<ServiceName, ServiceRecord>,
    /// What is under way there, by service.
    busy: BTreeMap<String, String>,
}

impl Old {
    async fn hear(shared: &Shared, site: &SiteId, cause: Cause) -> Self {
        let silent = |why: String| Self {
            site: site.clone(),
            peer: Peer {
                states: Err(why),
                delay: Duration::ZERO,
                record: None,
            },
            records: BTreeMap::new(),
            busy: BTreeMap::new(),
        };
        let way = match way(shared, site) {
            Ok(way) => way,
            Err(refusal) => return silent(format!("{} ({})", refusal.error, refusal.hint)),
        };
        // One lost question makes nobody dead.
        let begin = tokio::time::Instant::now();
        let states = loop {
            match way.states(site).await {
                Err(_) if begin.elapsed() < SILENCE => tokio::time::sleep(PAUSE).await,
                states => break states,
            }
        };
        let (states, delay) = match states {
            Ok(it) => it,
            Err(why) => return silent(why),
        };
        let mut old = silent(String::new());
        (old.peer.states, old.peer.delay) = (Ok(states), delay);
        if cause == Cause::Lost {
            return old;
        }
        let pulled = tokio::time::timeout(PULL, way.pull(site, None, &[])).await;
        if let Ok(Ok(Pulled::New { services, .. })) = pulled {
            old.records = services.services;
        }
        let call = PeerCall {
            method: Method::GET,
            path: "busy".to_owned(),
            body: Vec::new(),
        };
        if let Ok(answer) = way.call(site, &call).await
            && let Ok(busy) = serde_json::from_slice(&answer.body)
        {
            old.busy = busy;
        }
        old
    }

    fn peer(&self, world: &World, service: &ServiceName) -> Peer {
        let source = world.services.get(service).map(|it| &it.value.source);
        let is_home = matches!(source, Some(Source::Mirror { home, .. }) if *home == self.site);
        Peer {
            record: self.records.get(service).filter(|_| is_home).cloned(),
            ..self.peer.clone()
        }
    }
}

/// What is under way here with services, for another site that is about to take them.
pub(super) fn under_way(world: &World) -> BTreeMap<String, String> {
    let mut busy = BTreeMap::new();
    for (id, stored) in &world.operations {
        let operation = &stored.value;
        let is_running = operation.state.is_open()
            && operation.state != minato_control::operation::OperationState::Scheduled
            && !matches!(operation.work, Work::Return(_));
        let open = operation.steps.iter();
        let open = open.filter(|it| is_running && !it.state.has_ended() && !it.has_moved());
        for step in open {
            let text = format!(
                "operation {id}, {} by {}, is {}",
                operation.title(),
                operation.who,
                operation.state
            );
            busy.insert(step.service.to_string(), text);
        }
    }
    busy
}

/// What fails, by how much: nothing is begun.
fn refuse(asked: &AskedSwitch, looked: &[(ServiceName, Check)]) -> Result<(), Refusal> {
    let failing: Vec<&(ServiceName, Check)> = looked.iter().filter(|it| !it.1.is_met).collect();
    if failing.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = (failing.iter().take(SHOWN))
        .map(|(service, it)| format!("{service}: {}: {}", it.name, it.figure))
        .collect();
    let more = match failing.len().saturating_sub(SHOWN) {
        0 => String::new(),
        n => format!("; and {n} more"),
    };
    Err(Refusal::refused(format!(
        "{} of {} checks fail: {}{more}",
        failing.len(),
        looked.len(),
        shown.join("; ")
    ))
    .hint(format!(
        "minato {} --to {} --dry-run shows all of them",
        asked.kind.as_str(),
        asked.to
    )))
}

fn tell(shared: &Shared, made: &MadeSwitch, now: Timestamp, undo: &str) {
    let all = [(made.id, &made.operation)].into_iter();
    let all = all.chain(made.back.as_ref().map(|(id, it)| (*id, it)));
    for (id, operation) in all {
        let schedule = match operation.schedule.text() {
            it if it.is_empty() => String::new(),
            it => format!(" {it}"),
        };
        let why = match operation.why.as_str() {
            "" => String::new(),
            why => format!(": {why}"),
        };
        let text = format!(
            "operation {id}: {}{schedule}, asked for by {}{why}",
            operation.title(),
            operation.who
        );
        let event = Event::info(now, EventKind::Operation, text).hint(format!("undo: {undo}"));
        emit(&shared.admin.events, event);
    }
}

/// `GET /v1/sites/{site}/operations`
pub(super) async fn list_there(
    State(shared): State<Shared>,
    Path(site): Path<String>,
) -> Result<Json<crate::api::Operations>, Refusal> {
    there(&shared, &site, Method::GET, "operations".to_owned(), None).await
}

/// `GET /v1/sites/{site}/operations/{id}`
pub(super) async fn show_there(
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
pub(super) async fn word_there(
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
        let answer = super::peer::answer(shared, &site, &call).await;
        return understood(&site, &answer).map(Json);
    }
    pass(shared, &site, method, path, body.to_vec())
        .await
        .map(Json)
}
