//! The command line's side of the admin API.

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use minato_control_server::api::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::time::Duration;

/// Answers that are not streams are no larger.
const LARGEST: usize = 64 * 1024 * 1024;
/// A whole call that is not a stream.
const CALL: Duration = Duration::from_secs(20);

/// Calls one running minato.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: SocketAddr,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.call(Method::POST, path, Some(serde_json::to_vec(body)?))
            .await
    }

    pub(crate) async fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.call(Method::DELETE, path, Some(serde_json::to_vec(body)?))
            .await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<T> {
        let call = async {
            let response = self.send(method, path, body).await?;
            let status = response.status();
            let bytes = Limited::new(response.into_body(), LARGEST)
                .collect()
                .await
                .map_err(|error| anyhow!("the answer broke off: {error}"))?;
            understand(status, &bytes.to_bytes())
        };
        tokio::time::timeout(CALL, call).await.map_err(|_| {
            anyhow!(
                "{} did not answer within {CALL:?}; is that minato frozen?",
                self.address
            )
        })?
    }

    /// A stream of lines, until it ends or `each` fails.
    pub(crate) async fn lines(
        &self,
        path: &str,
        mut each: impl FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let response = self.send(Method::GET, path, None).await?;
        let status = response.status();
        let mut body = response.into_body();
        if !status.is_success() {
            let bytes = Limited::new(body, LARGEST)
                .collect()
                .await
                .map_err(|error| anyhow!("the answer broke off: {error}"))?;
            return Err(refusal(status, &bytes.to_bytes()));
        }
        let mut rest = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.context("the stream broke off; is minato stopping?")?;
            rest.extend_from_slice(frame.data_ref().map_or(&[][..], |it| it));
            while let Some(end) = rest.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                let line = line.trim();
                if !line.is_empty() {
                    each(line)?;
                }
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<Response<Incoming>> {
        let tcp = tokio::net::TcpStream::connect(self.address).await.with_context(|| {
            format!("no minato answers at {}; start it with `minato run`, or name its admin address with --admin", self.address)
        })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("Host", self.address.to_string());
        if body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
        sender.send_request(request).await.with_context(|| {
            format!(
                "{} closed the connection; is it minato's admin address?",
                self.address
            )
        })
    }
}

fn understand<T: DeserializeOwned>(status: StatusCode, bytes: &[u8]) -> anyhow::Result<T> {
    if !status.is_success() {
        return Err(refusal(status, bytes));
    }
    match serde_json::from_slice(bytes) {
        Ok(it) => Ok(it),
        Err(error) => {
            bail!("the answer is not understood ({error}); is that minato another version?")
        }
    }
}

/// A check said no, and nothing was changed: exit 3.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

fn refusal(status: StatusCode, bytes: &[u8]) -> anyhow::Error {
    let text = match serde_json::from_slice::<ApiError>(bytes) {
        Ok(it) if it.hint.is_empty() => it.error,
        Ok(it) => format!("{} ({})", it.error, it.hint),
        Err(_) => format!("refused with {status}"),
    };
    match status {
        StatusCode::CONFLICT => Refused(text).into(),
        _ => anyhow!(text),
    }
}

/// Bytes that may not stand in a query as they are.
pub(crate) fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:".contains(&b);
    text.bytes()
        .map(|b| {
            if plain(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}
