//! One look at a return that was scheduled with a switch: when its time comes, the sites that served before are asked to take back
//! what that switch moved. Each of them does it by a switch of its own, since it is who shall serve.

use crate::operation::again::lead_back;
use crate::operation::{Operation, OperationId, OperationState, StepState, Work};
use crate::rollout::News;
use crate::{EventKind, Level, World};
use minato_config::{ServiceName, SiteId, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// So long a site that does not take it is asked again. Who is switched on again after a power outage may take its time.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// A site to be asked to take services back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// Which site.
    pub site: SiteId,
    /// What it served.
    pub services: Vec<ServiceName>,
}

/// What each site that was asked in this term has answered: what it does, or why nothing.
pub type BackSeen = BTreeMap<SiteId, Result<String, String>>;

/// What follows from one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackTurn {
    /// The document as it should be from now on.
    pub next: Operation,
    /// Whom to ask now; asking twice does no harm.
    pub ask: Vec<Asking>,
    /// What to tell once it is written.
    pub news: Vec<News>,
}

/// The return that was scheduled with a switch.
pub fn return_of(world: &World, id: OperationId) -> Option<&Operation> {
    let mut all = world.operations.values().map(|it| &it.value);
    all.find(|it| matches!(&it.work, Work::Return(it) if it.of == id))
}

/// One look.
pub fn way_back(
    id: OperationId,
    operation: &Operation,
    world: &World,
    seen: &BackSeen,
    now: Timestamp,
) -> BackTurn {
    let mut turn = BackTurn {
        next: operation.clone(),
        ask: Vec::new(),
        news: Vec::new(),
    };
    let Work::Return(work) = &operation.work else {
        return turn;
    };
    let first = world.operations.get(&work.of).map(|it| &it.value);
    if operation.state == OperationState::Scheduled {
        let is_missed = operation.schedule.is_missed(operation.asked, now);
        // Where neither time was kept there is nothing to lead back, whichever is looked at first.
        let ended = first.filter(|it| {
            let never_begins = it.state == OperationState::Scheduled;
            !it.state.is_open() || (never_begins && it.schedule.is_missed(it.asked, now))
        });
        if ended.is_some_and(|it| !it.steps.iter().any(|it| it.has_moved())) {
            let reason = format!("operation {} moved nothing", work.of);
            end(&mut turn, id, OperationState::Aborted, reason, None, now);
            return turn;
        }
        if operation.schedule.at.is_some_and(|at| now < at) {
            return turn;
        }
        if is_missed {
            let text = operation.schedule.text();
            let reason = format!("nobody led when its time came, {text}: nothing was led back");
            end(
                &mut turn,
                id,
                OperationState::Missed,
                reason,
                lead_back(work, first, world),
                now,
            );
            return turn;
        }
        turn.next = operation.turned(OperationState::Running, String::new(), now);
        tell(&mut turn, id, Level::Info, "begins", None);
    }
    if turn.next.state != OperationState::Running {
        if turn.next.state == OperationState::Aborting {
            let reason = turn.next.reason.clone();
            end(&mut turn, id, OperationState::Aborted, reason, None, now);
        }
        return turn;
    }
    let mut asking: BTreeMap<SiteId, Vec<ServiceName>> = BTreeMap::new();
    for step in &mut turn.next.steps {
        if step.state.has_ended() {
            continue;
        }
        let of_first = first.and_then(|it| it.steps.iter().find(|it| it.service == step.service));
        let switch = of_first.and_then(|it| it.switch.as_deref());
        let order = world.orders.get(&step.service).map(|it| &it.value);
        let Some(switch) = switch.filter(|it| it.has_moved()) else {
            (step.state, step.since) = (StepState::Skipped, now);
            step.detail = format!("operation {} did not move it", work.of);
            continue;
        };
        let back = switch.from.clone();
        // Who takes it back may be faster than their answer.
        if let Some(order) = order.filter(|it| it.first != work.from) {
            let is_back = order.first == back;
            step.state = match is_back {
                true => StepState::Done,
                false => StepState::Skipped,
            };
            (step.since, step.detail) = (
                now,
                format!(
                    "{} comes first since epoch {}, by {}",
                    order.first, order.epoch, order.who
                ),
            );
            continue;
        }
        match seen.get(&back) {
            Some(Ok(done)) => {
                (step.state, step.since, step.detail) = (StepState::Done, now, done.clone());
            }
            answer => {
                let why = match answer {
                    Some(Err(why)) => why.clone(),
                    _ => format!("{back} is asked"),
                };
                if step.state == StepState::Waiting {
                    (step.state, step.since) = (StepState::Running, now);
                }
                step.detail = why;
                asking.entry(back).or_default().push(step.service.clone());
            }
        }
    }
    let since = turn.next.since;
    if turn.next.steps.iter().all(|it| it.state.has_ended()) {
        let done = turn
            .next
            .steps
            .iter()
            .find(|it| it.state == StepState::Done);
        let reason = match done {
            Some(it) => it.detail.clone(),
            None => "there was nothing left to lead back".to_owned(),
        };
        end(&mut turn, id, OperationState::Done, reason, None, now);
    } else if now.since(since) >= PATIENCE {
        let why = asking
            .keys()
            .map(SiteId::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let reason = format!(
            "{why} did not take it back in {} h",
            PATIENCE.as_secs() / 3600
        );
        end(
            &mut turn,
            id,
            OperationState::Closed,
            reason,
            lead_back(work, first, world),
            now,
        );
    } else {
        let waiting = turn
            .next
            .steps
            .iter()
            .find(|it| it.state == StepState::Running);
        let reason = waiting.map(|it| it.detail.clone()).unwrap_or_default();
        if turn.next.reason != reason && reason != operation.reason {
            let hint = format!("minato operation abort {id} lets everything stay");
            let is_trouble = seen.values().any(Result::is_err);
            if is_trouble {
                let text = format!("waits: {reason}");
                tell(&mut turn, id, Level::Warn, &text, Some(hint));
            }
            turn.next.reason = reason;
        }
        let asked = asking.into_iter();
        turn.ask = asked
            .map(|(site, services)| Asking { site, services })
            .collect();
    }
    turn
}

/// `by_hand`: what to type, where a person is needed.
fn end(
    turn: &mut BackTurn,
    id: OperationId,
    state: OperationState,
    reason: String,
    by_hand: Option<String>,
    now: Timestamp,
) {
    let text = format!("is {state}: {reason}");
    turn.next = turn.next.turned(state, reason, now);
    let level = match by_hand {
        Some(_) => Level::Error,
        None => Level::Info,
    };
    tell(turn, id, level, &text, by_hand);
}

fn tell(turn: &mut BackTurn, id: OperationId, level: Level, text: &str, hint: Option<String>) {
    let title = turn.next.title();
    turn.news.push(News {
        level,
        kind: EventKind::Operation,
        text: format!("operation {id} ({title}): {text}"),
        hint,
    });
}
