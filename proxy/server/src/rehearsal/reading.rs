//! Reads what was said by a parser that is not ours (httparse for heads) and plain code for bodies.

use minato_http1::normalize_path;
use std::fmt;

/// Fields of a head at most; the engine takes fewer.
const FIELDS: usize = 256;

/// A request as a reader of the bytes understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// Where it begins and ends in the bytes.
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) method: String,
    /// Path with dot segments resolved, and query.
    pub(super) target: String,
    pub(super) is_old: bool,
    pub(super) body: Body,
    pub(super) wants_tunnel: bool,
    pub(super) forwarded_for: Option<String>,
}

impl Asked {
    pub(super) fn is_idempotent(&self) -> bool {
        ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"].contains(&self.method.as_str())
    }

    /// Whether `heard`, at an instance, is this request or its beginning.
    pub(super) fn is_heard_as(&self, heard: &Self) -> bool {
        let is_body = if heard.body.is_whole {
            self.body == heard.body
        } else {
            self.body.bytes.starts_with(&heard.body.bytes)
        };
        self.method == heard.method && self.target == heard.target && is_body
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) end: usize,
    pub(super) status: u16,
    pub(super) body: Body,
    /// minato passed it on.
    pub(super) is_forwarded: bool,
    pub(super) closes: bool,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) is_whole: bool,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = &self.bytes[..self.bytes.len().min(20)];
        let whole = if self.is_whole { "whole" } else { "part" };
        write!(f, "{whole} {}: {}", self.bytes.len(), start.escape_ascii())
    }
}

/// How the bytes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Properly,
    Not,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilEnd,
}

/// The request at `start`; `None` where there is no whole head, or one whose framing has no one meaning.
pub(super) fn request(bytes: &[u8], start: usize) -> Option<Asked> {
    let rest = bytes.get(start..)?;
    let skipped = if rest.starts_with(b"\r\n") { 2 } else { 0 };
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let parsed = head.parse(rest.get(skipped..)?).ok()?;
    let httparse::Status::Complete(length) = parsed else {
        return None;
    };
    let at = start + skipped + length;
    let framing = declared(head.headers)?.unwrap_or(Framing::None);
    let (body, end) = body(bytes, at, framing, Ended::Not);
    let method = head.method?.to_owned();
    Some(Asked {
        start,
        end,
        target: resolved(&method, head.path?),
        method,
        is_old: head.version? == 0,
        body,
        wants_tunnel: values(head.headers, "upgrade")
            .any(|it| it.eq_ignore_ascii_case("websocket"))
            && values(head.headers, "connection").any(|it| it.eq_ignore_ascii_case("upgrade")),
        forwarded_for: values(head.headers, "x-forwarded-for").next(),
    })
}

/// The response at `start` to a request by this method.
pub(super) fn answer(bytes: &[u8], start: usize, method: &str, ended: Ended) -> Option<Answer> {
    let rest = bytes.get(start..)?;
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(rest).ok()? else {
        return None;
    };
    let (at, status) = (start + length, head.code?);
    let declared = declared(head.headers)?;
    let framing = if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
        Framing::None
    } else {
        declared.unwrap_or(Framing::UntilEnd)
    };
    let (body, end) = body(bytes, at, framing, ended);
    Some(Answer {
        end,
        status,
        body,
        is_forwarded: values(head.headers, "via").any(|it| it.ends_with(" minato")),
        closes: values(head.headers, "connection").any(|it| it == "close"),
    })
}

fn values<'a>(
    fields: &'a [httparse::Header<'_>],
    name: &'a str,
) -> impl Iterator<Item = String> + 'a {
    let named = fields
        .iter()
        .filter(move |it| it.name.eq_ignore_ascii_case(name));
    named.map(|it| String::from_utf8_lossy(it.value).trim().to_owned())
}

fn declared(fields: &[httparse::Header<'_>]) -> Option<Option<Framing>> {
    let lengths: Vec<String> = values(fields, "content-length").collect();
    let codings: Vec<String> = values(fields, "transfer-encoding").collect();
    match (&lengths[..], &codings[..]) {
        ([], []) => Some(None),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Some(Some(Framing::Chunked)),
        ([first, others @ ..], []) if others.iter().all(|it| it == first) => {
            Some(Some(Framing::Length(first.parse().ok()?)))
        }
        _ => None,
    }
}

fn body(bytes: &[u8], at: usize, framing: Framing, ended: Ended) -> (Body, usize) {
    let rest = bytes.get(at..).unwrap_or_default();
    let plain = |count: usize, is_whole: bool| {
        let body = Body {
            bytes: rest[..count].to_vec(),
            is_whole,
        };
        (body, at + count)
    };
    match framing {
        Framing::None => plain(0, true),
        Framing::Length(length) => plain(length.min(rest.len()), length <= rest.len()),
        Framing::UntilEnd => plain(rest.len(), ended == Ended::Properly),
        Framing::Chunked => chunks(bytes, at),
    }
}

fn chunks(bytes: &[u8], mut at: usize) -> (Body, usize) {
    let mut body = Body::default();
    let mut read = || -> Option<()> {
        loop {
            let line = line(bytes, &mut at)?;
            let size = line.split(|it| *it == b';').next()?;
            let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
            if size == 0 {
                break;
            }
            let rest = bytes.get(at..)?;
            body.bytes.extend_from_slice(&rest[..size.min(rest.len())]);
            at += size;
            if !self::line(bytes, &mut at)?.is_empty() {
                return None;
            }
        }
        while !line(bytes, &mut at)?.is_empty() {}
        Some(())
    };
    let is_whole = read().is_some();
    body.is_whole = is_whole;
    (body, if is_whole { at } else { bytes.len() })
}

fn line<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = bytes.get(*at..)?;
    let end = rest.windows(2).position(|it| it == b"\r\n")?;
    *at += end + 2;
    Some(&rest[..end])
}

/// A target in the form that instances receive.
fn resolved(method: &str, target: &str) -> String {
    let lower = target.to_ascii_lowercase();
    let scheme = ["http://", "https://"]
        .into_iter()
        .find(|it| lower.starts_with(it));
    let rest = match scheme {
        Some(scheme) => {
            let rest = &target[scheme.len()..];
            &rest[rest.find(['/', '?']).unwrap_or(rest.len())..]
        }
        None => target,
    };
    let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    if path.is_empty() && query.is_empty() && method == "OPTIONS" {
        return "*".to_owned();
    }
    let path = if path.is_empty() { "/" } else { path };
    let path = normalize_path(path).map_or_else(|_| path.to_owned(), |it| it.into_owned());
    path + query
}
