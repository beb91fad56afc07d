//! A gateway of one worker, before an instance that keeps what reaches it.

use crate::capture::{Capture, Stream};
use crate::message::{Body, Message};
use crate::peer::Peer;
use crate::setup::{Running, Setup};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// For one connection to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that are cut apart at once.
const AT_ONCE: usize = 64;
/// Sent behind each request.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// A request, or several, and all that must come of it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) sent: Vec<u8>,
    /// Each request as the instance receives it, by [`Message::joined`].
    pub(crate) forwarded: Vec<Vec<u8>>,
    /// Statuses of the answers, in order.
    pub(crate) answers: Vec<u16>,
    pub(crate) afterwards: Afterwards,
}

/// What becomes of the connection after the last answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// It goes on: what is sent next is answered.
    Open,
    /// It closes; what is sent next reaches no instance.
    Closed,
    /// The same, but of the last request an instance may have seen this head and some of the body, never its end.
    BrokenOff(Vec<u8>),
}

impl Case {
    /// Refused with this status; nothing of it is forwarded.
    pub(crate) fn refused(sent: impl AsRef<[u8]>, status: u16) -> Self {
        Self {
            sent: sent.as_ref().to_vec(),
            forwarded: Vec::new(),
            answers: vec![status],
            afterwards: Afterwards::Closed,
        }
    }
}

/// What an instance receives of a request: its first lines, the forwarding fields, the framing, the body.
pub(crate) fn onward(first: &str, host: &str, framing: &str, body: &str) -> Vec<u8> {
    format!(
        "{first}X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: {host}\r\nVia: 1.1 minato\r\n{framing}\r\n{body}"
    )
    .into_bytes()
}

pub(crate) struct Stage {
    pub(crate) running: Running,
    pub(crate) origin: Capture,
    pulse: Peer,
}

impl Stage {
    /// Every request goes on a connection of its own.
    pub(crate) async fn start() -> Self {
        let origin = Capture::start().await;
        let mut setup = Setup::new();
        setup.service.limits.idle = 0;
        setup.service.retries = 0;
        let running = setup.start(&[origin.address]).await;
        Self::around(running, origin).await
    }

    pub(crate) async fn around(running: Running, origin: Capture) -> Self {
        let pulse = running.client().await;
        Self {
            running,
            origin,
            pulse,
        }
    }

    /// When it returns, the gateway has read all that was sent to it before: there is one worker, which hears of sockets
    /// in the order in which they were written to, and lets its tasks run in the order in which they were woken.
    pub(crate) async fn pulse(&mut self) {
        beat(&mut self.pulse).await;
    }

    /// Plays a case once for each place where it can be cut in two, in one piece too.
    pub(crate) async fn check(&mut self, case: &Case) {
        let sent = [&case.sent[..], NEXT].concat();
        let cuts: Vec<usize> = (0..sent.len()).collect();
        self.check_at(case, &sent, &cuts).await;
    }

    /// The same at some places only.
    pub(crate) async fn check_at(&mut self, case: &Case, sent: &[u8], cuts: &[usize]) {
        for cuts in cuts.chunks(AT_ONCE) {
            self.play(case, sent, cuts).await;
        }
        self.verify(case, cuts.len()).await;
    }

    async fn play(&mut self, case: &Case, sent: &[u8], cuts: &[usize]) {
        let address: SocketAddr = self.running.address;
        let mut clients = Vec::new();
        for _ in cuts {
            clients.push(Peer::connect(address).await);
        }
        // Once for accepting them, once for their first look.
        self.pulse().await;
        self.pulse().await;
        for (client, cut) in clients.iter_mut().zip(cuts) {
            client.send(&sent[..*cut]).await;
        }
        self.pulse().await;
        for (client, cut) in clients.iter_mut().zip(cuts) {
            client.send(&sent[*cut..]).await;
        }
        let goes_on = case.afterwards == Afterwards::Open;
        let next = goes_on.then_some(&204);
        let expected: Vec<u16> = case.answers.iter().chain(next).copied().collect();
        for (mut client, cut) in clients.into_iter().zip(cuts) {
            let place = || format!("{:?} | {:?}", text(&sent[..*cut]), text(&sent[*cut..]));
            if goes_on {
                client.half_close().await;
            }
            let ended = tokio::time::timeout(PATIENCE, client.rest()).await;
            let Ok((got, is_orderly)) = ended else {
                panic!("{}: no end", place());
            };
            // Served and closed: the client has said that it closes. What it sends all the same, after the answer, may meet a closed socket.
            let sends_on = case.afterwards == Afterwards::Closed
                && case.answers.last() == Some(&204)
                && *cut >= case.sent.len();
            assert!(
                is_orderly || sends_on,
                "{}: a reset after {:?}",
                place(),
                text(&got)
            );
            let answers = answers(&got);
            let statuses: Vec<_> = answers.iter().filter_map(Message::status).collect();
            assert_eq!(statuses, expected, "{}: {:?}", place(), text(&got));
            let last = answers.last().unwrap();
            let closes = last.fields("connection").contains(&"close");
            assert!(goes_on || closes, "{}: {}", place(), last.head);
        }
    }

    /// Compares what reached the instance.
    async fn verify(&mut self, case: &Case, times: usize) {
        let end = onward("GET /end HTTP/1.1\r\nHost: a.test\r\n", "a.test", "", "");
        let end = Stream::Whole(end);
        self.running
            .client()
            .await
            .ask("GET /end HTTP/1.1\r\nHost: a.test\r\n\r\n")
            .await;
        // Connections are accepted in the order in which they were made: whatever was sent before is there now.
        let streams = self.origin.take_when(|it| it.contains(&end)).await;
        let mut seen: BTreeMap<Stream, usize> = BTreeMap::new();
        for stream in streams {
            *seen.entry(stream).or_default() += 1;
        }
        assert_eq!(seen.remove(&end), Some(1));
        if let Afterwards::BrokenOff(head) = &case.afterwards {
            seen.retain(|stream, _| match stream {
                Stream::Unfinished(bytes) => !bytes.starts_with(head) && !head.starts_with(bytes),
                Stream::Whole(_) => true,
            });
        }
        let next = onward("GET /next HTTP/1.1\r\nHost: a.test\r\n", "a.test", "", "");
        let next = (case.afterwards == Afterwards::Open).then_some(&next);
        let mut expected: BTreeMap<Stream, usize> = BTreeMap::new();
        for request in case.forwarded.iter().chain(next) {
            *expected.entry(Stream::Whole(request.clone())).or_default() += times;
        }
        let show = |it: BTreeMap<Stream, usize>| -> Vec<String> {
            let all = it.into_iter();
            all.map(|(stream, times)| match stream {
                Stream::Whole(bytes) => format!("{times} x {}", text(&bytes)),
                Stream::Unfinished(bytes) => format!("{times} x unfinished {}", text(&bytes)),
            })
            .collect()
        };
        assert_eq!(show(seen), show(expected), "{:?}", text(&case.sent));
    }
}

/// Answers that stand in some bytes, all whole.
#[track_caller]
pub(crate) fn answers(mut bytes: &[u8]) -> Vec<Message> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let Some((message, rest)) = Message::cut(bytes, Body::Declared) else {
            panic!("half an answer: {:?}", text(bytes));
        };
        all.push(message);
        bytes = rest;
    }
    all
}

/// Asks for what no route takes: the gateway answers by itself.
pub(crate) async fn beat(pulse: &mut Peer) {
    let answer = pulse
        .ask("GET / HTTP/1.1\r\nHost: pulse.test\r\n\r\n")
        .await;
    assert_eq!(answer.status, 404);
}

pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
