//! TLS around what the other clients and servers here say in the clear, by tokio-rustls.

#[path = "../../../proxy/tls/tests/tls/authority.rs"]
#[expect(dead_code, reason = "the tests of the crate use the rest")]
mod authority;

pub(crate) use authority::{Authority, Pem, Time, put};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, ServerConfig};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How the handshakes through a veil ended, in order.
type Handshakes = Arc<Mutex<Vec<Result<HandshakeKind, String>>>>;

/// A port in the clear that leads over TLS to a server; the sessions of its connections are remembered.
pub(crate) struct Veil {
    pub(crate) address: SocketAddr,
    handshakes: Handshakes,
    runtime: Option<Runtime>,
}

impl Veil {
    /// To the server at `to`, which must prove to `ca` that it is `name`. `protocol` is offered by ALPN.
    pub(crate) fn start(to: SocketAddr, ca: &Path, name: &'static str, protocol: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(ca).unwrap())
            .unwrap();
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let handshakes = Handshakes::default();
        let told = Arc::clone(&handshakes);
        let (runtime, address) = serve(move |mut plain| {
            let (connector, told) = (connector.clone(), Arc::clone(&told));
            async move {
                let tcp = TcpStream::connect(to).await?;
                tcp.set_nodelay(true)?;
                let shaken = connector.connect(name.try_into().unwrap(), tcp).await;
                let kind = match &shaken {
                    Ok(tls) => Ok(tls.get_ref().1.handshake_kind().unwrap()),
                    Err(error) => Err(error.to_string()),
                };
                told.lock().unwrap().push(kind);
                let copied = copy_bidirectional(&mut plain, &mut shaken?).await;
                if copied.is_err() {
                    // What was cut off there is cut off here.
                    plain.set_zero_linger()?;
                }
                copied.map(drop)
            }
        });
        Self {
            address,
            handshakes,
            runtime: Some(runtime),
        }
    }

    /// The handshakes so far, as `Full`, `Resumed`, or what went wrong.
    pub(crate) fn handshakes(&self) -> Vec<Result<HandshakeKind, String>> {
        self.handshakes.lock().unwrap().clone()
    }
}

impl Drop for Veil {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A server over TLS in front of one in the clear.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Front {
    pub(crate) fn start(to: SocketAddr, pair: &Pem) -> Self {
        let chain = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (runtime, address) = serve(move |plain| {
            let acceptor = acceptor.clone();
            async move {
                let mut tls = acceptor.accept(plain).await?;
                let mut tcp = TcpStream::connect(to).await?;
                copy_bidirectional(&mut tls, &mut tcp).await.map(drop)
            }
        });
        Self {
            address,
            runtime: Some(runtime),
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Serves each connection to a new port by a task, until the runtime ends.
fn serve<F>(each: impl Fn(TcpStream) -> F + Send + 'static) -> (Runtime, SocketAddr)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = runtime.block_on(listener).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        while let Ok((plain, _)) = listener.accept().await {
            let _ = plain.set_nodelay(true);
            tokio::spawn(each(plain));
        }
    });
    (runtime, address)
}
