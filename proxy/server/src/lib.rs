//! Serves requests: listeners, the HTTP/1.1 engine, the upstream half, our own answers, metrics and the access log.
//!
//! A thin shell around `minato_proxy`, which decides. HTTP/1.1 messages are parsed and framed by pingora's sessions;
//! accepting, checking heads as they came, pooling, deadlines, retries and the moving of bodies are ours.
//! Not here: what makes a table (the composition), probes (`health/probe`).
//!
//! Life of a request: `accept` > `connection` (read and check the head) > `exchange` (route, admit) > `retry` (pick) >
//! `attempt` (one instance) > `relay` or `tunnel` > `record`.

mod accept;
mod access_log;
mod answer;
mod attempt;
mod chunk;
mod clock;
mod connection;
mod deadline;
mod exchange;
mod gateway;
mod head;
mod idle;
mod metrics;
mod pool;
mod record;
mod relay;
mod retry;
mod stream;
mod tunnel;

pub use answer::SorryPage;
pub use deadline::Deadlines;
pub use gateway::{AccessLog, Evidence, Gateway, GatewayOptions};
pub use metrics::{EndpointCounts, Metrics, TrafficCounts};
