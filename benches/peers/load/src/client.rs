//! The client: what is sent, when, on which connection.
//!
//! Without a rate each connection sends again when it is free (closed loop). With a rate requests are due at fixed times; one that is due
//! while no connection is free waits, and its latency counts from when it was due, so that a slow proxy cannot slow down its own
//! questioner (no coordinated omission).

use crate::Error;
use crate::connection::{Connection, Scratch, Step};
use crate::poll::{Poll, now};
use crate::report::Report;
use crate::tls::{self, Resume};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long requests that were due before the end may still take.
const GRACE: Duration = Duration::from_secs(5);
/// Connections that may fail in a row before the run is given up.
const FAILURES: u64 = 100_000;

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Keep,
    /// Each request says `Connection: close`.
    Close,
    /// Nothing but the handshake.
    Handshake,
}

pub(crate) struct Plan {
    pub(crate) to: SocketAddr,
    pub(crate) name: ServerName<'static>,
    pub(crate) request: Vec<u8>,
    pub(crate) upload: Option<(File, u64)>,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) end: End,
    /// What each answer has to hold, in bytes.
    pub(crate) length: Option<u64>,
    connections: usize,
    seconds: Duration,
    /// Requests a second.
    rate: Option<f64>,
}

impl Plan {
    pub(crate) fn parse(words: &[String]) -> Result<Self, Error> {
        let (mut to, mut path, mut host) = (None, "/".to_owned(), "bench".to_owned());
        let (mut connections, mut seconds, mut rate) = (64, 5.0, None);
        let (mut upload, mut config, mut end) = (None, None, End::Keep);
        let mut length = None;
        for word in words {
            match word.split_once('=').unwrap_or((word, "")) {
                ("to", it) => to = Some(it.parse()?),
                ("path", it) => path = it.to_owned(),
                ("host", it) => host = it.to_owned(),
                ("connections", it) => connections = it.parse()?,
                ("seconds", it) => seconds = it.parse()?,
                ("length", it) => length = Some(it.parse()?),
                ("rate", it) => rate = Some(it.parse::<f64>()?).filter(|it| *it > 0.0),
                ("close", "") => end = End::Close,
                ("upload", it) => {
                    let file = File::open(it)?;
                    let length = file.metadata()?.len();
                    upload = Some((file, length));
                }
                ("tls", "") => config = Some(tls::config(Resume::Never)?),
                ("tls", "full") => {
                    (config, end) = (Some(tls::config(Resume::Never)?), End::Handshake)
                }
                ("tls", "resumed") => {
                    (config, end) = (
                        Some(tls::config(Resume::WhereATicketIsLeft)?),
                        End::Handshake,
                    )
                }
                _ => return Err(format!("unknown: {word}").into()),
            }
        }
        if upload.is_some() && config.is_some() {
            return Err("no uploads over TLS".into());
        }
        let close = if end == End::Close {
            "Connection: close\r\n"
        } else {
            ""
        };
        let request = match &upload {
            None => format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{close}\r\n"),
            Some((_, length)) => format!(
                "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{close}\r\n"
            ),
        };
        Ok(Self {
            to: to.ok_or("to=ADDRESS is missing")?,
            name: ServerName::try_from(host)?,
            request: request.into_bytes(),
            upload,
            tls: config,
            end,
            length,
            connections,
            seconds: Duration::from_secs_f64(seconds),
            rate,
        })
    }
}

struct Client<'a> {
    plan: &'a Plan,
    poll: Poll,
    connections: Vec<Connection>,
    free: VecDeque<usize>,
    scratch: Scratch,
    report: Report,
}

impl Client<'_> {
    /// Starts what is due on free connections, at most one on each, so that sockets are looked at again soon.
    fn start_due(
        &mut self,
        start: Instant,
        now: Instant,
        sent: &mut u64,
        all: Option<u64>,
    ) -> io::Result<Next> {
        for _ in 0..self.connections.len() {
            let at = match (self.plan.rate, all) {
                (Some(rate), Some(all)) if *sent < all => due(start, *sent, rate),
                (Some(_), _) => return Ok(Next::WhenOneIsFree),
                (None, _) => now,
            };
            if at > now {
                return Ok(if self.free.is_empty() {
                    Next::WhenOneIsFree
                } else {
                    Next::At(at)
                });
            }
            let Some(number) = self.free.pop_front() else {
                return Ok(Next::WhenOneIsFree);
            };
            *sent += 1;
            self.start(number, at)?;
        }
        Ok(if self.free.is_empty() {
            Next::WhenOneIsFree
        } else {
            Next::Now
        })
    }

    fn start(&mut self, number: usize, due: Instant) -> io::Result<()> {
        let Some(it) = self.connections.get_mut(number) else {
            return Ok(());
        };
        match it.start(self.plan, &self.poll, due) {
            Ok(()) => self.advance(number),
            Err(error) => self.failed(number, error),
        }
    }

    fn failed(&mut self, number: usize, error: io::Error) -> io::Result<()> {
        self.report.failed += 1;
        if self.report.failed > FAILURES {
            return Err(error);
        }
        if let Some(it) = self.connections.get_mut(number) {
            it.close();
            self.free.push_back(number);
        }
        Ok(())
    }

    fn advance(&mut self, number: usize) -> io::Result<()> {
        let Some(it) = self.connections.get_mut(number) else {
            return Ok(());
        };
        let idle = it.is_free();
        match it.advance(self.plan, &mut self.scratch) {
            Ok(Step::Wait) => {}
            Ok(Step::Done | Step::Free) => {
                let whole = it.whole.unwrap_or_else(now);
                self.report
                    .answered(whole.saturating_duration_since(it.due));
                self.report.bytes += it.bytes;
                match it.handshake {
                    Some(HandshakeKind::Resumed) => self.report.resumed += 1,
                    Some(_) => self.report.full += 1,
                    None => {}
                }
                self.free.push_back(number);
            }
            // It is opened again by the next request.
            Err(_) if idle => it.close(),
            Err(error) => return self.failed(number, error),
        }
        Ok(())
    }

    fn busy(&self) -> bool {
        self.free.len() < self.connections.len()
    }
}

/// When there may be something to start.
enum Next {
    Now,
    At(Instant),
    WhenOneIsFree,
}

/// When the request of that number is due.
fn due(start: Instant, number: u64, rate: f64) -> Instant {
    start + Duration::from_secs_f64(number as f64 / rate)
}

/// Runs the plan and tells what came of it.
pub(crate) fn run(plan: &Plan) -> Result<String, Error> {
    // The default lets the kernel wake us 50 us late.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let start = now();
    let mut client = Client {
        plan,
        poll: Poll::new()?,
        connections: (0..plan.connections)
            .map(|it| Connection::new(it, start))
            .collect(),
        free: (0..plan.connections).collect(),
        scratch: Scratch::new(),
        report: Report::default(),
    };
    let end = start + plan.seconds;
    let (mut tokens, mut sent) = (Vec::new(), 0u64);
    let all = plan.rate.map(|it| (plan.seconds.as_secs_f64() * it) as u64);
    loop {
        let at = now();
        let over = match all {
            None => at >= end,
            Some(all) => (sent == all && !client.busy()) || at >= end + GRACE,
        };
        if over {
            break;
        }
        let wait = match client.start_due(start, at, &mut sent, all)? {
            Next::Now => Duration::ZERO,
            Next::At(at) => at.saturating_duration_since(now()),
            Next::WhenOneIsFree => {
                let last = end + all.map_or(Duration::ZERO, |_| GRACE);
                last.saturating_duration_since(now())
            }
        };
        client.poll.wait(Some(wait), &mut tokens)?;
        for &token in &tokens {
            client.advance(token)?;
        }
    }
    client.report.unsent = all.map_or(0, |it| it - sent);
    if plan.rate.is_some() {
        let late = client.connections.iter().filter(|it| !it.is_free()).count();
        client.report.failed += late as u64;
    }
    let seconds = start
        .elapsed()
        .min(plan.seconds.max(Duration::from_millis(1)));
    Ok(client.report.json(seconds.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::{Plan, run};
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::time::Duration;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    /// Answers on one connection, and once, at the request of that number, only after `pause`.
    fn server(stall_at: usize, pause: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a client");
            let mut buffer = [0; 4096];
            for number in 0.. {
                match socket.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(_) if number == stall_at => std::thread::park_timeout(pause),
                    Ok(_) => {}
                }
                if socket.write_all(ANSWER).is_err() {
                    break;
                }
            }
        });
        address
    }

    fn measure(words: &str) -> String {
        let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
        let plan = Plan::parse(&words).expect("a plan");
        run(&plan).expect("a run")
    }

    fn figure(json: &str, name: &str) -> f64 {
        let at = json
            .split(&format!("\"{name}\":"))
            .nth(1)
            .expect("it is there");
        let text = at.split([',', '}']).next().expect("a value");
        text.parse().expect("a number")
    }

    #[test]
    fn requests_that_waited_behind_a_stall_count_from_when_they_were_due() {
        let to = server(100, Duration::from_millis(300));
        let json = measure(&format!("to={to} connections=1 seconds=1 rate=500"));
        assert_eq!(figure(&json, "requests"), 500.0, "{json}");
        assert_eq!(figure(&json, "failed"), 0.0, "{json}");
        // 150 of 500 were due within the stall: the slowest tenth waited more than half of it. One alone would have, had they not counted.
        assert!(figure(&json, "p99_us") > 250_000.0, "{json}");
        assert!(figure(&json, "p50_us") < 250_000.0, "{json}");
    }

    #[test]
    fn a_closed_loop_sends_one_at_a_time_on_each_connection() {
        let to = server(10, Duration::from_millis(200));
        let json = measure(&format!("to={to} connections=1 seconds=0.4"));
        assert!(figure(&json, "requests") > 11.0, "{json}");
        assert!(figure(&json, "max_us") > 150_000.0, "{json}");
        assert!(
            figure(&json, "p99_us") < 150_000.0,
            "one of many was slow: {json}"
        );
    }

    #[test]
    fn an_answer_of_another_length_fails() {
        let to = server(usize::MAX, Duration::ZERO);
        let json = measure(&format!(
            "to={to} connections=1 seconds=0.2 rate=5 length=3"
        ));
        assert_eq!(figure(&json, "requests"), 0.0, "{json}");
    }
}
