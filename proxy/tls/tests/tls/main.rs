//! Handshakes and connections over loopback sockets, with curl and OpenSSL as peers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what stands around the tests fails as they do, by a panic"
)]

mod authority;
mod certificates;
mod clients;
mod hostile;
mod instances;
mod server;
mod streams;
mod tickets;
mod tool;
mod wire;
