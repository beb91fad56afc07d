//! Serves requests: listeners, the HTTP/1.1 engine, the upstream half, our own answers, metrics and the access log.
//!
//! A thin shell around `minato_proxy`, which decides. HTTP/1.1 messages are read and written by pingora's sessions;
//! accepting, pooling, deadlines, retries and bodies are ours, and nothing outside `message` and the relays knows pingora's types.
//! Not here: what makes a table (the composition), probes (`health/probe`).
//!
//! Life of a request: [`listen`](Gateway::serve) > `connection` > `exchange` (admit, route, pick, retry) > `attempt` (one instance) > `relay`.

mod access_log;
mod answer;
mod attempt;
mod clock;
mod connection;
mod exchange;
mod gateway;
mod head;
mod metrics;
mod pool;
mod relay;
mod stream;

pub use answer::SorryPage;
pub use gateway::{AccessLog, Evidence, Gateway, GatewayOptions};
pub use metrics::{EndpointCounts, Metrics, TrafficCounts};
