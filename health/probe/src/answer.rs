//! Reads one answer from a connection; what it means is judged elsewhere (`exchange`).

use crate::connection::Connection;
use minato_health::{Failure, Layer};
use minato_http1::{BodyReader, Framing, HeadScan, Method, Piece, ResponseHead};
use std::fmt::Display;
use std::io;

/// Interim answers at most.
const INTERIM: usize = 32;
/// Read at a time, at least.
const ROOM: usize = 4 * 1024;

/// An answer as far as it has come.
pub(crate) struct Answer {
    connection: Connection,
    /// Read, and not yet used.
    bytes: Vec<u8>,
    body: BodyReader,
}

impl Answer {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            bytes: Vec::new(),
            body: BodyReader::new(Framing::None),
        }
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The head of the final answer, to GET.
    pub(crate) async fn head(&mut self) -> Result<ResponseHead, Failure> {
        let mut head = ResponseHead::default();
        for _ in 0..=INTERIM {
            let end = self.head_end().await?;
            let read = head.read(self.bytes.get(..end).unwrap_or_default(), Method::Get);
            read.map_err(no_http)?;
            self.consume(end);
            if !matches!(head.status(), 100 | 102..=199) {
                self.body = BodyReader::new(head.framing());
                return Ok(head);
            }
        }
        Err(no_http("interim answers without end"))
    }

    async fn head_end(&mut self) -> Result<usize, Failure> {
        let mut scan = HeadScan::default();
        loop {
            if let Some(end) = scan.look_response(&self.bytes).map_err(no_http)? {
                return Ok(end);
            }
            if self.fill().await? == 0 {
                let detail = "connection closed before a whole answer";
                return Err(Failure::new(Layer::NoAnswer, detail));
            }
        }
    }

    /// The next data of the body, which are [`Self::consume`]d then; `None` at its end.
    pub(crate) async fn data(&mut self) -> Result<Option<&[u8]>, Failure> {
        loop {
            match self.body.next(&self.bytes).map_err(no_http)? {
                Piece::Skip(count) => self.consume(count),
                Piece::Data(count) => return Ok(self.bytes.get(..count)),
                Piece::End => return Ok(None),
                Piece::More => {
                    if self.fill().await? == 0 {
                        self.body.end().map_err(broken)?;
                    }
                }
            }
        }
    }

    /// Drops the first octets of what was read.
    pub(crate) fn consume(&mut self, count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
    }

    /// Whether the server has closed, with nothing behind its answer.
    pub(crate) async fn is_over(&mut self) -> bool {
        self.bytes.is_empty() && matches!(self.fill().await, Ok(0))
    }

    async fn fill(&mut self) -> Result<usize, Failure> {
        self.bytes.reserve(ROOM);
        let read = self.connection.read(&mut self.bytes).await;
        read.map_err(|error: io::Error| broken(error))
    }
}

pub(crate) fn broken(cause: impl Display) -> Failure {
    Failure::new(Layer::NoAnswer, format!("connection broke: {cause}"))
}

fn no_http(why: impl Display) -> Failure {
    Failure::new(Layer::NoAnswer, format!("not an HTTP answer: {why}"))
}
