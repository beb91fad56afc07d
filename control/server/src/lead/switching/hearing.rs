//! What is heard of the sites that serve now, while something of theirs is moved here.

use crate::lead::peers::{Peers, States};
use minato_config::SiteId;
use minato_control::operation::switch::Peer;
use minato_health::LinkState;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// From one question to a site to the next, while a switch is under way.
const EVERY: Duration = Duration::from_millis(150);
/// Without an answer for so long a site is not heard.
const SILENCE: Duration = Duration::from_secs(3);

/// What was heard of one site.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    states: Option<(Vec<LinkState>, Duration)>,
    /// Of the last answer, or of the begin of asking.
    at: Instant,
    why: String,
}

pub(super) type AllHeard = BTreeMap<SiteId, Heard>;

/// What a site that lies behind is known to be.
pub(super) enum Known<'a> {
    Heard(&'a [LinkState]),
    Silent,
    /// Nobody can say yet.
    Open,
}

impl Heard {
    pub(super) fn known(&self) -> Known<'_> {
        match &self.states {
            Some((states, _)) if self.at.elapsed() < SILENCE => Known::Heard(states),
            _ if self.at.elapsed() >= SILENCE => Known::Silent,
            _ => Known::Open,
        }
    }

    pub(super) fn peer(&self) -> Peer {
        let (states, delay) = match &self.states {
            Some((states, delay)) if self.at.elapsed() < SILENCE => (Ok(states.clone()), *delay),
            _ => (Err(self.why.clone()), Duration::ZERO),
        };
        Peer {
            states,
            delay,
            record: None,
        }
    }
}

/// Asks those that are wanted, all at once, again and again.
pub(super) async fn look(
    peers: Peers,
    mut wishes: watch::Receiver<BTreeSet<SiteId>>,
    told: watch::Sender<AllHeard>,
) {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let wanted = wishes.borrow_and_update().clone();
        let wanted: Vec<SiteId> = wanted.into_iter().collect();
        if wanted.is_empty() {
            told.send_modify(BTreeMap::clear);
            if wishes.changed().await.is_err() {
                return;
            }
            continue;
        }
        every.tick().await;
        let asked = wanted.iter().map(|site| peers.way.states(site));
        let states: Vec<States> = futures_util::future::join_all(asked).await;
        told.send_modify(|known| {
            known.retain(|site, _| wanted.contains(site));
            for (site, states) in wanted.iter().zip(states) {
                let heard = known.entry(site.clone()).or_insert_with(|| Heard {
                    states: None,
                    at: Instant::now(),
                    why: "it was not heard yet".to_owned(),
                });
                match states {
                    Ok(it) => (heard.states, heard.at) = (Some(it), Instant::now()),
                    Err(why) => heard.why = why,
                }
            }
        });
    }
}
