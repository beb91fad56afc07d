//! The server's side of a handshake.
//!
//! Not here: deadlines and limits on connections, which the caller has.

use crate::authorities::{self, AuthoritiesError};
use crate::certificates::{Certificates, subject, take_asked};
use crate::provider::provider;
use crate::stream::TlsStream;
use crate::tickets::{TicketKeys, Tickets};
use crate::{Alpn, Protocol};
use aws_lc_rs::digest::{SHA256, digest};
use minato_config::ClientAuth;
use rustls::server::{ServerSessionMemoryCache, UnbufferedServerConnection, WebPkiClientVerifier};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Sessions of TLS 1.2 clients without tickets that are remembered for each listener.
const MOST_SESSIONS: usize = 1_024;
/// After a refused handshake: how long, and how much of, what the client still sends is taken in, so that it reads why.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 64 * 1024;

/// Accepts TLS connections of one listener, on any core.
#[derive(Debug, Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
}

/// A listener cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum AcceptorError {
    /// The authorities of clients' certificates.
    #[error("client_ca cannot be used")]
    Authorities(#[source] AuthoritiesError),
    /// What was set does not go together.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// One accepted connection.
#[derive(Debug)]
pub struct Accepted<IO = TcpStream> {
    /// What to read from and to write to.
    pub stream: TlsStream<UnbufferedServerConnection, IO>,
    /// What is spoken over it.
    pub protocol: Protocol,
    /// The name that the client asked for, in lower case.
    pub sni: Option<Box<str>>,
    /// Who the client proved to be.
    pub client: Option<ClientCertificate>,
    /// Whether a ticket or a remembered session saved the full handshake.
    pub is_resumed: bool,
}

/// A client's certificate, checked against the listener's authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// As RFC 4514 writes it, such as `CN=alice,O=Example`.
    pub subject: String,
}

impl Acceptor {
    /// For one listener. Reads the file of `client_auth` now, and not again.
    pub fn new(
        certificates: Arc<Certificates>,
        tickets: Arc<TicketKeys>,
        client_auth: &ClientAuth,
    ) -> Result<Self, AcceptorError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(AcceptorError::Setup)?;
        let (kind, ca) = match client_auth {
            ClientAuth::None => (0, None),
            ClientAuth::Request { ca } => (1, Some(ca)),
            ClientAuth::Require { ca } => (2, Some(ca)),
        };
        let mut policy = vec![kind];
        let builder = match ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let (roots, bytes) = authorities::read(file).map_err(AcceptorError::Authorities)?;
                policy.extend(digest(&SHA256, &bytes).as_ref());
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
                let verifier = match client_auth {
                    ClientAuth::Request { .. } => verifier.allow_unauthenticated(),
                    ClientAuth::None | ClientAuth::Require { .. } => verifier,
                };
                let verifier = verifier
                    .build()
                    .map_err(|it| AcceptorError::Setup(rustls::Error::General(it.to_string())))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(certificates);
        config.alpn_protocols = Alpn::BOTH.iter().map(|it| it.to_vec()).collect();
        // Clients list what they can do; few measured what it costs.
        config.ignore_client_order = true;
        config.ticketer = Arc::new(Tickets {
            keys: tickets,
            policy,
        });
        config.session_storage = ServerSessionMemoryCache::new(MOST_SESSIONS);
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// For a listener whose certificates and clients are decided by others.
    pub fn with(config: Arc<ServerConfig>) -> Self {
        Self { config }
    }

    /// The handshake. Waits for as long as the client likes: the caller sets the deadline.
    ///
    /// After a refusal the client is told why before this returns, which takes at most 2 s.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof`: the client went away. `InvalidData`: it was refused; the cause is a [`rustls::Error`].
    pub async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
    ) -> io::Result<Accepted<IO>> {
        let session = UnbufferedServerConnection::new(Arc::clone(&self.config))
            .map_err(|it| io::Error::new(ErrorKind::InvalidData, it))?;
        let mut stream = TlsStream::new(session, io);
        let mut sni = None;
        let turned = || {
            if let Some(asked) = take_asked() {
                sni = Some(asked);
            }
        };
        if let Err(error) = stream.handshake(turned).await {
            if error.kind() == ErrorKind::InvalidData {
                linger(stream.into_io()).await;
            }
            return Err(error);
        }
        if stream.session().protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            // The client waits for the last word.
            poll_fn(|cx| stream.poll_flush(cx)).await?;
        } else if !stream.has_plaintext() {
            // Only tickets are left. They leave now, also for a client that asks nothing on this connection; where its request
            // came with its last flight, they leave with what is written next.
            poll_fn(|cx| stream.poll_offer(cx)).await;
        }
        let session = stream.session();
        let client = session.peer_certificates().and_then(|it| it.first());
        let client = client.map(|it| ClientCertificate {
            subject: subject(it).unwrap_or_default(),
        });
        let protocol = match session.alpn_protocol() {
            Some(it) if it == Alpn::HTTP2 => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let is_resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok(Accepted {
            stream,
            protocol,
            sni,
            client,
            is_resumed,
        })
    }
}

/// A close with unread input would reset the connection, and destroy the alert on its way.
async fn linger<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO) {
    let _ = timeout(LINGER, async {
        io.shutdown().await?;
        let mut rest = io.take(LINGER_BYTES);
        let mut buffer = [0; 1_024];
        while rest.read(&mut buffer).await? > 0 {}
        io::Result::Ok(())
    })
    .await;
}
