//! An instance, and a well-behaved client that measures how it is served meanwhile.

use crate::process::Gateway;
use rustix::net::sockopt;
use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
/// What the kernel may hold at our ends of a connection: hundreds of them must not bring the whole machine to the point where
/// its kernel drops what has arrived, for then it is the kernel that is tested.
pub(crate) const KERNEL: usize = 64 << 10;
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers each request; one for a path that begins with `/bytes/` with so many octets.
pub(crate) fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            sockopt::set_socket_send_buffer_size(&stream, KERNEL).unwrap();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    let mut request = vec![0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut request) {
        let text = String::from_utf8_lossy(&request[..count]);
        let asked = text.strip_prefix("GET /bytes/");
        let length = asked.and_then(|it| it.split(' ').next()?.parse::<usize>().ok());
        let written = match length {
            None => stream.write_all(OK),
            Some(length) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                let piece = vec![b'x'; 64 << 10];
                let mut left = length;
                let mut written = stream.write_all(head.as_bytes());
                while left > 0 && written.is_ok() {
                    let now = left.min(piece.len());
                    written = stream.write_all(&piece[..now]);
                    left -= now;
                }
                written
            }
        };
        if written.is_err() {
            return;
        }
    }
}

/// Reads the answer that [`OK`] becomes.
pub(crate) fn answered(client: &mut TcpStream) {
    let mut got = Vec::new();
    let mut bytes = [0; 512];
    while !got.ends_with(b"\r\n\r\nok") {
        let count = client.read(&mut bytes).unwrap();
        assert!(
            count > 0,
            "the end within {:?}",
            got.escape_ascii().to_string()
        );
        got.extend_from_slice(&bytes[..count]);
    }
}

/// Asks again and again on one connection.
pub(crate) struct Witness {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<Vec<Duration>>,
}

/// How long its requests took.
pub(crate) struct Seen {
    pub(crate) requests: usize,
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
    pub(crate) worst: Duration,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            median,
            p99,
            worst,
        } = self;
        write!(
            f,
            "{requests} requests in {median:?}, p99 {p99:?}, worst {worst:?}"
        )
    }
}

impl Witness {
    pub(crate) fn of(gateway: &Gateway) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let mut client = gateway.connect();
        let asking = std::thread::spawn(move || {
            let mut took = Vec::new();
            while !told.load(Ordering::Relaxed) || took.is_empty() {
                let began = Instant::now();
                client.write_all(GET).unwrap();
                answered(&mut client);
                took.push(began.elapsed());
                std::thread::park_timeout(Duration::from_millis(2));
            }
            took
        });
        Self { stop, asking }
    }

    /// Every request was answered; how fast.
    pub(crate) fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let mut took = self.asking.join().unwrap();
        took.sort();
        let at = |per_mille: usize| took[(took.len() * per_mille / 1000).min(took.len() - 1)];
        Seen {
            requests: took.len(),
            median: at(500),
            p99: at(990),
            worst: at(1000),
        }
    }
}
