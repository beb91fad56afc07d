//! What a person started and what outlives processes: an update of many services in waves, with a schedule; services that another site
//! serves from then on (`switch`).
//!
//! An operation is a document ([`Operation`]) with persisted steps. [`advance`] is one look at it: from the document, what is
//! seen of its steps ([`sights`]) and the wall clock follow the next document and the orders that are committed together with it,
//! so that no order is given twice and none is lost, whoever leads.
//!
//! One module each: the document (`record`), when it may run (`schedule`), making one (`begin`), what a person may say to it later
//! (`word`), what is seen of a wave's steps (`sight`), one look (`advance`),
//! what to type for what was missed (`again`).
//! Not here: how one service goes from version to version (`rollout`), writing (`control/server`).

mod advance;
mod again;
mod begin;
mod record;
mod schedule;
mod sight;
pub mod switch;
mod word;

pub use advance::{Turn, advance};
pub use begin::{Asked, LeftOut, Made, Refused, begin};
pub use record::{
    MOST_ENDED, MOST_SERVICES, MOST_SIZE, Operation, OperationId, OperationState, OperationStep,
    Return, StepState, SwitchKind, Switches, Wave, WaveChange, Work,
};
pub use schedule::{GRACE, Moment, Repeat, Schedule, local_text};
pub use sight::{Offer, Sights, StepSight, sights};

#[cfg(test)]
mod tests;
