//! A client that speaks to a link listener as a gateway would, or as somebody else.

use crate::support::http::Answer;
use crate::support::tls::{Authority, Pem};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// One request over a link to `door` of `site`, shown `shown`; the answer's status and body.
pub(super) fn ask(
    door: SocketAddr,
    site: &str,
    authority: &Authority,
    shown: Option<&Pem>,
    request: &str,
) -> io::Result<Answer> {
    let file = tempfile::NamedTempFile::new()?;
    authority.write(file.path());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(file.path()).map_err(io::Error::other)?)
        .map_err(io::Error::other)?;
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let chain = CertificateDer::from_pem_slice(pem.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).unwrap();
            builder
                .with_client_auth_cert(vec![chain], key)
                .map_err(io::Error::other)?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let name = format!("here.{site}.minato.internal");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let whole = async {
        let tcp = TcpStream::connect(door).await?;
        let name = name.try_into().map_err(io::Error::other)?;
        let mut tls = connector.connect(name, tcp).await?;
        tls.write_all(request.as_bytes()).await?;
        let mut text = Vec::new();
        tls.read_to_end(&mut text).await?;
        io::Result::Ok(text)
    };
    let text = runtime.block_on(async { timeout(PATIENCE, whole).await })??;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::InvalidData)?;
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
    Ok(Answer {
        status: status.ok_or(io::ErrorKind::InvalidData)?,
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    })
}

/// A GET as one gateway sends it on to another, with more fields.
pub(super) fn get_of(host: &str, more: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n")
}
