//! Where traffic enters a site: tells routing daemons and DNS checks what this gateway says of itself, and moves names at
//! name servers, or whatever a command or a webhook moves.
//!
//! A shell around `minato_control::entrance`, which decides. It needs neither the store nor a leader: a gateway that lost
//! both serves on, and says so. Not here: which site should serve (`control`), the admin API that changes the word
//! (`control/server`), when a process stops (the composition).

mod answer;
mod clock;
mod dns;
mod gate;
mod hook;
mod names;
mod serve;

pub use gate::{Gate, GateError};
pub use names::{NameState, NameView, Names, Published};
pub use serve::{Answering, PATHS};
