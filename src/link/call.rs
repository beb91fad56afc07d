//! One connection to a gateway of another site, kept for questions.

use super::bandwidth;
use super::gather::{CHUNK, Listing};
use super::services::ServicesAnswer;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Collected, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use minato_config::{ServiceName, SiteId};
use minato_health::LinkState;
use minato_link::{Identity, LinkProtocol, explain};
use minato_tls::shake_hands;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Bytes of a state: some 8,000 services.
const MOST_STATE: usize = 2 << 20;
/// Sites, where they are listed: those of one order, and all that may be seen.
const MOST_SITES: usize = 8;

/// Bytes of a list of access logs: some 15,000 files.
const MOST_LISTING: usize = 1 << 20;

/// Bytes of all records that a site shares: some 5,000 services.
const MOST_SERVICES: usize = 8 << 20;

/// The version of a state that is read.
const STATE: u32 = 1;

/// Bytes that are read of why there is no answer.
const LONGEST_WHY: usize = 200;

/// Bytes of the version that a gateway says it is of.
const LONGEST_VERSION: usize = 64;
/// Bytes of an answer of another site's control: an operation of a thousand services.
const MOST_CONTROL: usize = 2 << 20;

/// Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Call {
    sender: SendRequest<Full<bytes::Bytes>>,
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
        let (status, text) = self.get("/v1/state", MOST_STATE).await?;
        if !status.is_success() {
            return Err(refused(status, &text));
        }
        let state: LinkState = serde_json::from_slice(&text)
            .map_err(|it| format!("its answer is of another version, or no answer: {it}"))?;
        checked(state)
    }

    /// `GET /v1/services`: `None` where nothing changed since `known`; about those of `missing` in any case. What is answered and cannot be
    /// used is an answer: who gives it is there.
    pub(super) async fn services(
        &mut self,
        known: Option<&str>,
        missing: &[ServiceName],
    ) -> Result<Result<Option<ServicesAnswer>, String>, String> {
        let missing: Vec<&str> = missing.iter().map(ServiceName::as_str).collect();
        let missing = missing.join(",");
        let path = match known {
            Some(known) => format!("/v1/services?known={known}&missing={missing}"),
            None => format!("/v1/services?missing={missing}"),
        };
        let (status, body) = self.begin(Method::GET, &path, Vec::new()).await?;
        let text = match whole(body, MOST_SERVICES).await {
            Ok(text) => text,
            Err(Unread::Broken(why)) => return Err(why),
            Err(Unread::TooLong(why)) => return Ok(Err(why)),
        };
        Ok(match status {
            StatusCode::NOT_MODIFIED => Ok(None),
            it if it.is_success() => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|it| format!("its answer is of another version, or no answer: {it}")),
            it => Err(refused(it, &text)),
        })
    }

    /// Says something; an answer that is no 2xx is an error.
    pub(super) async fn post(&mut self, path: &str, body: Vec<u8>) -> Result<(), String> {
        let (status, text) = self.send(Method::POST, path, body, MOST_CONTROL).await?;
        if status.is_success() {
            return Ok(());
        }
        Err(refused(status, &text))
    }

    /// Whatever another site's control answers.
    pub(super) async fn control(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, bytes::Bytes), String> {
        let path = format!("/v1/control/{path}");
        self.send(method, &path, body, MOST_CONTROL).await
    }

    /// `GET /v1/echo?bytes=N`; how many came.
    pub(super) async fn echo(&mut self, bytes: usize) -> Result<usize, String> {
        let path = format!("/v1/echo?bytes={bytes}");
        Ok(self.read(&path, bandwidth::MOST).await?.len())
    }

    /// `GET /v1/access/{service}`
    pub(super) async fn access(&mut self, service: &ServiceName) -> Result<Listing, String> {
        let path = format!("/v1/access/{service}");
        let text = self.read(&path, MOST_LISTING).await?;
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
        self.read(&path, CHUNK).await
    }

    /// The body of an answer; one that is no 2xx is an error.
    async fn read(&mut self, path: &str, most: usize) -> Result<bytes::Bytes, String> {
        let (status, body) = self.get(path, most).await?;
        if status.is_success() {
            return Ok(body);
        }
        Err(refused(status, &body))
    }

    async fn get(&mut self, path: &str, most: usize) -> Result<(StatusCode, bytes::Bytes), String> {
        self.send(Method::GET, path, Vec::new(), most).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        most: usize,
    ) -> Result<(StatusCode, bytes::Bytes), String> {
        let (status, body) = self.begin(method, path, body).await?;
        let body = whole(body, most).await.map_err(|it| match it {
            Unread::TooLong(why) | Unread::Broken(why) => why,
        })?;
        Ok((status, body))
    }

    /// The head of an answer, and its body to be read.
    async fn begin(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Incoming), String> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "link")
            .body(Full::from(body))
            .map_err(|it| it.to_string())?;
        let answer = self
            .sender
            .send_request(request)
            .await
            .map_err(|it| unread(&it))?;
        Ok((answer.status(), answer.into_body()))
    }
}

/// Why a body was not read to its end.
enum Unread {
    /// It is longer than may be.
    TooLong(String),
    Broken(String),
}

/// No more of it is kept than `most` bytes.
async fn whole(body: Incoming, most: usize) -> Result<bytes::Bytes, Unread> {
    let body = Limited::new(body, most).collect().await;
    body.map(Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            Unread::TooLong(format!(
                "its answer is longer than {} MiB, the most that is read of such an answer; look what answers there",
                most >> 20
            ))
        } else {
            Unread::Broken(error.to_string())
        }
    })
}

/// With the first words of why, for a person.
fn refused(status: StatusCode, text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text.get(..LONGEST_WHY).unwrap_or(text));
    let plain = |it: char| if it.is_control() { ' ' } else { it };
    let why: String = text.chars().map(plain).collect();
    format!("it answers {status}: {}", why.trim())
}

/// What a peer says of itself is shown to people and kept in the journal.
fn checked(state: LinkState) -> Result<LinkState, String> {
    if state.v != STATE {
        return Err(format!(
            "its answer is of version {}, and this minato reads {STATE}; bring both sites to the same version of minato",
            state.v
        ));
    }
    let version = &state.version;
    if version.len() > LONGEST_VERSION || !version.bytes().all(|it| it.is_ascii_graphic()) {
        return Err(format!(
            "it names a version of minato that is none ({} bytes); look what answers there",
            version.len()
        ));
    }
    if state.sees.len() > MOST_SITES {
        return Err(format!(
            "it says how it sees {} sites, and there are at most {MOST_SITES}; look what answers there",
            state.sees.len()
        ));
    }
    let mut services = state.services.iter();
    if let Some((name, it)) = services.find(|(_, it)| it.order.len() > MOST_SITES) {
        return Err(format!(
            "it says that {} sites serve {name}, and at most {MOST_SITES} can; look what answers there",
            it.order.len()
        ));
    }
    Ok(state)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_another_version_or_with_a_version_that_is_none_is_no_answer() {
        let long = "1".repeat(65);
        for (v, version, expected) in [
            (1, "0.1.0-rc.1+abc", ""),
            (2, "0.1.0", "its answer is of version 2"),
            (1, long.as_str(), "that is none (65 bytes)"),
            (1, "0.1\u{1b}[2J", "that is none"),
        ] {
            let state = LinkState {
                v,
                site: SiteId::parse("osaka").expect("a site"),
                node: minato_config::NodeId::parse("gw1").expect("a node"),
                version: version.to_owned(),
                now: minato_config::Timestamp(0),
                services: std::collections::BTreeMap::new(),
                sees: std::collections::BTreeMap::new(),
                follows_orders: true,
            };
            let why = checked(state).err().unwrap_or_default();
            assert_eq!(why.is_empty(), expected.is_empty(), "{why}");
            assert!(why.contains(expected), "{why}");
        }
    }

    #[test]
    fn a_state_lists_no_more_sites_than_there_may_be() {
        let of = |sees: usize, order: usize| {
            let sites = |count: usize| (0..count).map(|it| format!("site-{it}"));
            let sees: serde_json::Map<_, _> = sites(sees).map(|it| (it, true.into())).collect();
            let order: Vec<String> = sites(order).collect();
            let state = serde_json::json!({
                "v": 1, "site": "osaka", "node": "gw1", "version": "0.1.0", "now": 0, "sees": sees,
                "services": {"shared": {"order": order, "wanted": 1, "up": 1, "draining": false}},
            });
            let state = serde_json::from_value(state).expect("a state");
            checked(state).err().unwrap_or_default()
        };
        assert_eq!(of(8, 8), "");
        assert!(of(9, 8).contains("how it sees 9 sites"), "{}", of(9, 8));
        assert!(of(8, 9).contains("9 sites serve shared"), "{}", of(8, 9));
    }
}
