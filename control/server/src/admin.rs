//! The admin API: what this process says of the site, and the changes that operators make by hand.
//!
//! Loopback only, and on guard against pages in an operator's browser ([`guard`]). Everything here reads the store, the
//! journal and the [`View`], and writes intents; nothing here is on the way of a request.

mod answer;
mod caller;
mod change;
mod dependencies;
mod entrance;
mod events;
mod front;
mod guard;
mod logs;
mod metrics;
mod nodes;
mod operations;
mod overview;
mod page;
mod peer;
mod rebalance;
mod recovery;
mod release;
mod restored;
mod route_test;
mod routes;
mod scrape;
mod serve;
mod services;
mod settle;
mod sites;
mod state;
mod status;
mod switches;
mod upgrade;

pub use peer::answer_peer;
pub use serve::serve;

use crate::{Certificates, Copies, Journal, Peers, View};
use minato_config::{NodeId, SiteId, Timestamp};
use minato_config_files::Folder;
use minato_control::Event;
use minato_control_store::keys::Keys;
use minato_control_store::{Guard, SharedStore};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// What does not change while this process lives.
#[derive(Debug, Clone)]
pub struct About {
    /// Which site.
    pub site: SiteId,
    /// Which node.
    pub node: NodeId,
    /// minato's version.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// When this process began.
    pub since: Timestamp,
    /// Where the gateway listens.
    pub listeners: Vec<SocketAddr>,
    /// Where this API listens.
    pub admin: SocketAddr,
    /// The watched folder.
    pub folder: PathBuf,
    /// Where the store is: a folder, or `etcd` and its endpoints.
    pub store: String,
}

/// Everything that the admin API reads and writes.
pub struct Admin {
    /// Summary of settings.
    pub about: About,
    /// The store.
    pub store: SharedStore,
    /// What looks whether it was restored; in front of `store`. `None`: nobody does.
    pub guard: Option<Arc<Guard>>,
    /// Of which site.
    pub keys: Keys,
    /// The events of this node.
    pub journal: Arc<Journal>,
    /// Where changes by hand are told.
    pub events: mpsc::Sender<Event>,
    /// The watched folder as last read.
    pub folder: watch::Receiver<Arc<Folder>>,
    /// This process's gateway and agent.
    pub view: Arc<dyn View>,
    /// Other sites. `None`: there are none.
    pub peers: Option<Peers>,
    /// When certificates of this process end.
    pub certificates: Option<Arc<dyn Certificates>>,
    /// How long an old entrance must be quiet where nobody says otherwise.
    pub quiet: Duration,
    /// The commands that copy data of services that move here. `None`: this machine runs none.
    pub copies: Option<Copies>,
}
