//! What would keep a service from moving here, each with its figure. Pure.
//!
//! One module each: the target with everything that moves in place (`ready`), and the checks by what they look at: what both sites are to
//! each other (`link`), places and instances (`room`), images (`image`), what else is done with the service (`others`), what is kept here of it
//! and of its data (`kept`).
//! Not here: reading any of it (`control/server`), what follows from a check (`advance`).

mod image;
mod kept;
mod link;
mod others;
mod ready;
mod room;

pub use ready::{Ready, wanted_there};

use super::record::Cause;
use super::run::Start;
use crate::World;
use crate::operation::{OperationId, Schedule};
use minato_config::{ServiceName, ServiceRecord, SiteId, Timestamp};
use minato_health::LinkState;
use serde::{Deserialize, Serialize};
use std::time::Duration;

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
        link::link(facts, start),
        room::capacity(facts, service, start),
        room::room(facts, service),
    ];
    all.extend(image::image(facts, service));
    all.extend([
        others::update(facts, service),
        others::other(facts, service),
    ]);
    all.extend(others::drained(facts, service));
    all.extend(kept::mirror(facts, service));
    all.extend(link::certificates(facts));
    all.extend(kept::data(facts, service, start));
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
