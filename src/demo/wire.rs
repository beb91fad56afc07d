//! One HTTP/1.1 exchange, and how far it came when it broke. No retries, no redirects, no pool.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// Bytes of an answer's body.
const BODY_BYTES: usize = 4 * 1024 * 1024;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// No connection, or it was gone before anything was written.
    Unsent,
    /// Something was written.
    Sent,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    /// Connects; the connection's task ends when this value and the peer are done.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, Broken> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|_| Broken::Unsent)?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|_| Broken::Unsent)?;
        tokio::spawn(async move {
            // A break shows in the exchange that it breaks.
            let _ = connection.await;
        });
        Ok(Self(sender))
    }

    /// Whether the peer has not closed it, as far as is known.
    pub(crate) fn is_open(&self) -> bool {
        !self.0.is_closed()
    }

    /// Sends one request and reads its whole answer.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Broken> {
        self.0.ready().await.map_err(|_| Broken::Unsent)?;
        let response = match self.0.try_send_request(request).await {
            Ok(response) => response,
            Err(error) if error.message().is_some() => return Err(Broken::Unsent),
            Err(_) => return Err(Broken::Sent),
        };
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES)
            .collect()
            .await
            .map_err(|_| Broken::Sent)?
            .to_bytes();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }
}

/// A request to `host`; `close` ends the connection after it.
pub(crate) fn request(
    method: &Method,
    host: SocketAddr,
    path: &str,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let mut builder = Request::builder()
        .method(method)
        .uri(path)
        .header("host", host.to_string())
        .header("user-agent", "minato-demo");
    if !body.is_empty() {
        builder = builder.header("content-type", "application/json");
    }
    builder.body(Full::new(body))
}

/// One exchange on its own connection, whole within `timeout`.
pub(crate) async fn once(
    method: &Method,
    address: SocketAddr,
    path: &str,
    body: impl Into<Bytes>,
    timeout: Duration,
) -> anyhow::Result<Answer> {
    let request = request(method, address, path, body.into())?;
    let exchange = async {
        let mut connection = Connection::open(address).await?;
        connection.exchange(request).await
    };
    match tokio::time::timeout(timeout, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Broken::Unsent)) => anyhow::bail!("{method} {address}{path}: cannot connect"),
        Ok(Err(Broken::Sent)) => anyhow::bail!("{method} {address}{path}: the connection broke"),
        Err(_) => anyhow::bail!("{method} {address}{path}: no whole answer in {timeout:?}"),
    }
}
