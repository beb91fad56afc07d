//! One line for each request: when, who, what, which instance, how long.
//!
//! A thread of its own writes, so that a slow or blocked standard output stops no request; lines that it cannot take
//! are dropped and counted.

use crate::clock;
use crate::gateway::AccessLog;
use crate::metrics::Metrics;
use prometheus::IntCounter;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

/// Lines that wait for the writer.
const WAITING: usize = 4096;

/// What one line says.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) peer: SocketAddr,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    /// With its `?`, or empty.
    pub(crate) query: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) service: &'a str,
    pub(crate) instance: Option<u16>,
    pub(crate) retries: u8,
    /// Why minato answered itself, or why an answer broke off; empty otherwise.
    pub(crate) note: &'a str,
}

/// Where lines go.
#[derive(Debug)]
pub(crate) struct Sink {
    lines: Option<SyncSender<String>>,
    dropped: IntCounter,
}

impl Sink {
    /// Starts the writer if the log is on; it ends with the sink.
    pub(crate) fn open(access_log: AccessLog, metrics: &Metrics) -> Self {
        let dropped = metrics.log_dropped.clone();
        if access_log == AccessLog::Off {
            return Self {
                lines: None,
                dropped,
            };
        }
        let (lines, waiting) = sync_channel(WAITING);
        let writer = std::thread::Builder::new().name("access-log".to_owned());
        match writer.spawn(move || write_all(&waiting)) {
            Ok(_) => Self {
                lines: Some(lines),
                dropped,
            },
            Err(error) => {
                tracing::error!(%error, "no thread for the access log; requests are not logged");
                Self {
                    lines: None,
                    dropped,
                }
            }
        }
    }

    /// Hands a line over if the log is on; never waits.
    pub(crate) fn write(&self, line: &Line<'_>, began: Instant) {
        if let Some(lines) = &self.lines
            && lines.try_send(format(line, began)).is_err()
        {
            self.dropped.inc();
        }
    }
}

fn write_all(lines: &Receiver<String>) {
    let mut out = std::io::stdout();
    for line in lines {
        // Nowhere to complain: the log itself is what cannot be written.
        let _ = out.write_all(line.as_bytes());
    }
}

fn format(line: &Line<'_>, began: Instant) -> String {
    let took_us = clock::now().saturating_duration_since(began).as_micros();
    let mut text = String::with_capacity(160);
    let (ip, port) = (line.peer.ip(), line.peer.port());
    // Writing to a String does not fail.
    let _ = write!(text, "{} {ip} {port} \"{} ", clock::wall_ms(), line.method);
    for part in [line.host, line.path, line.query] {
        escape(part, &mut text);
    }
    let _ = write!(
        text,
        "\" {} {} {}/",
        line.status,
        line.bytes,
        or_dash(line.service)
    );
    match line.instance {
        Some(slot) => {
            let _ = write!(text, "{slot}");
        }
        None => text.push('-'),
    }
    let _ = writeln!(
        text,
        " {took_us}us retries={} {}",
        line.retries,
        or_dash(line.note)
    );
    text
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// Quotes, control characters and line separators cannot break a line apart.
fn escape(text: &str, into: &mut String) {
    for c in text.chars() {
        if c == '"' || c == '\\' || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            into.extend(c.escape_default());
        } else {
            into.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_cannot_forge_a_line() {
        let mut line = Line {
            peer: ([127, 0, 0, 1], 9).into(),
            method: "GET",
            host: "a.test",
            path: "/a\" 200\n127.0.0.1",
            query: "?\u{2028}",
            status: 200,
            bytes: 1,
            service: "library",
            instance: Some(3),
            retries: 0,
            note: "",
        };
        let text = format(&line, clock::now());
        assert!(
            text.contains(r#""GET a.test/a\" 200\n127.0.0.1?\u{2028}" 200 1 library/3 "#),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
        (line.service, line.instance) = ("", None);
        assert!(format(&line, clock::now()).contains(" -/- "));
    }
}
