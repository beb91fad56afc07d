//! TLS where requests pass: handshakes with clients and with instances, and the way from plain HTTP to it.
//!
//! Not here: certificates, sessions, records (`minato_tls`).

use crate::channel::Channel;
use crate::connection;
use crate::core::{Core, Open};
use crate::link;
use crate::metrics::Handshake;
use crate::peer::{Origin, Peer, Scheme};
use minato_config::{Service, UpstreamTls};
use minato_http1::RequestHead;
use minato_proxy::Endpoint;
use minato_tls::{Acceptor, Certificates, Connector, Protocol};
use rustc_hash::FxHasher;
use std::hash::{Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What certificate authorities fetch in the clear to check who owns a name.
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Where plain requests are sent that could come encrypted.
#[derive(Debug)]
pub struct Redirect {
    /// Hosts that can be reached encrypted.
    pub certificates: Arc<Certificates>,
    /// Where the TLS listener is reached.
    pub port: u16,
}

impl Redirect {
    /// Where this request goes; `None` where its host has no certificate.
    pub(crate) fn location(&self, request: &RequestHead) -> Option<String> {
        let (host, path) = (request.host(), request.path());
        let stays = host.is_empty() || path == "*" || path.starts_with(CHALLENGES);
        if stays || !self.certificates.covers(host) {
            return None;
        }
        let query = request.query();
        Some(match self.port {
            443 => format!("https://{host}{path}{query}"),
            port => format!("https://{host}:{port}{path}{query}"),
        })
    }
}

/// Shakes hands with a client in a task of its own, then serves it.
pub(crate) fn spawn(
    core: &Rc<Core>,
    open: Open,
    acceptor: Acceptor,
    tcp: TcpStream,
    peer: SocketAddr,
) {
    let core = Rc::clone(core);
    tokio::task::spawn_local(async move {
        let limit = core.gateway.deadlines.handshake;
        // Boxed: it is gone when the connection begins.
        let accepting = Box::pin(timeout(limit, acceptor.accept(tcp)));
        let accepted = match accepting.await {
            Ok(Ok(accepted)) => accepted,
            Ok(Err(error)) => {
                core.counts.handshake(Handshake::Refused);
                tracing::debug!(%error, client = %peer, "TLS handshake refused");
                return;
            }
            Err(_) => {
                core.counts.handshake(Handshake::TooSlow);
                return;
            }
        };
        core.counts.handshake(if accepted.is_resumed {
            Handshake::Resumed
        } else {
            Handshake::Full
        });
        let peer = Peer {
            address: peer,
            scheme: Scheme::Https,
            origin: Origin::Visitor,
        };
        let channel = Channel::Tls(Box::new(accepted.stream));
        match accepted.protocol {
            Protocol::Http1 => connection::spawn(&core, open, channel, peer),
            Protocol::Http2 => connection::spawn_http2(&core, open, channel, peer),
        }
    });
}

/// Shakes hands with what stands at `endpoint`: an instance, where its service says so; a gateway of another site always. Waits
/// for as long as it likes.
pub(crate) async fn connect(
    core: &Core,
    tcp: TcpStream,
    service: &Service,
    endpoint: &Endpoint,
) -> Result<Channel, String> {
    let address = endpoint.address();
    if let Some(site) = endpoint.site() {
        return link::connect(core, tcp, site, service.upstream.protocol).await;
    }
    let Some(tls) = &service.upstream.tls else {
        return Ok(Channel::Tcp(tcp));
    };
    let protocol = Protocol::from(service.upstream.protocol);
    let connecting = Connector::shared().connect(tcp, tls, address, protocol);
    let stream = connecting.await.map_err(|it| it.to_string())?;
    Ok(Channel::TlsUpstream(Box::new(stream)))
}

/// A number for how an endpoint of a service is spoken to, so that connections of another identity are not used again.
pub(crate) fn identity(service: &Service, endpoint: &Endpoint) -> u64 {
    if endpoint.site().is_some() {
        // There is one way to speak to other sites.
        return 1;
    }
    let Some(tls): Option<&UpstreamTls> = service.upstream.tls.as_ref() else {
        return 0;
    };
    let mut hasher = FxHasher::default();
    tls.hash(&mut hasher);
    hasher.finish() | 1
}
