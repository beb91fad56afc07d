//! Servers on loopback that answer in every wrong way.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "shared by test files")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a server does with a connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Reads the head, writes these bytes, closes.
    Bytes(Vec<u8>),
    /// Reads the head, writes these bytes, then neither writes nor closes.
    Stall(Vec<u8>),
    /// Reads the head, then writes one byte of these each 50 ms.
    Drip(Vec<u8>),
    /// Accepts, then neither reads nor writes.
    Silence,
    /// Accepts and closes at once.
    Close,
    /// Accepts and resets at once.
    Reset,
}

/// Runs until dropped.
pub struct Server {
    pub address: SocketAddr,
    answer: watch::Sender<Answer>,
    open: Arc<[AtomicUsize; 3]>,
    heads: watch::Receiver<Vec<String>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, answer)
    }

    pub fn on(listener: TcpListener, answer: Answer) -> Self {
        let address = listener.local_addr().unwrap();
        let (answer, answers) = watch::channel(answer);
        let (told, heads) = watch::channel(Vec::new());
        let open: Arc<[AtomicUsize; 3]> = Arc::default();
        let count = Arc::clone(&open);
        let task = tokio::spawn(async move {
            // Dropped with the server, and its connections with it.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                while connections.try_join_next().is_some() {}
                let answer = answers.borrow().clone();
                let (told, count) = (told.clone(), Arc::clone(&count));
                connections.spawn(async move {
                    let now = count[0].fetch_add(1, Ordering::SeqCst) + 1;
                    count[1].fetch_max(now, Ordering::SeqCst);
                    count[2].fetch_add(1, Ordering::SeqCst);
                    let waiting = Waiting(Arc::clone(&count));
                    serve(stream, answer, &told, waiting).await;
                });
            }
        });
        Self {
            address,
            answer,
            open,
            heads,
            task,
        }
    }

    /// From the next connection on.
    pub fn now(&self, answer: Answer) {
        self.answer.send_replace(answer);
    }

    /// Connections accepted and not yet answered.
    pub fn waiting(&self) -> usize {
        self.open[0].load(Ordering::SeqCst)
    }

    /// The most that ever waited together.
    pub fn most_waiting(&self) -> usize {
        self.open[1].load(Ordering::SeqCst)
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.open[2].load(Ordering::SeqCst)
    }

    /// The first request heads received, at most 16.
    pub fn heads(&self) -> Vec<String> {
        self.heads.borrow().clone()
    }
}

/// A connection not yet answered.
struct Waiting(Arc<[AtomicUsize; 3]>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0[0].fetch_sub(1, Ordering::SeqCst);
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: Answer,
    told: &watch::Sender<Vec<String>>,
    waiting: Waiting,
) {
    match &answer {
        Answer::Close => return,
        Answer::Reset => return stream.set_zero_linger().unwrap(),
        Answer::Silence => {
            // Ends when the client goes; what it sends stays unread.
            while !stream
                .ready(Interest::READABLE)
                .await
                .unwrap()
                .is_read_closed()
            {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            return;
        }
        _ => {}
    }
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(count) if count > 0 => head.extend_from_slice(&chunk[..count]),
            _ => return,
        }
    }
    told.send_modify(|heads| {
        if heads.len() < 16 {
            heads.push(String::from_utf8(head).unwrap());
        }
    });
    match answer {
        Answer::Bytes(bytes) => {
            // Before the answer, so that a client's next connection cannot overtake it.
            drop(waiting);
            // The client may have had enough.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Answer::Stall(bytes) => {
            let _ = stream.write_all(&bytes).await;
            // Ends when the client goes.
            while matches!(stream.read(&mut chunk).await, Ok(count) if count > 0) {}
        }
        Answer::Drip(bytes) => {
            for byte in bytes {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Answer::Silence | Answer::Close | Answer::Reset => {}
    }
}

/// A whole answer with a length.
pub fn answer(status: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

pub fn ok() -> Answer {
    Answer::Bytes(answer("200 OK", "", "ok"))
}
