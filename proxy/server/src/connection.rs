//! One HTTP/1 connection of a client: rest, read a head, serve it, go on or close.
//!
//! Between requests a connection is a small task without buffers. What serves a request is made when its first byte is there,
//! and gone a moment after it was answered, so that a busy connection makes it once and an idle one does not hold it.

use crate::answer::{Asked, Own, Reason};
use crate::buffer::Buffer;
use crate::channel::Channel;
use crate::clock;
use crate::core::{Core, Desk, Open};
use crate::exchange;
use crate::gateway::Phase;
use crate::http2::{self, PREFACE};
use crate::note::Note;
use crate::peer::Peer;
use crate::record::Record;
use crate::ticker::{Rest, Timer};
use minato_http1::{HeadScan, Method, Persistence, Version};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// What a lingering close discards at most.
const LINGER_BYTES: usize = 64 * 1024;
/// How long a connection stays ready for its next request before it shrinks to what an idle one takes.
const READY: Duration = Duration::from_secs(1);

/// A connection of a client, between requests.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) core: Rc<Core>,
    pub(crate) channel: Channel,
    pub(crate) peer: Peer,
    pub(crate) timer: Timer,
    /// Read and not yet used.
    pub(crate) input: Buffer,
    /// It has sent its end.
    pub(crate) has_ended: bool,
    spoken: Spoken,
    _open: Open,
}

/// Which version of HTTP a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoken {
    /// Its first bytes will tell.
    Unknown,
    Http1,
}

/// How an exchange leaves its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Ready for the next request, some of which may have arrived already.
    Request,
    /// The answer went out with input unread: let it arrive before closing.
    Linger,
    /// The answer was whole and said that it is the last.
    End,
    /// Nothing more to say, or an answer broke off.
    Cut,
    /// It speaks HTTP/2.
    Http2,
}

/// What came of waiting for a head.
enum Arrival {
    /// It stands on the desk.
    Head,
    /// The preface of HTTP/2 is there.
    Http2,
    Refused(Reason),
    /// The client left.
    Nothing,
}

/// Serves a connection to its end, in a task of its own.
pub(crate) fn spawn(core: &Rc<Core>, open: Open, channel: Channel, peer: Peer) {
    tokio::task::spawn_local(hold(Client::new(core, open, channel, peer)));
}

/// The same, where it was agreed that HTTP/2 is spoken.
pub(crate) fn spawn_http2(core: &Rc<Core>, open: Open, channel: Channel, peer: Peer) {
    let client = Client::new(core, open, channel, peer);
    tokio::task::spawn_local(http2::serve(client));
}

impl Client {
    fn new(core: &Rc<Core>, open: Open, channel: Channel, peer: Peer) -> Self {
        Self {
            core: Rc::clone(core),
            channel,
            peer,
            timer: core.ticker.timer(),
            input: Buffer::default(),
            has_ended: false,
            spoken: Spoken::Unknown,
            _open: open,
        }
    }
}

/// The task of a connection: this future is all that an idle one costs, beside its socket.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn keeps its argument twice, here most of what an idle connection takes"
)]
fn hold(mut client: Client) -> impl Future<Output = ()> {
    async move {
        let mut rest = client.core.gateway.deadlines.keep_alive;
        loop {
            client.timer.rest(rest);
            if !poll_fn(|context| client.poll_request(context)).await {
                // All that was asked is answered: an end in order, whoever wants it.
                return client.channel.farewell();
            }
            client.timer.work();
            // Boxed, so that it takes room only while there is something to do.
            match Box::pin(serve(&mut client)).await {
                Afterwards::Rest(so_far) => {
                    rest = client.core.gateway.deadlines.keep_alive;
                    rest = rest.saturating_sub(so_far);
                }
                Afterwards::Http2 => return Box::pin(http2::serve(client)).await,
                Afterwards::Close => return,
            }
        }
    }
}

/// What becomes of a connection that has nothing more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    /// It rests, and has done so for this long.
    Rest(Duration),
    /// It speaks HTTP/2.
    Http2,
    Close,
}

/// Who wants a connection closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closer {
    Client,
    Us,
}

/// Serves what has come.
async fn serve(client: &mut Client) -> Afterwards {
    let core = Rc::clone(&client.core);
    loop {
        let mut desk = core.take_desk();
        let next = one_request(client, &mut desk).await;
        let closer = if desk.request.closes() {
            Closer::Client
        } else {
            Closer::Us
        };
        core.give_desk(desk);
        match next {
            Next::Request if client.input.is_empty() => {
                core.means.buffers.reclaim(&mut client.input);
                let Some(_ready) = core.may_stay_ready() else {
                    return Afterwards::Rest(Duration::ZERO);
                };
                let wait = READY.min(core.gateway.deadlines.keep_alive);
                client.timer.rest(wait);
                // Whatever else has come to pass is seen again by who rests.
                if !poll_fn(|context| client.poll_request(context)).await {
                    return Afterwards::Rest(wait);
                }
                client.timer.work();
            }
            Next::Request => {}
            Next::Http2 => return Afterwards::Http2,
            Next::Cut => return Afterwards::Close,
            Next::End if client.has_ended || client.is_quiet(closer) => {
                client.channel.farewell();
                return Afterwards::Close;
            }
            Next::End | Next::Linger => {
                client.linger().await;
                return Afterwards::Close;
            }
        }
    }
}

async fn one_request(client: &mut Client, desk: &mut Desk) -> Next {
    let began = clock::now();
    match client.read_head(desk).await {
        Arrival::Head => exchange::run(client, desk, began).await,
        Arrival::Http2 => Next::Http2,
        Arrival::Refused(reason) => {
            client.refuse(reason, began).await;
            Next::Linger
        }
        Arrival::Nothing => Next::Cut,
    }
}

impl Client {
    /// Ready when the first bytes of a request are there (true), or when none will come.
    fn poll_request(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        self.core.means.buffers.lend_small(&mut self.input);
        // What is here already is served, even at the stop.
        let read = self.channel.poll_read(context, &mut self.input);
        self.core.means.buffers.reclaim(&mut self.input);
        match read {
            Poll::Ready(read) => Poll::Ready(matches!(read, Ok(1..))),
            Poll::Pending if self.core.phase() == Phase::Stop => Poll::Ready(false),
            Poll::Pending => match self.timer.rests(context) {
                Rest::On => Poll::Pending,
                Rest::Over => Poll::Ready(false),
            },
        }
    }

    /// Reads until the head is whole, checks it, and puts it on the desk.
    async fn read_head(&mut self, desk: &mut Desk) -> Arrival {
        // Nearly always it has come whole, and no preface begins so.
        if self.spoken == Spoken::Http1
            && let Some(end) = desk.request.read_whole(self.input.data())
        {
            self.input.consume(end);
            return Arrival::Head;
        }
        let mut scan = HeadScan::default();
        let mut is_timed = false;
        loop {
            let is_http2 = self.speaks_http2();
            if is_http2 == Some(true) {
                self.timer.clear();
                return Arrival::Http2;
            }
            let seen = match is_http2 {
                Some(_) => scan.look(self.input.data()),
                None => Ok(None),
            };
            match seen {
                Ok(Some(end)) => {
                    self.spoken = Spoken::Http1;
                    let head = self.input.data().get(..end).unwrap_or_default();
                    let read = desk.request.read(head);
                    self.input.consume(end);
                    self.timer.clear();
                    return match read {
                        Ok(()) => Arrival::Head,
                        Err(refusal) => Arrival::Refused(Reason::from(&refusal)),
                    };
                }
                Ok(None) => {}
                Err(refusal) => return Arrival::Refused(Reason::from(&refusal)),
            }
            if !is_timed {
                self.timer.set(self.core.gateway.deadlines.head);
                is_timed = true;
            }
            match poll_fn(|context| self.poll_more(context)).await {
                Some(1..) => {}
                Some(0) => return Arrival::Nothing,
                None => return Arrival::Refused(Reason::SlowRequest),
            }
        }
    }

    /// Whether a connection begins with the preface of HTTP/2; unknown while it may become one.
    fn speaks_http2(&self) -> Option<bool> {
        let data = self.input.data();
        let compared = data.len().min(PREFACE.len());
        let is_like =
            self.spoken == Spoken::Unknown && data.get(..compared) == PREFACE.get(..compared);
        (!is_like || compared == PREFACE.len()).then_some(is_like)
    }

    /// Bytes read, 0 where none will come, `None` where they took too long.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<Option<usize>> {
        self.core.means.buffers.lend_small(&mut self.input);
        match self.channel.poll_read(context, &mut self.input) {
            Poll::Ready(read) => Poll::Ready(Some(read.unwrap_or(0))),
            Poll::Pending if self.timer.is_due(context) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether closing would destroy nothing: no input is unread. A client that asked for the close sends no more, so that
    /// what the runtime has heard is believed; else the kernel is asked.
    fn is_quiet(&mut self, closer: Closer) -> bool {
        let is_quiet = self.input.is_empty() && self.channel.seems_quiet();
        is_quiet && (closer == Closer::Client || self.channel.is_quiet())
    }

    /// Answers what could not be read; the connection closes after it.
    async fn refuse(&mut self, reason: Reason, began: Instant) {
        let core = Rc::clone(&self.core);
        let mut out = Vec::new();
        let asked = Asked {
            method: Method::Other,
            version: Version::Http11,
        };
        core.with_date(|date| {
            let own = Own {
                reason,
                location: None,
                sorry: &core.gateway.sorry,
                date,
                origin: self.peer.origin,
            };
            own.write(asked, Persistence::Close, &mut out);
        });
        let mut record = Record::new(self.peer.address, began);
        (record.status, record.note) = (reason.status(), Note::Own(reason));
        record.finish(&core, None);
        let idle = core.gateway.deadlines.idle;
        let _ = write_all(&mut self.channel, &self.timer, idle, &out).await;
    }

    /// Lets the answer arrive: closing with input unread would reset the connection and destroy it.
    async fn linger(&mut self) {
        self.channel.shutdown_write();
        self.timer.set(self.core.gateway.deadlines.linger);
        let mut left = LINGER_BYTES;
        while left > 0 {
            self.core.means.buffers.discard(&mut self.input);
            match poll_fn(|context| self.poll_more(context)).await {
                Some(count @ 1..) => left = left.saturating_sub(count),
                _ => break,
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.core.means.buffers.discard(&mut self.input);
    }
}

/// Writes all of it; false where the peer is gone, or took nothing for so long.
pub(crate) async fn write_all(
    channel: &mut Channel,
    timer: &Timer,
    idle: Duration,
    bytes: &[u8],
) -> bool {
    let mut written = 0;
    let mut seen = usize::MAX;
    let done = poll_fn(|context| {
        if let Poll::Ready(done) = channel.poll_write_all(context, bytes, &mut written) {
            return Poll::Ready(done.is_ok());
        }
        if written != seen {
            seen = written;
            timer.set(idle);
        }
        if timer.is_due(context) {
            return Poll::Ready(false);
        }
        Poll::Pending
    })
    .await;
    timer.clear();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, F>(_: fn(A) -> F) -> usize {
        std::mem::size_of::<F>()
    }

    #[test]
    fn an_idle_connection_costs_at_most_512_bytes() {
        let idle = size(hold);
        // Far below: the runtime rounds a task up to 128 bytes.
        assert!(idle <= 192, "{idle}");
    }
}
