//! The leader loop, the folder as a source of services, the event journal, the admin API and its page.
//!
//! A shell: it reads clocks, sockets and the store, and leaves every decision to pure code (`control`, and the small
//! pure parts here: what a folder claims, who may call, what a page shows).
//! Not here: what should run where (`control`), the store itself (`control/store`), reading files (`config/files`),
//! serving requests (`proxy/server`), processes (`control/agent`).

mod admin;
pub mod api;
mod claim;
mod clock;
mod copies;
mod follow;
mod holds;
mod journal;
mod lead;
mod stop;
mod trouble;
mod view;

pub use admin::{About, Admin, answer_peer, serve};
pub use claim::{ClaimOptions, claim_folder};
pub use copies::{Copies, Copy};
pub use holds::{
    Everywhere, HoldAnswer, HoldAsk, HoldFailure, HoldWord, PeerHolds, carry_out_hold,
};
pub use journal::{EventCounts, Journal, JournalOptions};
pub use lead::{
    Answering, Certificates, Door, Doors, Hook, LeadOptions, LeaderRecord, PeerAnswer, PeerCall,
    PeerServices, Peers, Pulled, Pulling, States, lead,
};
pub use view::{EndpointView, ServiceTraffic, View};

/// A document as it is stored.
fn document<T: serde::Serialize>(it: &T) -> Result<Vec<u8>, minato_control_store::StoreError> {
    serde_json::to_vec(it).map_err(|error| minato_control_store::StoreError::Invalid {
        detail: error.to_string(),
    })
}
