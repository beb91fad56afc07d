//! What would keep a service from moving here, each with its figure. Pure.

use super::record::{Cause, Data, Need};
use super::run::Start;
use super::seen::{source, up_and_wanted};
use crate::operation::{OperationId, Schedule, Work, local_text};
use crate::plan::{Losses, plan_with};
use crate::rollout::{self, ImageState, RolloutStanding, rollout_standing};
use crate::scale::ScaleRecord;
use crate::{Stored, World, wanted};
use minato_config::{Backend, MirrorMode, ServiceName, ServiceRecord, SiteId, Source, Timestamp};
use minato_health::LinkState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// An instance carries as much more as it was there for; as gateways reckon.
const TRUST_PERCENT: u64 = 140;
/// Links that are slower make a move a guess.
const SLOW: Duration = Duration::from_secs(1);
/// Clocks that differ by more make schedules and certificates go wrong.
const CLOCKS: Duration = Duration::from_secs(60);
/// Certificates must live at least as long as the site is to serve, or this where nobody says.
const CERTIFICATE: Duration = Duration::from_secs(24 * 3600);

/// What a person bears with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The target carries only a part: the rest gets the sorry page.
    #[serde(default)]
    pub overload: Bearing,
    /// What was written last at a site that is not heard is lost.
    #[serde(default)]
    pub data_loss: Bearing,
}

/// Whether a person bears with something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bearing {
    /// It keeps a service from moving.
    #[default]
    Refused,
    /// They said so.
    Accepted,
}

/// The site that serves now, as it is heard at the moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// What its gateways say; why none of them does.
    pub states: Result<Vec<LinkState>, String>,
    /// From question to answer.
    pub delay: Duration,
    /// What it has of the service itself; `None` where that was not asked for, or it is not its own.
    pub record: Option<ServiceRecord>,
}

/// The target once everything that is to be moved runs there, all of it together.
#[derive(Debug, Clone, PartialEq)]
pub struct Ready {
    world: World,
    /// Instances that are asked for first.
    needs: BTreeMap<ServiceName, Need>,
    /// Why something of it cannot run.
    notes: BTreeMap<ServiceName, String>,
}

impl Ready {
    /// What is cold at `to` is taken for started, what follows its load for grown; then it is planned. Beside each service how many
    /// instances are wanted where it is served now.
    pub fn of<'a>(
        world: &World,
        to: &SiteId,
        services: impl IntoIterator<Item = (&'a ServiceName, Option<u32>)>,
        now: Timestamp,
    ) -> Self {
        let mut ready = world.clone();
        let mut needs = BTreeMap::new();
        for (service, there) in services {
            let Some(stored) = ready.services.get_mut(service) else {
                continue;
            };
            if let Source::Mirror {
                home,
                mode: MirrorMode::Cold,
            } = &stored.value.source
                && let Some(mirrored) = world.mirrors.get(&(home.clone(), service.clone()))
            {
                stored.value.service = mirrored.value.record.service.clone().at(to);
            }
            let there = there.and_then(|it| u16::try_from(it).ok());
            let Some(need) = there.and_then(|it| need(&ready, service, it)) else {
                continue;
            };
            let scale = ready.scales.get(service).map(|it| &it.value);
            let record = ScaleRecord {
                v: 1,
                replicas: need.wanted.max(wanted(&ready, service)),
                reason: String::new(),
                since: now,
                grant: scale.and_then(|it| it.grant),
            };
            let record = Stored {
                value: record,
                modified: 0,
            };
            ready.scales.insert(service.clone(), record);
            needs.insert(service.clone(), need);
        }
        let plan = plan_with(&ready, &Losses::default(), now);
        Self {
            world: ready,
            needs,
            notes: plan.notes.into_iter().collect(),
        }
    }

    /// What is asked for before `service` moves.
    pub fn need(&self, service: &ServiceName, accepted: Accepted) -> Need {
        let need = self.needs.get(service).copied().unwrap_or_default();
        match accepted.overload {
            Bearing::Refused => need,
            Bearing::Accepted => Need { enough: 0, ..need },
        }
    }
}

/// As many as the site has that serves it, within what the file allows. `None` where their number is the file's, or a person's.
fn need(world: &World, service: &ServiceName, there: u16) -> Option<Need> {
    let by_hand = world.intents.get(service);
    let by_hand = by_hand.and_then(|it| it.value.replicas);
    let scale = world.services.get(service)?.value.service.scale.as_ref()?;
    let enough = (u64::from(there) * 100).div_ceil(TRUST_PERCENT);
    by_hand.is_none().then(|| Need {
        wanted: there.min(scale.max),
        enough: u16::try_from(enough).unwrap_or(u16::MAX).min(scale.max),
    })
}

/// Instances of `service` that are wanted where these gateways are.
pub fn wanted_there(states: &[LinkState], service: &ServiceName) -> Option<u32> {
    let told = states.iter().filter_map(|it| it.services.get(service));
    told.map(|it| it.wanted).max()
}

/// What a service is checked with.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Of the target.
    pub world: &'a World,
    /// The same once everything that is moved runs.
    pub ready: &'a Ready,
    /// The target.
    pub to: &'a SiteId,
    /// The old site.
    pub peer: &'a Peer,
    /// Ends of certificates at the target, by what they are for.
    pub certificates: &'a [(String, Timestamp)],
    /// Whether its command can copy its data while requests wait, with the figures; `None` where it has none.
    pub copy: Option<&'a Result<String, String>>,
    /// When it runs.
    pub schedule: &'a Schedule,
    /// Why it is moved.
    pub cause: Cause,
    /// What a person bears with.
    pub accepted: Accepted,
    /// The operation that asks; 0 before it is stored.
    pub own: OperationId,
    /// Wall clock.
    pub now: Timestamp,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// One word: `link`, `capacity`, ..
    pub name: &'static str,
    /// Whether it keeps the service from moving.
    pub is_met: bool,
    /// How it stands, with its figure.
    pub figure: String,
}

/// Everything that is looked at before `service` moves.
pub fn checks(facts: &Facts<'_>, service: &ServiceName, start: &Start) -> Vec<Check> {
    let mut all = vec![
        link(facts, start),
        capacity(facts, service, start),
        room(facts, service),
    ];
    all.extend(image(facts, service));
    all.extend([update(facts, service), other(facts, service)]);
    all.extend(drained(facts, service));
    all.extend(mirror(facts, service));
    all.extend(certificates(facts));
    all.extend(data(facts, service, start));
    all
}

fn met(name: &'static str, figure: impl Into<String>) -> Check {
    Check {
        name,
        is_met: true,
        figure: figure.into(),
    }
}

fn unmet(name: &'static str, figure: impl Into<String>) -> Check {
    Check {
        name,
        is_met: false,
        figure: figure.into(),
    }
}

fn link(facts: &Facts<'_>, start: &Start) -> Check {
    let (from, to) = (&start.from, facts.to);
    match (facts.cause, &facts.peer.states) {
        (Cause::Planned, Err(why)) => unmet(
            "link",
            format!("{from} is not heard: {why}; if it is dead: minato failover --to {to}"),
        ),
        (Cause::Lost, Err(why)) => met("link", format!("{from} is not heard: {why}")),
        (Cause::Lost, Ok(states)) => unmet(
            "link",
            format!(
                "{from} is heard ({} gateways, {:.1} ms): it can let go in order; minato switch --to {to}",
                states.len(),
                milliseconds(facts.peer.delay)
            ),
        ),
        (Cause::Planned, Ok(states)) => {
            let delay = milliseconds(facts.peer.delay);
            if facts.peer.delay > SLOW {
                return unmet(
                    "link",
                    format!("{from} answers after {delay:.1} ms, more than {SLOW:?}"),
                );
            }
            let far = states.iter().map(|it| it.now.0.abs_diff(facts.now.0)).max();
            let far = Duration::from_millis(far.unwrap_or(0));
            if far > CLOCKS {
                return unmet(
                    "link",
                    format!(
                        "the clocks of {from} and {to} differ by {} s: timedatectl at both",
                        far.as_secs()
                    ),
                );
            }
            let own = env!("CARGO_PKG_VERSION");
            if let Some(other) = states.iter().find(|it| !it.follows_orders) {
                return unmet(
                    "link",
                    format!(
                        "{} at {from} runs minato {}, which follows no decisions of other sites ({own} does): minato upgrade there",
                        other.node, other.version
                    ),
                );
            }
            met(
                "link",
                format!("{from} answers in {delay:.1} ms, {} gateways", states.len()),
            )
        }
    }
}

fn milliseconds(it: Duration) -> f64 {
    it.as_secs_f64() * 1_000.0
}

/// What will run here against what the old site has to have.
fn capacity(facts: &Facts<'_>, service: &ServiceName, start: &Start) -> Check {
    let (up, before) = up_and_wanted(facts.world, service);
    let grown = wanted(&facts.ready.world, service);
    let here = before.max(grown);
    let states = facts.peer.states.as_ref().ok();
    let there = states.and_then(|it| wanted_there(it, service));
    let (from, to) = (&start.from, facts.to);
    let Some(there) = there.filter(|it| *it > 0) else {
        return match here {
            0 => unmet("capacity", format!("no instance is wanted at {to}")),
            _ => met(
                "capacity",
                format!("{up} of {here} up at {to}; how many {from} has is not known"),
            ),
        };
    };
    let percent = u64::from(here) * TRUST_PERCENT / u64::from(there);
    let figure = format!(
        "{up} of {here} up at {to}{more}, {there} wanted at {from}: {percent}% of the work",
        percent = percent.min(100),
        more = match here.saturating_sub(before) {
            more if more > 0 && before > 0 => format!(" ({more} more are asked for first)"),
            _ => String::new(),
        }
    );
    match (percent >= 100, facts.accepted.overload) {
        (true, _) => met("capacity", figure),
        (false, Bearing::Accepted) => met("capacity", format!("{figure}; accepted")),
        (false, Bearing::Refused) => unmet(
            "capacity",
            format!(
                "{figure}; raise [at.{to}] replicas, or bear with sorry pages for the rest: --accept-overload"
            ),
        ),
    }
}

/// Whether there is a place for every instance: a machine that is alive, with room, with what it runs on.
fn room(facts: &Facts<'_>, service: &ServiceName) -> Check {
    let record = facts
        .world
        .services
        .get(service)
        .map(|it| &it.value.service);
    if let Some(Backend::Endpoints(all)) = record.map(|it| &it.backend) {
        return met("room", format!("{} fixed addresses", all.len()));
    }
    let world = &facts.ready.world;
    // Those that find no place are what a person bears with.
    let is_grown = !facts.ready.need(service, facts.accepted).is_nothing();
    match facts.ready.notes.get(service) {
        Some(text) if is_grown && facts.accepted.overload == Bearing::Accepted => {
            met("room", format!("{text}; accepted"))
        }
        Some(text) => unmet("room", text.clone()),
        None if world.nodes.is_empty() => {
            unmet("room", format!("no machine of {} is alive", facts.to))
        }
        None => {
            let alive = world.nodes.len();
            met(
                "room",
                format!("{alive} machines of {} are alive", facts.to),
            )
        }
    }
}

/// Whether what its containers are made of can be had, by what the machines have found out ahead.
fn image(facts: &Facts<'_>, service: &ServiceName) -> Option<Check> {
    let record = facts.ready.world.services.get(service)?;
    let image = rollout::image(&record.value.service.backend)?;
    let (number, reference) = (rollout::number(image), &image.reference);
    let world = facts.world;
    let (mut here, mut away, mut without, mut failed) = (0, 0, 0, None);
    for node in world.nodes.keys() {
        let report = world.images.get(&(node.clone(), service.clone()));
        let report = report.map(|it| &it.value).filter(|it| it.fetch == number);
        match report.map(|it| &it.state) {
            Some(ImageState::Here { .. }) => here += 1,
            Some(ImageState::Registry { .. }) => away += 1,
            Some(ImageState::NoEngine) => without += 1,
            Some(ImageState::Failed(why)) => failed = Some(format!("{node}: {why}")),
            Some(ImageState::Fetching) | None => {}
        }
    }
    let all = world.nodes.len();
    let found = format!(
        "{reference}: {here} of {all} machines have it, {away} can have it from its registry"
    );
    let why = failed.unwrap_or_default();
    Some(match (here + away > 0, up_and_wanted(world, service).0) {
        (true, _) if why.is_empty() => met("image", found),
        (true, _) => met("image", format!("{found}; {why}")),
        // What runs serves, whatever has become of what it was made of.
        (false, up @ 1..) if why.is_empty() => {
            met("image", format!("{up} instances of it run here"))
        }
        (false, up @ 1..) => met("image", format!("{up} instances of it run here; {why}")),
        (false, 0) if !why.is_empty() => unmet(
            "image",
            format!(
                "{reference} cannot be had at {}: {why}; machines look again each minute",
                facts.to
            ),
        ),
        (false, 0) if all > 0 && without == all => unmet(
            "image",
            format!(
                "{reference}: no machine of {} runs containers: runtime = \"docker\" in [agent] of its minato.toml",
                facts.to
            ),
        ),
        // Older machines never say it, and others begin only then.
        (false, 0) => met(
            "image",
            format!(
                "unknown: no machine of {} has said whether it can have {reference}",
                facts.to
            ),
        ),
    })
}

fn update(facts: &Facts<'_>, service: &ServiceName) -> Check {
    match rollout_standing(facts.world, service, None) {
        RolloutStanding::Going(text) => {
            unmet("update", format!("an update is under way here: {text}"))
        }
        RolloutStanding::Asked => unmet("update", "an update has just been asked for here"),
        RolloutStanding::Whole | RolloutStanding::Unchanged(_) => {
            met("update", "none under way here")
        }
        RolloutStanding::Failed { .. } => {
            met("update", "the last one failed, the old version runs")
        }
    }
}

/// Another operation that is under way with it.
fn other(facts: &Facts<'_>, service: &ServiceName) -> Check {
    for (id, stored) in &facts.world.operations {
        let operation = &stored.value;
        let is_busy = *id != facts.own
            && operation.state == crate::operation::OperationState::Running
            && !matches!(operation.work, Work::Return(_));
        let mut steps = operation.steps.iter();
        let has_it =
            steps.any(|it| it.service == *service && !it.state.has_ended() && !it.has_moved());
        if is_busy && has_it {
            return unmet(
                "operations",
                format!(
                    "operation {id}, {} by {}, is under way with it",
                    operation.title(),
                    operation.who
                ),
            );
        }
    }
    met("operations", "no other is under way with it here")
}

fn drained(facts: &Facts<'_>, service: &ServiceName) -> Option<Check> {
    let intent = facts.world.intents.get(service).map(|it| &it.value)?;
    intent.drain.then(|| {
        unmet(
            "drain",
            format!(
                "{} took it out of traffic here: minato drain {service} --reset",
                intent.who
            ),
        )
    })
}

/// Whether what is known here of a service of another site is what that site has.
fn mirror(facts: &Facts<'_>, service: &ServiceName) -> Option<Check> {
    let record = &facts.world.services.get(service)?.value;
    let Source::Mirror { home, .. } = &record.source else {
        return None;
    };
    let mirrored = &facts
        .world
        .mirrors
        .get(&(home.clone(), service.clone()))?
        .value;
    let age = facts.now.since(mirrored.since).as_secs();
    Some(match &facts.peer.record {
        Some(theirs) if theirs.service != mirrored.record.service => unmet(
            "mirror",
            format!(
                "{home} has another version of it than is kept here since {age} s: wait until it is brought in line, minato events"
            ),
        ),
        Some(_) => met("mirror", format!("as {home} has it, since {age} s")),
        None => met(
            "mirror",
            format!("of {home}, changed {age} s ago; {home} was not asked"),
        ),
    })
}

fn certificates(facts: &Facts<'_>) -> Option<Check> {
    let (what, end) = facts.certificates.iter().min_by_key(|it| it.1)?;
    let needed = match facts.schedule.until {
        Some(until) => until,
        None => facts.schedule.at.unwrap_or(facts.now).after(CERTIFICATE),
    };
    let zone = match facts.schedule.zone.as_str() {
        "" => "UTC",
        zone => zone,
    };
    let (end_text, needed_text) = (local_text(*end, zone), local_text(needed, zone));
    Some(if *end < needed {
        unmet(
            "certificate",
            format!("that of {what} ends {end_text}, before {needed_text}"),
        )
    } else {
        met(
            "certificate",
            format!("the next to end is that of {what}, {end_text}"),
        )
    })
}

fn data(facts: &Facts<'_>, service: &ServiceName, start: &Start) -> Option<Check> {
    if start.data == Data::None {
        return None;
    }
    let told = facts.peer.states.as_ref().ok();
    let source = told.and_then(|it| source(it, service));
    Some(match (facts.cause, facts.accepted.data_loss, source) {
        (Cause::Lost, Bearing::Refused, _) => unmet(
            "data",
            format!(
                "its command cannot copy from {}, which is not heard: what was written there last is lost; --accept-data-loss",
                start.from
            ),
        ),
        (Cause::Lost, Bearing::Accepted, _) => {
            met("data", "what was written last is given up: accepted")
        }
        (Cause::Planned, _, _) => match facts.copy {
            Some(Ok(figure)) => met("data", figure.clone()),
            Some(Err(why)) => unmet("data", why.clone()),
            None => unmet("data", "whether its command may run is not known"),
        },
    })
}
