//! From what a person asks for to a document, or to why not.

use super::record::{
    MOST_SERVICES, MOST_SIZE, Operation, OperationId, OperationState, OperationStep, StepState,
    Wave, WaveChange, Work,
};
use super::schedule::Schedule;
use crate::World;
use minato_config::{Backend, ServiceName, Timestamp};
use std::collections::BTreeSet;

/// Names that a refusal lists.
const SHOWN: usize = 5;

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Names, or patterns with `*`, in the order in which they shall be done.
    pub services: Vec<String>,
    /// What happens to each.
    pub change: WaveChange,
    /// Services of the largest wave.
    pub size: u16,
    /// With so many failures it is held.
    pub stop_after: u16,
    /// When.
    pub schedule: Schedule,
    /// Who asks.
    pub who: String,
    /// Why; may be empty.
    pub why: String,
}

/// A document that is not stored yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its number: its key must not exist when it is stored.
    pub id: OperationId,
    /// The document.
    pub operation: Operation,
    /// Services that were named, and what keeps them out.
    pub left_out: Vec<LeftOut>,
}

/// A service that was named and cannot be part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Which.
    pub service: ServiceName,
    /// Why, half a sentence.
    pub why: String,
}

/// Why an operation is not begun: a sentence, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong.
    pub why: String,
    /// What to do about it.
    pub hint: String,
}

/// Checks what is asked for against the site as it is at `now`.
pub fn begin(world: &World, asked: &Asked, now: Timestamp) -> Result<Made, Refused> {
    let refused = |why: String, hint: &str| {
        Err(Refused {
            why,
            hint: hint.to_owned(),
        })
    };
    if !(1..=MOST_SIZE).contains(&asked.size) || asked.stop_after == 0 {
        return refused(
            format!(
                "a wave has 1 to {MOST_SIZE} services and is held after 1 failure at least, not {} and {}",
                asked.size, asked.stop_after
            ),
            "--size 5 --stop-after 1",
        );
    }
    let chosen = chosen(world, &asked.services)?;
    let (mut services, mut left_out) = (Vec::new(), Vec::new());
    for service in chosen {
        match unfit(world, &service, &asked.change) {
            None => services.push(service),
            Some(why) => left_out.push(LeftOut { service, why }),
        }
    }
    if services.is_empty() {
        let why: Vec<String> = (left_out.iter().take(SHOWN))
            .map(|it| format!("{} {}", it.service, it.why))
            .collect();
        return refused(
            format!(
                "none of these services can be part of it: {}",
                why.join("; ")
            ),
            "minato status",
        );
    }
    if services.len() > MOST_SERVICES {
        return refused(
            format!(
                "{} services are more than the {MOST_SERVICES} of one operation",
                services.len()
            ),
            "name a part of them, like 'repo-a*'",
        );
    }
    if let Some(refusal) = overlapping(world, &services, &asked.schedule, now) {
        return Err(refusal);
    }
    let verb = asked.change.verb();
    let steps = waves(services.len(), asked.size);
    let steps = services
        .into_iter()
        .zip(steps)
        .map(|(service, wave)| OperationStep {
            name: verb.to_owned(),
            service,
            wave,
            state: StepState::Waiting,
            since: Timestamp::default(),
            number: None,
            detail: String::new(),
        });
    let last = world.operations.keys().next_back().map_or(0, |it| it.0);
    Ok(Made {
        id: OperationId(last.saturating_add(1)),
        operation: Operation {
            v: 1,
            work: Work::Wave(Wave {
                change: asked.change.clone(),
                size: asked.size,
                stop_after: asked.stop_after,
                forgiven: 0,
            }),
            who: asked.who.clone(),
            why: asked.why.clone(),
            asked: now,
            schedule: asked.schedule.clone(),
            state: OperationState::Scheduled,
            since: now,
            reason: asked.schedule.text(),
            steps: steps.collect(),
        },
        left_out,
    })
}

/// The wave of each of `count` services: one alone, then twice as many each time, up to `size`.
fn waves(count: usize, size: u16) -> Vec<u16> {
    let mut waves = Vec::with_capacity(count);
    let (mut wave, mut room) = (1_u16, 1_u16);
    while waves.len() < count {
        let left = count - waves.len();
        waves.extend(std::iter::repeat_n(wave, left.min(usize::from(room))));
        wave = wave.saturating_add(1);
        room = room.saturating_mul(2).min(size);
    }
    waves
}

/// The services that are named, each once, in the order of the names; those of one pattern by name.
fn chosen(world: &World, patterns: &[String]) -> Result<Vec<ServiceName>, Refused> {
    let mut seen = BTreeSet::new();
    let mut chosen = Vec::new();
    for pattern in patterns.iter().map(|it| it.trim()) {
        let matching: Vec<&ServiceName> = (world.services.keys())
            .filter(|it| matches(pattern, it.as_str()))
            .collect();
        if matching.is_empty() {
            let shown: String = pattern.chars().take(80).collect();
            let names: Vec<&str> = (world.services.keys().take(SHOWN))
                .map(ServiceName::as_str)
                .collect();
            return Err(Refused {
                why: format!("no service is called `{shown}`"),
                hint: format!(
                    "there are {}: {}, ..; `*` stands for any letters",
                    world.services.len(),
                    names.join(", ")
                ),
            });
        }
        let new = matching.into_iter().filter(|it| seen.insert((*it).clone()));
        chosen.extend(new.cloned());
    }
    Ok(chosen)
}

/// Whether `text` is what `pattern` says; `*` stands for any letters, also none.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

/// What keeps a service out of it for good.
fn unfit(world: &World, service: &ServiceName, change: &WaveChange) -> Option<String> {
    let record = &world.services.get(service)?.value;
    let command = match &record.service.backend {
        _ if record.removed => return Some("is ending: its file is gone".to_owned()),
        Backend::Endpoints(_) => {
            return Some("has fixed endpoints, which someone else keeps alive".to_owned());
        }
        Backend::Command(command) => command,
    };
    match change {
        WaveChange::Image(_) | WaveChange::Pull if command.image.is_none() => {
            Some("runs a command, not an image".to_owned())
        }
        WaveChange::Rollback => {
            let rollout = world.rollouts.get(service).map(|it| &it.value);
            let before = rollout.and_then(|it| it.before.as_ref());
            before
                .is_none()
                .then(|| "ran no other version whole before".to_owned())
        }
        WaveChange::Restart | WaveChange::Image(_) | WaveChange::Pull => None,
    }
}

/// Another operation that may be under way with some of these services at the same time.
fn overlapping(
    world: &World,
    services: &[ServiceName],
    schedule: &Schedule,
    now: Timestamp,
) -> Option<Refused> {
    let services: BTreeSet<&ServiceName> = services.iter().collect();
    for (id, stored) in &world.operations {
        let other = &stored.value;
        if !other.state.is_open() || !schedule.overlaps(&other.schedule, now) {
            continue;
        }
        let open = other.steps.iter().filter(|it| !it.state.has_ended());
        let shared: Vec<&str> = open
            .filter(|it| services.contains(&it.service))
            .map(|it| it.service.as_str())
            .collect();
        let Some(first) = shared.first() else {
            continue;
        };
        let more = match shared.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        let times = other.schedule.text();
        let times = if times.is_empty() {
            String::new()
        } else {
            format!(" {times}")
        };
        return Some(Refused {
            why: format!(
                "operation {id}, {} by {}, is {}{times} and has {first}{more}",
                other.title(),
                other.who,
                other.state
            ),
            hint: format!(
                "wait for it (`minato operation show {id}`), end it (`minato operation abort {id}`), or choose a time when it is over"
            ),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_begin_with_one_and_grow() {
        assert_eq!(waves(0, 5), Vec::<u16>::new());
        assert_eq!(waves(3, 1), [1, 2, 3]);
        assert_eq!(waves(12, 5), [1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4]);
        assert_eq!(waves(1000, 50).last(), Some(&25));
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        for (pattern, text, expected) in [
            ("repo-*", "repo-01", true),
            ("repo-*", "repo-", true),
            ("repo-*", "my-repo-1", false),
            ("*", "anything", true),
            ("*-test", "a-test", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("a*a", "a", false),
            ("ab*ba", "aba", false),
            ("repo", "repo", true),
            ("repo", "repos", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
