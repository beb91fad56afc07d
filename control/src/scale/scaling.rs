//! All services of a world that follow their load.

use super::measure::Heard;
use super::{PERIOD, ScaleRecord, Scaler, Sight, State, WINDOW};
use crate::plan::{Losses, Object, Relied, Sights, Standing};
use crate::{Stored, World};
use minato_config::{ServiceName, Timestamp};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One leader's memory of what was asked for. A new leader begins anew: nothing shrinks for one window.
#[derive(Debug)]
pub struct Scaling {
    period: Duration,
    window: Duration,
    services: BTreeMap<ServiceName, Followed>,
}

#[derive(Debug)]
struct Followed {
    scaler: Scaler,
    heard: Heard,
    due: Instant,
    alarm: Option<String>,
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
        let mut sights = None;
        let mut steps: Vec<ScaleStep> = world
            .scales
            .iter()
            .filter_map(|(name, stored)| ended(world, name, stored))
            .collect();
        for name in world.services.keys().filter(|it| follows(world, it)) {
            let followed = self.services.entry(name.clone());
            let followed = followed.or_insert_with(|| Followed::new(self.window, now));
            if now < followed.due {
                continue;
            }
            followed.due = now + self.period;
            let sights = sights.get_or_insert_with(|| Sights::of(world, losses));
            steps.extend(followed.decide(world, sights, name, now, wall));
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
            heard: Heard::default(),
            due: now,
            alarm: None,
        }
    }

    fn decide(
        &mut self,
        world: &World,
        sights: &Sights<'_>,
        name: &ServiceName,
        now: Instant,
        wall: Timestamp,
    ) -> Option<ScaleStep> {
        let service = &world.services.get(name)?.value.service;
        let Standing {
            wanted,
            by_hand,
            ready,
            is_updating,
        } = sights.standing(name);
        let sight = Sight {
            scale: service.scale.as_ref()?,
            least: service.replicas,
            wanted,
            ready,
            measures: self.heard.measures(world, name, now),
            state: match by_hand {
                Some(number) => State::ByHand(number),
                None if is_updating => State::Updating,
                None => State::Steady,
            },
        };
        let room = |number| sights.room(name, number, wall);
        let decision = self.scaler.decide(&sight, room, now);
        self.alarm = decision.alarm;
        let stored = world.scales.get(name);
        if stored.is_some_and(|it| it.value.replicas == decision.replicas) {
            return None;
        }
        Some(ScaleStep {
            service: name.clone(),
            record: Some(ScaleRecord {
                v: 1,
                replicas: decision.replicas,
                reason: match decision.reason.as_str() {
                    "" => "as many as there were".to_owned(),
                    reason => reason.to_owned(),
                },
                since: wall,
            }),
            before: wanted,
            is_news: decision.replicas != wanted && by_hand.is_none(),
            relies_on: relied(world, name),
            modified: stored.map(|it| it.modified),
        })
    }
}

fn follows(world: &World, name: &ServiceName) -> bool {
    let record = world.services.get(name).map(|it| &it.value);
    record.is_some_and(|it| !it.removed && it.service.scale.is_some())
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
