//! The gateway's half of the state line: STORE > table < verdict < probe, and verdicts back to the store.
//!
//! One task ([`health_loop`]) owns all of it and decides one change at a time, so that rules over several instances
//! (never the last, at most half) hold. What should be in the table is decided by the pure [`wanted`].
//! Not here: requests (`proxy/server`), what makes a verdict (`health`), probes (`health/probe`).

mod courses;
mod fleet;
mod health_loop;
mod holding;
mod last_good;
mod leading;
mod linked;
mod load;
mod member;
mod news;
mod orders;
mod peers;
mod places;
mod recoveries;
mod reports;
mod sites;
mod source;
mod telling;
mod view;
mod visits;
mod wanted;
mod wants;

pub(crate) use courses::Courses;
pub(crate) use health_loop::{HealthLoop, HealthLoopOptions};
pub(crate) use last_good::LastGood;
pub(crate) use leading::Leading;
pub(crate) use orders::Orders;
pub(crate) use reports::{Reporter, Reports};
pub(crate) use source::Source;
pub(crate) use view::{GatewayView, Seen};
pub(crate) use visits::Visits;
pub(crate) use wants::Wants;
