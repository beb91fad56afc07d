//! Clients that are slow, many or hostile: memory stays bounded, nothing spins, others are served as before.
//!
//! Each case has a short form for `cargo test` and a long one, which is ignored there and belongs to `make conformance`. The
//! gateway is a process of its own, this binary again, so that what it takes can be told from what the test takes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test may panic"
)]
#![expect(clippy::print_stdout, reason = "the figures are what one runs it for")]

mod floods;
mod idle;
#[path = "../gateway/peer.rs"]
#[expect(dead_code, reason = "another binary uses the rest")]
mod peer;
mod process;
mod readers;
#[path = "../gateway/setup.rs"]
#[expect(dead_code, reason = "another binary uses the rest")]
mod setup;
mod slow;
mod witness;
