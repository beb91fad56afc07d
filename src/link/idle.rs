//! A connection that ends when its other end has said nothing for too long.
//!
//! Nothing tells a server that the line to a peer was cut: without this each cut would leave a connection for good, until no place
//! is left for those of after it.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Reads and writes fail once nothing was read for `limit`. Writing alone does not count: who takes no answers asks no more.
#[derive(Debug)]
pub(super) struct Idle<S> {
    stream: S,
    limit: Duration,
    over: Pin<Box<Sleep>>,
}

impl<S> Idle<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            over: Box::pin(sleep(limit)),
        }
    }

    /// For who can do nothing now.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        ready!(self.over.as_mut().poll(cx));
        let text = format!("nothing was asked for {:?}", self.limit);
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, text)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Idle<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(cx, into) else {
            return this.wait(cx);
        };
        this.over.as_mut().reset(Instant::now() + this.limit);
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Idle<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write(cx, bytes) {
            Poll::Pending => this.wait(cx),
            written => written,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_flush(cx) {
            Poll::Pending => this.wait(cx),
            flushed => flushed,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_shutdown(cx) {
            Poll::Pending => this.wait(cx),
            closed => closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    const LIMIT: Duration = Duration::from_millis(50);
    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn who_says_nothing_more_is_let_go() {
        let (mut there, here) = duplex(64);
        let mut here = Idle::new(here, LIMIT);
        there.write_all(b"a").await.expect("the pipe is open");
        assert_eq!(here.read_u8().await.expect("a byte"), b'a');
        let read = tokio::time::timeout(PATIENCE, here.read_u8()).await;
        let error = read.expect("it waits for ever").expect_err("no byte");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_takes_no_answer_is_let_go() {
        let (_there, here) = duplex(64);
        let mut here = Idle::new(here, LIMIT);
        let large = [0; 1_024];
        let written = tokio::time::timeout(PATIENCE, here.write_all(&large)).await;
        let error = written.expect("it waits for ever").expect_err("not taken");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
