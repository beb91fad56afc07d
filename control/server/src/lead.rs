//! The leader loop: elected, it follows the world, asks `control::plan` on every change and each second, and commits
//! one service per transaction under the fence of its own election.
//!
//! A conflict means that the world moved: plan again. An error of the store is told once, then tried again with
//! backoff. Deciding is `control`'s; what stands here only carries: terms of office in this file, one term in `leader`, each kind of work
//! in a file of its own.

mod alarms;
mod doors;
mod election;
mod hook;
mod leader;
mod mirroring;
mod moving;
mod nodes;
mod notes;
mod operations;
mod options;
mod peers;
mod reports;
mod rollouts;
mod saved;
mod scaling;
mod switching;
mod transaction;
mod turns;

pub use doors::{Door, Doors};
pub use election::LeaderRecord;
pub use hook::Hook;
pub use options::LeadOptions;
pub use peers::{Answering, PeerAnswer, PeerCall, PeerServices, Peers, Pulled, Pulling, States};
pub use switching::Certificates;

use crate::clock;
use crate::journal::emit;
use crate::stop::stopped;
use crate::trouble::Trouble;
use election::Candidate;
use leader::Leader;
use minato_control::{Event, EventKind};
use minato_control_store::SharedStore;
use tokio::sync::{mpsc, watch};

/// Runs for election, then commits plans, until `stop` is true; then gives the lead up.
pub async fn lead(
    options: LeadOptions,
    store: SharedStore,
    events: mpsc::Sender<Event>,
    mut stop: watch::Receiver<bool>,
) {
    let mut trouble = Trouble::new("control", events.clone());
    let mut candidate = Candidate::new(options.clone(), store.clone());
    loop {
        let elected = tokio::select! {
            elected = candidate.campaign() => elected,
            () = stopped(&mut stop) => break,
        };
        let term = match elected {
            Ok(term) => term,
            Err(error) => {
                let pause = trouble.failed(&error);
                tokio::select! {
                    () = tokio::time::sleep(pause) => continue,
                    () = stopped(&mut stop) => break,
                }
            }
        };
        trouble.recovered();
        let node = &options.node;
        say(&events, format!("{node} leads"));
        let mut leader = Leader::begin(&options, &store, &events, &mut trouble, &term);
        tokio::select! {
            why = leader.run() => {
                say(&events, format!("{node} no longer leads: {why}"));
                candidate.resign_quietly(&term).await;
            }
            () = stopped(&mut stop) => {
                candidate.resign(&term).await;
                break;
            }
        }
    }
}

fn say(events: &mpsc::Sender<Event>, message: String) {
    emit(
        events,
        Event::info(clock::wall(), EventKind::Leader, message),
    );
}
