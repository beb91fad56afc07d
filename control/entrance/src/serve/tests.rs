use super::*;
use minato_config::Timestamp;
use minato_control::entrance::ByHand;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream as Client};
use std::sync::atomic::{AtomicU64, Ordering};

const PATIENCE: Duration = Duration::from_secs(30);

struct Entrance {
    address: SocketAddr,
    gate: Arc<Gate>,
    answering: Answering,
    beats: Arc<AtomicU64>,
    _data: tempfile::TempDir,
}

/// One whose gateway's only thread turns with every look, until [`Entrance::freeze`].
fn entrance() -> Entrance {
    let data = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let gate = Arc::new(Gate::open(data.path()));
    let beats = Arc::new(AtomicU64::new(1));
    let turns = Arc::clone(&beats);
    let beats_of = move || {
        let seen = turns.load(Ordering::SeqCst);
        if seen > 0 {
            turns.store(seen + 1, Ordering::SeqCst);
        }
        vec![seen]
    };
    let answering = Answering::start(vec![listener], Arc::clone(&gate), beats_of).unwrap();
    Entrance {
        address,
        gate,
        answering,
        beats,
        _data: data,
    }
}

impl Entrance {
    fn open(&self) -> Client {
        let client = Client::connect_timeout(&self.address, PATIENCE).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// Sends `bytes`; all that comes back until the end.
    fn say(&self, bytes: &[u8]) -> String {
        let mut client = self.open();
        let _ = client.write_all(bytes);
        let mut text = Vec::new();
        let _ = client.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn get(&self, path: &str) -> String {
        let all = self.say(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        all.lines().next().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn until(&self, path: &str, line: &str) {
        let began = Instant::now();
        while self.get(path) != line {
            assert!(began.elapsed() < PATIENCE, "not {line}: {}", self.get(path));
        }
    }
}

use tokio::time::Instant;

const OK: &str = "HTTP/1.1 200 OK";
const LEAVES: &str = "HTTP/1.1 503 Service Unavailable";

#[test]
fn it_says_what_the_gate_says_and_ends_every_connection() {
    let entrance = entrance();
    assert_eq!(entrance.get("/readyz?from=check"), OK);
    let whole = entrance.say(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(
        whole.ends_with("\r\n\r\nalive\n") && whole.contains("connection: close"),
        "{whole}"
    );
    let head = entrance.say(b"HEAD /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with(OK) && head.ends_with("\r\n\r\n"), "{head}");
    let word = ByHand {
        who: "alice".to_owned(),
        since: Timestamp(5),
    };
    entrance.gate.by_hand(Some(word)).unwrap();
    let whole = entrance.say(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(
        whole.starts_with(LEAVES) && whole.ends_with("\r\n\r\ndraining\n"),
        "{whole}"
    );
    assert!(!whole.contains("alice"), "{whole}");
    assert_eq!(entrance.get("/livez"), OK);
    entrance.gate.by_hand(None).unwrap();
    assert_eq!(entrance.get("/readyz"), OK);
    entrance.answering.stop();
    let began = Instant::now();
    while Client::connect(entrance.address).is_ok() {
        assert!(began.elapsed() < PATIENCE, "it still listens");
    }
}

#[test]
fn a_gateway_whose_thread_stands_still_is_not_alive() {
    let entrance = entrance();
    assert_eq!(entrance.get("/livez"), OK);
    entrance.beats.store(0, Ordering::SeqCst);
    entrance.until("/livez", LEAVES);
    assert_eq!(entrance.get("/readyz"), LEAVES);
    entrance.beats.store(7, Ordering::SeqCst);
    entrance.until("/readyz", OK);
}

/// More idle connections than there are places, each older than the check that matters.
#[test]
fn those_who_hold_every_place_lose_the_oldest_to_a_check() {
    let entrance = entrance();
    let mut held: Vec<Client> = Vec::new();
    for n in 0..CONNECTIONS + 50 {
        let mut idle = entrance.open();
        if n.is_multiple_of(2) {
            idle.write_all(b"GET /readyz HTTP/1.1\r\nX: ").unwrap();
        }
        held.push(idle);
        if n.is_multiple_of(50) {
            assert_eq!(entrance.get("/readyz"), OK, "with {n} held");
        }
    }
    assert_eq!(entrance.get("/readyz"), OK);
    // And what is held ends by itself.
    let mut last = held.pop().unwrap();
    let mut rest = Vec::new();
    let ended = last.read_to_end(&mut rest);
    assert!(ended.is_ok() || ended.is_err_and(|it| it.kind() != io::ErrorKind::WouldBlock));
}

#[test]
fn what_is_no_question_gets_no_answer_and_the_next_one_does() {
    let entrance = entrance();
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(64 << 10));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5_000));
    let body = format!(
        "POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n{}",
        "x".repeat(1 << 20)
    );
    for (bytes, expected) in [
        (&b"\0\xff\x16\x03\x01"[..], "400"),
        (b"", ""),
        (b"GET / HTTP/1.1\r\n", ""),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
        (long.as_bytes(), "4"),
        (many.as_bytes(), "431"),
        (body.as_bytes(), "405"),
        (b"GET /readyz\r\n\r\n", "400"),
        (
            b"GET /readyz HTTP/1.1\r\n\r\nGET /readyz HTTP/1.1\r\n\r\n",
            "200",
        ),
    ] {
        let mut client = entrance.open();
        let _ = client.write_all(bytes);
        let _ = client.shutdown(std::net::Shutdown::Write);
        let mut text = Vec::new();
        let _ = client.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let status = text.split(' ').nth(1).unwrap_or_default();
        let shown = &bytes[..bytes.len().min(40)];
        // What is not read is answered with a reset at times.
        let is_fine = status.starts_with(expected) || (text.is_empty() && bytes.len() > 1_000);
        assert!(is_fine, "{:?}: {text}", String::from_utf8_lossy(shown));
        assert!(text.matches("HTTP/1.1 ").count() <= 1, "{text}");
        assert_eq!(entrance.get("/readyz"), OK);
    }
}
