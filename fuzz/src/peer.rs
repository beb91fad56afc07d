//! hyper at the other end, over memory: what it sees of octets.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response};
use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A message as hyper sees it.
#[derive(Debug)]
pub struct Seen {
    /// Method and target, or status.
    pub first: String,
    pub path: String,
    pub query: String,
    pub fields: Fields,
    /// With its trailers; `None` where it broke off.
    pub body: Option<(Vec<u8>, Fields)>,
}

/// Names in lower case, sorted by name; equal names in the order they came.
pub type Fields = Vec<(String, Vec<u8>)>;

/// Polls at most; nothing here ever waits for anything but the other half.
const POLLS: usize = 100_000;

/// What a server sees of all that a client sends, the connection's end behind it.
pub(crate) fn server_sees(bytes: &[u8], step: u8) -> Vec<Seen> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (head, body) = request.into_parts();
            let message = Seen {
                first: format!("{}", head.method),
                path: head.uri.path().to_owned(),
                query: head
                    .uri
                    .query()
                    .map(|it| format!("?{it}"))
                    .unwrap_or_default(),
                fields: sorted(&head.headers),
                body: whole(body).await,
            };
            seen.borrow_mut().push(message);
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let io = Memory::new(bytes, step, Turn::Open);
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut context = Context::from_waker(Waker::noop());
    let ended = (0..POLLS).any(|_| connection.as_mut().poll(&mut context).is_ready());
    assert!(ended, "the peer hangs");
    seen.take()
}

/// What a client sees that asked with `method`; `None` where it refuses.
pub(crate) fn client_sees(bytes: &[u8], step: u8, method: &Method) -> Option<Seen> {
    let request = Request::builder()
        .method(method)
        .uri("/")
        .header("host", "a")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let io = Memory::new(bytes, step, Turn::Waiting);
    let mut context = Context::from_waker(Waker::noop());
    let mut handshake = pin!(hyper::client::conn::http1::handshake(io));
    let Poll::Ready(Ok((mut sender, connection))) = handshake.as_mut().poll(&mut context) else {
        panic!("a handshake of HTTP/1 waits");
    };
    let mut asked = pin!(async {
        let response = sender.send_request(request).await.ok()?;
        let (head, body) = response.into_parts();
        Some(Seen {
            first: head.status.as_u16().to_string(),
            path: String::new(),
            query: String::new(),
            fields: sorted(&head.headers),
            body: whole(body).await,
        })
    });
    let mut connection = pin!(connection);
    let mut is_over = false;
    for _ in 0..POLLS {
        if let Poll::Ready(seen) = asked.as_mut().poll(&mut context) {
            return seen;
        }
        if !is_over {
            is_over = connection.as_mut().poll(&mut context).is_ready();
        }
    }
    panic!("the peer hangs");
}

async fn whole(body: Incoming) -> Option<(Vec<u8>, Fields)> {
    let collected = body.collect().await.ok()?;
    let trailers = collected.trailers().map(sorted).unwrap_or_default();
    Some((collected.to_bytes().to_vec(), trailers))
}

fn sorted(fields: &HeaderMap) -> Fields {
    let owned = fields
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    let mut list: Vec<_> = owned.collect();
    list.sort_by(|one, other| one.0.cmp(&other.0));
    list
}

/// Whether what is to be read may be read already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Open,
    /// Not before something was written.
    Waiting,
}

/// A connection whose other side has said all it will.
struct Memory {
    input: Vec<u8>,
    at: usize,
    step: usize,
    turn: Turn,
}

impl Memory {
    fn new(input: &[u8], step: u8, turn: Turn) -> Self {
        Self {
            input: input.to_vec(),
            at: 0,
            // A few at a time show as much as one at a time, in less time.
            step: if step == 0 {
                usize::MAX
            } else {
                usize::from(step) + 16
            },
            turn,
        }
    }
}

impl hyper::rt::Read for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut into: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.turn == Turn::Waiting {
            return Poll::Pending;
        }
        let left = &self.input[self.at..];
        let count = left.len().min(into.remaining()).min(self.step);
        into.put_slice(&left[..count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Memory {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.turn = Turn::Open;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
