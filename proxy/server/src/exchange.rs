//! One request: route, admit, attempt, record. Decisions are `minato_proxy`'s.

use crate::answer::{Asked, Own, Reason};
use crate::buffer::Buffer;
use crate::channel::Channel;
use crate::connection::{Client, Next, write_all};
use crate::core::{Core, Desk};
use crate::flow::Flow;
use crate::gateway::Phase;
use crate::http2::Follows;
use crate::link;
use crate::note::Note;
use crate::peer::{Peer, Scheme};
use crate::record::Record;
use crate::retry;
use crate::ticker::Timer;
use minato_config::RouteAction;
use minato_http1::{
    Framing, Kind, Method, Persistence, RequestHead, ResponseHead, forwarded_proto,
};
use minato_proxy::{Admission, Permit, ServiceEntry, TableRoute, Ticket};
use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A request waits no longer than this while its service moves: as long as services are held, and a little for the way on.
const HELD_FOR: Duration = Duration::from_secs(12);

/// How the client's connection stands after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// The answer went out whole, and the request had come whole.
    Whole,
    /// The answer went out whole before the request had come.
    Unread,
    /// The answer broke off, or the client is gone.
    Cut,
}

/// All that one exchange works on.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) core: &'a Rc<Core>,
    /// The client's side.
    pub(crate) channel: &'a mut Channel,
    pub(crate) peer: Peer,
    pub(crate) timer: &'a Timer,
    /// The client has sent its end.
    pub(crate) has_ended: &'a mut bool,
    pub(crate) request: &'a RequestHead,
    /// The request's body, and what the client sent after it.
    pub(crate) upload: Flow,
    pub(crate) response: &'a mut ResponseHead,
    pub(crate) to_instance: &'a mut Vec<u8>,
    pub(crate) to_client: &'a mut Vec<u8>,
    /// Whether the last answer said that the connection goes on.
    pub(crate) persistence: Persistence,
    /// Whether the instance of the current attempt has sent any head.
    pub(crate) has_answer: bool,
    pub(crate) record: Record,
}

/// Serves one request whose head stands on the desk.
pub(crate) async fn run(client: &mut Client, desk: &mut Desk, began: Instant) -> Next {
    let Desk {
        request,
        response,
        to_instance,
        to_client,
    } = desk;
    let core = Rc::clone(&client.core);
    let mut exchange = Exchange {
        core: &core,
        channel: &mut client.channel,
        peer: client.peer,
        timer: &client.timer,
        has_ended: &mut client.has_ended,
        upload: Flow::new(request.framing(), std::mem::take(&mut client.input)),
        request,
        response,
        to_instance,
        to_client,
        persistence: Persistence::Close,
        has_answer: false,
        record: Record::new(client.peer.address, began),
    };
    let outlook = exchange.serve().await;
    exchange.timer.clear();
    exchange.record.finish(&core, Some(exchange.request));
    let persistence = exchange.persistence;
    client.input = std::mem::take(&mut exchange.upload.input);
    match (outlook, persistence) {
        (Outlook::Cut, _) => Next::Cut,
        (Outlook::Unread, _) => Next::Linger,
        (Outlook::Whole, Persistence::Close) => Next::End,
        (Outlook::Whole, Persistence::KeepAlive) => Next::Request,
    }
}

/// Serves one request of HTTP/2 whose head stands on the desk. What becomes of the stream follows from how it was answered.
pub(crate) async fn run_stream(
    core: &Rc<Core>,
    channel: &mut Channel,
    peer: Peer,
    desk: &mut Desk,
    began: Instant,
) {
    let Desk {
        request,
        response,
        to_instance,
        to_client,
    } = desk;
    let timer = core.ticker.timer();
    let mut exchange = Exchange {
        core,
        channel,
        peer,
        timer: &timer,
        has_ended: &mut false,
        upload: Flow::new(request.framing(), Buffer::default()),
        request,
        response,
        to_instance,
        to_client,
        persistence: Persistence::Close,
        has_answer: false,
        record: Record::new(peer.address, began),
    };
    exchange.serve().await;
    exchange.record.finish(core, Some(exchange.request));
    core.means.buffers.discard(&mut exchange.upload.input);
}

/// Answers a request of HTTP/2 whose head was refused.
pub(crate) async fn refuse_stream(
    core: &Rc<Core>,
    channel: &mut Channel,
    peer: Peer,
    method: Method,
    reason: Reason,
    began: Instant,
) {
    let mut record = Record::new(peer.address, began);
    (record.status, record.note) = (reason.status(), Note::Own(reason));
    let mut body = Vec::new();
    core.with_date(|date| {
        let own = Own {
            reason,
            location: None,
            sorry: &core.gateway.sorry,
            date,
            origin: peer.origin,
        };
        prepare_own(channel, &own, method, &mut body);
    });
    record.finish(core, None);
    let timer = core.ticker.timer();
    let idle = core.gateway.deadlines.idle;
    let _ = channel.open().is_ok() && write_all(channel, &timer, idle, &body).await;
}

/// Makes ready an answer of our own on a stream; its body is put into `out`.
fn prepare_own(channel: &mut Channel, own: &Own<'_>, method: Method, out: &mut Vec<u8>) {
    let Channel::Stream(stream) = channel else {
        return;
    };
    let follows = if method == Method::Head {
        Follows::Nothing
    } else {
        out.extend_from_slice(own.body().as_bytes());
        Follows::Bytes(own.body().len() as u64)
    };
    stream.prepare_own(own, follows);
}

impl Exchange<'_> {
    async fn serve(&mut self) -> Outlook {
        let request = self.request;
        // What of a body has come already is seen before its head goes on.
        if self.upload.is_malformed() {
            return self.refuse(Reason::Malformed, None).await;
        }
        // `OPTIONS *` asks about the whole host.
        let path = match request.path() {
            "*" => "/",
            path => path,
        };
        if let Some(location) = self.redirect() {
            return self.refuse(Reason::Redirect, Some(&location)).await;
        }
        let found = self.core.gateway.table.load().find(request.host(), path);
        let Some(found) = found else {
            return self.refuse(Reason::NoRoute, None).await;
        };
        let route = found.route;
        let entry = Arc::clone(&route.service);
        self.record.service = Some(Arc::clone(&entry));
        if let Some(reason) = link::refusal(self.core, self.peer, request, &entry) {
            return self.refuse(reason, None).await;
        }
        let path = match forward_path(&route, request) {
            Forward::Path(path) => path,
            Forward::Location(location) => {
                return self.refuse(Reason::Redirect, Some(&location)).await;
            }
        };
        if entry.draining {
            return self.refuse(Reason::Draining, None).await;
        }
        let limit = entry.service.limits.body_bytes;
        if limit > 0 && matches!(request.framing(), Framing::Length(length) if length > limit) {
            return self.refuse(Reason::BodyTooLarge, None).await;
        }
        let (_permit, entry) = match entry.shared.queue.admit() {
            Admission::Permit(permit) => (permit, entry),
            Admission::Shed => return self.refuse(full(&entry), None).await,
            Admission::Ticket(ticket) => match self.wait(&entry, ticket).await {
                Waited::Permit(permit) => {
                    // Who waited is served by what is up now, and where it is served now.
                    let entry = self.core.gateway.current(&entry);
                    if let Some(reason) = link::refusal(self.core, self.peer, request, &entry) {
                        return self.refuse(reason, None).await;
                    }
                    (permit, entry)
                }
                Waited::TooLong => return self.refuse(full(&entry), None).await,
                Waited::ClientGone => {
                    self.record.note = Note::ClientGone;
                    return Outlook::Cut;
                }
            },
        };
        retry::attempts(self, entry, &path).await
    }

    /// Where a request in the clear goes that can be had encrypted.
    fn redirect(&self) -> Option<String> {
        let gateway = &self.core.gateway;
        let redirect = gateway.redirect.as_ref()?;
        if self.peer.scheme == Scheme::Https {
            return None;
        }
        let trust = self.peer.trust(&gateway.trusted_proxies);
        let said = self.request.field(Kind::XForwardedProto);
        if forwarded_proto(trust, "http", said) == "https" {
            return None;
        }
        redirect.location(self.request)
    }

    /// Waits for a place. A client that ends or resets its connection meanwhile leaves the queue.
    ///
    /// While the service is held it waits for longer than its queue has it, at most [`HELD_FOR`].
    async fn wait(&mut self, entry: &ServiceEntry, mut ticket: Ticket) -> Waited {
        let limit = entry.service.limits.queue_timeout;
        self.timer.set(limit);
        let mut held = HELD_FOR.saturating_sub(limit);
        poll_fn(|context| {
            if let Poll::Ready(permit) = Pin::new(&mut ticket).poll(context) {
                return Poll::Ready(Waited::Permit(permit));
            }
            let is_gone = self.is_gone(context);
            if is_gone || *self.has_ended {
                return Poll::Ready(Waited::ClientGone);
            }
            if self.timer.is_due(context) {
                if !entry.shared.queue.is_held() || held.is_zero() {
                    return Poll::Ready(Waited::TooLong);
                }
                self.timer.set(std::mem::take(&mut held));
                // Also makes the next end of the time wake this.
                let _ = self.timer.is_due(context);
            }
            Poll::Pending
        })
        .await
    }

    /// Looks whether the client is still there; what it sends ahead is kept, as far as there is room. A client that has
    /// sent its end still waits for its answer.
    pub(crate) fn is_gone(&mut self, context: &mut Context<'_>) -> bool {
        if let Channel::Stream(stream) = self.channel {
            return stream.poll_gone(context).is_ready();
        }
        let buffers = &self.core.means.buffers;
        let input = &mut self.upload.input;
        while !*self.has_ended && !input.is_full() {
            buffers.lend_small(input);
            match self.channel.poll_read(context, input) {
                Poll::Ready(Ok(0)) => *self.has_ended = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return true,
                Poll::Pending => break,
            }
        }
        buffers.reclaim(input);
        false
    }

    /// Whether the client has sent its end within its request, which so can never become whole.
    pub(crate) fn has_left_half(&self) -> bool {
        *self.has_ended && self.upload.lacks()
    }

    /// Whether this answer may be followed by another.
    pub(crate) fn decide_persistence(&mut self) -> Persistence {
        let goes_on = !self.request.closes()
            && self.upload.is_read()
            && self.core.phase() == Phase::Serve
            && self.may_ask_more();
        self.persistence = if goes_on {
            Persistence::KeepAlive
        } else {
            Persistence::Close
        };
        self.persistence
    }

    /// Whether another request may be there already, or still come: what was sent before a client's end is answered.
    fn may_ask_more(&self) -> bool {
        !*self.has_ended || !self.upload.input.is_empty()
    }

    /// Answers in the instance's place.
    pub(crate) async fn refuse(&mut self, reason: Reason, location: Option<&str>) -> Outlook {
        (self.record.status, self.record.note) = (reason.status(), Note::Own(reason));
        let persistence = self.decide_persistence();
        let asked = Asked {
            method: self.request.method(),
            version: self.request.version(),
        };
        let out = &mut *self.to_client;
        out.clear();
        self.core.with_date(|date| {
            let own = Own {
                reason,
                location,
                sorry: &self.core.gateway.sorry,
                date,
                origin: self.peer.origin,
            };
            match self.channel {
                Channel::Stream(_) => prepare_own(self.channel, &own, asked.method, out),
                _ => own.write(asked, persistence, out),
            }
            self.record.bytes = own.body().len() as u64;
        });
        let idle = self.core.gateway.deadlines.idle;
        if self.channel.open().is_err() {
            return Outlook::Cut;
        }
        if !write_all(self.channel, self.timer, idle, out).await {
            return Outlook::Cut;
        }
        if self.upload.is_read() {
            Outlook::Whole
        } else {
            Outlook::Unread
        }
    }
}

enum Forward<'a> {
    Path(Cow<'a, str>),
    Location(String),
}

fn forward_path<'a>(route: &TableRoute, request: &'a RequestHead) -> Forward<'a> {
    let path = request.path();
    let prefix = route.pattern.path.0.as_str();
    let rest = match prefix {
        "/" => path,
        _ => path.strip_prefix(prefix).unwrap_or(path),
    };
    match &route.action {
        RouteAction::Forward { strip: false } => Forward::Path(Cow::Borrowed(path)),
        RouteAction::Forward { strip: true } if rest.starts_with('/') || rest == "*" => {
            Forward::Path(Cow::Borrowed(rest))
        }
        RouteAction::Forward { strip: true } => Forward::Path(Cow::Owned(format!("/{rest}"))),
        RouteAction::Redirect { to } => Forward::Location(format!("{to}{rest}{}", request.query())),
    }
}

/// Why there is no place.
fn full(entry: &ServiceEntry) -> Reason {
    if entry.shared.queue.is_held() {
        Reason::Moving
    } else {
        Reason::Full
    }
}

enum Waited {
    Permit(Permit),
    TooLong,
    ClientGone,
}

#[cfg(test)]
mod tests;
