//! What we forward has one meaning: hyper and httparse see the same method, target, host, fields and body, or refuse.
//! (pingora does as well: `fuzz_targets/pingora.rs`.)

use super::bodies::{Body, encode, follow};
use super::heads::{onward, response_onward, text};
use super::peer::{Fields, Seen, client_sees, server_sees};
use super::{Reached, control};
use minato_http1::{Framing, HeadScan, Method, RequestHead, ResponseHead, Version, normalize_path};

/// Follows a message: another parser must find it where the one before it ends.
const SENTINEL: &[u8] = b"GET /sentinel HTTP/1.1\r\nHost: sentinel\r\n\r\n";

/// Property of a whole message: a request where the first octet is even, else a response.
pub fn differential(data: &[u8]) -> Reached {
    let (choice, bytes) = control(data);
    let (step, bytes) = control(bytes);
    if choice & 1 == 0 {
        request(bytes, choice >> 1, step)
    } else {
        response(bytes, choice >> 1, step)
    }
}

fn sorted(fields: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Fields {
    let lower = |name: Vec<u8>| String::from_utf8_lossy(&name).to_ascii_lowercase();
    let mut list: Fields = fields.map(|(name, value)| (lower(name), value)).collect();
    list.sort_by(|one, other| one.0.cmp(&other.0));
    list
}

/// A request as it goes on to the instance, and what any reader of it must see.
pub struct Forwarded {
    /// All of it; where it is whole, another request follows.
    pub out: Vec<u8>,
    pub head: RequestHead,
    /// What it was read of, without what follows.
    pub came: Vec<u8>,
    /// In the order they were written, as written.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Body,
    /// Not so where its body breaks the rules or off.
    pub is_whole: bool,
}

/// What we make of a request that a client sends; `Err` where nothing goes on.
///
/// # Errors
///
/// How far the data got.
pub fn forwarded(bytes: &[u8], choice: u8, step: u8) -> Result<Forwarded, Reached> {
    let end = match HeadScan::default().look(bytes) {
        Ok(Some(end)) => end,
        Ok(None) => return Err(Reached::Unfinished),
        Err(_) => return Err(Reached::Refused),
    };
    let mut head = RequestHead::default();
    if head.read(&bytes[..end]).is_err() {
        return Err(Reached::Refused);
    }
    let body = follow(head.framing(), &bytes[end..], 0);
    let is_sound = body.is_ok();
    // Of a body that breaks the rules, what came before may have gone on; its end never does.
    let body = body.unwrap_or_else(|_| Body::default());
    let mut out = Vec::new();
    head.write(&onward(&head, choice), &mut out);
    let mut fields = Vec::new();
    head.forward(&onward(&head, choice), &mut |name, value| {
        fields.push((name.to_vec(), value.to_vec()));
    });
    if fields.len() <= 100 {
        agrees_with_httparse(&head, &out, &fields);
    }
    match head.framing() {
        Framing::Chunked => encode(&body, step, &mut out),
        _ => out.extend_from_slice(&body.data),
    }
    let is_whole = is_sound && body.is_whole;
    if is_whole {
        out.extend_from_slice(SENTINEL);
    }
    Ok(Forwarded {
        out,
        head,
        came: bytes[..end + body.used].to_vec(),
        fields,
        body,
        is_whole,
    })
}

fn request(bytes: &[u8], choice: u8, step: u8) -> Reached {
    let made = match forwarded(bytes, choice, step) {
        Ok(made) => made,
        Err(reached) => return reached,
    };
    let seen = server_sees(&made.out, step);
    if let Some(reached) = made.is_seen_by(&seen) {
        return reached;
    }
    agrees_on_what_came(&made.head, &made.came, &made.body);
    Reached::Held
}

impl Forwarded {
    /// Holds what a reader saw against what it must see; `None` where all of it was there to be seen, and was.
    ///
    /// # Panics
    ///
    /// Where the two differ.
    #[must_use]
    pub fn is_seen_by(&self, seen: &[Seen]) -> Option<Reached> {
        let (out, head) = (&self.out, &self.head);
        let Some(first) = seen.first() else {
            return Some(Reached::RefusedThere);
        };
        assert_eq!(first.first, head.method_text(), "{}", text(out));
        assert_eq!(
            (&*first.path, &*first.query),
            (head.path(), head.query()),
            "{}",
            text(out)
        );
        assert_eq!(
            first.fields,
            sorted(self.fields.iter().cloned()),
            "{}",
            text(out)
        );
        if !self.is_whole {
            assert!(
                first.body.is_none() && seen.len() == 1,
                "a broken body was ended: {}",
                text(out)
            );
            return Some(Reached::Unfinished);
        }
        same_body(first, &self.body, out);
        has_sentinel(seen, out);
        None
    }
}

fn agrees_with_httparse(head: &RequestHead, out: &[u8], emitted: &[(Vec<u8>, Vec<u8>)]) {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut other = httparse::Request::new(&mut fields);
    let parsed = other.parse(out);
    let Ok(httparse::Status::Complete(length)) = parsed else {
        // Of targets beyond ASCII it takes only some.
        assert!(
            parsed.is_err() && !head.path().is_ascii() | !head.query().is_ascii(),
            "{parsed:?} {}",
            text(out)
        );
        return;
    };
    assert_eq!(length, out.len(), "{}", text(out));
    let target = format!("{}{}", head.path(), head.query());
    assert_eq!(other.method, Some(head.method_text()));
    assert_eq!(other.path, Some(&*target));
    assert_eq!(other.version, Some(1));
    let same = other
        .headers
        .iter()
        .map(|it| (it.name.as_bytes(), it.value));
    assert!(
        same.eq(emitted.iter().map(|it| (&it.0[..], &it.1[..]))),
        "{}",
        text(out)
    );
}

/// What came has one meaning too: hyper, given the client's own octets, sees what we see or refuses.
fn agrees_on_what_came(head: &RequestHead, bytes: &[u8], body: &Body) {
    let mut bytes = bytes.to_vec();
    bytes.extend_from_slice(SENTINEL);
    let seen = server_sees(&bytes, 0);
    let Some(first) = seen.first() else {
        return;
    };
    assert_eq!(first.first, head.method_text(), "{}", text(&bytes));
    if head.path() != "*" {
        assert_eq!(
            normalize_path(&first.path).as_deref(),
            Ok(head.path()),
            "{}",
            text(&bytes)
        );
        assert_eq!(first.query, head.query(), "{}", text(&bytes));
    }
    same_body(first, body, &bytes);
    if head.version() == Version::Http11 && !head.closes() {
        has_sentinel(&seen, &bytes);
    }
}

fn has_sentinel(seen: &[Seen], out: &[u8]) {
    let [_, sentinel] = seen else {
        panic!("{} messages: {}", seen.len(), text(out));
    };
    assert_eq!(
        (&*sentinel.first, &*sentinel.path),
        ("GET", "/sentinel"),
        "{}",
        text(out)
    );
}

fn same_body(seen: &Seen, body: &Body, out: &[u8]) {
    let Some((data, trailers)) = &seen.body else {
        panic!("the body broke off: {}", text(out));
    };
    assert_eq!(data, &body.data, "{}", text(out));
    // A lenient reader keeps trailers that we drop.
    for trailer in sorted(body.trailers.iter().cloned()) {
        assert!(trailers.contains(&trailer), "{trailer:?}: {}", text(out));
    }
}

fn response(bytes: &[u8], choice: u8, step: u8) -> Reached {
    let asked = if choice & 1 == 0 {
        Method::Get
    } else {
        Method::Head
    };
    let end = match HeadScan::default().look_response(bytes) {
        Ok(Some(end)) => end,
        Ok(None) => return Reached::Unfinished,
        Err(_) => return Reached::Refused,
    };
    let mut head = ResponseHead::default();
    if head.read(&bytes[..end], asked).is_err() {
        return Reached::Refused;
    }
    // Interim answers are skipped there, and a 101 makes a tunnel.
    if head.status() < 200 {
        return Reached::Unfinished;
    }
    let Ok(mut body) = follow(head.framing(), &bytes[end..], 0) else {
        return Reached::Refused;
    };
    let mut out = Vec::new();
    let framing = head.write(&response_onward(choice), &mut out);
    let mut fields = [httparse::EMPTY_HEADER; 110];
    let mut other = httparse::Response::new(&mut fields);
    let parsed = other.parse(&out);
    assert!(
        matches!(parsed, Ok(httparse::Status::Complete(it)) if it == out.len()),
        "{parsed:?} {}",
        text(&out)
    );
    assert_eq!((other.version, other.code), (Some(1), Some(head.status())));
    let parsed = other
        .headers
        .iter()
        .map(|it| (it.name.as_bytes().to_vec(), it.value.to_vec()));
    let expected = sorted(parsed);
    match framing {
        Framing::Chunked => encode(&body, step, &mut out),
        _ => out.extend_from_slice(&body.data),
    }
    let method = if asked == Method::Head {
        hyper::Method::HEAD
    } else {
        hyper::Method::GET
    };
    let Some(seen) = client_sees(&out, step, &method) else {
        return Reached::RefusedThere;
    };
    assert_eq!(seen.first, head.status().to_string(), "{}", text(&out));
    assert_eq!(seen.fields, expected, "{}", text(&out));
    if body.is_whole {
        if framing != Framing::Chunked {
            // Trailers have no place there.
            body.trailers.clear();
        }
        same_body(&seen, &body, &out);
        Reached::Held
    } else {
        // What only the connection's end ends looks whole to HTTP/1.0 however it is cut: the connection is reset instead.
        let shows = framing != Framing::UntilClose;
        assert!(
            !shows || seen.body.is_none(),
            "a broken body was ended: {}",
            text(&out)
        );
        Reached::Unfinished
    }
}
