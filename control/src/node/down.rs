//! Instances that are down for all: which of them is ended now, which waits, which goes on.
//!
//! What is down may be so for a reason that a restart does not cure: a wrong health path, a dependency that all share.
//! So one instance of a service at a time is ended, and the last that still answers stays while no other is up:
//! gateways go on sending to it.
//! Not here: which of them gateways hold (`proxy`), how a run is ended (`stop`).

use super::place::{Place, Stage};
use super::turn::{Turn, reports};
use super::{Moment, Node, NodeAction, PlaceKey};
use crate::{Event, EventKind, World};
use minato_config::{Generation, Run, ServiceName, SlotIndex};
use minato_health::{Combined, Layer, Phase, Verdict, combine};

impl Node {
    /// `due`: running places that should be ended and started again, and why.
    pub(super) fn end_down(
        &mut self,
        due: Vec<(PlaceKey, String)>,
        world: &World,
        now: Moment,
        actions: &mut Vec<NodeAction>,
    ) {
        for (key, reason) in due {
            if self.siblings(&key).any(|(_, it)| it.is_recovering()) {
                continue;
            }
            let may_end = self.places.get(&key).is_some_and(|it| !it.may_be_held())
                || self.siblings(&key).any(|(_, it)| it.can_stand_in())
                || self.is_other_up(&key, world);
            let Some(place) = self.places.get_mut(&key) else {
                continue;
            };
            let mut turn = Turn {
                wait: None,
                node: &self.id,
                key: &key,
                world,
                now,
                met_gateways: self.met_gateways,
                closing: self.closing,
                actions,
            };
            if may_end {
                place.begin_killing(&mut turn, reason);
            } else {
                place.spare(&mut turn, &reason);
            }
        }
    }

    /// The other places of its service on this node.
    fn siblings(&self, key: &PlaceKey) -> impl Iterator<Item = (&PlaceKey, &Place)> {
        let first = (key.0.clone(), SlotIndex(0));
        let last = (key.0.clone(), SlotIndex(u16::MAX));
        let all = self.places.range(first..=last);
        all.filter(move |(other, _)| other.1 != key.1)
    }

    /// Whether gateways call another instance of its service up, here or on another node.
    fn is_other_up(&self, key: &PlaceKey, world: &World) -> bool {
        let here = self
            .siblings(key)
            .filter(|(_, it)| matches!(it.stage, Stage::Running(_)))
            .any(|(other, it)| is_up(world, other, it.generation, it.run, it.local));
        here || self.is_up_elsewhere(&key.0, world)
    }

    fn is_up_elsewhere(&self, service: &ServiceName, world: &World) -> bool {
        let elsewhere = world
            .instances
            .iter()
            .filter(|(key, _)| key.node != self.id && key.service == *service);
        elsewhere
            .filter(|(_, it)| it.value.phase == Phase::Running)
            .any(|(key, it)| {
                let place = (key.service.clone(), key.slot);
                is_up(world, &place, key.generation, it.value.run, it.value.local)
            })
    }
}

fn is_up(
    world: &World,
    place: &PlaceKey,
    generation: Generation,
    run: Run,
    local: Option<Verdict>,
) -> bool {
    let seen = reports(world, place, generation, run);
    let verdicts: Vec<Verdict> = seen.iter().map(|it| it.verdict).collect();
    combine(&verdicts, local) == Combined::Up
}

impl Place {
    /// On its way back, or on its first way up: what another instance of the service waits for.
    fn is_recovering(&self) -> bool {
        match &self.stage {
            Stage::Starting | Stage::Waiting { .. } => true,
            Stage::Stopping(stopping) => stopping.is_restart(),
            Stage::Running(_) => self.recovering,
            Stage::Vacant | Stage::Gone | Stage::Failed => false,
        }
    }

    /// Whether gateways may still send to it although it is down, and get answers: it was up once, and nothing proves
    /// that it answers nobody.
    fn may_be_held(&self) -> bool {
        let Stage::Running(life) = &self.stage else {
            return false;
        };
        let silent = self.local == Some(Verdict::Down) && !self.answers_wrongly();
        (life.up_since.is_some() || life.found) && !silent
    }

    /// Whether gateways can send to it in place of another: it was up once, and surely answers.
    fn can_stand_in(&self) -> bool {
        let was_up = matches!(&self.stage, Stage::Running(life) if life.up_since.is_some());
        was_up && self.answers_surely()
    }

    fn answers_surely(&self) -> bool {
        match self.local {
            Some(Verdict::Up) => true,
            Some(Verdict::Down) => self.answers_wrongly(),
            Some(Verdict::Suspect) | None => false,
        }
    }

    fn answers_wrongly(&self) -> bool {
        matches!(self.layer, Some(Layer::Status | Layer::Body))
    }

    /// It is down and goes on; said once.
    fn spare(&mut self, turn: &mut Turn<'_>, reason: &str) {
        if self.spared || !self.answers_surely() {
            return;
        }
        self.spared = true;
        let (service, slot) = turn.key;
        let message = format!(
            "{service}/{slot} is {reason}; it still answers and no other instance is up, so it is not killed"
        );
        let source = turn.source();
        let source = source.as_deref().unwrap_or("its file");
        let event = Event::error(turn.now.wall, EventKind::Alarm, message).hint(format!(
            "look at `health` in {source} and at what that check depends on; minato restart {service} starts it again all the same"
        ));
        turn.actions.push(self.event(turn.key, event));
    }
}
