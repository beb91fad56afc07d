//! One POST of JSON over HTTP/1.1, TLS but for loopback. Redirects are not followed: a token goes along.

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use minato_config::{UpstreamTls, Verify};
use minato_tls::{Connector, Protocol};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;

/// Of an answer, read so that the connection ends well.
const ANSWER: usize = 64 << 10;
/// Of what an answer says, repeated to the operator.
const SHOWN: usize = 200;
const LONGEST_TOKEN: u64 = 4_096;

/// See the module.
pub(super) struct Post<'a> {
    pub(super) url: &'a str,
    pub(super) token_file: Option<&'a Path>,
    pub(super) ca: Option<&'a Path>,
    pub(super) id: &'a str,
    pub(super) body: Vec<u8>,
}

impl Post<'_> {
    /// The error is a sentence, without the token and without what stands in the URL's query.
    pub(super) async fn send(self) -> Result<(), String> {
        let url: Uri = self.url.parse().map_err(|it| format!("the URL: {it}"))?;
        let authority = url.authority().ok_or("the URL names no host")?.clone();
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let is_tls = url.scheme_str() == Some("https");
        let port = authority
            .port_u16()
            .unwrap_or(if is_tls { 443 } else { 80 });
        let token = match self.token_file {
            Some(path) => Some(token(path).await?),
            None => None,
        };
        let target = url
            .path_and_query()
            .map_or("/", |it| it.as_str())
            .to_owned();
        let mut request = Request::post(target)
            .header(header::HOST, authority.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "minato")
            .header("Idempotency-Key", self.id);
        if let Some(token) = token {
            let mut value = header::HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| "the token is not plain text".to_owned())?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let request = request.body(Full::new(Bytes::from(self.body)));
        let request = request.map_err(|it| it.to_string())?;
        let mut last = format!("{host} has no address");
        let found = tokio::net::lookup_host((host.as_str(), port)).await;
        let found = found.map_err(|it| format!("{host} cannot be looked up: {it}"))?;
        for address in found.take(4) {
            let stream = match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(error) => {
                    last = format!("{address} cannot be reached: {error}");
                    continue;
                }
            };
            if !is_tls {
                return exchange(stream, request).await;
            }
            let tls = UpstreamTls {
                ca: self.ca.map(Path::to_path_buf),
                sni: host
                    .parse::<IpAddr>()
                    .is_err()
                    .then(|| host.to_ascii_lowercase()),
                verify: Verify::On,
            };
            let connector = Connector::shared();
            let stream = connector
                .connect(stream, &tls, address, Protocol::Http1)
                .await
                .map_err(|it| format!("no TLS with {host} at {address}: {it}"))?;
            return exchange(stream, request).await;
        }
        Err(last)
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(), String> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|it| it.to_string())?;
    let connection = tokio::spawn(connection);
    let answered = async {
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|it| format!("the connection broke: {it}"))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER).collect().await;
        let body = body.map(|it| it.to_bytes()).unwrap_or_default();
        if status.is_success() {
            return Ok(());
        }
        let said: String = String::from_utf8_lossy(&body)
            .chars()
            .map(|it| if it.is_control() { ' ' } else { it })
            .take(SHOWN)
            .collect();
        Err(format!("it answered {status}: {}", said.trim()))
    };
    let answered = answered.await;
    connection.abort();
    answered
}

/// The file's first line; refused where others than its owner may read it.
async fn token(path: &Path) -> Result<String, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("token_file {}: {why}", path.display());
    let file = tokio::fs::File::open(path).await.map_err(|it| wrong(&it))?;
    let about = file.metadata().await.map_err(|it| wrong(&it))?;
    if about.permissions().mode() & 0o077 != 0 {
        return Err(wrong(&"others may read it: chmod 600"));
    }
    let mut text = String::new();
    let read = file.take(LONGEST_TOKEN).read_to_string(&mut text).await;
    read.map_err(|it| wrong(&it))?;
    let token = text.lines().next().unwrap_or_default().trim();
    if token.is_empty() {
        return Err(wrong(&"its first line is empty"));
    }
    Ok(token.to_owned())
}
