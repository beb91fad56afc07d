//! Makes what is agree with what should be. No clock, no sockets, no async.
//!
//! Input: [`World`] (intent and observation) and `now`. Output: a [`Plan`] for the leader, or [`NodeAction`]s for an agent.
//!
//! Invariants: equal inputs give equal plans; no plan takes the last ready instance of a service away while another
//! can be made ready first; every prefix of a plan is safe.
//! Not here: retries, timeouts, store keys (`control/store`), elections (`control/server`), processes (`control/agent`).

mod clock_text;
mod event;
mod node;
mod plan;
mod restart;
mod world;

pub use clock_text::clock_text;
pub use event::{Event, EventInstance, EventKind, Level};
pub use node::{NodeAction, NodeView, reconcile};
pub use plan::{Action, Object, Plan, Relied, Settled, Step, plan, settled, wanted};
pub use restart::{RestartDecision, Restarts};
pub use world::{InstanceKey, Stored, World};
