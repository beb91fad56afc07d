//! An instance that speaks HTTP/2 in raw frames, and leaves every answer to the test.

use crate::client::PATIENCE;
use crate::frame::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, PREFACE,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, headers, settings, window,
};
use loona_hpack::Decoder;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

pub(crate) struct Instance {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Instance {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// The next connection, its preface read and ours said.
    pub(crate) async fn accept(&self) -> Link {
        self.accept_with(&[]).await
    }

    pub(crate) async fn accept_with(&self, values: &[(u16, u32)]) -> Link {
        let accepted = timeout(PATIENCE, self.listener.accept()).await;
        let (stream, _) = accepted.expect("a connection").unwrap();
        Link::over(stream, values).await
    }

    /// Whether nobody connects within a short time.
    pub(crate) async fn is_left_alone(&self) -> bool {
        let wait = std::time::Duration::from_millis(150);
        timeout(wait, self.listener.accept()).await.is_err()
    }
}

/// One connection from a gateway.
pub(crate) struct Link<S = TcpStream> {
    stream: S,
    bytes: Vec<u8>,
    decoder: Decoder<'static>,
}

/// What a gateway says on a stream.
#[derive(Debug)]
pub(crate) enum Said {
    /// A head, or trailers.
    Fields {
        stream: u32,
        fields: Vec<(String, String)>,
        is_last: bool,
    },
    Data {
        bytes: Vec<u8>,
        is_last: bool,
    },
    Reset {
        stream: u32,
        code: u32,
    },
    /// The connection ended.
    End,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// A connection, its preface read and ours said.
    pub(crate) async fn over(mut stream: S, values: &[(u16, u32)]) -> Self {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        assert_eq!(preface, PREFACE);
        let mut link = Self {
            stream,
            bytes: Vec::new(),
            decoder: Decoder::new(),
        };
        link.send(settings(values)).await;
        link
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Answers with a whole head and body.
    pub(crate) async fn answer(&mut self, stream: u32, body: &str) {
        let head = block(&[(":status", "200")]);
        let frames = [
            headers(END_HEADERS, stream, &head),
            frame(DATA, END_STREAM, stream, body.as_bytes()),
        ];
        self.send(frames.concat()).await;
    }

    pub(crate) async fn said(&mut self) -> Said {
        timeout(PATIENCE, self.next()).await.expect("anything said")
    }

    /// The next head; its stream and fields, and whether it is the last of the request.
    pub(crate) async fn request(&mut self) -> (u32, Vec<(String, String)>, bool) {
        match self.said().await {
            Said::Fields {
                stream,
                fields,
                is_last,
            } => (stream, fields, is_last),
            other => panic!("{other:?}"),
        }
    }

    /// The same, however long it takes.
    pub(crate) async fn next(&mut self) -> Said {
        loop {
            let Some(it) = Frame::take(&mut self.bytes) else {
                if !matches!(self.stream.read_buf(&mut self.bytes).await, Ok(1..)) {
                    return Said::End;
                }
                continue;
            };
            let (stream, is_last) = (it.stream, it.has(END_STREAM));
            match it.kind {
                SETTINGS if !it.has(ACK) => self.send(frame(SETTINGS, ACK, 0, &[])).await,
                PING if !it.has(ACK) => self.send(frame(PING, ACK, 0, &it.payload)).await,
                SETTINGS | PING | WINDOW_UPDATE | GOAWAY => {}
                HEADERS => {
                    assert!(it.has(END_HEADERS));
                    let fields = self.decoder.decode(&it.payload).unwrap();
                    let text = |it: Vec<u8>| String::from_utf8(it).unwrap();
                    let pairs = fields.into_iter().map(|it| (text(it.0), text(it.1)));
                    return Said::Fields {
                        stream,
                        fields: pairs.collect(),
                        is_last,
                    };
                }
                DATA => {
                    let bytes = it.payload;
                    if !bytes.is_empty() {
                        let more = u32::try_from(bytes.len()).unwrap();
                        self.send([window(0, more), window(stream, more)].concat())
                            .await;
                    }
                    return Said::Data { bytes, is_last };
                }
                RST_STREAM => {
                    let code = it.number(0);
                    return Said::Reset { stream, code };
                }
                CONTINUATION => panic!("heads in tests are short"),
                other => panic!("a client does not send frames of type {other}"),
            }
        }
    }
}
