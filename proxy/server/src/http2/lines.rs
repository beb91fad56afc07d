//! One core's connections to instances that speak HTTP/2: few for each, shared by many requests at once.
//!
//! A line is made by the first request that finds none with room; others wait for it. It ends when nothing has used it
//! for a while, when the instance says so or is out, and at the stop. Each is driven by a task of its own.

use crate::channel::Channel;
use crate::core::Core;
use crate::gateway::Phase;
use bytes::Bytes;
use h2::client::{self, Builder, SendRequest};
use minato_proxy::{Connection, Endpoint, Serial};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// Streams of one line at once; less where the instance allows less.
const STREAMS: usize = 100;
/// Lines to one instance; where all are full, requests wait in the least loaded.
const MOST: usize = 4;
/// Bytes of an answer that may come before any was passed on; of all answers of one line together.
const STREAM_WINDOW: u32 = 256 * 1024;
const WINDOW: u32 = 1024 * 1024;
/// Bytes of a request's body that wait for the socket, for each stream.
const SEND_BUFFER: usize = 64 * 1024;
/// How long a line is kept that nobody uses. A request that meets its end is refused, not lost, and is sent again.
const IDLE: Duration = Duration::from_secs(60);
/// Between looks at what nothing tells a line.
const LOOK: Duration = Duration::from_secs(1);

/// All lines of one core.
#[derive(Debug, Default)]
pub(crate) struct Lines(RefCell<HashMap<Key, Shelf>>);

/// An endpoint, and how connections to it are encrypted, as a number.
type Key = (Serial, u64);

#[derive(Debug, Default)]
struct Shelf {
    lines: Vec<Rc<Line>>,
    is_making: bool,
    /// Told when the making of a line has ended, whichever way.
    made: Rc<Notify>,
}

struct Line {
    sender: SendRequest<Bytes>,
    streams: Cell<usize>,
    is_over: Cell<bool>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut line = formatter.debug_struct("Line");
        line.field("streams", &self.streams).finish_non_exhaustive()
    }
}

/// What a request finds.
#[derive(Debug)]
pub(crate) enum Found {
    /// A line with room.
    Line(Lease),
    /// None: it is to make one.
    Make(Making),
    /// Another request makes one: wait until it has.
    Wait(Rc<Notify>),
}

/// One request's use of a line.
#[derive(Debug)]
pub(crate) struct Lease(Rc<Line>);

/// The right to make a line; others wait until it is used or dropped.
#[derive(Debug)]
pub(crate) struct Making {
    core: Rc<Core>,
    endpoint: Arc<Endpoint>,
    key: Key,
}

impl Lines {
    /// A line to this instance.
    pub(crate) fn find(core: &Rc<Core>, endpoint: &Arc<Endpoint>, identity: u64) -> Found {
        let key = (endpoint.serial(), identity);
        let mut all = core.lines.0.borrow_mut();
        let shelf = all.entry(key).or_default();
        shelf.lines.retain(|it| it.is_usable());
        let least = shelf.lines.iter().min_by_key(|it| it.streams.get());
        match least {
            Some(line) if line.has_room() || shelf.lines.len() >= MOST => {
                Found::Line(Lease::new(line))
            }
            _ if shelf.is_making => Found::Wait(Rc::clone(&shelf.made)),
            _ => {
                shelf.is_making = true;
                Found::Make(Making {
                    core: Rc::clone(core),
                    endpoint: Arc::clone(endpoint),
                    key,
                })
            }
        }
    }

    /// The least loaded line to this instance, full or not.
    pub(crate) fn least(core: &Core, endpoint: &Endpoint, identity: u64) -> Option<Lease> {
        let all = core.lines.0.borrow();
        let lines = all.get(&(endpoint.serial(), identity))?.lines.iter();
        let usable = lines.filter(|it| it.is_usable());
        usable.min_by_key(|it| it.streams.get()).map(Lease::new)
    }
}

impl Making {
    /// Speaks HTTP/2 on a new connection.
    pub(crate) async fn open(
        self,
        channel: Channel,
        counted: Option<Connection>,
    ) -> io::Result<Lease> {
        let handshake = builder().handshake::<_, Bytes>(Wire(channel)).await;
        let (sender, connection) = handshake.map_err(super::broken)?;
        let line = Rc::new(Line {
            sender,
            streams: Cell::new(0),
            is_over: Cell::new(false),
        });
        let core = Rc::clone(&self.core);
        if let Some(shelf) = core.lines.0.borrow_mut().get_mut(&self.key) {
            shelf.lines.push(Rc::clone(&line));
        }
        let lease = Lease::new(&line);
        let endpoint = Arc::clone(&self.endpoint);
        tokio::task::spawn_local(drive(core, endpoint, self.key, line, connection, counted));
        Ok(lease)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let mut all = self.core.lines.0.borrow_mut();
        if let Some(shelf) = all.get_mut(&self.key) {
            shelf.is_making = false;
            shelf.made.notify_waiters();
        }
        forget_empty(&mut all, self.key);
    }
}

impl Line {
    /// Whether a request may begin on it: h2 knows of a GOAWAY, and of a connection that broke.
    fn is_usable(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let ready = self.sender.clone().poll_ready(&mut context);
        !self.is_over.get() && !matches!(ready, Poll::Ready(Err(_)))
    }

    fn has_room(&self) -> bool {
        let most = self.sender.current_max_send_streams().min(STREAMS);
        self.streams.get() < most
    }
}

impl Lease {
    fn new(line: &Rc<Line>) -> Self {
        line.streams.set(line.streams.get() + 1);
        Self(Rc::clone(line))
    }

    pub(crate) fn sender(&self) -> SendRequest<Bytes> {
        self.0.sender.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let streams = &self.0.streams;
        streams.set(streams.get().saturating_sub(1));
    }
}

fn builder() -> Builder {
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(super::list_size());
    builder
}

/// Keeps a line going until it is over.
async fn drive(
    core: Rc<Core>,
    endpoint: Arc<Endpoint>,
    key: Key,
    line: Rc<Line>,
    connection: client::Connection<Wire, Bytes>,
    counted: Option<Connection>,
) {
    {
        let mut connection = pin!(connection);
        let timer = core.ticker.timer();
        let mut idle_since = None;
        timer.set(LOOK);
        poll_fn(|context| {
            if connection.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            while timer.is_due(context) {
                let now = core.now();
                if line.streams.get() > 0 {
                    idle_since = None;
                } else {
                    let since = *idle_since.get_or_insert(now);
                    let is_old = now.saturating_duration_since(since) >= IDLE;
                    if is_old || endpoint.is_out() || core.phase() == Phase::Stop {
                        return Poll::Ready(());
                    }
                }
                timer.set(LOOK);
            }
            Poll::Pending
        })
        .await;
    }
    line.is_over.set(true);
    drop(counted);
    let mut all = core.lines.0.borrow_mut();
    if let Some(shelf) = all.get_mut(&key) {
        shelf.lines.retain(|it| !Rc::ptr_eq(it, &line));
    }
    forget_empty(&mut all, key);
}

fn forget_empty(all: &mut HashMap<Key, Shelf>, key: Key) {
    if let Some(shelf) = all.get(&key)
        && shelf.lines.is_empty()
        && !shelf.is_making
    {
        all.remove(&key);
    }
}

/// A connection to an instance, as h2 reads and writes it.
#[derive(Debug)]
struct Wire(Channel);

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read_into(context, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.shutdown_write();
        Poll::Ready(Ok(()))
    }
}
