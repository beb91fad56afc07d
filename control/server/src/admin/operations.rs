//! Operations by hand: begin one, look at it, end it, go on with it.
//!
//! A new one is a key that must not exist; a word to one that is there compares the revision that was read. So of two operators at
//! once one is first, and the other is decided against what the first has stored.

use super::answer::Refusal;
use super::change::{Body, caller, read};
use super::state::Shared;
use crate::api::{
    LeftOutStatus, OperationAnswer, OperationRequest, OperationStatus, OperationStepStatus,
    Operations, WaveRequest,
};
use crate::clock;
use crate::journal::emit;
use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use minato_config::{ImageReference, Timestamp};
use minato_control::operation::switch::{Phase, SwitchState, up_and_wanted, who_comes};
use minato_control::operation::{
    Asked, Made, OperationState, OperationStep, Repeat, Schedule, Sights, StepSight, StepState,
    WaveChange, begin, sights,
};
use minato_control::{Event, EventKind, Operation, OperationId, World};
use minato_control_store::keys::Key;
use minato_control_store::{Commit, Compare, Revision, StoreError};

/// Tries of one word while others write the same document: the leader does, at each step.
const TRIES: usize = 20;
/// Names and patterns of one request.
const MOST_PATTERNS: usize = 1000;
/// Letters of a reason.
const MOST_WHY: usize = 200;

pub(super) async fn create(
    State(shared): State<Shared>,
    body: Body,
) -> Result<Json<OperationAnswer>, Refusal> {
    let request: WaveRequest = read(body)?;
    let now = clock::wall();
    let asked = asked(&request, now)?;
    for _ in 0..TRIES {
        let observed = shared.look_now().await?;
        let made = begin(&observed.world, &asked, now)
            .map_err(|it| Refusal::refused(it.why).hint(it.hint))?;
        let left_out = made.left_out.iter().map(|it| LeftOutStatus {
            service: it.service.to_string(),
            why: it.why.clone(),
        });
        let mut answer = OperationAnswer {
            operation: status(&observed.world, made.id, &made.operation, now),
            left_out: left_out.collect(),
            undo: None,
        };
        if request.dry_run {
            answer.operation.id = 0;
            return Ok(Json(answer));
        }
        let key = shared.admin.keys.text(&Key::Operation(made.id));
        let commit = Commit::default()
            .when(Compare::Absent { key: key.clone() })
            .and_put(key, crate::document(&made.operation)?, None);
        match shared.admin.store.commit(commit).await {
            Ok(_) => {
                let undo = format!("minato operation abort {}", made.id);
                tell(&shared, &made, now, &undo);
                answer.undo = Some(undo);
                return Ok(Json(answer));
            }
            // Another operator was first: what they asked for counts from here on.
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(busy("operations are begun by others at the same moment"))
}

pub(super) fn busy(what: &str) -> Refusal {
    Refusal::new(
        StatusCode::CONFLICT,
        format!("{what}; nothing was changed by this call"),
    )
    .hint("look at `minato operation list`, then try again")
}

fn tell(shared: &Shared, made: &Made, now: Timestamp, undo: &str) {
    let Made { id, operation, .. } = made;
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

fn asked(request: &WaveRequest, now: Timestamp) -> Result<Asked, Refusal> {
    let change = match (request.change.as_str(), &request.image) {
        ("restart", None) => WaveChange::Restart,
        ("rollback", None) => WaveChange::Rollback,
        ("pull", None) => WaveChange::Pull,
        ("image", Some(text)) => {
            WaveChange::Image(ImageReference::parse(text).map_err(|error| {
                let shown: String = text.chars().take(100).collect();
                Refusal::refused(format!("`{shown}` {error}"))
            })?)
        }
        _ => {
            return Err(Refusal::bad(
                "`change` is restart, rollback or pull, or image together with `image`",
            ));
        }
    };
    if request.services.is_empty() || request.services.len() > MOST_PATTERNS {
        return Err(Refusal::bad(format!(
            "1 to {MOST_PATTERNS} names or patterns of services are needed, not {}",
            request.services.len()
        )));
    }
    let repeat = if request.daily {
        Repeat::Daily
    } else {
        Repeat::Once
    };
    let schedule = Schedule::parse(request.at.as_deref(), request.until.as_deref(), repeat, now);
    let plain = |it: &char| !it.is_control();
    Ok(Asked {
        services: request.services.clone(),
        change,
        size: request.size.unwrap_or(5),
        stop_after: request.stop_after.unwrap_or(1),
        schedule: schedule.map_err(|why| Refusal::refused(why).hint("`date` tells the time"))?,
        who: caller(&request.who),
        why: request.why.chars().filter(plain).take(MOST_WHY).collect(),
    })
}

pub(super) async fn list(State(shared): State<Shared>) -> Result<Json<Operations>, Refusal> {
    let observed = shared.look_now().await?;
    let operations = observed.world.operations.iter().rev();
    let operations = operations.map(|(id, it)| summary(*id, &it.value));
    Ok(Json(Operations {
        operations: operations.collect(),
    }))
}

pub(super) async fn show(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<OperationStatus>, Refusal> {
    let observed = shared.look_now().await?;
    let (id, operation, _) = find(&observed.world, &id)?;
    Ok(Json(status(&observed.world, id, operation, clock::wall())))
}

pub(super) async fn abort(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<OperationAnswer>, Refusal> {
    word(&shared, &id, "abort", body, Operation::abort).await
}

pub(super) async fn resume(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<OperationAnswer>, Refusal> {
    word(&shared, &id, "resume", body, Operation::resume).await
}

async fn word(
    shared: &Shared,
    id: &str,
    verb: &str,
    body: Body,
    say: impl Fn(&Operation, &str, Timestamp) -> Result<Operation, String>,
) -> Result<Json<OperationAnswer>, Refusal> {
    let request: OperationRequest = read(body)?;
    let who = caller(&request.who);
    for _ in 0..TRIES {
        let observed = shared.look_now().await?;
        let (id, operation, modified) = find(&observed.world, id)?;
        let now = clock::wall();
        let next = say(operation, &who, now).map_err(|why| {
            Refusal::refused(format!("operation {id} is not for {verb}: {why}"))
                .hint(format!("minato operation show {id}"))
        })?;
        let key = shared.admin.keys.text(&Key::Operation(id));
        let commit = Commit::default()
            .when(Compare::Modified {
                key: key.clone(),
                revision: Revision(modified),
            })
            .and_put(key, crate::document(&next)?, None);
        match shared.admin.store.commit(commit).await {
            Ok(_) => {
                let text = format!(
                    "operation {id} ({}): {verb} (by {who}); {}",
                    next.title(),
                    next.progress()
                );
                let event = Event::info(now, EventKind::Operation, text);
                emit(&shared.admin.events, event);
                return Ok(Json(OperationAnswer {
                    operation: status(&observed.world, id, &next, now),
                    ..OperationAnswer::default()
                }));
            }
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(busy(&format!("operation {id} moves at the same moment")))
}

fn find<'a>(world: &'a World, id: &str) -> Result<(OperationId, &'a Operation, u64), Refusal> {
    let number = id.parse().ok().map(OperationId);
    let found = number.and_then(|it| Some((it, world.operations.get(&it)?)));
    let Some((id, stored)) = found else {
        let shown: String = id.chars().take(40).collect();
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("there is no operation `{shown}`"),
        )
        .hint("minato operation list"));
    };
    Ok((id, &stored.value, stored.modified))
}

/// Those that have not ended, for the status page.
pub(super) fn open(world: &World) -> Vec<OperationStatus> {
    let open = world.operations.iter();
    let open = open.filter(|(_, it)| it.value.state.is_open());
    open.map(|(id, it)| summary(*id, &it.value)).collect()
}

/// What of them needs a person, one sentence each.
pub(super) fn alarms(open: &[OperationStatus]) -> Vec<String> {
    let held = open.iter().filter(|it| !it.hint.is_empty());
    held.map(|it| {
        format!(
            "operation {} ({}) is {}: {}; {}",
            it.id, it.title, it.state, it.reason, it.hint
        )
    })
    .collect()
}

/// How many are up, while that is what a service waits for.
fn live(world: &World, step: &OperationStep) -> Option<String> {
    let switch = step.switch.as_ref()?;
    let warms = switch.phase == Phase::Warm && switch.state == SwitchState::Running;
    (step.state == StepState::Running && warms).then(|| {
        let (up, wanted) = up_and_wanted(world, &step.service);
        let wanted = wanted.max(switch.need.wanted);
        format!("{}; {up} of {wanted} up", step.detail)
    })
}

/// What to type where somebody still came to a site that was left.
fn visited(operation: &Operation) -> Option<String> {
    let step = operation.steps.iter().find(|it| it.is_visited())?;
    Some(who_comes(&step.service, &step.switch.as_ref()?.from))
}

/// What to type for a service that came first at a site that does not serve it.
fn stuck(operation: &Operation) -> Option<String> {
    let steps = operation.steps.iter().filter_map(|it| {
        let switch = it.switch.as_ref()?;
        (switch.state == SwitchState::Stuck).then_some((&it.service, switch))
    });
    let (service, switch) = steps.into_iter().next()?;
    Some(format!(
        "minato explain {service}, or back: minato switch --to {} {service}",
        switch.from
    ))
}

fn summary(id: OperationId, operation: &Operation) -> OperationStatus {
    let is_well = |it: StepState| matches!(it, StepState::Done | StepState::Skipped);
    OperationStatus {
        id: id.0,
        kind: operation.work.kind().to_owned(),
        title: operation.title(),
        state: operation.state.to_string(),
        reason: operation.reason.clone(),
        progress: operation.progress(),
        ended: !operation.state.is_open(),
        succeeded: operation.state == OperationState::Done
            && (operation.steps.iter()).all(|it| is_well(it.state) && !it.is_visited()),
        who: operation.who.clone(),
        why: operation.why.clone(),
        asked_ms: operation.asked.0,
        since_ms: operation.since.0,
        schedule: operation.schedule.text(),
        waves: operation.waves(),
        hint: match operation.state {
            OperationState::Held => {
                format!("minato operation resume {id}, or minato operation abort {id}")
            }
            OperationState::Running => stuck(operation).unwrap_or_default(),
            OperationState::Done => visited(operation).unwrap_or_default(),
            _ => String::new(),
        },
        steps: Vec::new(),
    }
}

pub(super) fn status(
    world: &World,
    id: OperationId,
    operation: &Operation,
    now: Timestamp,
) -> OperationStatus {
    let seen = if operation.state.is_open() {
        sights(world, id, operation, now)
    } else {
        Sights::new()
    };
    let steps = operation.steps.iter().enumerate().map(|(n, it)| {
        let live = match (it.state, seen.get(&n)) {
            (StepState::Running, Some(StepSight::Waiting(text)))
            | (StepState::Waiting, Some(StepSight::Unfit(text))) => Some(text.clone()),
            _ => live(world, it),
        };
        OperationStepStatus {
            name: it.name.clone(),
            service: it.service.to_string(),
            wave: it.wave,
            state: it.state.as_str().to_owned(),
            detail: live.unwrap_or_else(|| it.detail.clone()),
            since_ms: it.since.0,
        }
    });
    OperationStatus {
        steps: steps.collect(),
        ..summary(id, operation)
    }
}
