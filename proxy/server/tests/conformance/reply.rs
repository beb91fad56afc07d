//! What an instance says and what must come of it, played through a gateway: whole, and cut in two at every place.

use crate::message::{Body, Message};
use crate::peer::{Origin, Peer, soon};
use crate::setup::{Running, Setup};
use crate::stage::{beat, text};
use tokio::io::AsyncReadExt;

/// Exchanges that are cut apart at once.
const AT_ONCE: usize = 32;
pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

pub(crate) const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n";
/// More of a body is to come than does.
pub(crate) const UPLOAD: &str =
    "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 90000\r\n\r\nhello";

/// What an instance says, and all that must come of it.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) asked: &'static str,
    pub(crate) sent: Vec<u8>,
    pub(crate) end: End,
    pub(crate) becomes: Becomes,
}

/// What the instance does after it has spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Waits,
    Closes,
    Resets,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Becomes {
    /// 502, and the instance's connection closes.
    BadGateway,
    /// 502, or an answer that cannot pass for whole.
    BrokenOff,
    /// These messages, as [`Message::joined`] has them.
    Answer(Vec<u8>, Reuse),
}

/// What becomes of the instance's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// It may carry another request.
    Kept,
    /// It carries none.
    Closed,
}

pub(crate) fn reply(sent: impl AsRef<[u8]>, becomes: Becomes) -> Reply {
    Reply {
        asked: GET,
        sent: sent.as_ref().to_vec(),
        end: End::Waits,
        becomes,
    }
}

pub(crate) fn invalid(sent: impl AsRef<[u8]>) -> Reply {
    reply(sent, Becomes::BadGateway)
}

/// What a client receives of an answer: its first lines, Via, the framing, the body.
pub(crate) fn onward(first: &str, framing: &str, body: &str) -> Vec<u8> {
    format!("{first}Via: 1.1 minato\r\n{framing}\r\n{body}").into_bytes()
}

pub(crate) struct Theatre {
    running: Running,
    origin: Origin,
    pulse: Peer,
}

impl Theatre {
    pub(crate) async fn start() -> Self {
        let origin = Origin::start().await;
        let mut setup = Setup::new();
        setup.service.retries = 0;
        setup.service.limits.idle = 1000;
        let running = setup.start(&[origin.address]).await;
        let pulse = running.client().await;
        Self {
            running,
            origin,
            pulse,
        }
    }

    pub(crate) async fn check(&mut self, reply: &Reply) {
        let cuts: Vec<usize> = (0..reply.sent.len()).collect();
        for cuts in cuts.chunks(AT_ONCE) {
            self.play(reply, cuts).await;
        }
    }

    pub(crate) async fn play(&mut self, reply: &Reply, cuts: &[usize]) {
        let before = self.running.endpoints[0].idle_connections();
        assert_eq!(before, 0, "an idle connection is left over");
        let mut pairs = Vec::new();
        for _ in cuts {
            let mut client = self.running.client().await;
            client.send(reply.asked).await;
            // One at a time, so that each client's is known.
            let mut instance = self.origin.accept().await;
            instance.head().await;
            if reply.asked == UPLOAD {
                instance.bytes(5).await;
            }
            pairs.push((client, instance));
        }
        for ((_, instance), cut) in pairs.iter_mut().zip(cuts) {
            instance.try_send(&reply.sent[..*cut]).await;
        }
        beat(&mut self.pulse).await;
        for ((_, instance), cut) in pairs.iter_mut().zip(cuts) {
            instance.try_send(&reply.sent[*cut..]).await;
        }
        let mut ended = Vec::new();
        for (client, instance) in pairs {
            ended.push(match reply.end {
                End::Waits => (client, Some(instance)),
                End::Closes => (client, None),
                End::Resets => {
                    instance.reset();
                    (client, None)
                }
            });
        }
        beat(&mut self.pulse).await;
        let mut kept = Vec::new();
        for ((client, instance), cut) in ended.into_iter().zip(cuts) {
            let place = format!(
                "{:?} | {:?}",
                text(&reply.sent[..*cut]),
                text(&reply.sent[*cut..])
            );
            let open = soon("an outcome", observe(reply, client, &place)).await;
            kept.push((open, instance));
        }
        self.look_at_connections(reply, kept).await;
    }

    /// Whether the instance's connections are kept or closed.
    async fn look_at_connections(
        &mut self,
        reply: &Reply,
        kept: Vec<(Option<Peer>, Option<Peer>)>,
    ) {
        if let Becomes::Answer(_, Reuse::Kept) = reply.becomes {
            let idle = self.running.endpoints[0].idle_connections();
            assert_eq!(idle as usize, kept.len(), "{:?}", text(&reply.sent));
            // A fresh gateway is sooner there than these are too old.
            *self = Self::start().await;
            return;
        }
        for (client, instance) in kept {
            if let Some(mut client) = client {
                client.send(GET).await;
                let mut fresh = self.origin.accept().await;
                fresh.head().await;
                fresh
                    .send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                    .await;
                assert_eq!(client.answer().await.status, 204);
            }
            if let Some(mut instance) = instance {
                let (more, _) = instance.rest().await;
                assert_eq!(text(&more), "", "another request on a spent connection");
            }
        }
        self.running
            .settles("no connection to the instance", |it| {
                it.endpoints[0].connections() == it.endpoints[0].idle_connections()
            })
            .await;
    }
}

/// Reads what a client is told, and whether it may ask again.
pub(crate) async fn observe(reply: &Reply, mut client: Peer, place: &str) -> Option<Peer> {
    let body = if reply.asked == HEAD {
        Body::None
    } else {
        Body::Declared
    };
    let mut bytes = Vec::new();
    let mut messages = Vec::new();
    let is_final = |it: &Message| it.status().is_some_and(|it| it >= 200);
    let has_ended = loop {
        if let Some((message, rest)) = Message::cut(&bytes, body) {
            let is_until_close = body == Body::Declared
                && !matches!(message.status(), Some(100..=199 | 204 | 304))
                && message.fields("content-length").is_empty()
                && message.fields("transfer-encoding").is_empty();
            assert!(!is_until_close, "{place}: {}", message.head);
            bytes = rest.to_vec();
            messages.push(message);
            if messages.last().is_some_and(is_final) {
                break false;
            }
            continue;
        }
        match client.stream.read_buf(&mut bytes).await {
            Ok(1..) => {}
            _ => break true,
        }
    };
    let got: Vec<u8> = messages.iter().flat_map(Message::joined).collect();
    let last = messages.last().filter(|it| is_final(it));
    match &reply.becomes {
        Becomes::BadGateway => {
            let last = last.unwrap_or_else(|| panic!("{place}: {:?}", text(&bytes)));
            assert_eq!(last.status(), Some(502), "{place}: {}", text(&got));
        }
        Becomes::BrokenOff => {
            let status = last.and_then(Message::status);
            assert!(
                matches!(status, None | Some(502)),
                "{place}: {}",
                text(&got)
            );
        }
        Becomes::Answer(expected, _) => {
            assert_eq!(text(&got), text(expected), "{place}");
        }
    }
    let closes = last.is_none_or(|it| it.fields("connection").contains(&"close"));
    if closes {
        if !has_ended {
            // A client that still sends does not have its answer destroyed.
            client.try_send(&[b'x'; 30_000]).await;
            let (more, is_orderly) = client.rest().await;
            assert!(is_orderly && more.is_empty(), "{place}: {:?}", text(&more));
        }
        return None;
    }
    assert_eq!(text(&bytes), "", "{place}: behind the answer");
    // In step still: what is asked next gets its own answer.
    beat(&mut client).await;
    Some(client)
}

pub(crate) async fn check_all(replies: impl IntoIterator<Item = Reply>) {
    let mut theatre = Theatre::start().await;
    for reply in replies {
        theatre.check(&reply).await;
    }
}
