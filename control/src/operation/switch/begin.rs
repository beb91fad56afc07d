//! From what a person asks for to documents, or to why not.

use super::check::Accepted;
use super::record::Timing;
use super::seen::start;
use crate::World;
use crate::operation::begin::{chosen, overlapping};
use crate::operation::{
    LeftOut, MOST_SERVICES, Operation, OperationId, OperationState, OperationStep, Refused, Return,
    Schedule, StepState, SwitchKind, Switches, Work,
};
use minato_config::{ServiceName, SiteId, Timestamp};

/// Services between their begin and their move at once, at most: what one commit can move.
const MOST_SIZE: u16 = 20;
/// Names that a refusal lists.
const SHOWN: usize = 5;

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedSwitch {
    /// Who shall serve: the site that is asked.
    pub to: SiteId,
    /// Names, or patterns with `*`; empty: everything that the site could serve and does not.
    pub services: Vec<String>,
    /// How.
    pub kind: SwitchKind,
    /// When. `until`: it goes back by itself then.
    pub schedule: Schedule,
    /// Services under way at once.
    pub size: u16,
    /// With so many failures it is held.
    pub stop_after: u16,
    /// How patient it is.
    pub timing: Timing,
    /// What a person bears with.
    pub accepted: Accepted,
    /// A return of another site, `osaka/13`; may be empty.
    pub asked_by: String,
    /// Who asks.
    pub who: String,
    /// Why; may be empty.
    pub why: String,
}

/// Documents that are not stored yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeSwitch {
    /// Its number: its key must not exist when it is stored.
    pub id: OperationId,
    /// The switch.
    pub operation: Operation,
    /// The return that is stored with it.
    pub back: Option<(OperationId, Operation)>,
    /// Services that were named, and what keeps them out.
    pub left_out: Vec<LeftOut>,
}

/// Checks what is asked for against this site as it is at `now`. What the old site has to say is for [`super::checks`].
pub fn begin_switch(
    world: &World,
    asked: &AskedSwitch,
    now: Timestamp,
) -> Result<MadeSwitch, Refused> {
    let refused = |why: String, hint: String| Err(Refused { why, hint });
    if !(1..=MOST_SIZE).contains(&asked.size) || asked.stop_after == 0 {
        return refused(
            format!(
                "1 to {MOST_SIZE} services are moved at once, and it is held after 1 failure at least, not {} and {}",
                asked.size, asked.stop_after
            ),
            "--size 5 --stop-after 1".to_owned(),
        );
    }
    let (mut services, mut left_out) = (Vec::new(), Vec::new());
    if asked.services.is_empty() {
        let mut all = world.services.keys();
        services.extend(
            all.by_ref()
                .filter(|it| start(world, &asked.to, it).is_ok())
                .cloned(),
        );
    } else {
        for service in chosen(world, &asked.services)? {
            match start(world, &asked.to, &service) {
                Ok(_) => services.push(service),
                Err(why) => left_out.push(LeftOut { service, why }),
            }
        }
    }
    if services.is_empty() {
        let why: Vec<String> = (left_out.iter().take(SHOWN))
            .map(|it| format!("{} {}", it.service, it.why))
            .collect();
        let why = match why.as_slice() {
            [] => format!(
                "there is nothing to move to {}: it comes first for every service whose `sites` list it",
                asked.to
            ),
            all => format!(
                "nothing of it can be moved to {}: {}",
                asked.to,
                all.join("; ")
            ),
        };
        return refused(why, "minato status".to_owned());
    }
    if services.len() > MOST_SERVICES {
        return refused(
            format!(
                "{} services are more than the {MOST_SERVICES} of one operation",
                services.len()
            ),
            "name a part of them, like --services 'repo-a*'".to_owned(),
        );
    }
    // It is under way from its begin on, and back some time after its end: the whole of it counts.
    let whole = Schedule {
        until: None,
        ..asked.schedule.clone()
    };
    if let Some(refusal) = overlapping(world, &services, &whole, now) {
        return Err(refusal);
    }
    let last = world.operations.keys().next_back().map_or(0, |it| it.0);
    let id = OperationId(last.saturating_add(1));
    let back = asked.schedule.until.map(|until| {
        let schedule = Schedule {
            at: Some(until),
            until: None,
            ..asked.schedule.clone()
        };
        let work = Work::Return(Return {
            of: id,
            from: asked.to.clone(),
            size: asked.size,
            timing: asked.timing,
        });
        let operation = document(asked, work, schedule, &services, "return", now);
        (OperationId(id.0.saturating_add(1)), operation)
    });
    let work = Work::Switch(Box::new(Switches {
        to: asked.to.clone(),
        kind: asked.kind,
        size: asked.size,
        stop_after: asked.stop_after,
        forgiven: 0,
        timing: asked.timing,
        accepted: asked.accepted,
        asked_by: asked.asked_by.clone(),
    }));
    let schedule = Schedule {
        until: None,
        ..asked.schedule.clone()
    };
    let name = asked.kind.as_str();
    Ok(MadeSwitch {
        id,
        operation: document(asked, work, schedule, &services, name, now),
        back,
        left_out,
    })
}

fn document(
    asked: &AskedSwitch,
    work: Work,
    schedule: Schedule,
    services: &[ServiceName],
    name: &str,
    now: Timestamp,
) -> Operation {
    let steps = services.iter().map(|service| OperationStep {
        name: name.to_owned(),
        service: service.clone(),
        wave: 1,
        state: StepState::Waiting,
        since: Timestamp::default(),
        number: None,
        detail: String::new(),
        switch: None,
    });
    Operation {
        v: 1,
        work,
        who: asked.who.clone(),
        why: asked.why.clone(),
        asked: now,
        state: OperationState::Scheduled,
        since: now,
        reason: schedule.text(),
        schedule,
        steps: steps.collect(),
    }
}
