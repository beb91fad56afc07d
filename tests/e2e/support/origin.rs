//! A server within the test, for answers that no ordinary server would give. Fixed endpoint of a service.

use super::http::TOO_LONG;
use super::site::PATIENT;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Accepts until it is dropped; each connection has a thread.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A request's head as it arrived: its first line, then its fields.
#[derive(Debug, Clone)]
pub(crate) struct Head(pub(crate) Vec<String>);

impl Head {
    pub(crate) fn method(&self) -> &str {
        self.0
            .first()
            .and_then(|it| it.split(' ').next())
            .unwrap_or_default()
    }

    pub(crate) fn path(&self) -> &str {
        self.0
            .first()
            .and_then(|it| it.split(' ').nth(1))
            .unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.0.iter().skip(1).filter_map(|it| it.split_once(':'));
        fields
            .filter(|(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .next()
    }
}

/// One connection of the gateway, as the origin sees it.
pub(crate) type Wire = BufReader<TcpStream>;

impl Origin {
    /// `answer` serves one request whose head was read; it returns whether the connection goes on.
    pub(crate) fn start(
        answer: impl Fn(&Head, &mut Wire) -> std::io::Result<bool> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self::on(listener, answer)
    }

    pub(crate) fn on(
        listener: TcpListener,
        answer: impl Fn(&Head, &mut Wire) -> std::io::Result<bool> + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, answer) = (Arc::clone(&stop), Arc::new(answer));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || {
                    let _ = serve(stream, &*answer);
                });
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }

    /// A service file with this as its only endpoint.
    pub(crate) fn file(&self, more: &str) -> String {
        format!(
            "endpoints = [\"{}\"]\nroutes = [\"*\"]\n{}{more}",
            self.address,
            PATIENT.of("kind = \"tcp\"")
        )
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect_timeout(&self.address, TOO_LONG);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(
    stream: TcpStream,
    answer: &(impl Fn(&Head, &mut Wire) -> std::io::Result<bool> + ?Sized),
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    // Idle connections of the gateway's pool end after 4 s.
    stream.set_read_timeout(Some(TOO_LONG * 2))?;
    let mut wire = BufReader::new(stream);
    while let Some(head) = head(&mut wire)? {
        if !answer(&head, &mut wire)? {
            break;
        }
    }
    Ok(())
}

fn head(wire: &mut Wire) -> std::io::Result<Option<Head>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if wire.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end_matches(['\r', '\n']) {
            "" => return Ok(Some(Head(lines))),
            line => lines.push(line.to_owned()),
        }
    }
}

/// The whole body of a request.
pub(crate) fn body(head: &Head, wire: &mut Wire) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(length) = head.field("content-length").and_then(|it| it.parse().ok()) {
        body.resize(length, 0);
        wire.read_exact(&mut body)?;
    } else if head.field("transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            wire.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim_end(), 16).map_err(std::io::Error::other)?;
            let at = body.len();
            body.resize(at + size + 2, 0);
            wire.read_exact(&mut body[at..])?;
            body.truncate(at + size);
            if size == 0 {
                break;
            }
        }
    }
    Ok(body)
}

pub(crate) fn say(wire: &mut Wire, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
    wire.get_mut().write_all(bytes.as_ref())
}

/// 200 with this body.
pub(crate) fn ok(wire: &mut Wire, body: &[u8]) -> std::io::Result<bool> {
    say(
        wire,
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()),
    )?;
    say(wire, body)?;
    Ok(true)
}
