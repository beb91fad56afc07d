//! Things that are open while something changes: each is begun before and ended after.

use crate::support::http::{Answer, Connection, Expect};
use crate::support::origin::{Head, Origin, Wire, body, ok, say};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// The host that the origin is reached by.
pub(crate) const HOST: &str = "open.test";
/// Bytes of a download or an upload, in two halves.
const HALF: usize = 300_000;

/// What an origin waits for in the middle of an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(open, |it| !*it).unwrap());
    }
}

/// An origin that echoes tunnels and bodies, and whose downloads stop half way until the gate opens.
pub(crate) fn origin(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |head, wire| answer(&gate, head, wire))
}

/// Its service file.
pub(crate) fn file(origin: &Origin) -> String {
    origin
        .file("")
        .replace("routes = [\"*\"]", &format!("routes = [\"{HOST}\"]"))
}

fn answer(gate: &Gate, head: &Head, wire: &mut Wire) -> std::io::Result<bool> {
    if head.field("upgrade").is_some() {
        say(
            wire,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )?;
        wire.get_ref().set_read_timeout(None)?;
        let mut bytes = [0; 4096];
        loop {
            match wire.read(&mut bytes)? {
                0 => return Ok(false),
                count => say(wire, &bytes[..count])?,
            }
        }
    }
    match head.path() {
        "/download" => {
            let half = vec![b'd'; HALF];
            let length = 2 * HALF;
            say(
                wire,
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"),
            )?;
            say(wire, &half)?;
            gate.pass();
            say(wire, &half)?;
            Ok(true)
        }
        "/upload" => {
            wire.get_ref()
                .set_read_timeout(Some(Duration::from_secs(60)))?;
            let body = body(head, wire)?;
            ok(wire, body.len().to_string().as_bytes())
        }
        _ => ok(wire, b"plain"),
    }
}

/// A tunnel whose other end echoes.
pub(crate) struct Chat(Connection);

impl Chat {
    pub(crate) fn open(gateway: SocketAddr) -> Self {
        let mut connection = Connection::open(gateway).unwrap();
        let ask = format!(
            "GET /chat HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        connection.send(ask.as_bytes()).unwrap();
        let answer = connection.read(Expect::Body).unwrap();
        assert_eq!(answer.status, 101);
        Self(connection)
    }

    #[track_caller]
    pub(crate) fn says(&mut self, word: &str) {
        self.0.send(word.as_bytes()).unwrap();
        let mut back = vec![0; word.len()];
        self.0.stream.read_exact(&mut back).unwrap();
        assert_eq!(back, word.as_bytes());
    }
}

/// A download of which the first half has arrived.
pub(crate) struct Download(Connection);

impl Download {
    pub(crate) fn begin(gateway: SocketAddr) -> Self {
        let mut connection = Connection::open(gateway).unwrap();
        connection.patience(Duration::from_secs(60)).unwrap();
        let ask = format!("GET /download HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        connection.send(ask.as_bytes()).unwrap();
        while connection.line().unwrap() != "" {}
        connection.stream.read_exact(&mut vec![0; HALF]).unwrap();
        Self(connection)
    }

    /// The rest arrives whole.
    #[track_caller]
    pub(crate) fn end(mut self) {
        let mut rest = vec![0; HALF];
        self.0.stream.read_exact(&mut rest).unwrap();
        assert!(rest.iter().all(|it| *it == b'd'));
    }
}

/// A POST of which half of the body was sent.
pub(crate) struct Upload(Connection);

impl Upload {
    pub(crate) fn begin(gateway: SocketAddr) -> Self {
        let mut connection = Connection::open(gateway).unwrap();
        let length = 2 * HALF;
        let ask =
            format!("POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n");
        connection.send(ask.as_bytes()).unwrap();
        connection.send(&vec![b'u'; HALF]).unwrap();
        Self(connection)
    }

    /// The rest is sent; the answer, which says that all arrived.
    #[track_caller]
    pub(crate) fn end(mut self) -> Answer {
        self.0.send(&vec![b'u'; HALF]).unwrap();
        let answer = self.0.read(Expect::Body).unwrap();
        assert_eq!(answer.text(), (2 * HALF).to_string());
        answer
    }
}

/// A connection that is kept after one answer.
pub(crate) struct Kept(Connection);

impl Kept {
    pub(crate) fn open(gateway: SocketAddr) -> Self {
        let mut this = Self(Connection::open(gateway).unwrap());
        let answer = this.ask();
        assert_eq!((answer.status, answer.header("connection")), (200, None));
        this
    }

    #[track_caller]
    pub(crate) fn ask(&mut self) -> Answer {
        let ask = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        self.0.send(ask.as_bytes()).unwrap();
        self.0.read(Expect::Body).unwrap()
    }

    /// The other side has ended it.
    #[track_caller]
    pub(crate) fn has_ended(&mut self) {
        let _ = self.0.stream.get_mut().flush();
        assert_eq!(self.0.stream.read(&mut [0; 1]).unwrap(), 0);
    }
}
