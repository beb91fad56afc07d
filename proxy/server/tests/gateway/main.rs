//! The gateway in process, between raw clients and origins that script exact bytes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test may panic"
)]

mod bodies;
mod connections;
mod forwarding;
mod holding;
mod interim;
mod limits;
#[expect(dead_code, reason = "the other binary uses the rest")]
mod peer;
mod retries;
mod setup;
mod stop;
mod strictness;
mod tunnels;
