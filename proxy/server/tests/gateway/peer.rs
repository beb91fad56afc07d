//! One end of a connection that says and expects exact bytes. Every wait ends in a panic after [`PATIENCE`].

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[track_caller]
pub(crate) fn soon<T>(
    what: &'static str,
    future: impl Future<Output = T>,
) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move {
        match timeout(PATIENCE, future).await {
            Ok(value) => value,
            Err(_) => panic!("{place}: {what} did not happen in {PATIENCE:?}"),
        }
    }
}

/// An instance: accepts, and leaves each connection to the test.
pub(crate) struct Origin {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub(crate) async fn accept(&self) -> Peer {
        Peer::new(
            soon("a connection to the origin", self.listener.accept())
                .await
                .unwrap()
                .0,
        )
    }

    /// Whether anyone connects within a short time.
    pub(crate) async fn is_left_alone(&self) -> bool {
        timeout(Duration::from_millis(150), self.listener.accept())
            .await
            .is_err()
    }

    /// Answers every request on every connection with `answer`, for as long as the test runs.
    pub(crate) fn always(self, answer: &'static str) -> SocketAddr {
        let address = self.address;
        tokio::spawn(async move {
            loop {
                let (stream, _) = self.listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut peer = Peer::new(stream);
                    while peer.try_head().await.is_some() {
                        if peer.stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }
}

pub(crate) struct Peer<S = TcpStream> {
    pub(crate) stream: S,
    read: Vec<u8>,
}

/// An answer as a client reads it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let named = |line: &'a str| {
        line.split_once(':')
            .filter(|it| it.0.eq_ignore_ascii_case(name))
    };
    head.lines().skip(1).find_map(named).map(|it| it.1.trim())
}

impl Peer {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(
            soon("a connection", TcpStream::connect(address))
                .await
                .unwrap(),
        )
    }

    /// Whose receive buffer is small, so that a sender is soon stopped.
    pub(crate) async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self::new(soon("a connection", socket.connect(address)).await.unwrap())
    }

    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sending = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        soon("sending", sending).await.unwrap();
    }

    /// The same, where the other side may have closed already.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = soon("sending", self.stream.write_all(bytes.as_ref())).await;
    }

    pub(crate) async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Appends what arrives; false at the end or a reset.
    async fn more(&mut self) -> bool {
        let read = soon("bytes", self.stream.read_buf(&mut self.read)).await;
        matches!(read, Ok(1..))
    }

    pub(crate) async fn try_head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.read.windows(4).position(|it| it == b"\r\n\r\n") {
                let rest = self.read.split_off(at + 4);
                return Some(String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap());
            }
            if !matches!(self.stream.read_buf(&mut self.read).await, Ok(1..)) {
                return None;
            }
        }
    }

    pub(crate) async fn head(&mut self) -> String {
        soon("a head", self.try_head())
            .await
            .expect("a head, not the end")
    }

    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            let so_far = self.read.len();
            assert!(self.more().await, "the end after {so_far} of {count} bytes");
        }
        let rest = self.read.split_off(count);
        std::mem::replace(&mut self.read, rest)
    }

    pub(crate) async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.read.windows(2).position(|it| it == b"\r\n") {
                return String::from_utf8(self.bytes(at + 2).await)
                    .unwrap()
                    .trim_end()
                    .to_owned();
            }
            assert!(self.more().await, "the end within a line");
        }
    }

    /// A chunked body, decoded, and its trailer fields; it must end whole.
    pub(crate) async fn chunks(&mut self) -> (Vec<u8>, Vec<String>) {
        let (mut body, mut trailers) = (Vec::new(), Vec::new());
        loop {
            let size = usize::from_str_radix(&self.line().await, 16).unwrap();
            if size == 0 {
                break;
            }
            body.extend(self.bytes(size).await);
            assert_eq!(self.line().await, "");
        }
        loop {
            match self.line().await {
                end if end.is_empty() => return (body, trailers),
                field => trailers.push(field),
            }
        }
    }

    /// Everything until the end, or until a reset (false).
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, bool) {
        loop {
            match soon("the end", self.stream.read_buf(&mut self.read)).await {
                Ok(0) => return (std::mem::take(&mut self.read), true),
                Ok(_) => {}
                Err(_) => return (std::mem::take(&mut self.read), false),
            }
        }
    }

    /// Waits until the other side is gone, whatever it still sends.
    pub(crate) async fn ends(&mut self) {
        self.rest().await;
    }

    /// An answer to GET, by its framing.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = match (
            field(&head, "content-length"),
            field(&head, "transfer-encoding"),
        ) {
            _ if matches!(status, 100..=199 | 204 | 304) => Vec::new(),
            (Some(length), None) => self.bytes(length.parse().unwrap()).await,
            (None, Some("chunked")) => self.chunks().await.0,
            (None, None) => self.rest().await.0,
            both => panic!("ambiguous framing: {both:?}"),
        };
        Answer { status, head, body }
    }

    pub(crate) async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await;
        self.answer().await
    }
}
