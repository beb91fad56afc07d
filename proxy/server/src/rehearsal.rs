//! The whole engine against a script: clients and instances that say anything, cut anywhere, end, reset, stall and let time
//! pass; then everything that was said is judged by a reader of its own.
//!
//! For `cargo fuzz` (feature `fuzzing`) and for the tests of this crate, which replay the kept scripts and play random ones.
//! Time stands still but for what the script lets pass, so a script plays the same way each time.

mod judge;
mod reading;
mod script;
mod stage;
mod words;

use judge::Judgement;
use script::Script;
use std::ops::AddAssign;

/// What a script brought about; whoever drives it sees whether it tests anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reached {
    /// Requests that clients said whole.
    pub asked: u64,
    /// Requests that an instance heard whole.
    pub forwarded: u64,
    /// Of those, ones that an instance had heard before.
    pub repeated: u64,
    /// Answers of instances that a client heard whole.
    pub answered: u64,
    /// Answers of minato's own.
    pub own: u64,
    /// Answers that a client heard in part.
    pub broken: u64,
    /// Connections that became tunnels.
    pub tunnels: u64,
}

impl AddAssign for Reached {
    fn add_assign(&mut self, other: Self) {
        self.asked += other.asked;
        self.forwarded += other.forwarded;
        self.repeated += other.repeated;
        self.answered += other.answered;
        self.own += other.own;
        self.broken += other.broken;
        self.tunnels += other.tunnels;
    }
}

/// Plays one script, whatever the bytes are.
///
/// # Panics
///
/// Where a property does not hold: a request that no client made, made twice or out of order; a POST that two instances
/// heard; more answers than requests, or one that is not its instance's; half an answer that looks whole; a connection, a
/// place or a count that is left over.
pub fn relay(data: &[u8]) -> Reached {
    let played = stage::play(&Script::of(data));
    Judgement::of(&played).reached()
}

#[cfg(test)]
mod tests;
