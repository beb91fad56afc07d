//! Moving services to another site by hand: `POST /v1/switches`, and operations of other sites.
//!
//! A switch lives at the site that shall serve. Asked at another one, it is passed on over the link, so that an operator types the same
//! at either side; what is passed on is not passed on again.
//! One module each: what is asked for (`asked`), what is looked at before (`checked`), operations of other sites (`there`).

mod asked;
mod checked;
mod there;

use super::answer::Refusal;
use super::change::{Body, read};
use super::operations::{busy, status};
use super::state::Shared;
use crate::api::{LeftOutStatus, SwitchAnswer, SwitchRequest};
use crate::clock;
use crate::journal::emit;
use asked::asked;
use axum::Json;
use axum::extract::State;
use checked::{line, look, refuse};
use http::Method;
use minato_config::{SiteId, Timestamp};
use minato_control::operation::Work;
use minato_control::operation::switch::{MadeSwitch, begin_switch};
use minato_control::{Event, EventKind, Operation, OperationId, World};
use minato_control_store::keys::Key;
use minato_control_store::{Commit, Compare, StoreError};
use std::collections::BTreeMap;
pub(super) use there::{list_there, pass, show_there, word_there};

/// Tries while others begin operations.
const TRIES: usize = 20;

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
