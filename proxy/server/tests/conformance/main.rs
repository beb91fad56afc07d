//! HTTP/1 over sockets, word by word: what is refused, what passes and as which bytes, each cut in two at every place.
//!
//! Correct behaviour hangs on no cut; that the two pieces were read apart is made sure by [`stage::Stage::pulse`] and shown
//! by `splits::pieces_are_read_apart`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test may panic"
)]

mod answers;
mod bodies;
mod capture;
mod log;
mod message;
mod passed;
#[path = "../gateway/peer.rs"]
#[expect(dead_code, reason = "the other binary uses the rest")]
mod peer;
mod refused;
mod refused_bodies;
mod refused_heads;
mod reply;
mod sequences;
#[path = "../gateway/setup.rs"]
#[expect(dead_code, reason = "the other binary uses the rest")]
mod setup;
mod splits;
mod stage;
