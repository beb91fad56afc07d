//! Fetches access logs of other sites, so that they are here when the site that wrote them is not: when visitors come back, and when a
//! person asks.
//!
//! Each gateway of a site has its own log, so each is asked. What is here already is counted in bytes of each segment and never asked for
//! again; a segment only grows, so whatever ends in between, on either side, no line is lost and none is there twice.
//! Not here: files (`proxy/server`), what is answered (`answers`).

use super::call::Call;
use minato_config::{GatewayAddress, PeerSettings, ServiceName, SiteId};
use minato_control_server::api::{GatherStatus, GatheredGateway};
use minato_link::Identity;
use minato_proxy_server::{Archive, Missing, Segment};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// Wishes that may wait.
const WAITING: usize = 16;
/// Addresses of one site, over all its names.
const MOST_ADDRESSES: usize = 32;
/// Bytes of one answer with a part of a segment.
pub(super) const CHUNK: usize = 1 << 20;
/// To connect and shake hands, and for a list; a part of a segment at 40 kB/s.
const LIST: Duration = Duration::from_secs(5);
const PART: Duration = Duration::from_secs(30);

/// The answer to `GET /v1/access/{service}` over a link.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Listing {
    pub(super) v: u32,
    /// Whose log it is, among the gateways of that site.
    pub(super) gateway: String,
    pub(super) segments: Vec<Listed>,
}

/// One segment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) length: u64,
}

/// The end that wishes. Cloned by whoever does.
#[derive(Debug, Clone)]
pub(crate) struct Gatherer {
    wishes: mpsc::Sender<Wish>,
    sites: Arc<BTreeSet<SiteId>>,
}

#[derive(Debug)]
struct Wish {
    service: ServiceName,
    site: SiteId,
    told: Option<oneshot::Sender<GatherStatus>>,
}

impl Gatherer {
    /// Soon; nobody waits for it. Where many wish at once some are left out: the next wish fetches what is missing.
    pub(crate) fn wish(&self, service: &ServiceName, site: &SiteId) {
        self.send(service, site, None);
    }

    /// What came of it, once it is done; `None` where `site` is no peer.
    pub(crate) fn ask(
        &self,
        service: &ServiceName,
        site: &SiteId,
    ) -> Option<oneshot::Receiver<GatherStatus>> {
        let (told, answer) = oneshot::channel();
        self.sites.contains(site).then(|| {
            self.send(service, site, Some(told));
            answer
        })
    }

    fn send(
        &self,
        service: &ServiceName,
        site: &SiteId,
        told: Option<oneshot::Sender<GatherStatus>>,
    ) {
        let wish = Wish {
            service: service.clone(),
            site: site.clone(),
            told,
        };
        if self.wishes.try_send(wish).is_err() {
            tracing::warn!(%service, %site, "too many access logs are being fetched; ask again");
        }
    }
}

/// The end that fetches: one log at a time, since they share the links with visitors.
pub(crate) struct Gathering {
    identity: Arc<Identity>,
    peers: BTreeMap<SiteId, PeerSettings>,
    archive: Archive,
    /// Bytes of all that is fetched, over all sites.
    most: u64,
    wishes: mpsc::Receiver<Wish>,
}

impl Gathering {
    /// Both ends.
    pub(crate) fn new(
        identity: &Arc<Identity>,
        peers: &BTreeMap<SiteId, PeerSettings>,
        archive: Archive,
        most: u64,
    ) -> (Gatherer, Self) {
        let (sender, wishes) = mpsc::channel(WAITING);
        let gatherer = Gatherer {
            wishes: sender,
            sites: Arc::new(peers.keys().cloned().collect()),
        };
        let this = Self {
            identity: Arc::clone(identity),
            peers: peers.clone(),
            archive,
            most,
            wishes,
        };
        (gatherer, this)
    }

    /// Until `stop` says true; a part that is under way then is fetched by the next process.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let wish = tokio::select! {
                _ = stop.wait_for(|it| *it) => return,
                wish = self.wishes.recv() => wish,
            };
            let Some(wish) = wish else { return };
            let status = tokio::select! {
                _ = stop.wait_for(|it| *it) => return,
                status = self.gather(&wish.service, &wish.site) => status,
            };
            if !status.is_complete() {
                tracing::warn!(service = %wish.service, site = %wish.site, detail = status.detail, "access logs are not fetched in full");
            }
            if let Some(told) = wish.told {
                let _ = told.send(status);
            }
        }
    }

    async fn gather(&self, service: &ServiceName, site: &SiteId) -> GatherStatus {
        let mut status = GatherStatus {
            site: site.to_string(),
            at_ms: crate::clock::wall().0,
            ..GatherStatus::default()
        };
        let Some(peer) = self.peers.get(site) else {
            status.detail = format!("{site} is no peer of this site");
            return status;
        };
        let (addresses, mut troubles) = addresses(&peer.gateways).await;
        let mut known = BTreeSet::new();
        for address in addresses {
            match self.fetch_one(service, site, address, &mut known).await {
                Ok(Some(it)) => status.gateways.push(it),
                // The same gateway by another of its addresses.
                Ok(None) => {}
                Err(why) => troubles.push(format!("{address}: {why}")),
            }
        }
        let archive = self.archive.clone();
        let most = self.most;
        let room = tokio::task::spawn_blocking(move || archive.make_room_of_others(most));
        if let Ok(Err(error)) = room.await {
            troubles.push(format!(
                "no room can be made for fetched access logs: {error}"
            ));
        }
        let short = status.gateways.iter().filter(|it| it.bytes < it.of);
        troubles.extend(short.map(|it| format!("{}: {}", it.gateway, it.detail)));
        status.detail = troubles.join("; ");
        status
    }

    /// `None` for a gateway that is in `known`.
    async fn fetch_one(
        &self,
        service: &ServiceName,
        site: &SiteId,
        address: SocketAddr,
        known: &mut BTreeSet<String>,
    ) -> Result<Option<GatheredGateway>, String> {
        let late = |_| format!("no answer in {LIST:?}");
        let opening = Call::open(&self.identity, site, address);
        let mut call = timeout(LIST, opening).await.map_err(late)??;
        let listing = timeout(LIST, call.access(service)).await.map_err(late)??;
        if !known.insert(listing.gateway.clone()) {
            return Ok(None);
        }
        let from = (site.clone(), listing.gateway.clone());
        let listed: Vec<Segment> = listing
            .segments
            .into_iter()
            .map(|it| Segment {
                name: it.name,
                length: it.length,
            })
            .collect();
        let of: u64 = listed.iter().map(|it| it.length).sum();
        let (archive, whose, name) = (self.archive.clone(), from.clone(), service.clone());
        let missing = blocking(move || archive.missing(&whose, &name, &listed)).await?;
        let mut left: u64 = missing.iter().map(|it| it.to - it.from).sum();
        let mut gathered = GatheredGateway {
            gateway: listing.gateway,
            bytes: of - left,
            of,
            detail: String::new(),
        };
        for it in missing {
            let (got, why) = self.segment(&mut call, &from, service, &it).await;
            left -= got;
            if let Some(why) = why {
                gathered.detail = why;
                break;
            }
        }
        gathered.bytes = of - left;
        Ok(Some(gathered))
    }

    /// Bytes that were fetched, and why not all.
    async fn segment(
        &self,
        call: &mut Call,
        from: &(SiteId, String),
        service: &ServiceName,
        missing: &Missing,
    ) -> (u64, Option<String>) {
        let mut at = missing.from;
        while at < missing.to {
            let asking = call.access_part(service, &missing.name, at);
            let bytes = match timeout(PART, asking).await {
                Ok(Ok(bytes)) => bytes,
                Ok(Err(why)) => return (at - missing.from, Some(why)),
                Err(_) => {
                    let why = format!("no answer in {PART:?}");
                    return (at - missing.from, Some(why));
                }
            };
            if bytes.is_empty() {
                let why = format!("segment {} is shorter than it was listed", missing.name);
                return (at - missing.from, Some(why));
            }
            // What was written since it was listed comes with the next wish, so that figures agree.
            let wanted = usize::try_from(missing.to - at).unwrap_or(usize::MAX);
            let bytes = bytes.slice(..bytes.len().min(wanted));
            let length = bytes.len() as u64;
            let (archive, whose, name) = (self.archive.clone(), from.clone(), service.clone());
            let segment = missing.name.clone();
            let writing = move || archive.fetch(&whose, &name, &segment, at, &bytes);
            if let Err(why) = blocking(writing).await {
                return (at - missing.from, Some(why));
            }
            at += length;
        }
        (at - missing.from, None)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| format!("fetched access logs cannot be kept: {error}")),
        Err(error) => Err(format!("fetched access logs are not kept: {error}")),
    }
}

/// All addresses of all gateways, and names that are not found.
async fn addresses(gateways: &[GatewayAddress]) -> (Vec<SocketAddr>, Vec<String>) {
    let (mut found, mut troubles) = (BTreeSet::new(), Vec::new());
    for gateway in gateways {
        let looking = lookup_host((gateway.host.as_str(), gateway.port));
        match timeout(LIST, looking).await {
            Ok(Ok(addresses)) => found.extend(addresses),
            Ok(Err(error)) => troubles.push(format!("{gateway}: {error}")),
            Err(_) => troubles.push(format!("{gateway}: its name is not found in {LIST:?}")),
        }
    }
    (found.into_iter().take(MOST_ADDRESSES).collect(), troubles)
}
