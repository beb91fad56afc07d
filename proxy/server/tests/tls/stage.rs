//! A folder of certificates, clients that believe its authority, and instances that it vouches for.

use crate::authority::{Authority, Pem, Time};
use crate::client::Client;
use crate::link::Link;
use crate::peer::{Origin, Peer, soon};
use crate::setup::{Running, Setup};
use minato_config::{ClientAuth, UpstreamProtocol, UpstreamTls, Verify};
use minato_tls::{Acceptor, Certificates, TicketKeys};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A client's end.
pub(crate) type Visit = tokio_rustls::client::TlsStream<TcpStream>;
/// An instance's end.
pub(crate) type Serving = tokio_rustls::server::TlsStream<TcpStream>;

pub(crate) struct Stage {
    pub(crate) authority: Authority,
    root: TempDir,
}

impl Stage {
    /// With a certificate `default` for `a.test`.
    pub(crate) fn new() -> Self {
        let stage = Self {
            authority: Authority::new("authority"),
            root: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(stage.folder()).unwrap();
        stage.authority.write(&stage.ca());
        stage.serve("default", &["a.test"]);
        stage
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join("tls")
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.root.path().join("ca.pem")
    }

    /// Puts a certificate for these names into the folder.
    pub(crate) fn serve(&self, name: &str, hosts: &[&str]) {
        let pem = self.authority.sign(hosts, Time::Now);
        pem.write(&self.folder(), name);
    }

    pub(crate) fn acceptor(&self, client_auth: &ClientAuth) -> Acceptor {
        let certificates = Certificates::open(&self.folder());
        let tickets = TicketKeys::new().unwrap();
        Acceptor::new(certificates, tickets, client_auth).unwrap()
    }

    /// With a listener over TLS that asks for no certificates.
    pub(crate) fn setup(&self) -> Setup {
        let mut setup = Setup::new();
        setup.acceptors.push(self.acceptor(&ClientAuth::None));
        setup
    }

    /// TLS to instances that hold a certificate of ours for `origin.test`.
    pub(crate) fn upstream(&self) -> UpstreamTls {
        UpstreamTls {
            ca: Some(self.ca()),
            sni: Some("origin.test".to_owned()),
            verify: Verify::On,
        }
    }

    /// Both: clients and instances are spoken to over TLS.
    pub(crate) fn setup_to(&self, protocol: UpstreamProtocol) -> Setup {
        let mut setup = self.setup();
        setup.service.upstream.protocol = protocol;
        setup.service.upstream.tls = Some(self.upstream());
        setup
    }

    pub(crate) fn visitor(&self) -> Visitor {
        Visitor::new(self)
    }

    pub(crate) async fn instance(&self) -> Instance {
        Instance::with(&self.authority.sign(&["origin.test"], Time::Now)).await
    }
}

/// A client to be.
#[derive(Clone)]
pub(crate) struct Visitor {
    roots: RootCertStore,
    /// What it asks for; believes nobody else.
    pub(crate) name: ServerName<'static>,
    pub(crate) alpn: &'static [&'static str],
    identity: Option<(String, String)>,
}

impl Visitor {
    fn new(stage: &Stage) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(stage.ca()).unwrap())
            .unwrap();
        Self {
            roots,
            name: "a.test".try_into().unwrap(),
            alpn: &["http/1.1"],
            identity: None,
        }
    }

    pub(crate) fn asks_for(mut self, name: &str) -> Self {
        self.name = name.to_owned().try_into().unwrap();
        self
    }

    pub(crate) fn offers(mut self, alpn: &'static [&'static str]) -> Self {
        self.alpn = alpn;
        self
    }

    pub(crate) fn shows(mut self, pem: &Pem) -> Self {
        self.identity = Some((pem.certificate.clone(), pem.key.clone()));
        self
    }

    /// What its connections share, sessions included.
    pub(crate) fn connector(&self) -> TlsConnector {
        let builder = ClientConfig::builder().with_root_certificates(self.roots.clone());
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![chain], key).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    pub(crate) async fn try_connect(&self, address: SocketAddr) -> io::Result<Visit> {
        self.connect_by(&self.connector(), address).await
    }

    pub(crate) async fn connect_by(
        &self,
        connector: &TlsConnector,
        address: SocketAddr,
    ) -> io::Result<Visit> {
        let tcp = Peer::connect(address).await.stream;
        soon("a handshake", connector.connect(self.name.clone(), tcp)).await
    }

    pub(crate) async fn connect(&self, running: &Running) -> Peer<Visit> {
        Peer::over(self.try_connect(running.secure[0]).await.unwrap())
    }

    /// Speaks HTTP/2.
    pub(crate) async fn connect_http2(&self, running: &Running) -> Client<Visit> {
        let stream = self.clone().offers(&["h2"]);
        let stream = stream.try_connect(running.secure[0]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let mut client = Client::over(stream);
        client.begin(&[]).await;
        client
    }
}

/// Closes a connection's sending side without close_notify.
pub(crate) fn cut(tcp: &TcpStream) {
    rustix::net::shutdown(tcp, rustix::net::Shutdown::Write).unwrap();
}

/// An instance that speaks TLS.
pub(crate) struct Instance {
    origin: Origin,
    acceptor: TlsAcceptor,
    pub(crate) address: SocketAddr,
}

impl Instance {
    pub(crate) async fn with(pem: &Pem) -> Self {
        let chain = CertificateDer::from_pem_slice(pem.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).unwrap();
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let origin = Origin::start().await;
        Self {
            address: origin.address,
            origin,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        }
    }

    pub(crate) async fn accept(&self) -> Peer<Serving> {
        Peer::over(self.try_accept().await.unwrap())
    }

    /// One on which HTTP/2 is spoken.
    pub(crate) async fn accept_http2(&self) -> Link<Serving> {
        let stream = self.try_accept().await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        Link::over(stream, &[]).await
    }

    pub(crate) async fn try_accept(&self) -> io::Result<Serving> {
        let tcp = self.origin.accept().await.stream;
        soon("a handshake", self.acceptor.accept(tcp)).await
    }

    /// A connection of which nothing is read.
    pub(crate) async fn accept_silently(&self) -> Peer {
        self.origin.accept().await
    }
}
