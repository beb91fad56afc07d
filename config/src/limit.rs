//! Numbers that bound what one service may use. Defaults are those of docs/configuration.md.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Requests of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Requests in flight over all instances; 0: no limit. Default 0.
    pub in_flight: u32,
    /// Requests that may wait when `in_flight` is reached. Default 0: past the limit the sorry page at once.
    pub queue: u32,
    /// How long a request waits at most. Default 5 s.
    #[serde(rename = "queue_timeout_ms", with = "crate::duration")]
    pub queue_timeout: Duration,
    /// Bytes of a request body; 0: no limit. Default 0. Past it 413.
    pub body_bytes: u64,
    /// Connections to one instance, idle and active together, from one gateway; 0: no limit. Default 0.
    pub connections: u32,
    /// Idle connections kept to one instance by one gateway; 0: none is kept. Default 32.
    pub idle: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 0,
            queue: 0,
            queue_timeout: Duration::from_secs(5),
            body_bytes: 0,
            connections: 0,
            idle: 32,
        }
    }
}

/// How long the upstream side of a request may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeouts {
    /// TCP connect to an instance. Default 3 s.
    #[serde(rename = "connect_ms", with = "crate::duration")]
    pub connect: Duration,
    /// From the end of the request body to the first byte of the response. Default 60 s.
    #[serde(rename = "first_byte_ms", with = "crate::duration")]
    pub first_byte: Duration,
    /// Between bytes of a body. Default 60 s.
    #[serde(rename = "idle_ms", with = "crate::duration")]
    pub idle: Duration,
    /// Idle time of an upgraded tunnel (WebSocket). Default 1 h.
    #[serde(rename = "tunnel_ms", with = "crate::duration")]
    pub tunnel: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            first_byte: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            tunnel: Duration::from_secs(3600),
        }
    }
}
