//! The listener that daemons and checks ask: a thread of its own, one request for each connection, everything bounded.
//!
//! Whoever reaches it may be hostile, and whoever keeps a check from its answer takes this gateway out of traffic. So a
//! new connection always gets a place: where all are taken, the oldest ends, and none lasts longer than [`WHOLE`].

use crate::answer::answer;
use crate::gate::Gate;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use minato_control::entrance::{LOOK, Pulse};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// What can be asked for.
pub const PATHS: [&str; 3] = ["/readyz", "/healthz", "/livez"];

/// Connections at once.
const CONNECTIONS: usize = 256;
/// From its first byte to its last.
const WHOLE: Duration = Duration::from_secs(5);
/// Bytes and fields of a head.
const HEAD_BYTES: usize = 8 << 10;
const FIELDS: usize = 64;
/// After a failed accept (out of descriptors, say).
const PAUSE: Duration = Duration::from_millis(100);

/// The listeners being answered on. Dropping it ends that.
#[derive(Debug)]
pub struct Answering {
    stop: watch::Sender<bool>,
}

impl Answering {
    /// Answers on `listeners` with what `gate` says, and looks each second whether the gateway's threads, whose `beats`
    /// rise while they turn, stand still.
    ///
    /// # Errors
    /// No thread, or a listener cannot be used.
    pub fn start(
        listeners: Vec<std::net::TcpListener>,
        gate: Arc<Gate>,
        beats: impl Fn() -> Vec<u64> + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        for listener in &listeners {
            listener.set_nonblocking(true)?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new().name("entrance".to_owned());
        thread.spawn(move || runtime.block_on(run(listeners, gate, beats, stopped)))?;
        Ok(Self { stop })
    }

    /// Accepts no more, and closes the listeners; what was accepted gets its answer.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn run(
    listeners: Vec<std::net::TcpListener>,
    gate: Arc<Gate>,
    beats: impl Fn() -> Vec<u64>,
    mut stopped: watch::Receiver<bool>,
) {
    let (places, mut accepted) = tokio::sync::mpsc::channel(1);
    let mut accepting: Vec<JoinHandle<()>> = Vec::new();
    for listener in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => accepting.push(tokio::spawn(accept(listener, places.clone()))),
            Err(error) => tracing::error!(%error, "a listener of the entrance cannot be used"),
        }
    }
    drop(places);
    let mut connections = Connections::default();
    let mut pulse = Pulse::default();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopped.wait_for(|it| *it) => break,
            _ = looks.tick() => gate.stuck(!pulse.look(&beats())),
            Some(stream) = accepted.recv() => connections.serve(stream, Arc::clone(&gate)),
            Some(_) = connections.all.join_next() => {}
        }
    }
    for it in accepting {
        it.abort();
        let _ = it.await;
    }
    // None lasts longer.
    while connections.all.join_next().await.is_some() {}
}

async fn accept(listener: TcpListener, places: tokio::sync::mpsc::Sender<TcpStream>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if places.send(stream).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the entrance could not accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

#[derive(Default)]
struct Connections {
    all: JoinSet<()>,
    /// Oldest first, some ended.
    order: VecDeque<AbortHandle>,
}

impl Connections {
    fn serve(&mut self, stream: TcpStream, gate: Arc<Gate>) {
        while self.order.front().is_some_and(AbortHandle::is_finished) {
            self.order.pop_front();
        }
        if self.order.len() >= CONNECTIONS {
            self.order.retain(|it| !it.is_finished());
        }
        if self.order.len() >= CONNECTIONS
            && let Some(oldest) = self.order.pop_front()
        {
            oldest.abort();
        }
        self.order
            .push_back(self.all.spawn(connection(stream, gate)));
    }
}

async fn connection(stream: TcpStream, gate: Arc<Gate>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(WHOLE)
        .max_buf_size(HEAD_BYTES)
        .max_headers(FIELDS)
        .keep_alive(false);
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let answer = answer(request.method(), request.uri().path(), gate.standing());
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    // Whatever goes wrong is the caller's affair.
    let _ = timeout(WHOLE, http.serve_connection(TokioIo::new(stream), service)).await;
}

#[cfg(test)]
mod tests;
