//! The gateway in process over TLS: clients and instances that shake hands, cut connections short, or stall.
//!
//! The other ends are tokio-rustls, not our own TLS streams. Certificates and records as such: `proxy/tls`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test may panic"
)]

#[path = "../../../tls/tests/tls/authority.rs"]
#[allow(dead_code, reason = "shared with the tests of TLS itself")]
mod authority;
mod bodies;
#[path = "../http2/client.rs"]
#[allow(dead_code, reason = "shared with the tests of HTTP/2")]
mod client;
mod cuts;
#[path = "../http2/frame.rs"]
#[allow(dead_code, reason = "shared with the tests of HTTP/2")]
mod frame;
mod handshakes;
mod instances;
#[path = "../http2/link.rs"]
#[allow(dead_code, reason = "shared with the tests of HTTP/2")]
mod link;
#[path = "../gateway/peer.rs"]
#[allow(dead_code, reason = "shared with the tests in the clear")]
mod peer;
mod redirects;
#[path = "../gateway/setup.rs"]
#[allow(dead_code, reason = "shared with the tests in the clear")]
mod setup;
mod stage;
mod tunnels;
