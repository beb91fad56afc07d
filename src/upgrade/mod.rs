//! Another binary takes over from this one without a lost request.
//!
//! The order, and who does what:
//!
//! 1. The old process starts the new one and offers it every listening descriptor over a socket ([`successor`]).
//! 2. The new one reads the settings and the services, binds what is new, and says `ready` ([`inheritance`]). Whatever goes
//!    wrong until then, the old one has lost nothing.
//! 3. The old one lets go of agent, control, admin API and store, saves its table and verdicts, and says `released`. It goes
//!    on accepting.
//! 4. The new one takes all that up, brings its table in line with the store, accepts, and says `running`. Should it fail
//!    in between, the old one takes everything back.
//! 5. The old one stops accepting. Its connections live on to their own ends, and its table follows what the new one
//!    saves; then it exits.
//!
//! Both accept from the same sockets for a moment, so there is none in which nobody does; and no process serves new
//! requests from a table that is older than the store. Not here: the parts themselves (`duties`, `serving`).

mod channel;
mod draining;
mod inheritance;
pub(crate) mod launch;
mod message;
mod program;
mod progress;
mod successor;
mod words;

pub(crate) use draining::Draining;
pub(crate) use inheritance::{Handover, Inheritance};
pub(crate) use program::own as own_program;
pub(crate) use progress::{Progress, Wanted};
pub(crate) use successor::{Estate, Inheritor, Successor};
