//! Makes what is agree with what should be. No clock, no sockets, no async.
//!
//! Input: [`World`] (intent and observation) and `now`. Output: a [`Plan`] for the leader, or [`NodeAction`]s for an agent.
//!
//! Invariants: equal inputs give equal plans; no plan takes the last ready instance of a service away while another
//! can be made ready first; every prefix of a plan is safe.
//! Not here: retries, timeouts, store keys (`control/store`), elections (`control/server`), processes (`control/agent`).

mod clock_text;
mod dependency;
pub mod entrance;
mod event;
pub mod hold;
mod meta;
pub mod mirror;
mod node;
mod node_address;
mod node_clock;
mod node_version;
pub mod operation;
mod order;
mod plan;
mod recovery;
pub mod relay;
mod restart;
mod rollout;
mod scale;
pub mod sync;
mod world;

pub use clock_text::clock_text;
pub use dependency::{Standing, Standings, Usable};
pub use event::{Event, EventInstance, EventKind, Level, Line};
pub use meta::{Confirmation, Doubt, FORMAT, Meta, StoreState};
pub use minato_config::OrderRecord;
pub use node::{
    ADOPTION_PATIENCE, Left, LeftState, Moment, Node, NodeAction, PlaceKey, Refusal, RunName,
    START_DEADLINE,
};
pub use node_address::out_of_reach;
pub use node_clock::Clocks;
pub use node_version::{VersionNews, Versions};
pub use operation::{Operation, OperationId};
pub use order::ReleaseRecord;
pub use plan::{
    Absence, AbsenceRecord, Absences, Action, Balancing, BalancingNext, Explanation, FAILED_PAUSE,
    Losses, NodeExplained, Object, Patience, Plan, REBALANCE_LIMIT, Rebalance, Relied, Room,
    STEPS_PER_SERVICE, Settled, SlotExplained, Step, explain, lacking_room, plan, plan_with,
    settled, up, wanted, would_move,
};
pub use recovery::{PROOF, RecoveryReport, recovery_reports};
pub use restart::{BUDGET, RestartDecision, Restarts, STEADY, WINDOW};
pub use rollout::{
    CRASHES, Failure, FailureKind, Freshness, Going, ImageReport, ImageState, News, Passed,
    RolloutRecord, RolloutStage, RolloutStanding, RolloutStep, Rollouts, Version, images_ahead,
    is_ahead, next_release, over, release, rollout_standing,
};
pub use scale::{
    Decision, LOOK_BACK, Measures, PERIOD, STALE, ScaleRecord, ScaleStep, Scaler, Scaling, Sight,
    State, TOLERANCE, WINDOW as SCALE_WINDOW,
};
pub use world::{InstanceKey, Stored, World};
