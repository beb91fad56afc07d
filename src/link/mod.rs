//! What gateways of different sites tell each other, and what this one knows of the others.
//!
//! Each gateway asks each gateway of each peer for its state, twice a second, over mutual TLS ([`caller`]), and answers the same
//! question ([`answers`]). What it hears is news for the health loop, which decides where requests may go.
//! Not here: visitors' requests over links (`proxy/server`), certificates (`proxy/link`), verdicts (`gateway`, `health`).

mod answers;
mod bandwidth;
mod call;
mod caller;
mod desk;
mod gather;
mod idle;
mod known;
mod services;
mod streams;
mod view;
mod way;

pub(crate) use desk::Desk;
pub(crate) use gather::{Gatherer, Gathering};
pub(crate) use known::{GatewayKey, Heard, LinkNews};
pub(crate) use services::Shelf;
pub(crate) use streams::{Outlet, StreamGate};
pub(crate) use view::LinkView;
pub(crate) use way::Way;

use crate::clock;
use crate::gateway::{Orders, Visits, Wants};
use answers::Answers;
use arc_swap::ArcSwap;
use caller::Caller;
use minato_config::{
    DependencyName, LinkFiles, NodeId, PeerSettings, Settings, SiteId, StreamOffer,
};
use minato_control::{Event, EventKind};
use minato_link::{Following, Identity, Moment, Source, system_clock};
use minato_proxy::Table;
use minato_proxy_server::{Archive, Link, LinkRefusal, LinkStream};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use streams::Offers;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Connections, refusals and news that may wait.
const QUEUE: usize = 256;
/// One address is told of once in this time.
const QUIET: Duration = Duration::from_secs(600);
/// How often it is looked at how this site's own certificates stand.
const LOOK: Duration = Duration::from_secs(5);
/// Addresses that are remembered as told of.
const MOST_TOLD: usize = 256;

/// Everything of this gateway's links but its listener.
pub(crate) struct Links {
    pub(crate) identity: Arc<Identity>,
    node: NodeId,
    peers: BTreeMap<SiteId, PeerSettings>,
    offers: BTreeMap<DependencyName, StreamOffer>,
    streams: mpsc::Receiver<LinkStream>,
    refusals: mpsc::Receiver<LinkRefusal>,
}

/// Who this machine is to other sites. Followed for as long as this lives.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) identity: Arc<Identity>,
    _following: Following,
}

/// What peers are told of, and what they are answered from.
pub(crate) struct Told {
    pub(crate) table: Arc<ArcSwap<Table>>,
    pub(crate) shelf: Shelf,
    pub(crate) links: LinkView,
    pub(crate) wants: Wants,
    pub(crate) orders: Orders,
    pub(crate) visits: Visits,
    pub(crate) desk: Desk,
    /// This gateway's access logs; `None` where it keeps none.
    pub(crate) archive: Option<Archive>,
    pub(crate) gathering: Gathering,
    /// Where programs of this machine find what other sites offer.
    pub(crate) outlets: Vec<Outlet>,
    pub(crate) gate: StreamGate,
}

impl Known {
    /// `None` where the settings have no identity for links.
    pub(crate) fn open(settings: &Settings, node: &NodeId) -> anyhow::Result<Option<Self>> {
        let Some(files) = &settings.link.identity else {
            return Ok(None);
        };
        let identity = Identity::open(
            source(files),
            node.clone(),
            settings.site.clone(),
            system_clock(),
        );
        let following = identity.follow()?;
        Ok(Some(Self {
            identity,
            _following: following,
        }))
    }
}

/// Where a site's identity stands, as the settings name it.
fn source(files: &LinkFiles) -> Source {
    match files {
        LinkFiles::Folder(folder) => Source::Folder(folder.clone()),
        LinkFiles::Given {
            authority,
            certificate,
            key,
        } => Source::Given {
            authority: authority.clone(),
            certificate: certificate.clone(),
            key: key.clone(),
        },
    }
}

/// Why links would not come up with what the settings name, for `minato check`: missing, over, of another site, or a key of another
/// certificate. `None` where all is well, or there are no links.
pub(crate) fn inspect(settings: &Settings, node: &NodeId) -> Option<String> {
    let source = source(settings.link.identity.as_ref()?);
    let Some(now) = Moment::now(&*system_clock()) else {
        return Some("this machine has no clock that can be read".to_owned());
    };
    let found = Identity::inspect(&source, node, &settings.site, now);
    found.err().map(|it| it.to_string())
}

impl Links {
    /// With what the engine needs of them.
    pub(crate) fn open(
        identity: &Arc<Identity>,
        settings: &Settings,
        node: &NodeId,
    ) -> (Self, Link) {
        let (streams, accepted) = mpsc::channel(QUEUE);
        let (refusals, refused) = mpsc::channel(QUEUE);
        let link = Link {
            identity: Arc::clone(identity),
            peers: settings.sites.keys().cloned().collect(),
            streams,
            refusals,
        };
        let this = Self {
            identity: Arc::clone(identity),
            node: node.clone(),
            peers: settings.sites.clone(),
            offers: settings.link.streams.clone(),
            streams: accepted,
            refusals: refused,
        };
        (this, link)
    }

    /// Asks and answers until `stop` says true. `told`: what peers are answered from; `news`: what is heard of them.
    pub(crate) async fn run(
        self,
        told: Told,
        news: mpsc::Sender<LinkNews>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut parts = JoinSet::new();
        for (site, peer) in self.peers {
            let caller = Caller {
                identity: Arc::clone(&self.identity),
                site,
                gateways: peer.gateways,
                news: news.clone(),
            };
            parts.spawn(caller.run());
        }
        let answers = Answers {
            site: self.identity.site().clone(),
            node: self.node,
            table: told.table,
            shelf: told.shelf,
            orders: told.orders,
            visits: told.visits,
            desk: told.desk,
            news: news.clone(),
            links: told.links,
            wants: told.wants,
            archive: told.archive,
        };
        parts.spawn(told.gathering.run(stop.clone()));
        for outlet in told.outlets {
            parts.spawn(outlet.run(Arc::clone(&self.identity), told.gate.clone(), stop.clone()));
        }
        let offers = Offers::new(self.identity.site(), &self.offers, told.gate);
        parts.spawn(answers.serve(self.streams, offers));
        parts.spawn(tell_trouble(self.identity, news.clone()));
        parts.spawn(tell_refusals(self.refusals, news));
        let _ = stop.wait_for(|it| *it).await;
        parts.shutdown().await;
    }
}

/// An event when something is wrong with this site's own certificates, or their end is near; and when that is over.
async fn tell_trouble(identity: Arc<Identity>, news: mpsc::Sender<LinkNews>) {
    let mut every = tokio::time::interval(LOOK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told: Option<String> = None;
    loop {
        every.tick().await;
        let trouble = identity.trouble();
        if trouble == told {
            continue;
        }
        let event = match &trouble {
            Some(text) => Event::warn(clock::wall(), EventKind::Link, text.clone())
                .hint("minato ca show FOLDER"),
            None => {
                let text = "this site's certificates for links are in order again".to_owned();
                Event::info(clock::wall(), EventKind::Link, text)
            }
        };
        told = trouble;
        if news.send(LinkNews::Tell(event)).await.is_err() {
            return;
        }
    }
}

/// One event for each address that is not let in, once in a while: who tries again and again must not fill the journal.
async fn tell_refusals(mut refusals: mpsc::Receiver<LinkRefusal>, news: mpsc::Sender<LinkNews>) {
    let mut told: BTreeMap<(IpAddr, String), Instant> = BTreeMap::new();
    while let Some(LinkRefusal { address, why }) = refusals.recv().await {
        let now = clock::now();
        told.retain(|_, at| now.saturating_duration_since(*at) < QUIET);
        let key = (address.ip(), gist(&why));
        if told.contains_key(&key) || told.len() >= MOST_TOLD {
            continue;
        }
        told.insert(key, now);
        let message = format!("a link from {} was refused: {why}", address.ip());
        let event = Event::warn(clock::wall(), EventKind::Link, message);
        let _ = news.send(LinkNews::Tell(event)).await;
    }
}

/// What of a reason is the same the next time: a wrong clock's has the time in it, and would be news each second.
fn gist(why: &str) -> String {
    why.chars().filter(|it| !it.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_tries_on_is_told_of_once_though_time_goes_on() {
        let (refusals, refused) = mpsc::channel(QUEUE);
        let (news, mut told) = mpsc::channel(QUEUE);
        for second in 10..60 {
            let address = ([192, 0, 2, 7], 50_000 + second).into();
            let why = format!("it ended, and this machine's clock says 2026-12-20 08:00:{second}");
            let refusal = LinkRefusal { address, why };
            refusals.send(refusal).await.expect("it is heard");
        }
        drop(refusals);
        tell_refusals(refused, news).await;
        assert!(told.recv().await.is_some());
        assert!(told.recv().await.is_none(), "told again");
    }
}
