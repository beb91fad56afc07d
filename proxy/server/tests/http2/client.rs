//! A client that sends any bytes and keeps account of what comes back. Every wait ends in a panic after [`PATIENCE`].

use crate::frame::{
    ACK, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PADDED, PING,
    PREFACE, PROTOCOL, RST_STREAM, SETTINGS, WEIGHTED, WINDOW_UPDATE, data, frame, get, ping,
    settings, window,
};
use loona_hpack::Decoder;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Above all streams that cases use.
const PROBE: u32 = 0x1_0001;

/// What came on one stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: Option<u16>,
    /// Statuses before the final one.
    pub(crate) interim: Vec<u16>,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Lengths of its DATA frames.
    pub(crate) pieces: Vec<usize>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) is_ended: bool,
    pub(crate) reset: Option<u32>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|it| it.0 == name);
        found.map(|it| it.1.as_str())
    }
}

/// How the connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    Orderly,
    Reset,
}

/// Whether windows are given back as bytes arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Windows {
    Replenished,
    Kept,
}

pub(crate) struct Client<S = TcpStream> {
    stream: S,
    bytes: Vec<u8>,
    decoder: Decoder<'static>,
    partial: Option<(Frame, Vec<u8>)>,
    pings: u64,
    pub(crate) windows: Windows,
    /// Leaves the server's PINGs unanswered.
    pub(crate) hold_pings: bool,
    /// Of each stream, and the connection as 0: bytes that may be sent beside those of the initial window.
    room: BTreeMap<u32, i64>,
    pub(crate) settings: BTreeMap<u16, u32>,
    /// Frames of the server's that acknowledge ours.
    pub(crate) acknowledged: usize,
    pub(crate) pongs: Vec<Vec<u8>>,
    pub(crate) answers: BTreeMap<u32, Answer>,
    /// Last stream and code of each GOAWAY.
    pub(crate) goaways: Vec<(u32, u32)>,
    pub(crate) closed: Option<Closed>,
    /// The kinds of all frames, in order.
    pub(crate) kinds: Vec<u8>,
}

impl Client {
    /// A connection on which nothing was said yet.
    pub(crate) async fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// The preface and these settings are sent, and the server's are there.
    pub(crate) async fn with(address: SocketAddr, values: &[(u16, u32)]) -> Self {
        let mut client = Self::silent(address).await;
        client.begin(values).await;
        client
    }

    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::with(address, &[]).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// The same, over any connection.
    pub(crate) fn over(stream: S) -> Self {
        Self {
            stream,
            bytes: Vec::new(),
            decoder: Decoder::new(),
            partial: None,
            pings: 0,
            windows: Windows::Replenished,
            hold_pings: false,
            room: BTreeMap::new(),
            settings: BTreeMap::new(),
            acknowledged: 0,
            pongs: Vec::new(),
            answers: BTreeMap::new(),
            goaways: Vec::new(),
            closed: None,
            kinds: Vec::new(),
        }
    }

    /// The preface and these settings are sent, and the server's are there.
    pub(crate) async fn begin(&mut self, values: &[(u16, u32)]) {
        self.send([PREFACE, &settings(values)].concat()).await;
        self.until("settings and their acknowledgement", |it| {
            it.acknowledged > 0 && it.kinds.contains(&SETTINGS)
        })
        .await;
    }

    /// False where the server has closed already.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let sending = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        let sent = timeout(PATIENCE, sending).await;
        sent.expect("sending takes too long").is_ok()
    }

    /// What the server makes of it shows later, even that it has closed.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await;
    }

    pub(crate) async fn half_close(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    pub(crate) fn answer(&self, stream: u32) -> Answer {
        self.answers.get(&stream).cloned().unwrap_or_default()
    }

    /// Reads until `holds`, or the end of the connection; panics when neither comes.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waited = timeout(PATIENCE, async {
            while !holds(self) && self.closed.is_none() {
                self.more().await;
            }
        });
        if waited.await.is_err() {
            panic!("{what} did not come; {}", self.account());
        }
    }

    /// What came so far, for messages.
    pub(crate) fn account(&self) -> String {
        format!(
            "goaways {:?}, closed {:?}, {:?}",
            self.goaways, self.closed, self.answers
        )
    }

    /// Waits until the server has dealt with all that was sent.
    pub(crate) async fn settle(&mut self) {
        self.pings += 1;
        let payload = self.pings.to_be_bytes();
        self.send(ping(payload)).await;
        self.until("an answer to PING", |it| {
            it.pongs.iter().any(|it| *it == payload)
        })
        .await;
    }

    /// Waits for the end of a stream, whichever.
    pub(crate) async fn ended(&mut self, stream: u32) -> Answer {
        self.until("the end of a stream", |it| {
            let answer = it.answers.get(&stream);
            answer.is_some_and(|it| it.is_ended || it.reset.is_some())
        })
        .await;
        self.answer(stream)
    }

    pub(crate) async fn get(&mut self, stream: u32, path: &str) -> Answer {
        self.send(get(stream, path)).await;
        self.ended(stream).await
    }

    /// Waits for the end of the connection.
    pub(crate) async fn end(&mut self) -> Closed {
        self.until("the end of the connection", |_| false).await;
        self.closed.unwrap()
    }

    /// The connection answers a PING.
    pub(crate) async fn is_open(&mut self) -> bool {
        self.settle().await;
        self.closed.is_none() && self.goaways.is_empty()
    }

    /// Sends a piece of a body once there is room for it.
    pub(crate) async fn send_within_window(&mut self, stream: u32, piece: &[u8]) {
        let length = i64::try_from(piece.len()).unwrap();
        let initial = i64::from(*self.settings.get(&INITIAL_WINDOW_SIZE).unwrap_or(&65_535));
        let has_room = |it: &Self| {
            let of = |stream, initial| it.room.get(&stream).unwrap_or(&0) + initial;
            of(0, 65_535) >= length && of(stream, initial) >= length
        };
        self.until("room in the windows", has_room).await;
        for stream in [0, stream] {
            *self.room.entry(stream).or_default() -= length;
        }
        self.send(data(0, stream, piece)).await;
    }

    /// The connection goes on: it answers a PING and another request.
    pub(crate) async fn is_alive(&mut self) -> bool {
        if !self.is_open().await {
            return false;
        }
        let answer = self.get(PROBE, "/probe").await;
        answer.status == Some(200) && answer.is_ended
    }

    async fn more(&mut self) {
        match self.stream.read_buf(&mut self.bytes).await {
            Ok(0) => self.closed = Some(Closed::Orderly),
            Ok(_) => {}
            Err(_) => self.closed = Some(Closed::Reset),
        }
        while let Some(frame) = Frame::take(&mut self.bytes) {
            self.take(frame).await;
        }
    }

    async fn take(&mut self, it: Frame) {
        self.kinds.push(it.kind);
        match it.kind {
            SETTINGS if it.has(ACK) => self.acknowledged += 1,
            SETTINGS => {
                for one in it.payload.chunks_exact(6) {
                    let name = u16::from_be_bytes([one[0], one[1]]);
                    let value = u32::from_be_bytes([one[2], one[3], one[4], one[5]]);
                    self.settings.insert(name, value);
                }
                self.send(frame(SETTINGS, ACK, 0, &[])).await;
            }
            PING if it.has(ACK) => self.pongs.push(it.payload),
            PING if self.hold_pings => {}
            PING => self.send(frame(PING, ACK, 0, &it.payload)).await,
            GOAWAY => self.goaways.push((it.number(0), it.number(4))),
            RST_STREAM => self.of(it.stream).reset = Some(it.number(0)),
            DATA => {
                let length = it.payload.len();
                let answer = self.of(it.stream);
                answer.body.extend(&it.payload);
                answer.pieces.push(length);
                answer.is_ended |= it.has(END_STREAM);
                if self.windows == Windows::Replenished && length > 0 {
                    let more = u32::try_from(length).unwrap();
                    let both = [window(0, more), window(it.stream, more)].concat();
                    self.send(both).await;
                }
            }
            HEADERS => {
                assert!(!it.has(PADDED) && !it.has(WEIGHTED), "not expected: {it:?}");
                let block = it.payload.clone();
                self.block(it, block);
            }
            crate::frame::CONTINUATION => {
                let (head, mut block) = self.partial.take().expect("HEADERS before CONTINUATION");
                block.extend(&it.payload);
                let flags = head.flags | (it.flags & END_HEADERS);
                self.block(Frame { flags, ..head }, block);
            }
            WINDOW_UPDATE => {
                *self.room.entry(it.stream).or_default() += i64::from(it.number(0));
            }
            kind => panic!("a server does not send frames of type {kind}"),
        }
    }

    fn block(&mut self, head: Frame, block: Vec<u8>) {
        if !head.has(END_HEADERS) {
            self.partial = Some((head, block));
            return;
        }
        let fields = self.decoder.decode(&block).expect("an HPACK block");
        let text = |it: Vec<u8>| String::from_utf8(it).expect("text in fields");
        let fields: Vec<_> = fields
            .into_iter()
            .map(|it| (text(it.0), text(it.1)))
            .collect();
        let answer = self.of(head.stream);
        answer.is_ended |= head.has(END_STREAM);
        let status = fields.iter().find(|it| it.0 == ":status");
        let status: Option<u16> = status.map(|it| it.1.parse().unwrap());
        match (status, answer.status) {
            (Some(interim @ 100..=199), None) => answer.interim.push(interim),
            (Some(status), None) => {
                answer.status = Some(status);
                answer.fields = fields;
            }
            (None, Some(_)) => answer.trailers = fields,
            both => panic!("statuses out of order: {both:?}"),
        }
    }

    fn of(&mut self, stream: u32) -> &mut Answer {
        self.answers.entry(stream).or_default()
    }
}

/// Whether a malformed request was turned away as RFC 9113 8.1.1 has it: its stream reset, and nothing before that but 400.
pub(crate) fn is_turned_away(answer: &Answer) -> bool {
    matches!(answer.status, None | Some(400)) && answer.reset == Some(PROTOCOL)
}
