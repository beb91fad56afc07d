//! What is known of the gateways of other sites. Plain values.

use minato_config::{OrderRecord, ServiceName, SiteId};
use minato_control::Event;
use minato_health::LinkState;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// One gateway of another site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GatewayKey {
    pub(crate) site: SiteId,
    pub(crate) address: SocketAddr,
}

/// What was heard of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    /// It answers.
    Up(Arc<LinkState>),
    /// It has not for too long; why not the last time.
    Down(String),
}

/// How a link stands, for the health loop and for people.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sight {
    pub(crate) heard: Heard,
    /// From question to answer, the median of the last ones.
    pub(crate) delay: Option<Duration>,
    /// Of the last questions, the part without an answer in time; 0 to 1.
    pub(crate) loss: f64,
    /// Bytes in a second, as measured last.
    pub(crate) bandwidth: Option<u64>,
    /// Its wall clock minus ours, in milliseconds.
    pub(crate) clock_off_ms: i64,
}

/// For the health loop.
#[derive(Debug)]
pub(crate) enum LinkNews {
    /// The latest of one gateway, after every question.
    Sight(GatewayKey, Sight),
    /// It has been asked for the first time, and what it answered was told before.
    Tried(GatewayKey),
    /// Its address is not looked up to any more.
    Gone(GatewayKey),
    /// A site says which comes first for a service, without having been asked.
    Order(SiteId, ServiceName, OrderRecord),
    /// For the journal.
    Tell(Event),
}
