//! One line for each request: when, who, what, which instance, how long.

use crate::answer::Reason;
use crate::clock;
use crate::gateway::{AccessLog, Gateway};
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Instant;

/// What one line says.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) peer: SocketAddr,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) target: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) service: &'a str,
    pub(crate) instance: Option<u16>,
    pub(crate) retries: u8,
    /// Why minato answered itself, or why an answer broke off; empty otherwise.
    pub(crate) note: &'a str,
}

/// Writes a line if the log is on.
pub(crate) fn write(gateway: &Gateway, line: &Line<'_>, began: Instant) {
    if gateway.access_log == AccessLog::Off {
        return;
    }
    let took_us = clock::now().saturating_duration_since(began).as_micros();
    let instance = line.instance.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let text = format!(
        "{} {} {} \"{} {}{}\" {} {} {}/{} {}us retries={} {}\n",
        clock::wall_ms(),
        line.peer.ip(),
        line.peer.port(),
        line.method,
        escape(line.host),
        escape(line.target),
        line.status,
        line.bytes,
        if line.service.is_empty() { "-" } else { line.service },
        instance,
        took_us,
        line.retries,
        if line.note.is_empty() { "-" } else { line.note },
    );
    // A log that cannot be written must not stop requests.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// A request that could not be read.
pub(crate) fn refused(gateway: &Gateway, peer: SocketAddr, reason: Reason, began: Instant) {
    let line = Line {
        peer,
        method: "-",
        host: "",
        target: "-",
        status: reason.status(),
        bytes: 0,
        service: "",
        instance: None,
        retries: 0,
        note: reason.label(),
    };
    write(gateway, &line, began);
}

/// Quotes and control characters cannot break a line apart.
fn escape(text: &str) -> String {
    text.chars().flat_map(|c| if c == '"' || c == '\\' || c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn a_target_cannot_forge_a_line() {
        assert_eq!(escape("/a\" 200\n127.0.0.1"), "/a\\\" 200\\n127.0.0.1");
    }
}
