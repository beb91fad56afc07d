//! A small HTTP/1.1 server over an acceptor, in a thread and a runtime of its own.

use crate::authority::Authority;
use minato_config::ClientAuth;
use minato_tls::{Accepted, Acceptor, Certificates, TicketKeys};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Answers each request with what is known of the connection: `sni=.. client=.. resumed=.. protocol=..`.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) certificates: Arc<Certificates>,
    /// What became of handshakes that failed.
    failures: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A folder with one certificate `default` for localhost and 127.0.0.1, and its authority as `ca.pem` beside it.
pub(crate) struct Place {
    pub(crate) authority: Authority,
    pub(crate) root: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let authority = Authority::new("authority");
        std::fs::create_dir(root.path().join("tls")).unwrap();
        authority.write(&root.path().join("ca.pem"));
        Self { authority, root }
    }

    pub(crate) fn with_default() -> Self {
        let place = Self::new();
        let pem = place
            .authority
            .sign(&["localhost", "127.0.0.1"], crate::authority::Time::Now);
        pem.write(&place.folder(), "default");
        place
    }

    pub(crate) fn folder(&self) -> std::path::PathBuf {
        self.root.path().join("tls")
    }

    pub(crate) fn file(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn serve(&self) -> Server {
        Server::start(&self.folder(), &ClientAuth::None)
    }
}

impl Server {
    pub(crate) fn start(folder: &Path, client_auth: &ClientAuth) -> Self {
        let certificates = Certificates::open(folder);
        let tickets = TicketKeys::new().unwrap();
        let acceptor = Acceptor::new(Arc::clone(&certificates), tickets, client_auth).unwrap();
        Self::over(acceptor, certificates)
    }

    pub(crate) fn over(acceptor: Acceptor, certificates: Arc<Certificates>) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, address) = std::sync::mpsc::sync_channel(1);
        let failures = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&failures);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(listener, acceptor, told) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address: address.recv().unwrap(),
            certificates,
            failures,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Waits for a failed handshake and returns what it said.
    pub(crate) fn failure(&self) -> String {
        wait("a failed handshake", || self.failures.lock().unwrap().pop())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the server panicked"
            );
        }
    }
}

async fn serve(listener: TcpListener, acceptor: Acceptor, failures: Arc<Mutex<Vec<String>>>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (tcp, _) = accepted.unwrap();
                let (acceptor, failures) = (acceptor.clone(), Arc::clone(&failures));
                connections.spawn(async move {
                    match timeout(Duration::from_secs(20), acceptor.accept(tcp)).await {
                        Ok(Ok(accepted)) => drop(answer(accepted).await),
                        Ok(Err(error)) => failures.lock().unwrap().push(error.to_string()),
                        Err(_) => failures.lock().unwrap().push("deadline".to_owned()),
                    }
                });
            }
            Some(ended) = connections.join_next() => ended.unwrap(),
        }
    }
}

async fn answer(accepted: Accepted) -> io::Result<()> {
    let mut stream = accepted.stream;
    let body = format!(
        "sni={} client={} resumed={} protocol={:?}\n",
        accepted.sni.as_deref().unwrap_or("-"),
        accepted
            .client
            .as_ref()
            .map_or("-", |it| it.subject.as_str()),
        accepted.is_resumed,
        accepted.protocol,
    );
    let mut seen = Vec::new();
    loop {
        while let Some(end) = seen.windows(4).position(|it| it == b"\r\n\r\n") {
            seen.drain(..end + 4);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            stream.flush().await?;
        }
        if stream.read_buf(&mut seen).await? == 0 {
            return stream.shutdown().await;
        }
    }
}

/// Until `look` finds something.
#[track_caller]
#[expect(
    clippy::disallowed_methods,
    reason = "the pause between two looks at what another process or thread does"
)]
pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_500 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what} did not come within 15 s");
}
