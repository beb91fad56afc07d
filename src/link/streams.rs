//! Named TCP streams over links (`minato-stream/1`): what this site offers by name to sites that it lists, and where programs of this machine
//! find what other sites offer. A database's replication or a copy of files goes between clouds so, without a VPN.
//!
//! One TLS connection for each stream. The caller sends a line with the name, and is answered `ok` or why not; then bytes go both ways until
//! both sides have ended theirs. Nothing is tried again: what was under way when a link broke is for the two programs to know.
//! Not here: who may call at all (`proxy/link`), which listeners survive an upgrade (`listeners`).

use minato_config::{DependencyName, GatewayAddress, SiteId, StreamOffer};
use minato_link::{Identity, LinkProtocol};
use minato_proxy_server::{LinkStream, watch_link};
use minato_tls::shake_hands;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Bytes of the line that a stream begins with, and of its answer.
const LINE: usize = 300;
/// Until the name is there, and until what it names has answered.
const NAME: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(5);
/// A way through one gateway of the other site, all in all.
const OPEN: Duration = Duration::from_secs(10);
/// Bytes in flight in one direction of one stream.
const BUFFER: usize = 64 << 10;
/// After one direction has ended the other may go on without a byte for this long.
const HALF: Duration = Duration::from_secs(3_600);
/// Streams that this machine's programs may have open to one listener.
const MOST: usize = 256;

/// Whether this process accepts streams, and how many it carries: at an upgrade the old one carries its own to their end.
#[derive(Debug, Clone)]
pub(crate) struct StreamGate(Arc<Gate>);

#[derive(Debug)]
struct Gate {
    accepts: watch::Sender<bool>,
    open: watch::Sender<usize>,
}

impl StreamGate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Gate {
            accepts: watch::Sender::new(false),
            open: watch::Sender::new(0),
        }))
    }

    /// Programs of this machine may open streams from now on.
    pub(crate) fn serve(&self) {
        self.0.accepts.send_replace(true);
    }

    /// No more: another process accepts them.
    pub(crate) fn hand_over(&self) {
        self.0.accepts.send_replace(false);
    }

    /// Waits until none is left, on either end of this process.
    pub(crate) async fn ended(&self) {
        let _ = self.0.open.subscribe().wait_for(|it| *it == 0).await;
    }

    fn enter(&self) -> Entered {
        self.0.open.send_modify(|it| *it += 1);
        Entered(Arc::clone(&self.0))
    }
}

/// One stream.
struct Entered(Arc<Gate>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.open.send_modify(|it| *it -= 1);
    }
}

/// What this site offers.
#[derive(Debug)]
pub(super) struct Offers {
    gate: StreamGate,
    site: SiteId,
    offers: BTreeMap<DependencyName, (StreamOffer, Arc<Semaphore>)>,
}

impl Offers {
    pub(super) fn new(
        site: &SiteId,
        offers: &BTreeMap<DependencyName, StreamOffer>,
        gate: StreamGate,
    ) -> Self {
        let offers = offers.iter().map(|(name, it)| {
            let places = Arc::new(Semaphore::new(usize::from(it.connections)));
            (name.clone(), (it.clone(), places))
        });
        Self {
            gate,
            site: site.clone(),
            offers: offers.collect(),
        }
    }

    /// Serves one stream until its end.
    pub(super) async fn serve(&self, mut called: LinkStream) {
        let peer = called.site.clone();
        let (_entered, _held) = (self.gate.enter(), called.held.take());
        let Ok(Ok(name)) = timeout(NAME, read_line(&mut called.stream)).await else {
            return;
        };
        let found = self.find(&name, &peer);
        let opened = match found {
            Ok((offer, place)) => match timeout(CONNECT, TcpStream::connect(offer.to)).await {
                Ok(Ok(tcp)) => Ok((tcp, place)),
                Ok(Err(error)) => Err(format!("{} does not answer: {error}", offer.to)),
                Err(_) => Err(format!("{} does not answer in {CONNECT:?}", offer.to)),
            },
            Err(why) => Err(why),
        };
        match opened {
            Ok((tcp, _place)) => {
                let _ = tcp.set_nodelay(true);
                if called.stream.write_all(b"ok\n").await.is_ok() {
                    let ended = pass(called.stream, tcp).await;
                    tracing::debug!(%peer, name, ?ended, "a stream of another site ended");
                }
            }
            Err(why) => {
                tracing::warn!(%peer, name, why, "a stream of another site was refused");
                let _ = called
                    .stream
                    .write_all(format!("no {why}\n").as_bytes())
                    .await;
                let _ = called.stream.shutdown().await;
            }
        }
    }

    /// What a name stands for, and a place in it. Who may not have it is told the same as where there is none.
    fn find(
        &self,
        name: &str,
        peer: &SiteId,
    ) -> Result<(&StreamOffer, tokio::sync::OwnedSemaphorePermit), String> {
        let known = DependencyName::parse(name).ok();
        let known = known.and_then(|it| self.offers.get(&it));
        let Some((offer, places)) = known.filter(|(it, _)| it.sites.contains(peer)) else {
            return Err(format!(
                "{} offers {peer} no stream of that name: [link.streams.NAME] with {peer} in its `sites` would",
                self.site
            ));
        };
        match Arc::clone(places).try_acquire_owned() {
            Ok(place) => Ok((offer, place)),
            Err(_) => Err(format!(
                "all {} connections of it are open",
                offer.connections
            )),
        }
    }
}

/// One listener of this machine, for what another site offers.
pub(crate) struct Outlet {
    pub(crate) site: SiteId,
    pub(crate) gateways: Vec<GatewayAddress>,
    pub(crate) name: DependencyName,
    pub(crate) listener: std::net::TcpListener,
}

impl Outlet {
    /// Accepts until `stop` says true; what is open then ends with this.
    pub(super) async fn run(
        self,
        identity: Arc<Identity>,
        gate: StreamGate,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut accepts = gate.0.accepts.subscribe();
        let listener = match TcpListener::from_std(self.listener) {
            Ok(it) => it,
            Err(error) => {
                tracing::error!(name = %self.name, %error, "a stream to another site is not accepted");
                return;
            }
        };
        let (places, mut open) = (Arc::new(Semaphore::new(MOST)), JoinSet::new());
        let way = Arc::new(Way {
            site: self.site,
            gateways: self.gateways,
            name: self.name,
        });
        loop {
            let is_serving = *accepts.borrow_and_update();
            let accepted = tokio::select! {
                _ = stop.wait_for(|it| *it) => return,
                Some(_) = open.join_next() => continue,
                changed = accepts.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                accepted = listener.accept(), if is_serving => accepted,
            };
            let Ok((tcp, _)) = accepted else {
                // Out of descriptors: those that wait can wait a little longer.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!(name = %way.name, "all {MOST} streams of it are open; one more was closed");
                continue;
            };
            let (way, identity) = (Arc::clone(&way), Arc::clone(&identity));
            let entered = gate.enter();
            open.spawn(async move {
                way.carry(&identity, tcp).await;
                drop((place, entered));
            });
        }
    }
}

/// To what another site offers.
#[derive(Debug)]
struct Way {
    site: SiteId,
    gateways: Vec<GatewayAddress>,
    name: DependencyName,
}

impl Way {
    async fn carry(&self, identity: &Identity, tcp: TcpStream) {
        let _ = tcp.set_nodelay(true);
        let mut troubles = Vec::new();
        for gateway in &self.gateways {
            let looking = lookup_host((gateway.host.as_str(), gateway.port));
            let found = match looking.await {
                Ok(found) => found,
                Err(error) => {
                    troubles.push(format!("{gateway}: {error}"));
                    continue;
                }
            };
            for address in found {
                let opened = timeout(OPEN, self.open(identity, address)).await;
                match opened.unwrap_or_else(|_| Err(format!("no answer in {OPEN:?}"))) {
                    Ok(link) => {
                        let ended = pass(link, tcp).await;
                        tracing::debug!(name = %self.name, site = %self.site, ?ended, "a stream to another site ended");
                        return;
                    }
                    Err(why) => troubles.push(format!("{address}: {why}")),
                }
            }
        }
        tracing::warn!(name = %self.name, site = %self.site, why = troubles.join("; "), "a stream to another site cannot be opened");
        // Reset, so that the program does not take it for an orderly end.
        let _ = tcp.set_zero_linger();
    }

    async fn open(
        &self,
        identity: &Identity,
        address: SocketAddr,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + use<>, String> {
        let call = identity.call(&self.site, &[LinkProtocol::Stream]);
        let call = call.ok_or("this gateway has no certificate for links; its log says why")?;
        let tcp = TcpStream::connect(address).await;
        let tcp = tcp.map_err(|it| it.to_string())?;
        let _ = tcp.set_nodelay(true);
        watch_link(&tcp).map_err(|it| it.to_string())?;
        let mut stream = shake_hands(tcp, call.config, call.name)
            .await
            .map_err(super::call::told)?;
        if LinkProtocol::agreed(stream.alpn()) != Some(LinkProtocol::Stream) {
            return Err("what answers is no link listener of minato (ALPN)".to_owned());
        }
        let words = async {
            stream
                .write_all(format!("{}\n", self.name).as_bytes())
                .await?;
            stream.flush().await?;
            read_line(&mut stream).await
        };
        let answer = words.await.map_err(|it| it.to_string())?;
        match answer.strip_prefix("no ") {
            None if answer == "ok" => Ok(stream),
            None => Err("it answers what is no stream's answer".to_owned()),
            Some(why) => Err(why.chars().filter(|it| !it.is_control()).collect()),
        }
    }
}

/// One octet at a time, so that nothing behind the line is taken.
async fn read_line(from: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut line = Vec::new();
    loop {
        match from.read_u8().await? {
            b'\n' => break,
            octet if line.len() < LINE => line.push(octet),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Bytes both ways until both have ended. Where one side breaks off the other is broken off too: an orderly end would say that all came.
async fn pass(link: impl AsyncRead + AsyncWrite + Unpin, tcp: TcpStream) -> io::Result<()> {
    let (mut from_link, mut to_link) = tokio::io::split(link);
    let (mut from_tcp, mut to_tcp) = tcp.into_split();
    let ended = {
        let up = one_way(&mut from_tcp, &mut to_link);
        let down = one_way(&mut from_link, &mut to_tcp);
        let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
        let half = || io::Error::new(io::ErrorKind::TimedOut, "one direction only, for an hour");
        tokio::select! {
            ended = &mut up => match ended {
                Ok(()) => timeout(HALF, down).await.unwrap_or_else(|_| Err(half())),
                Err(error) => Err(error),
            },
            ended = &mut down => match ended {
                Ok(()) => timeout(HALF, up).await.unwrap_or_else(|_| Err(half())),
                Err(error) => Err(error),
            },
        }
    };
    if ended.is_err()
        && let Ok(tcp) = from_tcp.reunite(to_tcp)
    {
        let _ = tcp.set_zero_linger();
    }
    ended
}

async fn one_way(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..count).filter(|it| !it.is_empty()) else {
            return to.shutdown().await;
        };
        to.write_all(bytes).await?;
        to.flush().await?;
    }
}
