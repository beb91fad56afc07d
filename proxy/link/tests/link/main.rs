//! Certificates of links, as rustls and openssl see them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    reason = "what stands around the tests fails as they do, by a panic"
)]

mod authority;
mod files;
mod forged;
mod handshake;
mod peers;
mod renewal;
mod stage;
