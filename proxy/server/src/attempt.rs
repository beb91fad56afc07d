//! One attempt at one instance: a connection, the head, both bodies, and what it says about the instance.

use crate::accept::is_shortage;
use crate::answer::Reason;
use crate::buffer::Buffer;
use crate::channel::Channel;
use crate::exchange::{Exchange, Outlook};
use crate::flow::Coding;
use crate::http2::{self, Call, Follows, Found, Lines};
use crate::link;
use crate::pool::{Need, Upstream};
use crate::relay::{self, Stop};
use crate::tls;
use minato_config::{Service, UpstreamProtocol};
use minato_health::{Failure, Layer};
use minato_http1::{Framing, Kind, RequestOnward};
use minato_proxy::{AttemptEnd, Endpoint, Sent};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::sleep;

/// Between connects while this machine has no descriptor or port for one.
const SHORTAGE: Duration = Duration::from_millis(50);
/// Characters of a failure's detail.
const DETAIL: usize = 300;

/// May an idle connection be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooled {
    /// Yes.
    Allowed,
    /// No: an attempt of this request failed already.
    Avoided,
}

/// What is tried.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) service: &'a Service,
    pub(crate) endpoint: &'a Arc<Endpoint>,
    pub(crate) path: &'a str,
    pub(crate) pooled: Pooled,
}

/// How it ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The answer went to the client whole.
    Answered(Outlook),
    /// Some of the answer went out, then it broke.
    BrokeOff(AttemptEnd),
    /// Nothing of an answer went to the client.
    Failed(Failed),
    /// The request itself is at fault.
    Refused(Reason),
    /// The client went away.
    ClientGone,
}

/// An attempt that may perhaps be made again.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) end: AttemptEnd,
    pub(crate) sent: Sent,
    /// None of the request's body was taken from the client.
    pub(crate) intact: bool,
    pub(crate) blame: Blame,
    pub(crate) failure: Failure,
}

/// Whose failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The instance's.
    Instance,
    /// No one's: an idle connection turned out to be closed.
    Stale,
    /// This machine's, which is out of descriptors or ports, or at the limit of connections to the instance.
    Ours,
    /// The client's, who went away.
    Client,
}

/// Makes the attempt.
pub(crate) async fn run(exchange: &mut Exchange<'_>, job: &Job<'_>) -> Ended {
    let (mut upstream, is_reused) = match connection(exchange, job).await {
        Ok(found) => found,
        Err((Blame::Client, _)) => return Ended::ClientGone,
        Err((blame, failure)) => {
            return Ended::Failed(Failed {
                end: AttemptEnd::ConnectFailed,
                sent: Sent::Nothing,
                intact: true,
                blame,
                failure,
            });
        }
    };
    if !begin(exchange, job, &mut upstream.channel) {
        return Ended::Refused(Reason::Malformed);
    }
    exchange.upload.limit(job.service.limits.body_bytes);
    let mut answer = Buffer::default();
    let mut is_refused = false;
    let ended = match relay::until_answer(exchange, job, &mut upstream.channel, &mut answer).await {
        Ok(()) if is_unserved(exchange, job) => {
            is_refused = true;
            exchange.core.means.buffers.discard(&mut answer);
            let why = format!(
                "its gateway had nobody to take it ({})",
                exchange.response.status()
            );
            Err(Stop::Instance(AttemptEnd::ConnectFailed, why))
        }
        Ok(()) => relay::answer(exchange, job, upstream, answer).await,
        Err(stop) => {
            is_refused = upstream.channel.is_refused();
            exchange.core.means.buffers.discard(&mut answer);
            Err(stop)
        }
    };
    let (has_sent, is_touched) = (exchange.upload.has_sent(), exchange.upload.is_touched());
    *exchange.to_instance = exchange.upload.release();
    match ended {
        Ok(ended) => ended,
        Err(Stop::Client) => Ended::ClientGone,
        Err(Stop::Request(reason)) => Ended::Refused(reason),
        Err(Stop::Instance(end, detail)) => Ended::Failed(Failed {
            end,
            sent: if has_sent && !is_refused {
                Sent::Something
            } else {
                Sent::Nothing
            },
            intact: !is_touched,
            // What an idle connection does before it answers anything says nothing of the instance.
            blame: if is_reused && end == AttemptEnd::Reset && !exchange.has_answer {
                Blame::Stale
            } else {
                Blame::Instance
            },
            failure: Failure {
                layer: if end == AttemptEnd::TimedOut {
                    Layer::NoAnswer
                } else {
                    Layer::Traffic
                },
                detail: detail.chars().take(DETAIL).collect(),
            },
        }),
    }
}

/// Whether a gateway of another site says that no instance of its own has had the request: then it may go elsewhere. Only a gateway's own
/// word counts: what an instance says of it stays behind there.
fn is_unserved(exchange: &Exchange<'_>, job: &Job<'_>) -> bool {
    job.endpoint.site().is_some() && exchange.response.field(Kind::MinatoHops) == Some(b"0")
}

/// Makes the request's head ready to be sent; false where it cannot be said in HTTP/2.
fn begin(exchange: &mut Exchange<'_>, job: &Job<'_>, upstream: &mut Channel) -> bool {
    let request = exchange.request;
    let (path, hops) = match job.endpoint.site() {
        None => (job.path, None),
        // The other site finds the route itself, and what that takes away.
        Some(_) => (request.path(), Some(link::HOPS)),
    };
    let onward = RequestOnward {
        path,
        client: exchange.peer.address.ip(),
        trust: exchange.peer.trust(&exchange.core.gateway.trusted_proxies),
        scheme: exchange.peer.scheme.text(),
        hops,
        upstream: job.endpoint.address(),
    };
    let mut head = std::mem::take(exchange.to_instance);
    head.clear();
    if let Channel::Call(call) = upstream {
        exchange.upload.begin(head, Coding::Plain);
        let onward = http2::request_head(request, &onward);
        let is_sayable = onward.is_some();
        if let Some(onward) = onward {
            call.prepare(onward, Follows::from(request.framing()));
        }
        return is_sayable;
    }
    request.write(&onward, &mut head);
    let coding = match request.framing() {
        // Of HTTP/2, where the stream's end is the body's.
        Framing::UntilClose => Coding::Chunked,
        framing => Coding::of(framing),
    };
    exchange.upload.begin(head, coding);
    true
}

/// A connection to the instance, and whether it was used before.
async fn connection(
    exchange: &mut Exchange<'_>,
    job: &Job<'_>,
) -> Result<(Upstream, bool), (Blame, Failure)> {
    match job.service.upstream.protocol {
        UpstreamProtocol::Http1 => idle_or_new(exchange, job).await,
        UpstreamProtocol::Http2 => shared(exchange, job).await,
    }
}

/// A stream of a connection that is shared, or the first of a new one.
async fn shared(
    exchange: &mut Exchange<'_>,
    job: &Job<'_>,
) -> Result<(Upstream, bool), (Blame, Failure)> {
    let limit = job.service.timeouts.connect;
    let identity = tls::identity(job.service, job.endpoint);
    let call = |lease| Upstream {
        channel: Channel::Call(Box::new(Call::new(lease))),
        identity: 0,
        counted: None,
    };
    loop {
        match Lines::find(exchange.core, job.endpoint, identity) {
            Found::Line(lease) => return Ok((call(lease), job.pooled == Pooled::Allowed)),
            Found::Make(making) => {
                let made = match connect(exchange, job).await {
                    Ok(made) => made,
                    // Where no more connections may be made, those that are full have to do.
                    Err((Blame::Ours, failure)) => {
                        let least = Lines::least(exchange.core, job.endpoint, identity);
                        let least = least.map(|lease| (call(lease), true));
                        return least.ok_or((Blame::Ours, failure));
                    }
                    Err(other) => return Err(other),
                };
                let opened = making.open(made.channel, made.counted).await;
                let opened = opened.map_err(|error| {
                    let detail = format!("no HTTP/2 on a new connection: {error}");
                    (Blame::Instance, failure(Layer::ConnectFailed, detail))
                });
                return opened.map(|lease| (call(lease), false));
            }
            Found::Wait(made) => {
                let mut made = pin!(made.notified());
                exchange.timer.set(limit);
                exchange.timer.watch(job.endpoint);
                let is_made = poll_fn(|context| match made.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(true),
                    _ if job.endpoint.is_out() => Poll::Ready(false),
                    _ if exchange.timer.is_due(context) => Poll::Ready(false),
                    Poll::Pending => Poll::Pending,
                });
                if !is_made.await {
                    let detail = format!("no connection in {limit:?}");
                    return Err((Blame::Instance, failure(Layer::ConnectTimeout, detail)));
                }
            }
        }
    }
}

/// An idle connection that this request may use, or a new one; and whether it was used before.
async fn idle_or_new(
    exchange: &mut Exchange<'_>,
    job: &Job<'_>,
) -> Result<(Upstream, bool), (Blame, Failure)> {
    let request = exchange.request;
    let may_retry = request.method().is_idempotent() && request.framing() == Framing::None;
    let need = if may_retry { Need::Any } else { Need::Fresh };
    let core = exchange.core;
    let idle = match job.pooled {
        Pooled::Allowed => {
            let identity = tls::identity(job.service, job.endpoint);
            core.pool.take(job.endpoint, need, identity, core.now())
        }
        Pooled::Avoided => None,
    };
    match idle {
        Some(idle) => Ok((idle, true)),
        None => connect(exchange, job).await.map(|it| (it, false)),
    }
}

async fn connect(exchange: &mut Exchange<'_>, job: &Job<'_>) -> Result<Upstream, (Blame, Failure)> {
    // A gateway of another site stands for all instances there.
    let most = match job.endpoint.site() {
        None => job.service.limits.connections,
        Some(_) => 0,
    };
    let Some(counted) = job.endpoint.connect(most) else {
        let detail = format!("{most} connections to it are open, which is the limit");
        return Err((Blame::Ours, failure(Layer::ConnectFailed, detail)));
    };
    let limit = job.service.timeouts.connect;
    let mut blame = Blame::Instance;
    let mut has_left = false;
    let core = exchange.core;
    let connected = {
        let mut connecting = pin!(async {
            loop {
                match core.dial.connect(job.endpoint.address()).await {
                    Err(error) if is_shortage(&error) => {
                        blame = Blame::Ours;
                        core.relieve();
                        sleep(SHORTAGE).await;
                    }
                    connected => {
                        blame = Blame::Instance;
                        return connected;
                    }
                }
            }
        });
        exchange.timer.set(limit);
        exchange.timer.watch(job.endpoint);
        poll_fn(|context| {
            if let Poll::Ready(connected) = connecting.as_mut().poll(context) {
                return Poll::Ready(connected);
            }
            if job.endpoint.is_out() {
                return Poll::Ready(Err(io::Error::other("ejected while connecting")));
            }
            if exchange.is_gone(context) || exchange.has_left_half() {
                has_left = true;
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            if exchange.timer.is_due(context) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Poll::Pending
        })
        .await
    };
    match connected {
        Ok(channel) => Ok(Upstream {
            channel: secure(channel, exchange, job).await?,
            identity: tls::identity(job.service, job.endpoint),
            counted: Some(counted),
        }),
        Err(error) if has_left => Err((
            Blame::Client,
            failure(Layer::ConnectFailed, error.to_string()),
        )),
        Err(_) if blame == Blame::Ours => {
            let detail = "no free descriptor or port here; raise the limit of open files";
            Err((blame, failure(Layer::ConnectFailed, detail.to_owned())))
        }
        Err(error) => {
            let (layer, detail) = match error.kind() {
                io::ErrorKind::ConnectionRefused => {
                    (Layer::ConnectRefused, "connection refused".to_owned())
                }
                io::ErrorKind::TimedOut => {
                    (Layer::ConnectTimeout, format!("no connection in {limit:?}"))
                }
                _ => (Layer::ConnectFailed, error.to_string()),
            };
            Err((blame, failure(layer, detail)))
        }
    }
}

/// Speaks TLS over a new connection, where the service says so.
async fn secure(
    channel: Channel,
    exchange: &Exchange<'_>,
    job: &Job<'_>,
) -> Result<Channel, (Blame, Failure)> {
    let tcp = match channel {
        Channel::Tcp(tcp)
            if job.service.upstream.tls.is_some() || job.endpoint.site().is_some() =>
        {
            tcp
        }
        channel => return Ok(channel),
    };
    let limit = exchange.core.gateway.deadlines.handshake;
    let mut shaking = Box::pin(tls::connect(exchange.core, tcp, job.service, job.endpoint));
    exchange.timer.set(limit);
    exchange.timer.watch(job.endpoint);
    let shaken = poll_fn(|context| {
        if let Poll::Ready(shaken) = shaking.as_mut().poll(context) {
            return Poll::Ready(shaken);
        }
        // A process that is stopped still has its connections accepted by the kernel.
        if job.endpoint.is_out() {
            return Poll::Ready(Err("ejected within the handshake".to_owned()));
        }
        if exchange.timer.is_due(context) {
            return Poll::Ready(Err(format!("no handshake in {limit:?}")));
        }
        Poll::Pending
    });
    let shaken = shaken.await;
    exchange.timer.clear();
    shaken.map_err(|detail| (Blame::Instance, failure(Layer::Tls, detail)))
}

fn failure(layer: Layer, detail: String) -> Failure {
    Failure { layer, detail }
}
