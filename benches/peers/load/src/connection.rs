//! One connection of the client and the exchange on it: connect, shake hands, send, receive. It never waits.

use crate::answer;
use crate::client::{End, Plan};
use crate::poll::{Poll, now};
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send};
use rustls::{ClientConnection, HandshakeKind};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// A head, and all of a small body, fit; the rest of a large one is discarded without being copied.
const BUFFER: usize = 8 << 10;

/// Shared by all connections of the thread.
pub(crate) struct Scratch {
    buffer: Vec<u8>,
    waste: Vec<u8>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER],
            waste: vec![0; 1 << 20],
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing is under way.
    Free,
    Connecting,
    Handshake,
    /// Bytes of request and upload that have gone.
    Sending(u64),
    Head,
    /// Bytes of the body still to come.
    Body(u64),
    /// The answer is whole; the other side closes.
    Ending,
}

/// What `advance` came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The socket has nothing for us now.
    Wait,
    /// The answer, or the handshake, is whole, and the connection is free.
    Done,
    /// It was whole before; now the connection is closed and free.
    Free,
}

pub(crate) struct Connection {
    token: usize,
    socket: Option<TcpStream>,
    tls: Option<Box<ClientConnection>>,
    stage: Stage,
    head: Vec<u8>,
    /// The other side has said that this answer is its last.
    is_last: bool,
    /// When the request was to be sent.
    pub(crate) due: Instant,
    /// When its answer was whole, while the close is awaited.
    pub(crate) whole: Option<Instant>,
    pub(crate) handshake: Option<HandshakeKind>,
    pub(crate) bytes: u64,
}

fn bad(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}

impl Connection {
    pub(crate) fn new(token: usize, now: Instant) -> Self {
        Self {
            token,
            socket: None,
            tls: None,
            stage: Stage::Free,
            head: Vec::new(),
            is_last: false,
            due: now,
            whole: None,
            handshake: None,
            bytes: 0,
        }
    }

    pub(crate) fn is_free(&self) -> bool {
        self.stage == Stage::Free
    }

    pub(crate) fn close(&mut self) {
        self.socket = None;
        self.tls = None;
        self.head.clear();
        self.stage = Stage::Free;
    }

    /// Begins a request that was due at `due`.
    pub(crate) fn start(&mut self, plan: &Plan, poll: &Poll, due: Instant) -> io::Result<()> {
        (self.due, self.whole, self.handshake, self.bytes) = (due, None, None, 0);
        if self.socket.is_some() {
            self.stage = Stage::Sending(0);
            return Ok(());
        }
        let family = if plan.to.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true)?;
        match rustix::net::connect(&socket, &plan.to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        poll.add(&socket, self.token)?;
        self.socket = Some(socket);
        self.tls = match &plan.tls {
            Some(config) => {
                let name = plan.name.clone();
                Some(Box::new(
                    ClientConnection::new(config.clone(), name).map_err(io::Error::other)?,
                ))
            }
            None => None,
        };
        self.stage = Stage::Connecting;
        Ok(())
    }

    /// Goes on as far as the socket lets it. An error ends the request and the connection.
    pub(crate) fn advance(&mut self, plan: &Plan, scratch: &mut Scratch) -> io::Result<Step> {
        loop {
            let went_on = match self.stage {
                Stage::Free => return self.idle(scratch),
                Stage::Connecting => self.connected()?,
                Stage::Handshake => self.shake(plan)?,
                Stage::Sending(sent) => self.send(plan, sent)?,
                Stage::Head => self.receive_head(plan, scratch)?,
                Stage::Body(rest) => self.receive_body(rest, scratch)?,
                Stage::Ending => self.ended(scratch)?,
            };
            match (went_on, self.stage) {
                (false, _) => return Ok(Step::Wait),
                (true, Stage::Free) => return Ok(Step::Free),
                (true, Stage::Body(0)) => {
                    if plan.end == End::Keep {
                        if self.is_last {
                            self.close();
                        }
                        self.stage = Stage::Free;
                        return Ok(Step::Done);
                    }
                    self.stage = Stage::Ending;
                    self.whole = Some(now());
                }
                (true, _) => {}
            }
        }
    }

    fn socket(&self) -> io::Result<&TcpStream> {
        self.socket.as_ref().ok_or_else(|| bad("no socket"))
    }

    /// Something happened on a connection without a request: mostly that the other side closed it, or a ticket.
    fn idle(&mut self, scratch: &mut Scratch) -> io::Result<Step> {
        if self.socket.is_some() && self.read(&mut scratch.buffer)? == Some(0) {
            self.close();
        }
        Ok(Step::Wait)
    }

    fn connected(&mut self) -> io::Result<bool> {
        match rustix::net::getpeername(self.socket()?) {
            Ok(_) => {}
            Err(Errno::NOTCONN) => {
                return match self.socket()?.take_error()? {
                    Some(error) => Err(error),
                    None => Ok(false),
                };
            }
            Err(error) => return Err(error.into()),
        }
        self.stage = if self.tls.is_some() {
            Stage::Handshake
        } else {
            Stage::Sending(0)
        };
        Ok(true)
    }

    /// Writes and reads what TLS wants; `false` when the socket has no more.
    fn pump(&mut self) -> io::Result<bool> {
        let (Some(tls), Some(socket)) = (&mut self.tls, &self.socket) else {
            return Err(bad("no TLS"));
        };
        let mut socket = socket;
        while tls.wants_write() {
            match tls.write_tls(&mut socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        match tls.read_tls(&mut socket) {
            Ok(0) => Err(bad("closed within TLS")),
            Ok(_) => {
                tls.process_new_packets().map_err(io::Error::other)?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn shake(&mut self, plan: &Plan) -> io::Result<bool> {
        let more = self.pump()?;
        let Some(tls) = &mut self.tls else {
            return Err(bad("no TLS"));
        };
        if tls.is_handshaking() {
            return Ok(more);
        }
        self.handshake = tls.handshake_kind();
        if plan.end != End::Handshake {
            self.stage = Stage::Sending(0);
            return Ok(true);
        }
        // The other side ends only after it has finished too, and its tickets come before its end.
        tls.send_close_notify();
        if let Some(mut socket) = self.socket.as_ref() {
            tls.write_tls(&mut socket)?;
        }
        self.socket()?.shutdown(std::net::Shutdown::Write)?;
        self.stage = Stage::Body(0);
        Ok(true)
    }

    fn send(&mut self, plan: &Plan, sent: u64) -> io::Result<bool> {
        let head = plan.request.len() as u64;
        if let Some(tls) = &mut self.tls {
            if sent == 0 {
                tls.writer().write_all(&plan.request)?;
            }
            let Some(mut socket) = self.socket.as_ref() else {
                return Err(bad("no socket"));
            };
            while tls.wants_write() {
                match tls.write_tls(&mut socket) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.stage = Stage::Sending(1);
                        return Ok(false);
                    }
                    Err(error) => return Err(error),
                }
            }
            self.stage = Stage::Head;
            return Ok(true);
        }
        let upload = plan.upload.as_ref();
        let wrote = if sent < head {
            let more = if upload.is_some() {
                SendFlags::MORE
            } else {
                SendFlags::empty()
            };
            send(
                self.socket()?,
                &plan.request[sent as usize..],
                more | SendFlags::NOSIGNAL,
            )
        } else if let Some((file, length)) = upload {
            let mut from = sent - head;
            let rest = usize::try_from(length - from).unwrap_or(usize::MAX);
            sendfile(self.socket()?, file, Some(&mut from), rest)
        } else {
            Ok(0)
        };
        let sent = match wrote {
            Err(Errno::AGAIN) => return Ok(false),
            it => sent + it? as u64,
        };
        let all = head + upload.map_or(0, |it| it.1);
        self.stage = if sent == all {
            Stage::Head
        } else {
            Stage::Sending(sent)
        };
        Ok(true)
    }

    /// Reads what has come; `None` when nothing has, 0 at the end.
    fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        if self.tls.is_none() {
            return match recv(self.socket()?, into, RecvFlags::empty()) {
                Err(Errno::AGAIN) => Ok(None),
                it => Ok(Some(it?.1)),
            };
        }
        loop {
            let Some(tls) = &mut self.tls else {
                return Err(bad("no TLS"));
            };
            match tls.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                it => return Ok(Some(it?)),
            }
            if !self.pump()? {
                return Ok(None);
            }
        }
    }

    fn receive_head(&mut self, plan: &Plan, scratch: &mut Scratch) -> io::Result<bool> {
        let Some(read) = self.read(&mut scratch.buffer)? else {
            return Ok(false);
        };
        if read == 0 {
            return Err(bad("closed before an answer"));
        }
        let data = &scratch.buffer[..read];
        let (head, here) = if self.head.is_empty() {
            (answer::head(data)?, read)
        } else {
            self.head.extend_from_slice(data);
            (answer::head(&self.head)?, self.head.len())
        };
        let Some(head) = head else {
            if self.head.is_empty() {
                self.head.extend_from_slice(data);
            }
            return if self.head.len() < BUFFER {
                Ok(true)
            } else {
                Err(bad("a head without an end"))
            };
        };
        self.head.clear();
        if head.status != 200 {
            return Err(bad("not a 200"));
        }
        if plan.length.is_some_and(|it| it != head.body) {
            return Err(bad("an answer of another length"));
        }
        (self.bytes, self.is_last) = (head.body, head.closes);
        let rest = head.body.checked_sub((here - head.length) as u64);
        self.stage = Stage::Body(rest.ok_or_else(|| bad("more than an answer"))?);
        Ok(true)
    }

    fn receive_body(&mut self, rest: u64, scratch: &mut Scratch) -> io::Result<bool> {
        let most = usize::try_from(rest)
            .unwrap_or(usize::MAX)
            .min(scratch.waste.len());
        let waste = &mut scratch.waste[..most];
        let read = if self.tls.is_some() {
            self.read(waste)?
        } else {
            match recv(self.socket()?, waste, RecvFlags::TRUNC) {
                Err(Errno::AGAIN) => None,
                it => Some(it?.1),
            }
        };
        match read {
            None => Ok(false),
            Some(0) => Err(bad("closed within an answer")),
            Some(read) => {
                self.stage = Stage::Body(rest.saturating_sub(read as u64));
                Ok(true)
            }
        }
    }

    /// The other side has to close first, as it said; then its end, not ours, keeps the memory of the connection (TIME-WAIT).
    fn ended(&mut self, scratch: &mut Scratch) -> io::Result<bool> {
        loop {
            let read = match &mut self.tls {
                // Tickets are kept; what else comes does not matter any more.
                Some(tls) => match self.socket.as_ref().map(|mut it| tls.read_tls(&mut it)) {
                    Some(Ok(read)) if read > 0 => {
                        tls.process_new_packets().map(|_| read).unwrap_or(0)
                    }
                    Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Ok(false);
                    }
                    _ => 0,
                },
                None => match recv(self.socket()?, &mut scratch.buffer[..], RecvFlags::empty()) {
                    Err(Errno::AGAIN) => return Ok(false),
                    it => it.map_or(0, |it| it.1),
                },
            };
            if read == 0 {
                self.close();
                return Ok(true);
            }
        }
    }
}
