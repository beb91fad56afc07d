//! A small client that speaks HTTP/1 byte by byte, so that tests decide what is on the wire.

use super::clock::{pause, within};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A request that takes longer has failed, wherever a test counts failures.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(5);

/// One whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(it, _)| it == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Whether an answer has a body whatever its head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    Body,
    /// The answer to a HEAD.
    HeadOnly,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, TOO_LONG)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TOO_LONG))?;
        stream.set_write_timeout(Some(TOO_LONG))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    pub(crate) fn patience(&self, limit: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(limit))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// One answer, interim ones included.
    pub(crate) fn read(&mut self, expect: Expect) -> io::Result<Answer> {
        let (status, headers) = self.head()?;
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        if expect == Expect::HeadOnly || matches!(status, 100..=199 | 204 | 304) {
            return Ok(answer);
        }
        self.body(&mut answer).map_err(|error| {
            let text = format!("after the head of an answer of {status}: {error}");
            io::Error::new(error.kind(), text)
        })?;
        Ok(answer)
    }

    fn body(&mut self, answer: &mut Answer) -> io::Result<()> {
        let length = answer
            .header("content-length")
            .and_then(|it| it.parse::<usize>().ok());
        if answer.header("transfer-encoding").is_some() {
            self.chunks(&mut answer.body)?;
        } else if let Some(length) = length {
            answer.body.resize(length, 0);
            self.stream.read_exact(&mut answer.body)?;
        } else {
            self.stream.read_to_end(&mut answer.body)?;
        }
        Ok(())
    }

    fn head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|it| it.parse().ok());
        let status = status.ok_or_else(|| broken(&format!("no status line: {line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok((status, headers));
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| broken(&format!("no header: {line:?}")))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    pub(crate) fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        line.strip_suffix("\r\n")
            .map(str::to_owned)
            .ok_or_else(|| broken("a line without CRLF"))
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let size = self.line()?;
            let size = usize::from_str_radix(&size, 16)
                .map_err(|_| broken(&format!("no chunk size: {size:?}")))?;
            let at = body.len();
            body.resize(at + size, 0);
            self.stream.read_exact(&mut body[at..])?;
            if !self.line()?.is_empty() {
                return Err(broken("a chunk without its end"));
            }
            if size == 0 {
                return Ok(());
            }
        }
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_owned())
}

/// One GET on a connection of its own.
pub(crate) fn get(address: SocketAddr, host: &str, path: &str) -> io::Result<Answer> {
    request(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
    )
}

/// One POST on a connection of its own.
pub(crate) fn post(address: SocketAddr, host: &str, path: &str, body: &str) -> io::Result<Answer> {
    let length = body.len();
    request(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn request(address: SocketAddr, bytes: &str) -> io::Result<Answer> {
    let mut connection = Connection::open(address)?;
    connection.send(bytes.as_bytes())?;
    connection.read(Expect::Body)
}

/// Asks until `status` comes.
#[track_caller]
pub(crate) fn until_status(address: SocketAddr, host: &str, path: &str, status: u16) -> Answer {
    let mut last = None;
    within(
        super::clock::PATIENCE,
        &format!("{status} for {host}{path}"),
        || {
            let answer = get(address, host, path);
            last = Some(format!("{answer:?}"));
            pause(Duration::from_millis(5));
            answer.ok().filter(|it| it.status == status)
        },
    )
}
