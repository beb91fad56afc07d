//! The way to peers' gateways, for this site's control: kept connections, one to each address.
//!
//! Not here: what is asked and what an answer means (`control`), the questions of the health loop (`caller`).

use super::call::Call;
use super::services::{ServicesAnswer, VERSION};
use crate::clock;
use minato_config::{GatewayAddress, PeerSettings, ServiceName, SiteId};
use minato_control_server::{
    Answering, PeerAnswer, PeerCall, PeerServices, Pulled, Pulling, States,
};
use minato_link::Identity;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::lookup_host;
use tokio::time::timeout;

/// How long one gateway of a peer may take to connect and answer.
const TRY: Duration = Duration::from_millis(1_500);
/// How long a peer's control may take: its checks ask other sites in their turn.
const CONTROL: Duration = Duration::from_secs(13);
/// How long names are believed.
const FRESH: Duration = Duration::from_secs(30);
/// Addresses of one site, over all its names.
const MOST: usize = 32;

/// See the module.
#[derive(Debug)]
pub(crate) struct Way {
    identity: Arc<Identity>,
    peers: BTreeMap<SiteId, Peer>,
}

#[derive(Debug)]
struct Peer {
    gateways: Vec<GatewayAddress>,
    found: Mutex<Option<(Instant, Vec<SocketAddr>)>>,
    /// Those that nobody uses at the moment.
    kept: Mutex<BTreeMap<SocketAddr, Call>>,
    /// Which address is tried next, after one failed.
    turn: AtomicUsize,
}

impl Way {
    pub(crate) fn new(identity: Arc<Identity>, peers: &BTreeMap<SiteId, PeerSettings>) -> Self {
        let peer = |it: &PeerSettings| Peer {
            gateways: it.gateways.clone(),
            found: Mutex::default(),
            kept: Mutex::default(),
            turn: AtomicUsize::new(0),
        };
        Self {
            identity,
            peers: peers
                .iter()
                .map(|(site, it)| (site.clone(), peer(it)))
                .collect(),
        }
    }

    fn peer(&self, site: &SiteId) -> Result<&Peer, String> {
        self.peers
            .get(site)
            .ok_or_else(|| format!("{site} is no peer of this site: [sites.{site}] in minato.toml"))
    }

    async fn open(&self, site: &SiteId, peer: &Peer, address: SocketAddr) -> Result<Call, String> {
        if let Some(call) = peer.kept().remove(&address) {
            return Ok(call);
        }
        Call::open(&self.identity, site, address).await
    }

    /// One gateway after another, each call another one once one has failed.
    async fn ask(
        &self,
        site: &SiteId,
        known: Option<&str>,
        missing: &[ServiceName],
    ) -> Result<Pulled, String> {
        let peer = self.peer(site)?;
        let asked = timeout(TRY, async {
            let address = peer.address().await?;
            let mut call = self.open(site, peer, address).await?;
            let answer = call.services(known, missing).await?;
            // One that was not read to its end is of no more use.
            if answer.is_ok() {
                peer.keep(address, call);
            }
            Ok::<_, String>(answer)
        });
        let asked = asked.await.unwrap_or_else(|_| Err(late(TRY)));
        let answer = asked.inspect_err(|_| peer.turn_on())?;
        let pulled = match answer {
            Ok(None) => Ok(Pulled::Same),
            Ok(Some(it)) if it.v == VERSION => decoded(it, missing).await,
            Ok(Some(it)) => Err(format!(
                "it answers in version {}, and this minato reads {VERSION}; bring both sites to the same version",
                it.v
            )),
            Err(why) => Err(why),
        };
        Ok(pulled.unwrap_or_else(|why| {
            // Another gateway of it may be able to.
            peer.turn_on();
            Pulled::Unable(why)
        }))
    }

    async fn ask_states(&self, site: &SiteId) -> States {
        let peer = self.peer(site)?;
        let asked = peer.addresses().await?.into_iter().map(|address| async move {
            let began = clock::now();
            let asked = timeout(TRY, async {
                let mut call = self.open(site, peer, address).await?;
                let asked = clock::now();
                let state = call.state().await?;
                peer.keep(address, call);
                Ok::<_, String>((state, clock::now().saturating_duration_since(asked)))
            });
            let answer = asked.await.unwrap_or_else(|_| Err(late(TRY)));
            tracing::trace!(%address, took = ?began.elapsed(), ok = answer.is_ok(), "a gateway was asked");
            answer.map_err(|why| format!("{address}: {why}"))
        });
        let answers = futures_util::future::join_all(asked).await;
        let (mut states, mut slowest, mut why) = (Vec::new(), Duration::ZERO, String::new());
        for it in answers {
            match it {
                Ok((state, took)) if state.site == *site => {
                    slowest = slowest.max(took);
                    states.push(state);
                }
                Ok((state, _)) => {
                    why = format!("who answers says that it is of site {}", state.site);
                }
                Err(it) => why = it,
            }
        }
        if states.is_empty() {
            return Err(why);
        }
        Ok((states, slowest))
    }

    async fn tell_all(&self, site: &SiteId, path: &str, body: Vec<u8>) -> Result<(), String> {
        let peer = self.peer(site)?;
        let body = &body;
        let told = peer
            .addresses()
            .await?
            .into_iter()
            .map(|address| async move {
                let told = timeout(TRY, async {
                    let mut call = self.open(site, peer, address).await?;
                    call.post(path, body.clone()).await?;
                    peer.keep(address, call);
                    Ok::<_, String>(())
                });
                let told = told.await.unwrap_or_else(|_| Err(late(TRY)));
                told.map_err(|why| format!("{address}: {why}"))
            });
        let told = futures_util::future::join_all(told).await;
        told.into_iter().collect()
    }

    async fn ask_control(&self, site: &SiteId, asked: &PeerCall) -> Result<PeerAnswer, String> {
        let peer = self.peer(site)?;
        let mut last = String::new();
        // A kept connection may have ended meanwhile: a new one, of another gateway, tells.
        for address in peer.addresses().await?.into_iter().cycle().take(2) {
            // One that was sent may have been heard, so only those that could not be sent are tried again.
            let mut call = match timeout(TRY, Call::open(&self.identity, site, address)).await {
                Ok(Ok(call)) => call,
                Ok(Err(why)) => {
                    last = format!("{address}: {why}");
                    continue;
                }
                Err(_) => {
                    last = format!("{address}: {}", late(TRY));
                    continue;
                }
            };
            let answer = call.control(asked.method.clone(), &asked.path, asked.body.clone());
            let answer = timeout(CONTROL, answer).await;
            let (status, body) = answer.unwrap_or_else(|_| Err(late(CONTROL)))?;
            return Ok(PeerAnswer {
                status,
                body: body.to_vec(),
            });
        }
        Err(last)
    }
}

/// Off the tasks that others wait for: each record is checked as a file is.
async fn decoded(answer: ServicesAnswer, missing: &[ServiceName]) -> Result<Pulled, String> {
    let decoding = tokio::task::spawn_blocking(move || answer.decode());
    let mut pulled = decoding.await.map_err(|it| it.to_string())??;
    if let Pulled::New { services, .. } = &mut pulled {
        services.asked = missing.iter().cloned().collect();
        let asked = &services.asked;
        services.elsewhere.retain(|it| asked.contains(it));
    }
    Ok(pulled)
}

fn late(limit: Duration) -> String {
    format!("no answer in {limit:?}")
}

impl Peer {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Call>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, address: SocketAddr, call: Call) {
        let mut kept = self.kept();
        if kept.len() < MOST {
            kept.insert(address, call);
        }
    }

    /// All addresses of all gateways, as they were found within the last half minute.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let known = {
            let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            found.clone()
        };
        if let Some((at, found)) = &known
            && at.elapsed() < FRESH
        {
            return Ok(found.clone());
        }
        let (mut found, mut why) = (Vec::new(), String::new());
        for gateway in &self.gateways {
            match timeout(TRY, lookup_host((gateway.host.as_str(), gateway.port))).await {
                Ok(Ok(all)) => found.extend(all),
                Ok(Err(error)) => why = format!("{gateway}: {error}"),
                Err(_) => why = format!("{gateway}: its name is not found in {TRY:?}"),
            }
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(MOST);
        if found.is_empty() {
            // A name server that is away takes no site away.
            return known.map(|it| it.1).ok_or(why);
        }
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((clock::now(), found.clone()));
        Ok(found)
    }

    /// The next time another one is asked.
    fn turn_on(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// The one whose turn it is.
    async fn address(&self) -> Result<SocketAddr, String> {
        let found = self.addresses().await?;
        let turn = self.turn.load(Ordering::Relaxed);
        let address = found.get(turn % found.len().max(1)).copied();
        address.ok_or_else(|| "it has no gateways".to_owned())
    }
}

impl PeerServices for Way {
    fn pull<'a>(
        &'a self,
        site: &'a SiteId,
        known: Option<&'a str>,
        missing: &'a [ServiceName],
    ) -> Pulling<'a> {
        Box::pin(self.ask(site, known, missing))
    }

    fn states<'a>(&'a self, site: &'a SiteId) -> Answering<'a, States> {
        Box::pin(self.ask_states(site))
    }

    fn tell<'a>(
        &'a self,
        site: &'a SiteId,
        path: &'a str,
        body: Vec<u8>,
    ) -> Answering<'a, Result<(), String>> {
        Box::pin(self.tell_all(site, path, body))
    }

    fn call<'a>(
        &'a self,
        site: &'a SiteId,
        call: &'a PeerCall,
    ) -> Answering<'a, Result<PeerAnswer, String>> {
        Box::pin(self.ask_control(site, call))
    }
}
