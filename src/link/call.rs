//! One connection to a gateway of another site, kept for questions.

use super::bandwidth;
use super::gather::{CHUNK, Listing};
use super::services::ServicesAnswer;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use minato_config::{ServiceName, SiteId};
use minato_health::LinkState;
use minato_link::{Identity, LinkProtocol, explain};
use minato_tls::shake_hands;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Bytes of an answer: some 5,000 services.
const MOST_BYTES: usize = 4 << 20;

/// The same with whole records: some 10,000 services.
const MOST_SERVICES: usize = 32 << 20;

/// Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Call {
    sender: SendRequest<Empty<bytes::Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Call {
    /// Connects. The caller bounds the time; errors are in words for an event.
    pub(super) async fn open(
        identity: &Identity,
        site: &SiteId,
        address: SocketAddr,
    ) -> Result<Self, String> {
        let call = identity.call(site, &[LinkProtocol::Control]);
        let call = call.ok_or("this gateway has no certificate for links; its log says why")?;
        let tcp = TcpStream::connect(address).await;
        let tcp = tcp.map_err(|it| it.to_string())?;
        let _ = tcp.set_nodelay(true);
        let shaking = shake_hands(tcp, call.config, call.name).await;
        let stream = shaking.map_err(told)?;
        if LinkProtocol::agreed(stream.alpn()) != Some(LinkProtocol::Control) {
            return Err("what answers is no link listener of minato (ALPN)".to_owned());
        }
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|it| it.to_string())?;
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { sender, driver })
    }

    /// `GET /v1/state`
    pub(super) async fn state(&mut self) -> Result<LinkState, String> {
        let (_, text) = self.get("/v1/state", MOST_BYTES).await?;
        let state: LinkState = serde_json::from_slice(&text)
            .map_err(|it| format!("its answer is of another version, or no answer: {it}"))?;
        Ok(state)
    }

    /// `GET /v1/services`: `None` where nothing changed since `known`.
    pub(super) async fn services(
        &mut self,
        known: Option<&str>,
    ) -> Result<Option<ServicesAnswer>, String> {
        let path = match known {
            Some(known) => format!("/v1/services?known={known}"),
            None => "/v1/services".to_owned(),
        };
        let (status, text) = self.get(&path, MOST_SERVICES).await?;
        if status == http::StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let answer = serde_json::from_slice(&text)
            .map_err(|it| format!("its answer is of another version, or no answer: {it}"))?;
        Ok(Some(answer))
    }

    /// `GET /v1/echo?bytes=N`; how many came.
    pub(super) async fn echo(&mut self, bytes: usize) -> Result<usize, String> {
        let (_, came) = self
            .get(&format!("/v1/echo?bytes={bytes}"), bandwidth::MOST)
            .await?;
        Ok(came.len())
    }

    /// `GET /v1/access/{service}`
    pub(super) async fn access(&mut self, service: &ServiceName) -> Result<Listing, String> {
        let (_, text) = self
            .get(&format!("/v1/access/{service}"), MOST_BYTES)
            .await?;
        let listing: Listing = serde_json::from_slice(&text)
            .map_err(|it| format!("its answer is of another version, or no answer: {it}"))?;
        match listing.v {
            1 => Ok(listing),
            v => Err(format!(
                "it lists access logs in version {v}, and this minato reads 1"
            )),
        }
    }

    /// `GET /v1/access/{service}/{segment}?from=N`: whole or not at all. Empty at its end.
    pub(super) async fn access_part(
        &mut self,
        service: &ServiceName,
        segment: &str,
        from: u64,
    ) -> Result<bytes::Bytes, String> {
        let path = format!("/v1/access/{service}/{segment}?from={from}");
        let (_, bytes) = self.get(&path, CHUNK).await?;
        Ok(bytes)
    }

    async fn get(
        &mut self,
        path: &str,
        most: usize,
    ) -> Result<(http::StatusCode, bytes::Bytes), String> {
        let request = http::Request::get(path)
            .header("host", "link")
            .body(Empty::new())
            .map_err(|it| it.to_string())?;
        let answer = self
            .sender
            .send_request(request)
            .await
            .map_err(|it| unread(&it))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), most);
        let body = body.collect().await.map_err(|it| it.to_string())?;
        if !status.is_success() && status != http::StatusCode::NOT_MODIFIED {
            let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
            let text: String = text
                .chars()
                .filter(|it| !it.is_control())
                .take(200)
                .collect();
            return Err(format!("it answers {status}: {text}"));
        }
        Ok((status, body.to_bytes()))
    }
}

/// A handshake's failure.
pub(super) fn told(error: std::io::Error) -> String {
    match error.downcast::<rustls::Error>() {
        Ok(error) => explain(&error),
        Err(error) => error.to_string(),
    }
}

/// A refusal of our certificate shows only here: TLS 1.3 has its client done before the server has read it.
fn unread(error: &hyper::Error) -> String {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(it) = cause {
        if let Some(error) = it.downcast_ref::<rustls::Error>() {
            return explain(error);
        }
        if let Some(error) = it.downcast_ref::<std::io::Error>()
            && let Some(inner) = error.get_ref()
            && let Some(error) = inner.downcast_ref::<rustls::Error>()
        {
            return explain(error);
        }
        cause = it.source();
    }
    error.to_string()
}
