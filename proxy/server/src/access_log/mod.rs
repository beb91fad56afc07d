//! One line for each request: when, who, what, which instance, how long.
//!
//! Each core gathers its lines and hands them on a few times a second; a thread of its own writes them, so that a slow or
//! blocked standard output stops no request. Lines that it cannot take are dropped and counted.
//!
//! Lines go to standard output, are kept on disk by service ([`kept`], [`archive`]), or both.

mod archive;
mod gathered;
mod kept;

pub use archive::{Archive, Segment};
pub use gathered::Missing;
pub use kept::KeptLog;

use crate::clock;
use crate::gateway::AccessLog;
use kept::Kept;
use std::cell::{Cell, RefCell};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, UNIX_EPOCH};

/// Batches that wait for the writer, of all cores.
const WAITING: usize = 64;
/// Bytes that a core gathers before it hands them on, whatever the time.
const BATCH: usize = 64 * 1024;

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
    pub(crate) took: Duration,
    /// Milliseconds since the Unix epoch.
    pub(crate) wall_ms: u64,
}

/// Where lines go, for all cores.
#[derive(Debug)]
pub(crate) struct Sink {
    batches: Option<SyncSender<Vec<u8>>>,
    /// Lines that the writer could not keep and nobody has asked about.
    lost: Arc<AtomicU64>,
}

impl Sink {
    /// Starts the writer if anything is logged; it ends with the sink.
    pub(crate) fn open(access_log: AccessLog, kept: Option<KeptLog>) -> Self {
        let lost = Arc::default();
        if access_log == AccessLog::Off && kept.is_none() {
            return Self {
                batches: None,
                lost,
            };
        }
        let (batches, waiting) = sync_channel(WAITING);
        let writer = Writer {
            stdout: access_log,
            kept: kept.map(|it| Kept::new(it, clock::now())),
            lost: Arc::clone(&lost),
        };
        let thread = std::thread::Builder::new().name("access-log".to_owned());
        let batches = match thread.spawn(move || writer.run(&waiting)) {
            Ok(_) => Some(batches),
            Err(error) => {
                tracing::error!(%error, "no thread for the access log; requests are not logged");
                None
            }
        };
        Self { batches, lost }
    }

    /// One that hands its batches to the caller.
    #[cfg(test)]
    pub(crate) fn to(batches: SyncSender<Vec<u8>>) -> Self {
        Self {
            batches: Some(batches),
            lost: Arc::default(),
        }
    }

    /// One core's end of it.
    pub(crate) fn log(&self) -> Log {
        Log {
            batches: self.batches.clone(),
            lines: RefCell::default(),
            count: Cell::new(0),
            dropped: Cell::new(0),
            lost: Arc::clone(&self.lost),
        }
    }
}

/// What one core has gathered.
#[derive(Debug)]
pub(crate) struct Log {
    batches: Option<SyncSender<Vec<u8>>>,
    lines: RefCell<Vec<u8>>,
    count: Cell<u64>,
    dropped: Cell<u64>,
    /// Of all cores.
    lost: Arc<AtomicU64>,
}

impl Log {
    /// Gathers a line if the log is on; never waits.
    pub(crate) fn write(&self, line: &Line<'_>) {
        if self.batches.is_none() {
            return;
        }
        let mut lines = self.lines.borrow_mut();
        format(line, &mut lines);
        self.count.set(self.count.get() + 1);
        let is_full = lines.len() >= BATCH;
        drop(lines);
        if is_full {
            self.flush();
        }
    }

    /// Hands on what is gathered.
    pub(crate) fn flush(&self) {
        let mut lines = self.lines.borrow_mut();
        if lines.is_empty() {
            return;
        }
        let count = self.count.replace(0);
        let batch = std::mem::replace(&mut *lines, Vec::with_capacity(BATCH + 1024));
        if let Some(batches) = &self.batches
            && batches.try_send(batch).is_err()
        {
            self.dropped.set(self.dropped.get() + count);
        }
    }

    /// Lines lost since it was last asked.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.replace(0) + self.lost.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The thread that waits for disks and pipes, so that no core does.
struct Writer {
    stdout: AccessLog,
    kept: Option<Kept>,
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self, batches: &Receiver<Vec<u8>>) {
        let mut out = std::io::stdout();
        for batch in batches {
            if let Some(kept) = &mut self.kept {
                let wall = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
                let wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
                let lost = kept.write(&batch, clock::now(), wall_ms);
                self.lost.fetch_add(lost, Ordering::Relaxed);
            }
            if self.stdout == AccessLog::On {
                // Nowhere to complain: the log itself is what cannot be written.
                let _ = out.write_all(&batch).and_then(|()| out.flush());
            }
        }
    }
}

/// By hand, without the formatting machinery: this is done for every request.
fn format(line: &Line<'_>, into: &mut Vec<u8>) {
    number(line.wall_ms, into);
    into.push(b' ');
    address(line.peer.ip(), into);
    into.push(b' ');
    number(line.peer.port().into(), into);
    into.extend_from_slice(b" \"");
    into.extend_from_slice(line.method.as_bytes());
    into.push(b' ');
    for part in [line.host, line.path, line.query] {
        escape(part, into);
    }
    into.extend_from_slice(b"\" ");
    number(line.status.into(), into);
    into.push(b' ');
    number(line.bytes, into);
    into.push(b' ');
    into.extend_from_slice(or_dash(line.service).as_bytes());
    into.push(b'/');
    match line.instance {
        Some(slot) => number(slot.into(), into),
        None => into.push(b'-'),
    }
    into.push(b' ');
    number(
        u64::try_from(line.took.as_micros()).unwrap_or(u64::MAX),
        into,
    );
    into.extend_from_slice(b"us retries=");
    number(line.retries.into(), into);
    into.push(b' ');
    into.extend_from_slice(or_dash(line.note).as_bytes());
    into.push(b'\n');
}

fn number(number: u64, into: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let (mut at, mut left) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    into.extend_from_slice(&digits[at..]);
}

fn address(address: IpAddr, into: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            for (index, part) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    into.push(b'.');
                }
                number(part.into(), into);
            }
        }
        // Writing to a Vec does not fail.
        IpAddr::V6(address) => drop(write!(into, "{address}")),
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// Quotes, control characters and line separators cannot break a line apart.
fn escape(text: &str, into: &mut Vec<u8>) {
    let is_plain = |it: &u8| matches!(it, 0x20..=0x7e) && !matches!(it, b'"' | b'\\');
    if text.as_bytes().iter().all(is_plain) {
        into.extend_from_slice(text.as_bytes());
        return;
    }
    for c in text.chars() {
        if c == '"' || c == '\\' || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            let _ = write!(into, "{}", c.escape_default());
        } else {
            let _ = write!(into, "{c}");
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
            took: Duration::from_micros(7),
            wall_ms: 1,
        };
        let text = |line: &Line<'_>| {
            let mut out = Vec::new();
            format(line, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            text(&line),
            "1 127.0.0.1 9 \"GET a.test/a\\\" 200\\n127.0.0.1?\\u{2028}\" 200 1 library/3 7us retries=0 -\n"
        );
        (line.service, line.instance) = ("", None);
        assert!(text(&line).contains(" -/- "));
        line.peer = "[2001:db8::1]:65535".parse().unwrap();
        (line.bytes, line.wall_ms) = (u64::MAX, 1_790_000_000_123);
        let start = "1790000000123 2001:db8::1 65535 \"GET";
        assert!(text(&line).starts_with(start), "{}", text(&line));
        assert!(text(&line).contains(" 200 18446744073709551615 -/- "));
    }

    #[test]
    fn what_the_writer_cannot_take_is_counted() {
        let (batches, waiting) = sync_channel(1);
        let log = Log {
            batches: Some(batches),
            lines: RefCell::default(),
            count: Cell::new(0),
            dropped: Cell::new(0),
            lost: Arc::default(),
        };
        for _ in 0..3 {
            log.lines.borrow_mut().push(b'x');
            log.count.set(1);
            log.flush();
        }
        assert_eq!((log.dropped(), log.dropped()), (2, 0));
        assert_eq!(waiting.try_iter().count(), 1);
    }
}
