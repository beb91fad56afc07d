//! Sends probes and keeps targets under observation.
//!
//! [`probe`] sends one probe on a connection of its own. [`Monitor`] runs the pure [`minato_health::Watch`] of one target:
//! it starts probes when they are due, within permits shared by all targets, and reports changed verdicts.
//! Not here: what outcomes mean (`health`), what follows from a verdict (`proxy`, `control`).

mod answer;
mod ask;
mod connection;
mod excerpt;
mod exchange;
mod monitor;
mod mount;
mod probe;
mod role;

pub use ask::Ask;
pub use minato_health::Evidence;
pub use monitor::{Monitor, MonitorHandle, Report};
pub use mount::Mount;
pub use probe::{Blind, Target, probe, try_probe};

use std::time::Instant;

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where this shell reads the clock"
)]
fn clock() -> Instant {
    Instant::now()
}
