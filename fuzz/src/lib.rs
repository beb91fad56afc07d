//! What must hold for any octets: each function is one fuzz target, and panics where the property does not hold.
//!
//! Stable builds replay the corpora, and what a seeded generator makes, through the same functions
//! (`proxy/http1/tests/properties.rs`). The first octets of the data choose how it is split and who asks.

pub mod bodies;
pub mod differential;
mod heads;
pub mod peer;

pub use bodies::chunked;
pub use differential::differential;
pub use heads::{request_head, response_head};

/// How far the data got, so that whoever drives a target sees whether it tests anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Not a whole message.
    Unfinished,
    /// We refused it.
    Refused,
    /// We took it, and the other parser refused what we made of it.
    RefusedThere,
    /// Taken, and all that must hold held.
    Held,
}

/// Takes the first octet off; zero where there is none.
fn control(data: &[u8]) -> (u8, &[u8]) {
    data.split_first()
        .map_or((0, data), |(it, rest)| (*it, rest))
}

/// Where pieces end that are all `step` long but the last; one piece where that is 0.
fn cuts(length: usize, step: u8) -> impl Iterator<Item = usize> {
    let step = if step == 0 { length } else { step.into() }.max(1);
    (1..=length.div_ceil(step).max(1)).map(move |it| (it * step).min(length))
}
