//! One look at an operation that moves services to this site: which begin, how each goes on, and when all of it is over.
//!
//! Equal inputs give equal turns. A turn that changes nothing gives the document as it was; its orders are to be carried out all the
//! same, since an order whose effect is not seen is given again.

use super::advance::{advance, length};
use super::record::{Data, Order, Phase, Sight, Switch, SwitchState};
use crate::operation::again::begin_again;
use crate::operation::{
    Operation, OperationId, OperationState, OperationStep, StepState, SwitchKind, Work,
};
use crate::rollout::News;
use crate::{EventKind, Level};
use minato_config::{OrderRecord, ServiceName, SiteId, Timestamp};
use std::collections::BTreeMap;

/// Names in one sentence.
const SHOWN: usize = 5;

/// From where a service is moved, as it stands at its begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Who comes first.
    pub from: SiteId,
    /// Of that decision; 0 where there was none.
    pub epoch: u64,
    /// Whether data moves with it.
    pub data: Data,
}

/// What is seen of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepSeen {
    /// It may begin.
    Start(Start),
    /// There is nothing to do, and why.
    Needless(String),
    /// It is under way.
    Under {
        /// Of its service.
        sight: Box<Sight>,
        /// Who comes first, as this site's store has it.
        order: Option<OrderRecord>,
    },
}

/// By the place of the step.
pub type SwitchesSeen = BTreeMap<usize, StepSeen>;

/// An order, and of whose switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// Which service.
    pub service: ServiceName,
    /// Its switch as it is from now on.
    pub switch: Switch,
    /// What.
    pub order: Order,
}

/// What follows from one look. The document is written with every [`Order::First`]; then the others are carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchesTurn {
    /// The document as it should be from now on.
    pub next: Operation,
    /// What to do.
    pub orders: Vec<Ordered>,
    /// What to tell once it is written.
    pub news: Vec<News>,
}

/// One look. `back`: the return that was scheduled with it. `left`: what other sites come first for and this one could serve. `now`: the
/// wall clock of who leads.
pub fn run(
    id: OperationId,
    operation: &Operation,
    back: Option<&Operation>,
    seen: &SwitchesSeen,
    left: &BTreeMap<SiteId, Vec<ServiceName>>,
    now: Timestamp,
) -> SwitchesTurn {
    let mut look = Look {
        id,
        title: operation.title(),
        back,
        now,
        seen,
        left,
        turn: SwitchesTurn {
            next: operation.clone(),
            orders: Vec::new(),
            news: Vec::new(),
        },
    };
    match operation.state {
        OperationState::Scheduled | OperationState::Paused => look.wait(),
        OperationState::Running => look.go_on(),
        OperationState::Held => look.follow(),
        OperationState::Aborting => {
            look.follow();
            if look.turn.next.count(StepState::Running) == 0 {
                let reason = look.turn.next.reason.clone();
                look.end(OperationState::Aborted, reason, Level::Info, None);
            }
        }
        OperationState::Done
        | OperationState::Aborted
        | OperationState::Missed
        | OperationState::Closed => {}
    }
    look.turn
}

struct Look<'a> {
    id: OperationId,
    title: String,
    back: Option<&'a Operation>,
    now: Timestamp,
    seen: &'a SwitchesSeen,
    left: &'a BTreeMap<SiteId, Vec<ServiceName>>,
    turn: SwitchesTurn,
}

impl Look<'_> {
    fn wait(&mut self) {
        let next = &self.turn.next;
        if next.schedule.at.is_some_and(|at| self.now < at) {
            return;
        }
        if next.schedule.is_missed(next.asked, self.now) {
            let text = match next.schedule.text() {
                it if it.is_empty() => "at once".to_owned(),
                it => it,
            };
            let reason = format!("nobody led when its time came, {text}: nothing was moved");
            let hint = begin_again(self.id, next, self.back, self.now);
            return self.end(OperationState::Missed, reason, Level::Warn, hint);
        }
        self.turn.next = next.turned(OperationState::Running, String::new(), self.now);
        let undo = format!("minato operation abort {}", self.id);
        self.tell(Level::Info, "begins", Some(undo));
        self.go_on();
    }

    fn go_on(&mut self) {
        self.follow();
        let next = &self.turn.next;
        if next.steps.iter().all(|it| it.state.has_ended()) {
            let failed = next.count(StepState::Failed);
            let is_visited = next.steps.iter().any(OperationStep::is_visited);
            let level = if failed > 0 || is_visited {
                Level::Warn
            } else {
                Level::Info
            };
            let hint = (failed > 0).then(|| format!("minato operation show {}", self.id));
            let reason = self.outcome();
            return self.end(OperationState::Done, reason, level, hint);
        }
        if self.is_too_much() {
            return self.hold();
        }
        self.begin();
    }

    /// Takes every service that is under way one look further.
    fn follow(&mut self) {
        let to = match &self.turn.next.work {
            Work::Switch(it) => it.to.clone(),
            Work::Wave(_) | Work::Return(_) => return,
        };
        let mut steps = std::mem::take(&mut self.turn.next.steps);
        for (n, step) in steps.iter_mut().enumerate() {
            let (StepState::Running, Some(StepSeen::Under { sight, order })) =
                (step.state, self.seen.get(&n))
            else {
                continue;
            };
            let Some(switch) = &mut step.switch else {
                continue;
            };
            let service = step.service.clone();
            if let Some(order) = superseded(switch, order.as_ref(), &to) {
                let text = format!(
                    "{} comes first since epoch {}, by {}",
                    order.first, order.epoch, order.who
                );
                (step.state, step.since, step.detail) = (StepState::Skipped, self.now, text);
                let text = format!("{service} is led on: {}", step.detail);
                self.tell(Level::Info, &text, None);
                continue;
            }
            let turn = advance(switch, sight, self.now);
            let moved = !switch.has_moved() && turn.next.has_moved();
            let stuck = turn.next.state == SwitchState::Stuck && switch.state != SwitchState::Stuck;
            let is_news = turn.next != **switch;
            **switch = turn.next;
            let orders = turn.orders.into_iter().map(|order| Ordered {
                service: service.clone(),
                switch: (**switch).clone(),
                order,
            });
            self.turn.orders.extend(orders);
            if moved {
                let text = format!(
                    "{service}: {to} comes first (epoch {}), before it {}",
                    switch.epoch + 1,
                    switch.from
                );
                let back = format!("minato switch --to {} {service}", switch.from);
                self.tell(Level::Info, &text, Some(format!("way back: {back}")));
            }
            if stuck {
                let text = format!("{service} is stuck: {}", switch.reason);
                let back = format!("minato switch --to {} {service}", switch.from);
                let hint = format!("minato explain {service}, or back: {back}");
                self.tell(Level::Error, &text, Some(hint));
            }
            let end = match switch.state {
                SwitchState::Done | SwitchState::Visited => Some(StepState::Done),
                // What a person ended did not fail.
                SwitchState::Aborted if self.turn.next.state == OperationState::Aborting => {
                    Some(StepState::Skipped)
                }
                SwitchState::Aborted => Some(StepState::Failed),
                SwitchState::Running | SwitchState::Aborting | SwitchState::Stuck => None,
            };
            if let Some(state) = end {
                (step.state, step.since, step.detail) = (state, self.now, switch.reason.clone());
                let is_visited = switch.state == SwitchState::Visited;
                let level = match state {
                    StepState::Failed => Level::Warn,
                    _ if is_visited => Level::Warn,
                    _ => Level::Info,
                };
                let text = match state {
                    StepState::Done if is_visited => format!(
                        "{service} is served by {to}, and is not watched any longer: {}",
                        step.detail
                    ),
                    StepState::Done => format!("{service} is done: {}", step.detail),
                    _ => format!("{service} stays at {}: {}", switch.from, step.detail),
                };
                let hint = match (level, is_visited) {
                    (_, true) => Some(who_comes(&service, &switch.from)),
                    (Level::Warn, _) => Some(format!("minato explain {service}")),
                    _ => None,
                };
                self.tell(level, &text, hint);
            } else if is_news {
                step.detail = words(switch);
            }
        }
        self.turn.next.steps = steps;
    }

    fn is_too_much(&self) -> bool {
        let Work::Switch(work) = &self.turn.next.work else {
            return false;
        };
        let failed = self.turn.next.count(StepState::Failed);
        let is_more_to_do = self.turn.next.count(StepState::Waiting) > 0;
        let failed = failed.saturating_sub(usize::from(work.forgiven));
        is_more_to_do && failed >= usize::from(work.stop_after)
    }

    fn hold(&mut self) {
        let failed: Vec<&str> = (self.turn.next.steps.iter())
            .filter(|it| it.state == StepState::Failed)
            .map(|it| it.service.as_str())
            .collect();
        let names = failed[..failed.len().min(SHOWN)].join(", ");
        let reason = format!("{} failed ({names}); nothing more begins", failed.len());
        self.turn.next = (self.turn.next).turned(OperationState::Held, reason.clone(), self.now);
        let id = self.id;
        let hint = format!("minato operation resume {id}, or minato operation abort {id}");
        self.tell(Level::Error, &format!("is held: {reason}"), Some(hint));
    }

    /// Begins what there is room for.
    fn begin(&mut self) {
        let Work::Switch(work) = self.turn.next.work.clone() else {
            return;
        };
        let under_way = self.turn.next.steps.iter();
        let under_way = under_way.filter(|it| it.state == StepState::Running && !it.has_moved());
        let mut room = usize::from(work.size).saturating_sub(under_way.count());
        let mut news = Vec::new();
        for (n, step) in self.turn.next.steps.iter_mut().enumerate() {
            if step.state != StepState::Waiting {
                continue;
            }
            match self.seen.get(&n) {
                Some(StepSeen::Start(it)) if room > 0 => {
                    room -= 1;
                    let mut switch = Switch::new(
                        it.from.clone(),
                        work.to.clone(),
                        it.epoch,
                        it.data,
                        self.now,
                    );
                    switch.timing = work.timing;
                    if work.kind == SwitchKind::Failover {
                        switch.cause = super::Cause::Lost;
                    }
                    step.detail = words(&switch);
                    (step.state, step.since) = (StepState::Running, self.now);
                    step.switch = Some(Box::new(switch));
                }
                Some(StepSeen::Needless(why)) => {
                    (step.state, step.since, step.detail) =
                        (StepState::Skipped, self.now, why.clone());
                    news.push(format!("{} is left: it {why}", step.service));
                }
                _ => {}
            }
        }
        for text in news {
            self.tell(Level::Warn, &text, None);
        }
    }

    /// What is to be said in the end: whether a site may be switched off.
    fn outcome(&self) -> String {
        let next = &self.turn.next;
        let mut text = next.progress();
        if let Work::Switch(work) = &next.work
            && next.steps.iter().all(|it| it.state == StepState::Done)
        {
            let sites = next.steps.iter().filter_map(|it| it.switch.as_ref());
            let mut sites: Vec<&SiteId> = sites.map(|it| &it.from).collect();
            sites.sort_unstable();
            sites.dedup();
            for site in sites {
                let of_site = next.steps.iter().filter(|it| it.is_visited_at(site));
                let visited: Vec<&str> = of_site.map(|it| it.service.as_str()).collect();
                if !visited.is_empty() {
                    text.push_str(&format!(
                        "; {site} is still visited for {} ({}): not safe to power off",
                        visited.len(),
                        visited[..visited.len().min(SHOWN)].join(", ")
                    ));
                    continue;
                }
                match (work.kind, self.left.get(site)) {
                    (SwitchKind::Failover, None) => text.push_str(&format!(
                        "; when {site} is back it hears of it before it serves"
                    )),
                    (_, None) => text.push_str(&format!(
                        "; {site} is safe to power off: nobody comes to it for anything that {} serves too",
                        work.to
                    )),
                    (_, Some(names)) => {
                        let shown: Vec<&str> =
                            names.iter().take(SHOWN).map(ServiceName::as_str).collect();
                        text.push_str(&format!(
                            "; {site} still comes first for {} more ({}): not safe to power off",
                            names.len(),
                            shown.join(", ")
                        ));
                    }
                }
            }
        }
        text
    }

    fn end(&mut self, state: OperationState, reason: String, level: Level, hint: Option<String>) {
        let text = format!("is {state}: {reason}");
        self.turn.next = self.turn.next.turned(state, reason, self.now);
        self.tell(level, &text, hint);
    }

    fn tell(&mut self, level: Level, text: &str, hint: Option<String>) {
        self.turn.news.push(News {
            level,
            kind: EventKind::Operation,
            text: format!("operation {} ({}): {text}", self.id, self.title),
            hint,
        });
    }
}

/// Whose word is newer than that of this switch, which has moved: it has nothing more to say.
fn superseded<'a>(
    switch: &Switch,
    order: Option<&'a OrderRecord>,
    to: &SiteId,
) -> Option<&'a OrderRecord> {
    order.filter(|it| switch.has_moved() && it.epoch > switch.epoch && it.first != *to)
}

/// Where it stands who still comes to a site that a service has left.
pub fn who_comes(service: &ServiceName, from: &SiteId) -> String {
    format!("minato logs {service} --access --site {from} -n 1000 tells who comes there")
}

/// What a service is at, for people.
fn words(switch: &Switch) -> String {
    let word = match (switch.state, switch.phase) {
        (SwitchState::Aborting, _) => "is given back",
        (SwitchState::Stuck, _) => "stuck",
        (_, Phase::Check) => "check: what would keep it from coming true",
        (_, Phase::Warm) => "warm: its instances are started",
        (_, Phase::Hold) => "hold: new requests wait",
        (_, Phase::Drain) => "drain: requests under way end",
        (_, Phase::Sync) => "sync: its command copies what changed last",
        (_, Phase::Move) => "move",
        (_, Phase::Verify) => "verify: moved; the old site learns it",
        (_, Phase::Quiet) => {
            let watch = length(switch.timing.watch());
            return format!(
                "quiet: moved and served; until nobody comes to the old site, for {watch} at most"
            );
        }
    };
    match switch.reason.as_str() {
        "" => word.to_owned(),
        why => format!("{word}: {why}"),
    }
}
