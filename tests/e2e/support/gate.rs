//! A relay in front of a member of etcd that can stop at any request: what is asked from then on does not arrive, or its answer does
//! not. So a process can be killed between any two steps of what it does to a store.

use super::clock::pause;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(5);
/// What an HTTP/2 client says first.
const PREFACE: usize = 24;
const HEAD: usize = 9;
const HEADERS: u8 = 1;
const TRIES: usize = 20;
/// Everything passes.
const ALL: u64 = u64::MAX;

/// What does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The request: it never takes effect.
    Request,
    /// The answer: it takes effect, and who asked does not learn of it.
    Answer,
}

/// See the module. Dropping it ends what goes through it.
#[derive(Debug)]
pub(crate) struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    to: SocketAddr,
    /// Requests that pass.
    limit: AtomicU64,
    asked: AtomicU64,
    loses_answers: AtomicBool,
    ended: AtomicBool,
    /// The process whose request is held.
    held: Mutex<Option<u32>>,
    open: Mutex<Vec<TcpStream>>,
}

impl Gate {
    /// `endpoint`: `http://127.0.0.1:2379`
    pub(crate) fn before(endpoint: &str) -> Self {
        let to = endpoint.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            to,
            limit: AtomicU64::new(ALL),
            asked: AtomicU64::new(0),
            loses_answers: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            held: Mutex::default(),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                let _ = accepting.relay(stream);
            }
        });
        Self { address, shared }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on `count` requests pass, and the next one is held.
    pub(crate) fn hold_after(&self, count: u64, lost: Lost) {
        self.release();
        let shared = &self.shared;
        shared.asked.store(0, Ordering::SeqCst);
        let answers = lost == Lost::Answer;
        shared.loses_answers.store(answers, Ordering::SeqCst);
        shared.limit.store(count, Ordering::SeqCst);
    }

    /// The process whose request is held, once there is one.
    pub(crate) fn held(&self) -> Option<u32> {
        *self.shared.held.lock().unwrap()
    }

    /// Connections of before end, with what they hold; new ones pass.
    pub(crate) fn release(&self) {
        self.shared.limit.store(ALL, Ordering::SeqCst);
        *self.shared.held.lock().unwrap() = None;
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.release();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn relay(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        let member = TcpStream::connect(self.to)?;
        client.set_nodelay(true)?;
        member.set_nodelay(true)?;
        {
            let mut open = self.open.lock().unwrap();
            open.push(client.try_clone()?);
            open.push(member.try_clone()?);
        }
        let (from, to) = (client.try_clone()?, member.try_clone()?);
        let own = Arc::clone(self);
        std::thread::spawn(move || {
            let _ = own.requests(from, &to);
            let _ = to.shutdown(Shutdown::Both);
        });
        let own = Arc::clone(self);
        std::thread::spawn(move || {
            let _ = own.answers(member, &client);
            let _ = client.shutdown(Shutdown::Both);
        });
        Ok(())
    }

    /// Frame by frame; each block of header fields begins a request.
    fn requests(&self, mut client: TcpStream, mut member: &TcpStream) -> io::Result<()> {
        let mut bytes = vec![0; PREFACE];
        client.read_exact(&mut bytes)?;
        member.write_all(&bytes)?;
        loop {
            let mut head = [0; HEAD];
            client.read_exact(&mut head)?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            bytes.resize(length as usize, 0);
            client.read_exact(&mut bytes)?;
            if head[3] == HEADERS {
                let number = self.asked.fetch_add(1, Ordering::SeqCst);
                if number >= self.limit.load(Ordering::SeqCst) {
                    let (own, other) = (client.peer_addr()?, client.local_addr()?);
                    // The kernel's table may miss a line while others come and go.
                    let process = (0..TRIES).find_map(|_| process_at(own, other));
                    // Who waits no longer asks again on another connection.
                    let Some(process) = process else {
                        return Ok(());
                    };
                    let is_first = self.held.lock().unwrap().replace(process).is_none();
                    let goes_on = is_first && self.loses_answers.load(Ordering::SeqCst);
                    if !goes_on {
                        // Until it is released, which ends the connection.
                        return io::copy(&mut client, &mut io::sink()).map(drop);
                    }
                }
            }
            member.write_all(&head)?;
            member.write_all(&bytes)?;
        }
    }

    fn answers(&self, mut member: TcpStream, mut client: &TcpStream) -> io::Result<()> {
        let mut bytes = [0; 64 << 10];
        loop {
            let count = member.read(&mut bytes)?;
            if count == 0 {
                return Ok(());
            }
            while self.held.lock().unwrap().is_some() {
                pause(LOOK);
            }
            client.write_all(&bytes[..count])?;
        }
    }
}

/// The process that has the socket between these addresses, on loopback. Its port alone may be that of connections to others, too, also of
/// ended ones, which are nobody's.
fn process_at(own: SocketAddr, other: SocketAddr) -> Option<u32> {
    let (own, other) = (in_table(own)?, in_table(other)?);
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let line = table.lines().find(|it| {
        let mut words = it.split_whitespace().skip(1);
        words.next() == Some(&own) && words.next() == Some(&other)
    })?;
    let socket = format!("socket:[{}]", line.split_whitespace().nth(9)?);
    let all = fs::read_dir("/proc").ok()?.flatten();
    all.filter_map(|it| it.file_name().to_str()?.parse().ok())
        .find(|pid: &u32| {
            let files = fs::read_dir(format!("/proc/{pid}/fd"))
                .into_iter()
                .flatten();
            files
                .flatten()
                .any(|it| fs::read_link(it.path()).is_ok_and(|to| to.to_str() == Some(&socket)))
        })
}

/// As the kernel writes it.
fn in_table(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(it) = address else {
        return None;
    };
    let bytes = u32::from_le_bytes(it.ip().octets());
    Some(format!("{bytes:08X}:{:04X}", it.port()))
}
