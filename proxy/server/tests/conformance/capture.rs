//! An instance that keeps every byte of every connection, and answers each whole request with 204.

use crate::message::{Body, Message};
use crate::peer::soon;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What one connection brought.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stream {
    /// Whole requests, each as [`Message::joined`] has it.
    Whole(Vec<u8>),
    /// Whole requests perhaps, then something that never became one.
    Unfinished(Vec<u8>),
}

#[derive(Debug, Default)]
struct Kept {
    begun: usize,
    ended: Vec<Stream>,
    /// Chunks of each request.
    chunks: Vec<Vec<usize>>,
}

/// The instance.
#[derive(Debug, Clone)]
pub(crate) struct Capture {
    pub(crate) address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

impl Capture {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let capture = Self {
            address: listener.local_addr().unwrap(),
            kept: Arc::default(),
        };
        let kept = Arc::clone(&capture.kept);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                kept.lock().unwrap().begun += 1;
                tokio::spawn(keep(stream, Arc::clone(&kept)));
            }
        });
        capture
    }

    /// All that ended since it was last asked, once nothing is open and something holds.
    pub(crate) async fn take_when(&self, holds: impl Fn(&[Stream]) -> bool) -> Vec<Stream> {
        soon("streams to the instance", async {
            loop {
                {
                    let mut kept = self.kept.lock().unwrap();
                    if kept.begun == kept.ended.len() && holds(&kept.ended) {
                        kept.begun = 0;
                        return std::mem::take(&mut kept.ended);
                    }
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
    }

    /// Sizes of the chunks of each request so far.
    pub(crate) fn chunks(&self) -> Vec<Vec<usize>> {
        std::mem::take(&mut self.kept.lock().unwrap().chunks)
    }
}

async fn keep(mut stream: TcpStream, kept: Arc<Mutex<Kept>>) {
    let (mut whole, mut rest) = (Vec::new(), Vec::new());
    loop {
        while let Some((message, after)) = Message::cut(&rest, Body::Declared) {
            whole.extend(message.joined());
            rest = after.to_vec();
            kept.lock().unwrap().chunks.push(message.chunks);
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
        if !matches!(stream.read_buf(&mut rest).await, Ok(1..)) {
            break;
        }
    }
    let ended = if rest.is_empty() {
        Stream::Whole(whole)
    } else {
        whole.extend(rest);
        Stream::Unfinished(whole)
    };
    kept.lock().unwrap().ended.push(ended);
}
