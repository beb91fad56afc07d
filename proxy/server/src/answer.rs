//! Answers of our own: redirects, refusals, and the sorry page.

use crate::peer::Origin;
use minato_http1::{Method, Persistence, Refusal, Version};
use std::io::Write as _;
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
    /// A gateway of another site asks for a service that is not shared with it.
    NotShared,
    /// It went over more links between sites than one.
    Loop,
    /// It waited while the service moved, or another site serves it now.
    Moving,
}

impl From<&Refusal> for Reason {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Malformed(_) => Self::Malformed,
            Refusal::HeadTooLarge => Self::HeadTooLarge,
            Refusal::Version => Self::Version,
            Refusal::Method => Self::Method,
            Refusal::Expectation => Self::Expectation,
        }
    }
}

impl Reason {
    /// In order.
    pub(crate) const ALL: [Self; 17] = [
        Self::Malformed,
        Self::SlowRequest,
        Self::HeadTooLarge,
        Self::Version,
        Self::Method,
        Self::Expectation,
        Self::BodyTooLarge,
        Self::NoRoute,
        Self::Redirect,
        Self::Draining,
        Self::Full,
        Self::NoInstance,
        Self::BadAnswer,
        Self::Timeout,
        Self::NotShared,
        Self::Loop,
        Self::Moving,
    ];

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
            Self::Draining | Self::Full | Self::NoInstance | Self::Moving => 503,
            Self::BadAnswer => 502,
            Self::Timeout => 504,
            Self::NotShared => 421,
            Self::Loop => 508,
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
            Self::NotShared => "not_shared",
            Self::Loop => "loop",
            Self::Moving => "moving",
        }
    }

    fn phrase(self) -> &'static str {
        match self {
            Self::Malformed => "Bad Request",
            Self::SlowRequest => "Request Timeout",
            Self::HeadTooLarge => "Request Header Fields Too Large",
            Self::Version => "HTTP Version Not Supported",
            Self::Method => "Method Not Allowed",
            Self::Expectation => "Expectation Failed",
            Self::BodyTooLarge => "Content Too Large",
            Self::NoRoute => "Not Found",
            Self::Redirect => "Permanent Redirect",
            Self::Draining | Self::Full | Self::NoInstance | Self::Moving => "Service Unavailable",
            Self::BadAnswer => "Bad Gateway",
            Self::Timeout => "Gateway Timeout",
            Self::NotShared => "Misdirected Request",
            Self::Loop => "Loop Detected",
        }
    }

    /// Nobody here could take it: no instance has had it, or it may be sent twice. Not of a full queue: what this site should carry must
    /// not fall on the next.
    fn is_unserved(self) -> bool {
        matches!(self, Self::NoInstance | Self::Draining)
    }

    /// When a client should come back.
    fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Full | Self::Moving => Some(Duration::from_secs(2)),
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
            Self::NotShared => {
                "421 this site does not serve that service for the site that asks: see `sites` of the service at both\n"
            }
            Self::Loop => "508 the request has gone from site to site already\n",
            Self::Draining | Self::Full | Self::NoInstance | Self::Moving => "",
        }
    }
}

/// An answer of our own, ready for any protocol.
#[derive(Debug)]
pub(crate) struct Own<'a> {
    pub(crate) reason: Reason,
    /// Where [`Reason::Redirect`] points to.
    pub(crate) location: Option<&'a str>,
    /// For the sorry page.
    pub(crate) sorry: &'a SorryPage,
    /// As `Date` says it.
    pub(crate) date: &'a [u8],
    /// Whose request it was: a gateway of another site may try the next one where no instance has had it.
    pub(crate) origin: Origin,
}

impl Own<'_> {
    /// What a client reads.
    pub(crate) fn body(&self) -> &str {
        match self.reason.text() {
            "" => &self.sorry.0,
            text => text,
        }
    }

    /// All fields but those of framing and connection.
    pub(crate) fn fields(&self, emit: &mut impl FnMut(&str, &[u8])) {
        emit("Date", self.date);
        let kind: &[u8] = if self.reason.text().is_empty() {
            b"text/html; charset=utf-8"
        } else {
            b"text/plain; charset=utf-8"
        };
        emit("Content-Type", kind);
        emit("Cache-Control", b"no-store");
        if let Some(after) = self.reason.retry_after() {
            emit("Retry-After", after.as_secs().to_string().as_bytes());
        }
        if let Some(location) = self.location {
            emit("Location", location.as_bytes());
        }
        if self.origin != Origin::Visitor && self.reason.is_unserved() {
            emit("Minato-Hops", b"0");
        }
        if self.reason == Reason::Method {
            emit("Allow", ALLOWED.as_bytes());
        }
    }

    /// As HTTP/1.1 bytes. To HEAD the body is left out, to nobody its length.
    pub(crate) fn write(&self, asked: Asked, persistence: Persistence, out: &mut Vec<u8>) {
        let body = self.body();
        let status = self.reason.status();
        // Writing to a Vec does not fail.
        let _ = write!(out, "HTTP/1.1 {status} {}\r\n", self.reason.phrase());
        self.fields(&mut |name, value| {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        });
        let _ = write!(out, "Content-Length: {}\r\n", body.len());
        match (persistence, asked.version) {
            (Persistence::Close, _) => out.extend_from_slice(b"Connection: close\r\n"),
            (Persistence::KeepAlive, Version::Http10) => {
                out.extend_from_slice(b"Connection: keep-alive\r\n");
            }
            (Persistence::KeepAlive, _) => {}
        }
        out.extend_from_slice(b"\r\n");
        if asked.method != Method::Head {
            out.extend_from_slice(body.as_bytes());
        }
    }
}

/// What our own answer has to know of its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) version: Version,
}
