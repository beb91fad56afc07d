//! The node loop: fills the slots that are assigned to this machine, and keeps what runs in them alive.
//!
//! A thin shell around [`minato_control::Node`]: it feeds the store's changes, exits, probes and time in, and carries
//! the decisions out through a [`Runtime`]. Instances outlive this process; the next one adopts them.
//! Not here: what should run where (the leader), routing (`proxy`), what a verdict is (`health`).

mod adopt;
mod agent;
mod alive;
mod clock;
pub mod dependency;
mod error;
mod fetch;
mod figures;
mod load;
mod local;
mod log;
mod looks;
mod options;
mod port_file;
mod ports;
mod proc;
mod publish;
mod reach;
mod run;
pub mod runtime;
pub mod shim;
mod stray;
mod usage;

pub use error::AgentError;
pub use figures::Figures;
pub use log::{LogCursor, logs, logs_after};
pub use options::{AgentOptions, Stop};
pub use run::run;
