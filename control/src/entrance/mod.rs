//! Where traffic enters a site: what a gateway says of itself to those who point traffic at it.
//!
//! Invariant: what is said here is about one gateway and never about the instances behind it. A service without a
//! healthy instance is no reason to send its visitors, and everybody else's, to another site; the order of sites is.
//! Not here: sockets, files and name servers (`control/entrance`).

mod claim;
mod lead;
mod pulse;
mod standing;

pub use claim::{Change, Claim, Move, Seen, Update, Wish, decide};
pub use lead::{Heard, Lead, Led, Readings, Sight, lead};
pub use pulse::{LOOK, Pulse};
pub use standing::{ByHand, Door, Leaving, Standing};
