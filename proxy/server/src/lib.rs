//! Serves requests: listeners, the HTTP/1.1 engine, the upstream half, our own answers, metrics and the access log.
//!
//! A thin shell around `minato_proxy`, which decides, and `minato_http1`, which reads and writes messages. One thread and
//! one runtime for each core; a connection stays on its core, and nothing on its way is locked.
//! Not here: what makes a table (the composition), probes (`health/probe`).
//!
//! Life of a request: `accept` > `connection` (rest, read the head) > `exchange` (route, admit) > `retry` (pick) >
//! `attempt` (one instance) > `relay` or `tunnel` (bodies, as `flow`s between `channel`s) > `record`.

mod accept;
mod access_log;
mod answer;
mod attempt;
mod buffer;
mod channel;
mod clock;
mod connection;
mod core;
mod deadline;
mod dial;
mod exchange;
mod flow;
mod gateway;
mod http2;
mod link;
mod listener;
#[cfg(any(test, feature = "fuzzing"))]
mod memory;
mod metrics;
mod note;
mod peer;
mod place;
mod pool;
mod record;
#[cfg(any(test, feature = "fuzzing"))]
mod rehearsal;
mod relay;
mod retry;
mod splice;
mod ticker;
mod tls;
mod tunnel;
mod worker;

pub use access_log::{Archive, KeptLog, Missing, Segment};
pub use answer::SorryPage;
pub use deadline::Deadlines;
pub use gateway::{AccessLog, Evidence, Gateway, GatewayOptions, Phase};
pub use link::{Link, LinkRefusal, LinkStream};
pub use listener::{Listener, listen, watch_link};
pub use metrics::{EndpointCounts, Metrics, TrafficCounts};
#[cfg(any(test, feature = "fuzzing"))]
pub use rehearsal::{Reached, relay};
pub use tls::Redirect;
