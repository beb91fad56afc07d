//! The origin: HTTP/1.1 kept alive, files from memory by `sendfile`, uploads discarded unread. Trusts its peers, which are proxies.

use crate::Error;
use crate::poll::Poll;
use rustix::fs::{MemfdFlags, memfd_create, sendfile};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

const HEAD: usize = 16 << 10;
/// A body up to this goes out with its head in one call; a larger one without being copied.
const INLINE: usize = 4 << 10;

struct Resource {
    /// Head, and the body where it is small.
    first: Vec<u8>,
    file: File,
    rest: u64,
}

struct Peer {
    socket: TcpStream,
    /// Bytes of a head that is not whole.
    head: Vec<u8>,
    /// Bytes of an upload still to be discarded.
    upload: u64,
    /// The resource being sent, by number, and how much of it has gone.
    sending: Option<(usize, u64)>,
    close: bool,
}

struct Origin {
    resources: Vec<Resource>,
    paths: HashMap<String, usize>,
    buffer: Vec<u8>,
    waste: Vec<u8>,
}

fn resource(body: &[u8], status: &str) -> io::Result<Resource> {
    let mut first = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    let mut file = File::from(memfd_create("body", MemfdFlags::CLOEXEC)?);
    let mut rest = 0;
    if body.len() <= INLINE {
        first.extend_from_slice(body);
    } else {
        file.write_all(body)?;
        rest = body.len() as u64;
    }
    Ok(Resource { first, file, rest })
}

/// What a read or write came to.
enum Step {
    Again,
    Wait,
    Closed,
}

impl Origin {
    /// 0 is the answer for what does not exist, 1 for an upload.
    fn load(folder: &Path) -> io::Result<Self> {
        let mut resources = vec![
            resource(b"none", "404 Not Found")?,
            resource(b"done", "200 OK")?,
        ];
        let mut paths = HashMap::new();
        for it in std::fs::read_dir(folder)? {
            let path = it?.path();
            let Some(name) = path.file_name().and_then(|it| it.to_str()) else {
                continue;
            };
            paths.insert(format!("/{name}"), resources.len());
            resources.push(resource(&std::fs::read(&path)?, "200 OK")?);
        }
        Ok(Self {
            resources,
            paths,
            buffer: vec![0; HEAD],
            waste: vec![0; 1 << 20],
        })
    }

    /// Reads until the socket is drained or an answer does not fit into it.
    fn advance(&mut self, peer: &mut Peer) -> io::Result<Step> {
        if let Some((number, sent)) = peer.sending {
            let step = self.send(peer, number, sent)?;
            // The edge that came may have been the read side's.
            let done = matches!(step, Step::Wait) && peer.sending.is_none();
            return Ok(if done { Step::Again } else { step });
        }
        if peer.upload > 0 {
            return self.discard(peer);
        }
        let (_, read) = match recv(&peer.socket, &mut self.buffer[..], RecvFlags::empty()) {
            Err(rustix::io::Errno::AGAIN) => return Ok(Step::Wait),
            it => it?,
        };
        if read == 0 {
            return Ok(Step::Closed);
        }
        peer.head.extend_from_slice(&self.buffer[..read]);
        self.request(peer)
    }

    fn request(&mut self, peer: &mut Peer) -> io::Result<Step> {
        let mut fields = [httparse::EMPTY_HEADER; 48];
        let mut request = httparse::Request::new(&mut fields);
        let parsed = request.parse(&peer.head).map_err(io::Error::other)?;
        let httparse::Status::Complete(length) = parsed else {
            return if peer.head.len() < HEAD {
                Ok(Step::Again)
            } else {
                Ok(Step::Closed)
            };
        };
        let mut body = 0u64;
        for it in request.headers.iter() {
            if it.name.eq_ignore_ascii_case("content-length") {
                body = std::str::from_utf8(it.value)
                    .ok()
                    .and_then(|it| it.trim().parse().ok())
                    .unwrap_or(0);
            } else if it.name.eq_ignore_ascii_case("connection") {
                peer.close = it.value.eq_ignore_ascii_case(b"close");
            } else if it.name.eq_ignore_ascii_case("transfer-encoding") {
                return Err(io::Error::other("uploads have a length here"));
            }
        }
        let upload = request.method != Some("GET");
        let path = request.path.unwrap_or("").split('?').next().unwrap_or("");
        let number = if upload {
            1
        } else {
            self.paths.get(path).copied().unwrap_or(0)
        };
        let here = (peer.head.len() - length) as u64;
        peer.head.clear();
        peer.upload = body.saturating_sub(here);
        if peer.upload > 0 {
            return Ok(Step::Again);
        }
        self.send(peer, number, 0)
    }

    fn discard(&mut self, peer: &mut Peer) -> io::Result<Step> {
        let most = usize::try_from(peer.upload)
            .unwrap_or(usize::MAX)
            .min(self.waste.len());
        match recv(&peer.socket, &mut self.waste[..most], RecvFlags::TRUNC) {
            Err(rustix::io::Errno::AGAIN) => Ok(Step::Wait),
            Err(error) => Err(error.into()),
            Ok((_, 0)) => Ok(Step::Closed),
            Ok((_, read)) => {
                peer.upload -= read as u64;
                if peer.upload == 0 {
                    self.send(peer, 1, 0)
                } else {
                    Ok(Step::Again)
                }
            }
        }
    }

    fn send(&self, peer: &mut Peer, number: usize, mut sent: u64) -> io::Result<Step> {
        let Some(it) = self.resources.get(number) else {
            return Ok(Step::Closed);
        };
        let first = it.first.len() as u64;
        while sent < first + it.rest {
            let wrote = if sent < first {
                let flags = if it.rest > 0 {
                    SendFlags::MORE
                } else {
                    SendFlags::empty()
                };
                send(
                    &peer.socket,
                    &it.first[sent as usize..],
                    flags | SendFlags::NOSIGNAL,
                )
            } else {
                let mut from = sent - first;
                let rest = usize::try_from(it.rest - from).unwrap_or(usize::MAX);
                sendfile(&peer.socket, &it.file, Some(&mut from), rest)
            };
            match wrote {
                Err(rustix::io::Errno::AGAIN) => {
                    peer.sending = Some((number, sent));
                    return Ok(Step::Wait);
                }
                it => sent += it? as u64,
            }
        }
        peer.sending = None;
        // The next request makes an edge of its own: nothing was left in the socket when this one was read.
        Ok(if peer.close { Step::Closed } else { Step::Wait })
    }
}

/// Serves until it is killed.
pub(crate) fn run(listen: SocketAddr, folder: &Path) -> Result<(), Error> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let mut origin = Origin::load(folder)?;
    let mut poll = Poll::new()?;
    poll.add(&listener, 0)?;
    let mut peers: Vec<Option<Peer>> = vec![None];
    let (mut free, mut tokens) = (Vec::new(), Vec::new());
    loop {
        poll.wait(None, &mut tokens)?;
        for &token in &tokens {
            if token == 0 {
                while let Ok((socket, _)) = listener.accept() {
                    socket.set_nonblocking(true)?;
                    socket.set_nodelay(true)?;
                    let number = free.pop().unwrap_or(peers.len());
                    poll.add(&socket, number)?;
                    let peer = Peer {
                        socket,
                        head: Vec::new(),
                        upload: 0,
                        sending: None,
                        close: false,
                    };
                    if number == peers.len() {
                        peers.push(Some(peer))
                    } else {
                        peers[number] = Some(peer)
                    }
                }
                continue;
            }
            let Some(peer) = peers.get_mut(token).and_then(Option::as_mut) else {
                continue;
            };
            loop {
                match origin.advance(peer) {
                    Ok(Step::Again) => {}
                    Ok(Step::Wait) => break,
                    Ok(Step::Closed) | Err(_) => {
                        peers[token] = None;
                        free.push(token);
                        break;
                    }
                }
            }
        }
    }
}
