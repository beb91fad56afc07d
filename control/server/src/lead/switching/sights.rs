//! What is seen of each step of an operation, from this site's store and from what the site says that serves now.

use super::Switching;
use super::hearing::{AllHeard, Heard, Known};
use crate::lead::doors::{self, Door};
use crate::lead::moving::Moved;
use minato_config::{ServiceName, SiteId, Timestamp};
use minato_control::operation::switch::{
    Cause, Data, Entrance, Facts, Need, Phase, Ready, Sight, Source, StepSeen, Switch, SwitchState,
    SwitchesSeen, checks, source, start, up_and_wanted, wanted_there,
};
use minato_control::operation::{Operation, OperationState, OperationStep, StepState, Work};
use minato_control::{OperationId, World};
use std::collections::{BTreeMap, BTreeSet};

/// What a look is made from.
pub(super) struct Scene<'a> {
    pub(super) world: &'a World,
    pub(super) heard: &'a AllHeard,
    pub(super) left: &'a BTreeMap<SiteId, Vec<ServiceName>>,
    pub(super) doors: &'a [Door],
    pub(super) now: Timestamp,
}

impl Switching {
    /// What is seen of each step that matters now.
    pub(super) fn seen(
        &mut self,
        scene: &Scene<'_>,
        id: OperationId,
        operation: &Operation,
        wanted: &mut BTreeSet<SiteId>,
    ) -> SwitchesSeen {
        let Work::Switch(work) = &operation.work else {
            return SwitchesSeen::new();
        };
        if operation.state == OperationState::Scheduled {
            // Its time may come with this look; what it needs is asked for then.
            return SwitchesSeen::new();
        }
        let is_checking = |it: &&OperationStep| {
            let switch = it.switch.as_ref();
            switch.is_some_and(|it| it.phase == Phase::Check && it.state == SwitchState::Running)
        };
        let mut to_check = operation.steps.iter().filter(is_checking).peekable();
        let ready = to_check.peek().is_some().then(|| {
            let there = |it: &OperationStep| {
                let switch = it.switch.as_ref()?;
                let known = scene.heard.get(&switch.from)?.known();
                match (known, switch.cause) {
                    (Known::Heard(states), Cause::Planned) => wanted_there(states, &it.service),
                    _ => None,
                }
            };
            let services: Vec<_> = to_check.map(|it| (&it.service, there(it))).collect();
            Ready::of(scene.world, &work.to, services, scene.now)
        });
        let ends = self.certificates.as_ref().map(|it| it.ends());
        let ends = ends.unwrap_or_default();
        let mut seen = SwitchesSeen::new();
        for (n, step) in operation.steps.iter().enumerate() {
            match (step.state, &step.switch) {
                (StepState::Waiting, _) => {
                    let found = match start(scene.world, &work.to, &step.service) {
                        Ok(it) => StepSeen::Start(it),
                        Err(why) => StepSeen::Needless(why),
                    };
                    seen.insert(n, found);
                }
                (StepState::Running, Some(switch)) => {
                    wanted.insert(switch.from.clone());
                    let heard = scene.heard.get(&switch.from);
                    let moved = Moved {
                        id,
                        service: &step.service,
                        switch,
                    };
                    let copy = match (switch.data, switch.phase) {
                        (Data::Hook, Phase::Check) => match self.moving.foresee(scene.world, moved)
                        {
                            None => continue,
                            found => found,
                        },
                        _ => None,
                    };
                    let problems = match (&ready, heard) {
                        (Some(ready), Some(heard)) if switch.phase == Phase::Check => {
                            let facts = Facts {
                                world: scene.world,
                                ready,
                                to: &work.to,
                                peer: &heard.peer(),
                                certificates: &ends,
                                copy: copy.as_ref(),
                                schedule: &operation.schedule,
                                cause: switch.cause,
                                accepted: work.accepted,
                                own: id,
                                now: scene.now,
                            };
                            problems(&facts, &step.service, switch)
                        }
                        _ => Vec::new(),
                    };
                    let known = heard.map_or(Known::Open, Heard::known);
                    let need = ready.as_ref();
                    let need = need.map(|it| it.need(&step.service, work.accepted));
                    if let Some(mut sight) = self.sight(scene, moved, &known, problems) {
                        sight.need = need.unwrap_or_default();
                        let order = scene.world.orders.get(&step.service);
                        seen.insert(
                            n,
                            StepSeen::Under {
                                sight: Box::new(sight),
                                order: order.map(|it| it.value.clone()),
                            },
                        );
                    }
                }
                _ => {}
            }
        }
        seen
    }

    /// `None` while nobody can say how the old site does.
    fn sight(
        &mut self,
        scene: &Scene<'_>,
        moved: Moved<'_>,
        known: &Known<'_>,
        problems: Vec<String>,
    ) -> Option<Sight> {
        let source: Option<Source> = match known {
            Known::Open => return None,
            Known::Silent => None,
            Known::Heard(states) => source(states, moved.service),
        };
        let source = source.map(|it| self.moving.source(scene.world, moved, it));
        let Moved {
            service, switch, ..
        } = moved;
        let order = scene.world.orders.get(service).map(|it| &it.value);
        let (up, wanted) = up_and_wanted(scene.world, service);
        let comes_first = order.is_some_and(|it| it.first == switch.to);
        let doors = self.doors_of(scene, service, switch);
        if switch.phase < Phase::Move {
            self.asked.forget(&doors);
        }
        Some(Sight {
            problems,
            up: (up, wanted),
            need: Need::default(),
            epoch: order.map_or(0, |it| it.epoch),
            answers: comes_first && up > 0,
            source,
            sync: self.moving.sync(scene.world, moved, scene.now).0,
            entrance: if doors.is_empty() {
                Entrance::None
            } else {
                self.asked.seen(&doors)
            },
        })
    }

    fn doors_of(&self, scene: &Scene<'_>, service: &ServiceName, switch: &Switch) -> Vec<Door> {
        doors::of_service(scene.doors, scene.world, service, &switch.from, scene.left)
    }
}

fn problems(facts: &Facts<'_>, service: &ServiceName, switch: &Switch) -> Vec<String> {
    let start = minato_control::operation::switch::Start {
        from: switch.from.clone(),
        epoch: switch.epoch,
        data: switch.data,
    };
    let unmet = checks(facts, service, &start).into_iter();
    let unmet = unmet.filter(|it| !it.is_met);
    // What the machine itself says of a site that is (not) heard is said by it.
    let unmet = unmet.filter(|it| switch.cause == Cause::Planned || it.name != "link");
    unmet
        .map(|it| format!("{}: {}", it.name, it.figure))
        .collect()
}
