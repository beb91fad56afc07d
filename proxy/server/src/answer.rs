//! Answers of our own: redirects, refusals, and the sorry page.

use crate::stream::Connection;
use pingora_core::protocols::http::v1::server::HttpSession;
use pingora_http::ResponseHeader;
use std::sync::Arc;
use std::time::Duration;

const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const SORRY: &str = include_str!("sorry.html");

/// HTML shown when a service cannot answer.
#[derive(Debug, Clone)]
pub struct SorryPage(Arc<str>);

impl SorryPage {
    /// The operator's own page.
    pub fn new(html: &str) -> Self {
        Self(html.into())
    }
}

impl Default for SorryPage {
    fn default() -> Self {
        Self::new(SORRY)
    }
}

/// Why minato answers itself. The label of a metric and a word in the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The request breaks the rules of HTTP or has no one meaning.
    Malformed,
    /// The head did not arrive in 10 s, or a body trickles.
    SlowRequest,
    /// More than 100 fields or 32 KiB.
    HeadTooLarge,
    /// Neither 1.0 nor 1.1.
    Version,
    /// CONNECT or TRACE.
    Method,
    /// An expectation other than `100-continue`.
    Expectation,
    /// Above the service's limit.
    BodyTooLarge,
    /// No route takes it.
    NoRoute,
    /// A route says so.
    Redirect,
    /// An operator drained the service.
    Draining,
    /// In flight and queue are full, or the wait was too long.
    Full,
    /// No instance may take it, or none could be reached.
    NoInstance,
    /// The instance broke the connection or the rules.
    BadAnswer,
    /// The instance did not answer in time, or was ejected meanwhile.
    Timeout,
}

impl Reason {
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::SlowRequest => 408,
            Self::HeadTooLarge => 431,
            Self::Version => 505,
            Self::Method => 405,
            Self::Expectation => 417,
            Self::BodyTooLarge => 413,
            Self::NoRoute => 404,
            Self::Redirect => 308,
            Self::Draining | Self::Full | Self::NoInstance => 503,
            Self::BadAnswer => 502,
            Self::Timeout => 504,
        }
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::SlowRequest => "slow_request",
            Self::HeadTooLarge => "head_too_large",
            Self::Version => "version",
            Self::Method => "method",
            Self::Expectation => "expectation",
            Self::BodyTooLarge => "body_too_large",
            Self::NoRoute => "no_route",
            Self::Redirect => "redirect",
            Self::Draining => "draining",
            Self::Full => "full",
            Self::NoInstance => "no_instance",
            Self::BadAnswer => "bad_answer",
            Self::Timeout => "timeout",
        }
    }

    /// When a client should come back.
    fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Full => Some(Duration::from_secs(2)),
            Self::NoInstance => Some(Duration::from_secs(5)),
            Self::Draining => Some(Duration::from_secs(60)),
            _ => None,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Malformed => "400 the request is malformed\n",
            Self::SlowRequest => "408 the request took too long to arrive\n",
            Self::HeadTooLarge => "431 more than 100 header fields or 32 KiB of them\n",
            Self::Version => "505 only HTTP/1.0 and HTTP/1.1 are spoken here\n",
            Self::Method => "405 this method is not served\n",
            Self::Expectation => "417 only Expect: 100-continue is met here\n",
            Self::BodyTooLarge => "413 the request body is above the limit of this service\n",
            Self::NoRoute => "404 no service is routed here\n",
            Self::Redirect => "308 moved\n",
            Self::BadAnswer => "502 the service broke off its answer\n",
            Self::Timeout => "504 the service did not answer in time\n",
            Self::Draining | Self::Full | Self::NoInstance => "",
        }
    }
}

/// Answers within a session; what it wrote is to be flushed. `location` goes with [`Reason::Redirect`].
pub(crate) async fn send(
    session: &mut HttpSession,
    reason: Reason,
    location: Option<&str>,
    sorry: &SorryPage,
) -> pingora_core::Result<()> {
    let (kind, body) = match reason.text() {
        "" => ("text/html; charset=utf-8", sorry.0.as_ref()),
        text => ("text/plain; charset=utf-8", text),
    };
    let mut head = ResponseHeader::build(reason.status(), Some(8))?;
    head.insert_header("Content-Type", kind)?;
    head.insert_header("Content-Length", body.len())?;
    head.insert_header("Cache-Control", "no-store")?;
    if let Some(after) = reason.retry_after() {
        head.insert_header("Retry-After", after.as_secs())?;
    }
    if let Some(location) = location {
        // As bytes: a path may hold more than ASCII.
        head.insert_header("Location", location.as_bytes())?;
    }
    if reason == Reason::Method {
        head.insert_header("Allow", ALLOWED)?;
    }
    session.write_response_header(Box::new(head)).await?;
    session.write_body(body.as_bytes()).await?;
    session.finish_body().await?;
    Ok(())
}

/// Answers where no request could be read; the connection closes after it.
pub(crate) async fn send_raw(connection: &Connection, reason: Reason, idle: Duration) {
    let body = reason.text();
    let status = http::StatusCode::from_u16(reason.status()).ok();
    let phrase = status
        .and_then(|it| it.canonical_reason())
        .unwrap_or("Error");
    let mut head = format!("HTTP/1.1 {} {phrase}\r\n", reason.status());
    if reason == Reason::Method {
        head.push_str(&format!("Allow: {ALLOWED}\r\n"));
    }
    let length = body.len();
    head.push_str(&format!(
        "Content-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    ));
    connection.push(head.as_bytes());
    connection.push(body.as_bytes());
    let _ = connection.flush(idle).await;
}
