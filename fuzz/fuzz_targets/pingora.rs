//! What we forward has one meaning to pingora too: its server session, given what an instance gets, sees the same method,
//! target, fields, body and next request, or refuses.
#![no_main]

use minato_fuzz::differential::forwarded;
use minato_fuzz::peer::{Fields, Seen};
use pingora_core::protocols::http::v1::server::HttpSession;
use std::io::Cursor;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let &[choice, step, ref bytes @ ..] = data else {
        return;
    };
    if let Ok(mut made) = forwarded(bytes, choice >> 1, step) {
        // It keeps no trailers.
        made.body.trailers.clear();
        let _ = made.is_seen_by(&pingora_sees(&made.out));
    }
});

/// Polls at most; nothing here ever waits.
const POLLS: usize = 100_000;

/// What pingora sees of all that a client sends, the connection's end behind it.
fn pingora_sees(bytes: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    let mut session = HttpSession::new(Box::new(Cursor::new(bytes.to_vec())));
    loop {
        session.set_pipelining_enabled(true);
        // Without it the session counts as the connection's last.
        session.set_server_keepalive(Some(60));
        let next = {
            let mut turn = pin!(one(session, &mut seen));
            (0..POLLS).find_map(|_| match turn.as_mut().poll(&mut context) {
                Poll::Ready(next) => Some(next),
                Poll::Pending => None,
            })
        };
        match next.expect("the peer hangs") {
            Some(next) => session = next,
            None => return seen,
        }
    }
}

/// Reads one request; the session of the one behind it where there may be one.
async fn one(mut session: HttpSession, seen: &mut Vec<Seen>) -> Option<HttpSession> {
    let read = session.read_request().await;
    if !matches!(read, Ok(Some(_))) {
        return None;
    }
    let head = session.req_header();
    let target = String::from_utf8_lossy(head.raw_path()).into_owned();
    let at = target.find('?').unwrap_or(target.len());
    let mut fields: Fields = head
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_ascii_lowercase(),
                value.as_bytes().to_vec(),
            )
        })
        .collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    let (path, query) = target.split_at(at);
    let mut message = Seen {
        first: head.method.to_string(),
        path: path.to_owned(),
        query: query.to_owned(),
        fields,
        body: None,
    };
    let mut data = Vec::new();
    let is_whole = loop {
        match session.read_body_bytes().await {
            Ok(Some(piece)) => data.extend_from_slice(&piece),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    message.body = is_whole.then_some((data, Fields::new()));
    seen.push(message);
    if !is_whole {
        return None;
    }
    let (stream, prefix) = session.reuse().await.ok()??.into_parts();
    let mut next = HttpSession::new(stream);
    if let Some(prefix) = prefix {
        next.set_pipelined_prefix(prefix);
    }
    Some(next)
}
