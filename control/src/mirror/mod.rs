//! Services whose home is another site: what is kept of them here, and what they are here.
//!
//! Two pure steps. [`take`] holds a peer's answer against what is known and says what to write under `mirror/<home>/`. [`stand`]
//! makes of that what the service is at this site: with instances, or without until it is asked for. Planner, agents and gateways
//! then treat it as any other service.
//! Not here: asking peers (`control/server`), the order of sites (`orders/<service>`).

mod adopt;
mod record;
mod stand;
mod take;
#[cfg(test)]
mod tests;

pub use adopt::{AdoptStep, adopt};
pub use record::{MirrorRecord, SharedServices};
pub use stand::{COOL_DOWN, Reach, Stand, StandStep, UNREACHABLE, conflicts, stand};
pub use take::{MirrorStep, Taken, refuse, take};
