//! Links between sites, where requests pass: the handshakes of both ends, and what may come over one.
//!
//! Visitors' requests of another site go straight into the engine. All else that ALPN can name is handed to the composition.
//! Not here: who is who (`minato_link`), what gateways tell each other (`src/link`), when a request goes to another site
//! (`minato_proxy`).

use crate::answer::Reason;
use crate::channel::Channel;
use crate::connection;
use crate::core::{Core, Open};
use crate::gateway::Phase;
use crate::metrics::Handshake;
use crate::peer::{Origin, Peer, Scheme};
use minato_config::{SiteId, UpstreamProtocol};
use minato_http1::{Kind, RequestHead};
use minato_link::{Identity, LinkProtocol, explain, peer_site};
use minato_proxy::ServiceEntry;
use minato_tls::{Acceptor, ServerStream, shake_hands};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How often a connection that others serve looks whether the gateway stops.
const LOOK: Duration = Duration::from_millis(500);
/// Links between sites that a request may go over.
pub(crate) const HOPS: u8 = 1;

/// This gateway's part in links.
#[derive(Debug)]
pub struct Link {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// Who is let in, at most 255 sites.
    pub peers: Vec<SiteId>,
    /// Where connections go that carry no visitors' requests. What is not taken at once is closed.
    pub streams: mpsc::Sender<LinkStream>,
    /// Where it is told who was not let in. Never awaited.
    pub refusals: mpsc::Sender<LinkRefusal>,
}

/// A connection of another site's gateway that carries no visitors' requests.
#[derive(Debug)]
pub struct LinkStream {
    /// Who called.
    pub site: SiteId,
    /// From where.
    pub address: SocketAddr,
    /// What is to be spoken: [`LinkProtocol::Control`] or [`LinkProtocol::Stream`].
    pub protocol: LinkProtocol,
    /// Its bytes.
    pub stream: ServerStream,
    /// Of a [`LinkProtocol::Stream`]: its socket belongs to the thread that accepted it, which does not end while this is kept.
    pub held: Option<oneshot::Sender<()>>,
}

/// Somebody who was not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRefusal {
    /// Where it called from.
    pub address: SocketAddr,
    /// In words for an event.
    pub why: String,
}

/// Shakes hands with a gateway of another site in a task of its own, then serves it or hands it on.
pub(crate) fn spawn(core: &Rc<Core>, open: Open, tcp: TcpStream, address: SocketAddr) {
    let core = Rc::clone(core);
    tokio::task::spawn_local(async move {
        let Some(link) = &core.gateway.link else {
            return;
        };
        // Without a certificate there is nothing to say; the identity has told why.
        let Some(config) = link.identity.server() else {
            return;
        };
        let limit = core.gateway.deadlines.handshake;
        let acceptor = Acceptor::with(config);
        let accepting = Box::pin(timeout(limit, acceptor.accept(tcp)));
        match accepting.await {
            Ok(Ok(accepted)) => {
                core.counts.handshake(Handshake::Full);
                if let Err(why) = enter(&core, link, open, accepted.stream, address) {
                    refuse(link, address, why);
                }
            }
            Ok(Err(error)) => {
                core.counts.handshake(Handshake::Refused);
                // Who only knocks is a scan, or a look whether the port is open.
                if error.kind() == ErrorKind::InvalidData {
                    refuse(link, address, told(error));
                }
            }
            Err(_) => core.counts.handshake(Handshake::TooSlow),
        }
    });
}

/// Why a handshake failed, in words for an event.
fn told(error: io::Error) -> String {
    match error.downcast::<rustls::Error>() {
        Ok(error) => explain(&error),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            "the connection was closed within the handshake".to_owned()
        }
        Err(error) => error.to_string(),
    }
}

fn refuse(link: &Link, address: SocketAddr, why: String) {
    tracing::debug!(%address, why, "link refused");
    let _ = link.refusals.try_send(LinkRefusal { address, why });
}

/// Lets in who has proved to be a gateway of a peer; else says why not.
fn enter(
    core: &Rc<Core>,
    link: &Link,
    open: Open,
    stream: ServerStream,
    address: SocketAddr,
) -> Result<(), String> {
    let site = peer_site(stream.peer_certificates()).map_err(|it| it.to_string())?;
    let place = link.peers.iter().position(|it| *it == site);
    let Some(place) = place.and_then(|it| u8::try_from(it).ok()) else {
        return Err(if site == *link.identity.site() {
            format!(
                "it says that it is of this site itself ({site}); check `site` in its settings and which certificate it has"
            )
        } else {
            format!(
                "it is of site {site}, which is no peer; add [sites.{site}] to minato.toml, if it is to be one"
            )
        });
    };
    let Some(protocol) = LinkProtocol::agreed(stream.alpn()) else {
        return Err("it named nothing that links speak (ALPN)".to_owned());
    };
    let from = Peer {
        address,
        scheme: Scheme::Https,
        origin: Origin::Site(place),
    };
    match protocol {
        LinkProtocol::Http1 => {
            connection::spawn(core, open, Channel::Tls(Box::new(stream)), from);
        }
        LinkProtocol::Http2 => {
            connection::spawn_http2(core, open, Channel::Tls(Box::new(stream)), from);
        }
        LinkProtocol::Control | LinkProtocol::Stream => {
            // Who only asks calls again, and would keep a process that another has replaced.
            let held = (protocol == LinkProtocol::Stream).then(|| hold(core, open));
            let _ = link.streams.try_send(LinkStream {
                held,
                site,
                address,
                protocol,
                stream,
            });
        }
    }
    Ok(())
}

/// Counts a connection that others serve as open until the answer is dropped, or the gateway stops.
fn hold(core: &Rc<Core>, open: Open) -> oneshot::Sender<()> {
    let (held, mut ended) = oneshot::channel::<()>();
    let core = Rc::clone(core);
    tokio::task::spawn_local(async move {
        while core.phase() != Phase::Stop && timeout(LOOK, &mut ended).await.is_err() {}
        drop(open);
    });
    held
}

/// Why a request of another site is not served; `None` for one of a visitor.
pub(crate) fn refusal(
    core: &Core,
    peer: Peer,
    request: &RequestHead,
    entry: &ServiceEntry,
) -> Option<Reason> {
    let Origin::Site(place) = peer.origin else {
        return None;
    };
    if !is_near(request.field(Kind::MinatoHops)) {
        return Some(Reason::Loop);
    }
    let link = core.gateway.link.as_ref()?;
    let own = link.identity.site();
    let shared = || {
        let sites = entry.service.sites.as_ref()?;
        sites.place(link.peers.get(usize::from(place))?)?;
        Some((sites, sites.place(own)?))
    };
    match shared() {
        None => Some(Reason::NotShared),
        // Its data went on to another site, and the site that asks has not heard of it.
        Some((sites, 1..)) if sites.sync.is_some() => Some(Reason::Moving),
        Some(_) => None,
    }
}

/// Whether it has gone over no more links than it may: this one is the first.
fn is_near(hops: Option<&[u8]>) -> bool {
    let said = |it: &[u8]| std::str::from_utf8(it).ok()?.parse::<u8>().ok();
    hops.map_or(Some(HOPS), said).is_some_and(|it| it <= HOPS)
}

/// The handshake with a gateway of `site`; an error is in words for an event.
pub(crate) async fn connect(
    core: &Core,
    tcp: TcpStream,
    site: &SiteId,
    protocol: UpstreamProtocol,
) -> Result<Channel, String> {
    let protocol = match protocol {
        UpstreamProtocol::Http1 => LinkProtocol::Http1,
        UpstreamProtocol::Http2 => LinkProtocol::Http2,
    };
    let link = core.gateway.link.as_ref();
    let call = link.and_then(|it| it.identity.call(site, &[protocol]));
    let Some(call) = call else {
        return Err("this gateway has no certificate for links; its log says why".to_owned());
    };
    let stream = shake_hands(tcp, call.config, call.name)
        .await
        .map_err(told)?;
    if LinkProtocol::agreed(stream.alpn()) != Some(protocol) {
        return Err("what answers is no link listener of minato (ALPN)".to_owned());
    }
    Ok(Channel::TlsUpstream(Box::new(stream)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_link_is_the_most() {
        for (said, expected) in [
            (None, true),
            (Some("1"), true),
            (Some("0"), true),
            (Some("2"), false),
            (Some("255"), false),
            (Some("256"), false),
            (Some("x"), false),
            (Some(""), false),
        ] {
            assert_eq!(is_near(said.map(str::as_bytes)), expected, "{said:?}");
        }
    }
}
