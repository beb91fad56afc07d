//! The client's side of a handshake: TLS towards instances, for traffic and for probes.

mod fault;
mod unverified;

pub use fault::ConnectError;

use crate::authorities::{self, AuthoritiesError};
use crate::clock;
use crate::provider::provider;
use crate::stream::TlsStream;
use crate::{Alpn, Protocol};
use minato_config::{UpstreamTls, Verify};
use rustls::ClientConfig;
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::pki_types::{DnsName, IpAddr, ServerName};
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};

/// Identities that are remembered; past that all are forgotten, which costs new files and full handshakes, nothing else.
const MOST_IDENTITIES: usize = 4_096;
/// Names whose sessions each identity remembers.
const MOST_SESSIONS: usize = 256;
/// How often a file of authorities is looked at for a change.
const LOOK: Duration = Duration::from_secs(10);

/// By what ALPN names: nothing, HTTP/1.1, HTTP/2.
const PLACES: usize = 3;

/// Length, inode and time of change of a file.
type Stamp = (u64, u64, i64, i64);

/// Connects to instances. One for each process ([`Connector::shared`]), since it remembers files and sessions.
#[derive(Debug, Default)]
pub struct Connector {
    identities: Mutex<HashMap<UpstreamTls, [Option<Identity>; PLACES]>>,
}

#[derive(Debug, Clone)]
struct Identity {
    config: Arc<ClientConfig>,
    stamp: Option<Stamp>,
    looked: Instant,
}

impl Connector {
    /// The one of this process.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Connector> = LazyLock::new(Connector::default);
        &SHARED
    }

    /// The handshake with the instance at `address`, over `io`. Waits for as long as the instance likes: the caller sets the
    /// deadline.
    pub async fn connect<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
        tls: &UpstreamTls,
        address: SocketAddr,
        protocol: Protocol,
    ) -> Result<TlsStream<UnbufferedClientConnection, IO>, ConnectError> {
        let stream = self.secured(io, tls, address, Some(protocol)).await?;
        let agreed = stream.session().alpn_protocol();
        if protocol == Protocol::Http2 && agreed != Some(Alpn::HTTP2) {
            return Err(ConnectError::NoHttp2);
        }
        Ok(stream)
    }

    /// As [`Connector::connect`] with a server that speaks no HTTP: ALPN names nothing.
    pub async fn secure<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
        tls: &UpstreamTls,
        address: SocketAddr,
    ) -> Result<TlsStream<UnbufferedClientConnection, IO>, ConnectError> {
        self.secured(io, tls, address, None).await
    }

    async fn secured<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
        tls: &UpstreamTls,
        address: SocketAddr,
        protocol: Option<Protocol>,
    ) -> Result<TlsStream<UnbufferedClientConnection, IO>, ConnectError> {
        let config = self.config(tls, protocol)?;
        let name = match &tls.sni {
            Some(sni) => {
                let name = DnsName::try_from(sni.clone());
                ServerName::DnsName(name.map_err(|_| ConnectError::NoName(sni.clone()))?)
            }
            None => ServerName::IpAddress(IpAddr::from(address.ip())),
        };
        Ok(shake_hands(io, config, name).await?)
    }

    /// What connections of one identity share. Reads files where they are new, or have changed.
    fn config(
        &self,
        tls: &UpstreamTls,
        protocol: Option<Protocol>,
    ) -> Result<Arc<ClientConfig>, AuthoritiesError> {
        let place = match protocol {
            None => 0,
            Some(Protocol::Http1) => 1,
            Some(Protocol::Http2) => 2,
        };
        let now = clock::now();
        let mut identities = self
            .identities
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = identities.get_mut(tls).and_then(|it| it[place].as_mut());
        let stamp = match known {
            Some(it) if now - it.looked < LOOK => return Ok(Arc::clone(&it.config)),
            Some(it) => {
                it.looked = now;
                let stamp = tls.ca.as_deref().and_then(stamp);
                if it.stamp == stamp {
                    return Ok(Arc::clone(&it.config));
                }
                stamp
            }
            None => tls.ca.as_deref().and_then(stamp),
        };
        let old = known_config(&identities, tls, place);
        let config = match (build(tls, protocol), old) {
            (Ok(config), _) => Arc::new(config),
            (Err(error), Some(old)) => {
                tracing::warn!(
                    "authorities of instances not replaced, the old ones go on: {error}"
                );
                return Ok(old);
            }
            (Err(error), None) => return Err(error),
        };
        if identities.len() >= MOST_IDENTITIES && !identities.contains_key(tls) {
            identities.clear();
        }
        let places = identities.entry(tls.clone()).or_default();
        places[place] = Some(Identity {
            config: Arc::clone(&config),
            stamp,
            looked: now,
        });
        Ok(config)
    }
}

/// The client's side of a handshake by `config` over `io`. Waits for as long as the peer likes: the caller sets the deadline.
///
/// # Errors
///
/// `UnexpectedEof`: the peer went away. `InvalidData`: the handshake failed; the cause is a [`rustls::Error`].
pub async fn shake_hands<IO: AsyncRead + AsyncWrite + Unpin>(
    io: IO,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> std::io::Result<TlsStream<UnbufferedClientConnection, IO>> {
    let session = UnbufferedClientConnection::new(config, name)
        .map_err(|it| std::io::Error::new(std::io::ErrorKind::InvalidData, it))?;
    let mut stream = TlsStream::new(session, io);
    stream.handshake(|| ()).await?;
    // The peer waits for the last word, whether or not anything is asked of it.
    poll_fn(|cx| stream.poll_flush(cx)).await?;
    Ok(stream)
}

fn known_config(
    identities: &HashMap<UpstreamTls, [Option<Identity>; PLACES]>,
    tls: &UpstreamTls,
    place: usize,
) -> Option<Arc<ClientConfig>> {
    let known = identities.get(tls)?[place].as_ref()?;
    Some(Arc::clone(&known.config))
}

fn stamp(file: &Path) -> Option<Stamp> {
    let it = std::fs::metadata(file).ok()?;
    Some((it.len(), it.ino(), it.mtime(), it.mtime_nsec()))
}

fn build(tls: &UpstreamTls, protocol: Option<Protocol>) -> Result<ClientConfig, AuthoritiesError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|it| AuthoritiesError::System {
            cause: it.to_string(),
        })?;
    let builder = match (tls.verify, &tls.ca) {
        (Verify::Off, _) => {
            tracing::warn!(sni = ?tls.sni, "certificates of instances are not checked (verify = false)");
            builder
                .dangerous()
                .with_custom_certificate_verifier(unverified::verifier(provider()))
        }
        (Verify::On, Some(file)) => builder.with_root_certificates(authorities::read(file)?.0),
        (Verify::On, None) => builder.with_root_certificates(authorities::system()?),
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = match protocol {
        None => Vec::new(),
        Some(Protocol::Http1) => vec![Alpn::HTTP1.to_vec()],
        Some(Protocol::Http2) => vec![Alpn::HTTP2.to_vec()],
    };
    config.resumption = Resumption::in_memory_sessions(MOST_SESSIONS);
    Ok(config)
}
