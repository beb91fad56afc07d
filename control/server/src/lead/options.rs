//! Who leads, and how patiently: what a leader is told when its process begins.

use super::{Certificates, Doors, Hook, Peers};
use crate::Copies;
use minato_config::{NodeId, SiteId};
use minato_control::{PERIOD, Patience, SCALE_WINDOW};
use minato_control_store::keys::Keys;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Who leads, and how patiently.
#[derive(Debug, Clone)]
pub struct LeadOptions {
    /// Of which site.
    pub keys: Keys,
    /// This process's node.
    pub node: NodeId,
    /// Life of the leader key without keep-alive. Default 15 s.
    pub lease: Duration,
    /// How often the lease is kept alive. Default 5 s.
    pub keep_alive: Duration,
    /// How often the plan is made anew without a change. Default 1 s.
    pub tick: Duration,
    /// How long after an election nothing that is missing is an alarm. Default 3 s.
    pub settle: Duration,
    /// How often it is decided how many instances a load asks for. Default 15 s.
    pub scale_period: Duration,
    /// For how long fewer must be asked for. Default 300 s.
    pub scale_window: Duration,
    /// When nodes that are gone are given up.
    pub patience: Patience,
    /// What adds nodes where there is no room. Default: nothing.
    pub hook: Option<Hook>,
    /// Which site, as the hook is told and decisions are saved.
    pub site: SiteId,
    /// Folder for what plans that take something away were made from. Default: they are not saved.
    pub decisions: Option<PathBuf>,
    /// Other sites, whose services are mirrored, and moved here. Default: none.
    pub peers: Option<Peers>,
    /// The names that lead visitors here. Default: none.
    pub doors: Option<Arc<dyn Doors>>,
    /// When certificates of this process end. Default: none is known.
    pub certificates: Option<Arc<dyn Certificates>>,
    /// The commands that copy data of services that move here. Default: none.
    pub copies: Option<Copies>,
}

impl LeadOptions {
    /// Default times.
    pub fn new(keys: Keys, node: NodeId) -> Self {
        Self {
            keys,
            node,
            lease: Duration::from_secs(15),
            keep_alive: Duration::from_secs(5),
            tick: Duration::from_secs(1),
            settle: Duration::from_secs(3),
            scale_period: PERIOD,
            scale_window: SCALE_WINDOW,
            patience: Patience::default(),
            hook: None,
            site: SiteId::local(),
            decisions: None,
            peers: None,
            doors: None,
            certificates: None,
            copies: None,
        }
    }
}
