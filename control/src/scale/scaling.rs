//! All services of a world that follow their load.

use super::grant::{Change, Granter, Need};
use super::measure::{Heard, called};
use super::usage::{Nodes, Usages, Used};
use super::{Decision, PERIOD, ScaleRecord, Scaler, Sight, State, WINDOW};
use crate::operation::switch::asked_for;
use crate::plan::{Losses, Object, Relied, Sights, Standing};
use crate::{Stored, World};
use minato_config::{Backend, Grant, Image, Service, ServiceName, Timestamp};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One leader's memory of what was asked for. A new leader begins anew: nothing shrinks for one window.
#[derive(Debug)]
pub struct Scaling {
    period: Duration,
    window: Duration,
    services: BTreeMap<ServiceName, Followed>,
    nodes: Nodes,
}

#[derive(Debug)]
struct Followed {
    scaler: Scaler,
    granter: Granter,
    heard: Heard,
    due: Instant,
    /// What was called for at the last decision.
    called: u32,
    /// What a switch asked for at the last look.
    asked: u16,
    alarm: Option<String>,
    lacking: Option<String>,
}

/// What to write of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleStep {
    /// Whose.
    pub service: ServiceName,
    /// The new document; `None`: delete it, the file gives a number again.
    pub record: Option<ScaleRecord>,
    /// What was wanted before.
    pub before: u16,
    /// Whether it is news: not where the document only follows what is so already.
    pub is_news: bool,
    /// What each instance is given from now on, where that changes.
    pub given: Option<String>,
    /// What must still be so when it is committed.
    pub relies_on: Vec<Relied>,
    /// The commit that wrote the document last; `None`: it must not exist.
    pub modified: Option<u64>,
}

impl Default for Scaling {
    fn default() -> Self {
        Self::new(PERIOD, WINDOW)
    }
}

impl Scaling {
    /// Decides each `period`, and down by the wishes of `window`.
    pub fn new(period: Duration, window: Duration) -> Self {
        Self {
            period,
            window,
            services: BTreeMap::new(),
            nodes: Nodes::default(),
        }
    }

    /// What to write now, sorted by service. `losses`: the nodes that are given up. `now` and `wall` are the same moment.
    pub fn turn(
        &mut self,
        world: &World,
        losses: &Losses,
        now: Instant,
        wall: Timestamp,
    ) -> Vec<ScaleStep> {
        self.services.retain(|it, _| follows(world, it));
        self.nodes.hear(world, now);
        let mut sights = None;
        let mut steps: Vec<ScaleStep> = world
            .scales
            .iter()
            .filter_map(|(name, stored)| ended(world, name, stored))
            .collect();
        for name in world.services.keys().filter(|it| follows(world, it)) {
            let followed = self.services.entry(name.clone());
            let followed = followed.or_insert_with(|| Followed::new(self.window, now));
            // Neither who is turned away now nor what is about to move here waits for the next turn.
            let (called, asked) = (called(world, name), asked_for(world, name));
            let is_news = called > followed.called || asked > followed.asked;
            (followed.called, followed.asked) = (called, asked);
            if now < followed.due && !is_news {
                continue;
            }
            followed.due = now + self.period;
            let (sights, usages) = sights.get_or_insert_with(|| {
                let usages = Usages::of(world, &self.nodes, now);
                (Sights::of(world, losses), usages)
            });
            steps.extend(followed.decide(world, (sights, usages), name, now, wall));
        }
        steps.sort_by(|one, other| one.service.cmp(&other.service));
        steps
    }

    /// What keeps services from having as many as their load asks for. Sorted; each text changes only with its cause.
    pub fn notes(&self) -> Vec<(ServiceName, String)> {
        let alarms = self.services.iter();
        alarms
            .filter_map(|(name, it)| Some((name.clone(), it.alarm.clone()?)))
            .collect()
    }

    /// What the nodes lack for as many as the load asks for.
    pub fn lacking(&self) -> impl Iterator<Item = (ServiceName, String)> {
        let each = self.services.iter();
        each.filter_map(|(name, it)| Some((name.clone(), it.lacking.clone()?)))
    }

    /// A step was not committed: it is decided again at once.
    pub fn again(&mut self, service: &ServiceName, now: Instant) {
        if let Some(it) = self.services.get_mut(service) {
            it.due = now;
        }
    }
}

impl Followed {
    fn new(window: Duration, now: Instant) -> Self {
        Self {
            scaler: Scaler::new(window, now),
            granter: Granter::new(window, now),
            heard: Heard::default(),
            due: now,
            called: 0,
            asked: 0,
            alarm: None,
            lacking: None,
        }
    }

    fn decide(
        &mut self,
        world: &World,
        (sights, usages): (&Sights<'_>, &Usages<'_>),
        name: &ServiceName,
        now: Instant,
        wall: Timestamp,
    ) -> Option<ScaleStep> {
        let service = &world.services.get(name)?.value.service;
        let stored = world.scales.get(name);
        let granted = stored.and_then(|it| it.value.grant);
        let used = usages.used(name, promised(service, granted));
        let standing = sights.standing(name);
        let change = self.grant(service, granted, (sights, &used), standing.is_updating, now);
        let decision = self.number(world, service, (sights, &used), standing, (now, wall));
        let wanted = standing.wanted;
        let grant = match change {
            Change::Raised(it) | Change::Lowered(it) => Some(it),
            Change::Same => granted,
        };
        // What can be had by more of the processors that are there needs no instance more.
        let is_relieved =
            matches!(change, Change::Raised(it) if it.cpu_milli > cpu(service, granted));
        let (replicas, reason) = match decision {
            Some(it) if is_relieved && it.replicas > wanted => (wanted, String::new()),
            Some(it) => (it.replicas, it.reason),
            None => (stored.map_or(wanted, |it| it.value.replicas), String::new()),
        };
        let is_same = match stored {
            Some(it) => it.value.replicas == replicas && granted == grant,
            None => service.scale.is_none() && grant.is_none(),
        };
        if is_same {
            return None;
        }
        let before = stored.filter(|it| it.value.replicas == replicas);
        Some(ScaleStep {
            service: name.clone(),
            record: Some(ScaleRecord {
                v: 1,
                replicas,
                reason: match (reason.as_str(), before) {
                    (_, Some(before)) => before.value.reason.clone(),
                    ("", None) => "as many as there were".to_owned(),
                    (reason, None) => reason.to_owned(),
                },
                since: before.map_or(wall, |it| it.value.since),
                grant,
            }),
            before: wanted,
            is_news: service.scale.is_some() && replicas != wanted && standing.by_hand.is_none(),
            given: given(service, granted, grant, &used),
            relies_on: relied(world, name),
            modified: stored.map(|it| it.modified),
        })
    }

    fn grant(
        &mut self,
        service: &Service,
        granted: Option<Grant>,
        (sights, used): (&Sights<'_>, &Used),
        is_updating: bool,
        now: Instant,
    ) -> Change {
        let Some(image) = image(service).filter(|_| !is_updating) else {
            self.granter.forget(now);
            return Change::Same;
        };
        let need = Need {
            image,
            cpu_percent: service.scale.as_ref().and_then(|it| it.cpu_percent),
            granted,
            used,
        };
        let fits = |it| sights.takes(&service.name, it);
        self.granter.decide(&need, fits, now)
    }

    /// `None`: its file gives it.
    fn number(
        &mut self,
        world: &World,
        service: &Service,
        (sights, used): (&Sights<'_>, &Used),
        standing: Standing,
        (now, wall): (Instant, Timestamp),
    ) -> Option<Decision> {
        let (name, scale) = (&service.name, service.scale.as_ref()?);
        let sight = Sight {
            scale,
            least: service.replicas,
            wanted: standing.wanted,
            ready: standing.ready,
            measures: self.heard.measures(world, name, (scale, used), now),
            state: match standing.by_hand {
                Some(number) => State::ByHand(number),
                None if standing.is_updating => State::Updating,
                None if self.asked > 0 => State::Arriving(self.asked),
                None => State::Steady,
            },
        };
        let room = |number| sights.room(name, number, wall);
        let decision = self.scaler.decide(&sight, room, now);
        self.alarm.clone_from(&decision.alarm);
        self.lacking.clone_from(&decision.lacking);
        Some(decision)
    }
}

fn image(service: &Service) -> Option<&Image> {
    match &service.backend {
        Backend::Command(command) => command.image.as_deref(),
        Backend::Endpoints(_) => None,
    }
}

fn cpu(service: &Service, granted: Option<Grant>) -> Option<u32> {
    image(service)?
        .granted(granted.unwrap_or_default())
        .cpu_milli
}

/// `each is given 1.2 processors and 150 MiB in place of 0.5 and 100 MiB: the busiest uses 0.9 and 120 MiB`; `None` where
/// that does not change.
fn given(
    service: &Service,
    before: Option<Grant>,
    after: Option<Grant>,
    used: &Used,
) -> Option<String> {
    let image = image(service)?;
    let of = |it: Option<Grant>| image.granted(it.unwrap_or_default());
    let (before, after) = (of(before), of(after));
    if before == after {
        return None;
    }
    let text = |cpu: Option<u32>, memory: Option<u64>| {
        let cpu = cpu.map(|it| format!("{} processors", f64::from(it) / 1_000.0));
        let memory = memory.map(|it| format!("{} MiB", it >> 20));
        let both: Vec<String> = cpu.into_iter().chain(memory).collect();
        both.join(" and ")
    };
    let busiest = used.most.map_or_else(String::new, |(cpu, memory)| {
        format!(": the busiest uses {}", text(Some(cpu), Some(memory)))
    });
    Some(format!(
        "each instance is given {} in place of {}{busiest}",
        text(after.cpu_milli, after.memory_bytes),
        text(before.cpu_milli, before.memory_bytes),
    ))
}

/// To each instance, thousandths of a processor: one where nothing is promised.
fn promised(service: &Service, granted: Option<Grant>) -> u32 {
    cpu(service, granted).unwrap_or(1_000)
}

fn follows(world: &World, name: &ServiceName) -> bool {
    let record = world.services.get(name).map(|it| &it.value);
    record.is_some_and(|it| {
        let may_be_raised = || image(&it.service).is_some_and(|it| !it.ceiling.is_nothing());
        !it.removed && (it.service.scale.is_some() || may_be_raised())
    })
}

/// The document of a service that has a number of its own again. One whose record vanished keeps it.
fn ended(world: &World, name: &ServiceName, stored: &Stored<ScaleRecord>) -> Option<ScaleStep> {
    if follows(world, name) || !world.services.contains_key(name) {
        return None;
    }
    Some(ScaleStep {
        service: name.clone(),
        record: None,
        before: stored.value.replicas,
        is_news: false,
        given: None,
        relies_on: relied(world, name),
        modified: Some(stored.modified),
    })
}

/// The record and the intent, as seen.
pub(crate) fn relied(world: &World, name: &ServiceName) -> Vec<Relied> {
    let vanished = world.vanished.contains(&Object::Intent(name.clone()));
    let intent = world.intents.get(name).filter(|_| !vanished);
    vec![
        Relied {
            object: Object::Service(name.clone()),
            modified: world.services.get(name).map(|it| it.modified),
        },
        Relied {
            object: Object::Intent(name.clone()),
            modified: intent.map(|it| it.modified),
        },
    ]
}
