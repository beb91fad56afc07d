//! An HTTP/1.1 instance that keeps what it received, byte for byte. What it answers depends on the path.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Captured {
    pub(crate) head: String,
    /// With its framing.
    pub(crate) body: Vec<u8>,
}

impl Captured {
    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Captured>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Origin {
    pub(crate) async fn start(at: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let seen = Arc::new(Mutex::default());
        Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::clone(&seen),
            serving: tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&seen)));
                }
            }),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Captured>> {
        self.seen.lock().unwrap()
    }

    pub(crate) fn captured(&self) -> Vec<Captured> {
        self.seen().clone()
    }

    pub(crate) fn forget(&self) {
        self.seen().clear();
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Captured>>>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = find(&bytes, b"\r\n\r\n") {
                break at + 4;
            }
            more(&mut stream, &mut bytes).await?;
        };
        let rest = bytes.split_off(end);
        let head = String::from_utf8(std::mem::replace(&mut bytes, rest)).ok()?;
        let index = {
            let mut seen = seen.lock().unwrap();
            seen.push(Captured {
                head: head.clone(),
                body: Vec::new(),
            });
            seen.len() - 1
        };
        let path = head.split(' ').nth(1)?.to_owned();
        if path.starts_with("/early") {
            answer(&mut stream, &path, 0).await?;
        }
        let lower = head.to_ascii_lowercase();
        let length = lower
            .lines()
            .find_map(|it| it.strip_prefix("content-length:"));
        let body = if lower.contains("\r\ntransfer-encoding:") {
            let end = loop {
                if let Some(end) = chunks_end(&bytes) {
                    break end;
                }
                more(&mut stream, &mut bytes).await?;
            };
            let rest = bytes.split_off(end);
            std::mem::replace(&mut bytes, rest)
        } else {
            let length: usize = length.map_or(0, |it| it.trim().parse().unwrap_or(0));
            while bytes.len() < length {
                more(&mut stream, &mut bytes).await?;
            }
            let rest = bytes.split_off(length);
            std::mem::replace(&mut bytes, rest)
        };
        let taken = body.len();
        if let Some(it) = seen.lock().unwrap().get_mut(index) {
            it.body = body;
        }
        if path.starts_with("/wait") {
            // Until the other side has had enough.
            more(&mut stream, &mut bytes).await?;
            return None;
        }
        if !path.starts_with("/early") {
            answer(&mut stream, &path, taken).await?;
        }
    }
}

async fn answer(stream: &mut TcpStream, path: &str, taken: usize) -> Option<()> {
    let whole = |body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    let bytes = match path {
        "/ten" => whole(b"0123456789"),
        "/large" => whole(&[b'x'; 400_000]),
        "/taken" => whole(taken.to_string().as_bytes()),
        "/trailers" => b"HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n".to_vec(),
        "/empty" => whole(b""),
        "/hints" => [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".to_vec(), whole(b"ok")].concat(),
        "/broken" => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok".to_vec(),
        "/connection" => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n\r\nok".to_vec(),
        _ => whole(b"ok"),
    };
    stream.write_all(&bytes).await.ok()?;
    if path == "/broken" {
        // Gives the other side the time to pass on what there is.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        return None;
    }
    Some(())
}

async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    matches!(stream.read_buf(bytes).await, Ok(1..)).then_some(())
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|it| it == what)
}

/// Where a chunked body with its trailers ends.
fn chunks_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        let text = std::str::from_utf8(&bytes[at..at + line]).unwrap();
        let size = usize::from_str_radix(text.split(';').next().unwrap(), 16).unwrap();
        if size == 0 {
            let trailers = find(&bytes[at + line..], b"\r\n\r\n")?;
            return Some(at + line + trailers + 4);
        }
        at += line + 2 + size + 2;
        if at > bytes.len() {
            return None;
        }
    }
}
