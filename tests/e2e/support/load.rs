//! Requests without pause while a test breaks things; every answer is compared.
//!
//! Half of the threads keep their connection, half open a new one for each request. Nothing is tried again.

use super::clock::{now, pause};
use super::http::{Answer, Connection, Expect, TOO_LONG};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How many threads ask, and how long each waits between an answer and its next request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) threads: u64,
    pub(crate) between: Duration,
}

/// What a test's own load is.
const USUAL: Pace = Pace {
    threads: 4,
    between: Duration::from_millis(8),
};
/// Failures that are kept to be shown.
const SHOWN: usize = 20;

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    /// GET of this path; the body must be this.
    Get { path: String, body: String },
    /// POST of `/orders/NUMBER`, each number once; the body must be the number.
    Orders,
    /// The same with numbers from this one on.
    OrdersFrom(u64),
}

/// A running load.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Report>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) sent: u64,
    pub(crate) failed: u64,
    pub(crate) failures: Vec<String>,
    /// Numbers of orders that were answered with yes.
    pub(crate) taken: Vec<u64>,
    pub(crate) slowest: Duration,
}

impl Load {
    pub(crate) fn start(gateway: SocketAddr, host: &str, ask: &Ask) -> Self {
        Self::start_at(USUAL, gateway, host, ask)
    }

    pub(crate) fn start_at(pace: Pace, gateway: SocketAddr, host: &str, ask: &Ask) -> Self {
        let (stop, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let threads = (0..pace.threads)
            .map(|thread| {
                let worker = Worker {
                    gateway,
                    host: host.to_owned(),
                    ask: ask.clone(),
                    thread,
                    between: pace.between,
                    stop: Arc::clone(&stop),
                    sent: Arc::clone(&sent),
                    report: Report::default(),
                };
                std::thread::spawn(move || worker.run())
            })
            .collect();
        Self {
            stop,
            sent,
            threads,
        }
    }

    /// Requests begun so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Waits until this many more have begun.
    #[track_caller]
    pub(crate) fn wait_for(&self, more: u64) {
        let goal = self.sent() + more;
        super::clock::until("the load to go on", || (self.sent() >= goal).then_some(()));
    }

    pub(crate) fn stop(mut self) -> Report {
        self.stop.store(true, Ordering::SeqCst);
        let mut whole = Report::default();
        for thread in std::mem::take(&mut self.threads) {
            let part = thread.join().unwrap();
            whole.sent += part.sent;
            whole.failed += part.failed;
            whole.failures.extend(part.failures);
            whole.taken.extend(part.taken);
            whole.slowest = whole.slowest.max(part.slowest);
        }
        whole
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

impl Report {
    #[track_caller]
    pub(crate) fn nothing_failed(&self) {
        assert!(
            self.sent >= 50,
            "too few requests to say anything: {self:?}"
        );
        assert_eq!(self.failed, 0, "{self:?}");
    }
}

struct Worker {
    gateway: SocketAddr,
    host: String,
    ask: Ask,
    thread: u64,
    between: Duration,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    report: Report,
}

impl Worker {
    fn run(mut self) -> Report {
        let keeps = self.thread.is_multiple_of(2);
        let mut kept = None;
        while !self.stop.load(Ordering::SeqCst) {
            let number = self.sent.fetch_add(1, Ordering::SeqCst);
            let number = match self.ask {
                Ask::OrdersFrom(first) => first + number,
                Ask::Get { .. } | Ask::Orders => number,
            };
            let began = now();
            let answer = self.exchange(&mut kept, number);
            let took = began.elapsed();
            self.judge(number, took, answer);
            if !keeps {
                kept = None;
            }
            pause(self.between);
        }
        self.report
    }

    fn exchange(&self, kept: &mut Option<Connection>, number: u64) -> std::io::Result<Answer> {
        // Whatever fails takes its connection with it.
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::open(self.gateway)?,
        };
        let host = &self.host;
        let request = match &self.ask {
            Ask::Get { path, .. } => format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            Ask::Orders | Ask::OrdersFrom(_) => format!(
                "POST /orders/{number} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n\r\nmore"
            ),
        };
        connection.send(request.as_bytes())?;
        let answer = connection.read(Expect::Body)?;
        if answer.header("connection") != Some("close") {
            *kept = Some(connection);
        }
        Ok(answer)
    }

    fn judge(&mut self, number: u64, took: Duration, answer: std::io::Result<Answer>) {
        let report = &mut self.report;
        report.sent += 1;
        report.slowest = report.slowest.max(took);
        let wanted = match &self.ask {
            Ask::Get { body, .. } => body.clone(),
            Ask::Orders | Ask::OrdersFrom(_) => number.to_string(),
        };
        let failure = match answer {
            Ok(it) if it.status != 200 => {
                let text: String = it.text().trim().chars().take(60).collect();
                format!("{} {text}", it.status)
            }
            Ok(it) if it.text() != wanted => format!("wrong body {:?}", it.text()),
            Ok(_) => {
                if matches!(self.ask, Ask::Orders | Ask::OrdersFrom(_)) {
                    report.taken.push(number);
                }
                if took < TOO_LONG {
                    return;
                }
                "too late".to_owned()
            }
            Err(error) => error.to_string(),
        };
        report.failed += 1;
        if report.failures.len() < SHOWN {
            report
                .failures
                .push(format!("{number} after {took:?}: {failure}"));
        }
    }
}
