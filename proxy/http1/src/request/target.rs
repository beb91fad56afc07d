//! Who and what a request asks for, in one form.

use crate::target::{InvalidTarget, push_host, push_path};
use crate::{Method, Refusal};

/// Authority, path, query, host, and a method that is none of the known ones, one behind the other, and where each ends.
#[derive(Debug, Default)]
pub(super) struct Target {
    text: String,
    authority: u32,
    path: u32,
    query: u32,
    host: u32,
}

impl Target {
    /// From the target of an HTTP/1 request and its Host.
    pub(super) fn read(
        &mut self,
        method: Method,
        target: &[u8],
        host: Option<&[u8]>,
    ) -> Result<(), Refusal> {
        let no_text = |_| Refusal::Malformed("a target or Host that is not UTF-8");
        let target = std::str::from_utf8(target).map_err(no_text)?;
        let host = host.map(std::str::from_utf8).transpose().map_err(no_text)?;
        let (absolute, rest) = split(target);
        if let (Some(absolute), Some(host)) = (absolute, host)
            && !absolute.eq_ignore_ascii_case(host)
        {
            return Err(Refusal::Malformed("the target disagrees with Host"));
        }
        let rest = match absolute {
            // RFC 9112 3.2.4.
            Some(_) if rest.is_empty() && method == Method::Options => ("*", ""),
            Some(_) if rest.is_empty() || rest.starts_with('?') => ("/", rest),
            _ => cut_query(rest),
        };
        self.set(method, absolute.or(host), rest)
    }

    /// `rest` is path and query.
    pub(super) fn set(
        &mut self,
        method: Method,
        authority: Option<&str>,
        (path, query): (&str, &str),
    ) -> Result<(), Refusal> {
        check_query(query)?;
        let malformed = |error: InvalidTarget| Refusal::Malformed(error.why());
        self.text.clear();
        self.text.push_str(authority.unwrap_or_default());
        self.authority = self.end();
        if path == "*" && method == Method::Options && query.is_empty() {
            self.text.push_str(path);
        } else {
            push_path(path, &mut self.text).map_err(malformed)?;
        }
        self.path = self.end();
        self.text.push_str(query);
        self.query = self.end();
        if let Some(authority) = authority {
            push_host(authority, &mut self.text).map_err(malformed)?;
        }
        self.host = self.end();
        Ok(())
    }

    /// Tokens are ASCII.
    pub(super) fn keep_method(&mut self, method: &[u8]) {
        self.text.extend(method.iter().map(|it| char::from(*it)));
    }

    pub(super) fn authority(&self) -> &str {
        self.part(0, self.authority)
    }

    pub(super) fn path(&self) -> &str {
        self.part(self.authority, self.path)
    }

    pub(super) fn query(&self) -> &str {
        self.part(self.path, self.query)
    }

    pub(super) fn host(&self) -> &str {
        self.part(self.query, self.host)
    }

    pub(super) fn method(&self) -> &str {
        self.part(self.host, self.end())
    }

    fn part(&self, from: u32, to: u32) -> &str {
        self.text
            .get(from as usize..to as usize)
            .unwrap_or_default()
    }

    /// A head is at most 32 KiB long.
    fn end(&self) -> u32 {
        self.text.len() as u32
    }
}

/// The authority of an absolute target, and the rest.
fn split(target: &str) -> (Option<&str>, &str) {
    if target.starts_with('/') {
        return (None, target);
    }
    let after = |scheme: &str| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    match after("http://").or_else(|| after("https://")) {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
        None => (None, target),
    }
}

/// The query keeps its `?`.
pub(super) fn cut_query(text: &str) -> (&str, &str) {
    match memchr::memchr(b'?', text.as_bytes()) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    }
}

fn check_query(query: &str) -> Result<(), Refusal> {
    let bytes = query.as_bytes();
    if memchr::memchr2(b'#', b'\\', bytes).is_some() {
        return Err(Refusal::Malformed("a fragment or a backslash in the query"));
    }
    let mut escapes = memchr::memchr_iter(b'%', bytes);
    if escapes.any(|at| bytes[at + 1..].starts_with(b"00")) {
        return Err(Refusal::Malformed("an encoded NUL in the query"));
    }
    Ok(())
}
