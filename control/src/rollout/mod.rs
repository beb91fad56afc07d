//! From one version of a service to the next without a gap: fetched first, started first, gated by health, and back by itself.
//!
//! Input: [`crate::World`], and since when instances are ready by the leader's own clock. Output: the documents
//! `rollouts/<service>`, from which the plan follows. A version is what serves ([`RolloutRecord::stable`]) only after all
//! of its instances were healthy for `update.healthy`; until then the one before comes back where an instance fails, ends
//! again and again, or is not healthy in `update.deadline`.
//!
//! One module each: the documents (`record`), what is asked for and what slots should therefore be (`asked`), one step of
//! one service (`turn`; waiting for its image: `fetching`; images that may be wanted: `ahead`; which instances are well: `proof`), all services (`rollouts`), what to say of it (`standing`).
//! Not here: which slot is placed or removed (`plan`), fetching (`control/agent`), writing (`control/server`).

mod ahead;
mod asked;
mod fetching;
mod proof;
mod record;
mod rollouts;
mod standing;
mod turn;

pub(crate) use ahead::{image, number};
pub use ahead::{images_ahead, is_ahead};
pub(crate) use asked::{Mark, command_of, course};
pub use asked::{next_release, over, release};
pub use record::{
    Failure, FailureKind, Freshness, Going, ImageReport, ImageState, Passed, RolloutRecord,
    RolloutStage, Version,
};
pub use rollouts::{RolloutStep, Rollouts};
pub use standing::{Standing as RolloutStanding, standing as rollout_standing};
pub use turn::{CRASHES, News};
