//! Moving services to another site and back: one service's way from the site that serves it to the one that shall, step by step.
//!
//! [`advance`] is one look at a [`Switch`]: from the document, what is seen at both sites and the clock follow the next document and
//! orders. The document is written first, then orders are carried out; an order whose effect is not seen is given again at the
//! next look, so every order must do no harm when it is given twice. Whoever runs it may die at any moment.
//!
//! **Where it lives.** At the site that shall serve: that one is not going to be switched off, and without it nothing may move. The site
//! that serves now needs nothing of it: requests are held there for a bounded time only, after which they are served again.
//!
//! **The point of no return** is the order of sites with a higher epoch, written at the target in one commit with the document. Before
//! it a failure gives the service back to its old site; after it there is only forward, and the way back is another switch.
//!
//! One module each: one look at one service (`advance`), its document (`record`), many services of one operation (`run`), what is read of a
//! service from the store and from what the old site says (`seen`), what would keep it from coming true (`check`), making one (`begin`), the
//! return that was scheduled with it (`way_back`), what a move is told as (`moved`).
//! Not here: carrying orders out over the link, hooks and their processes, counting requests.

mod advance;
mod begin;
mod check;
mod moved;
mod record;
mod run;
mod seen;
mod way_back;

pub(crate) use advance::MARGIN;
pub use advance::{SwitchTurn, advance};
pub use begin::{AskedSwitch, MadeSwitch, begin_switch};
pub use check::{Accepted, Bearing, Check, Facts, Peer, Ready, checks, wanted_there};
pub use moved::moved;
pub use record::{
    Cause, Data, Entrance, Held, Need, Order, Phase, PhaseState, Sight, Source, Switch,
    SwitchState, Sync, Timing,
};
pub use run::{Ordered, Start, StepSeen, SwitchesSeen, SwitchesTurn, run, who_comes};
pub use seen::{asked_for, is_warmed, remaining, source, start, up_and_wanted};
pub use way_back::{Asking, BackSeen, BackTurn, return_of, way_back};

#[cfg(test)]
mod crash;
#[cfg(test)]
mod grown;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod watched;
