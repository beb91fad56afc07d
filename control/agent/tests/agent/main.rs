//! The agent with real processes and a real store.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy's leave for tests ends at the functions that tests share"
)]

mod adoption;
mod advertise;
mod docker;
mod health;
mod restart;
mod runtime;
mod stop;
mod support;
