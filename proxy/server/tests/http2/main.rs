//! HTTP/2 frame by frame: every section of RFC 9113 and RFC 7541 that binds a server, what HTTP/1.1 instances receive,
//! and floods.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test may panic"
)]

mod another;
mod case;
mod client;
mod connection;
mod definitions;
mod floods;
mod forwarding;
mod frame;
mod link;
mod messages;
mod origin;
#[path = "../gateway/peer.rs"]
#[allow(dead_code, reason = "shared with the tests over HTTP/1.1")]
mod peer;
#[path = "../gateway/setup.rs"]
#[allow(dead_code, reason = "shared with the tests over HTTP/1.1")]
mod setup;
mod stop;
mod streams;
mod subject;
mod upstream;
