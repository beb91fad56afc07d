//! A client that writes one row after the other through the relay, and notes what became of each.

use crate::support::clock::{now, until};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Between rows, and between attempts to connect.
const PACE: Duration = Duration::from_millis(10);
/// A client's patience with one statement or login.
const PATIENCE: Duration = Duration::from_secs(8);

/// One statement that ended.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) at: Instant,
    /// Which server took it, or why none did.
    pub(super) result: Result<String, String>,
}

/// How one database is spoken to.
pub(super) trait Dialect: Send + 'static {
    type Connection: Send;
    fn connect(
        &self,
        to: SocketAddr,
    ) -> impl Future<Output = Result<Self::Connection, String>> + Send;
    /// Inserts a row; answers with the port of the server that has it.
    fn insert(
        &self,
        on: &mut Self::Connection,
        row: u64,
    ) -> impl Future<Output = Result<String, String>> + Send;
}

/// Writes until it is dropped.
pub(super) struct Writer {
    said: Arc<Mutex<Vec<Said>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start<D: Dialect>(dialect: D, to: SocketAddr) -> Self {
        let (said, stop) = (
            Arc::<Mutex<Vec<Said>>>::default(),
            Arc::<AtomicBool>::default(),
        );
        let (noted, stopped) = (Arc::clone(&said), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(write(&dialect, to, &noted, &stopped));
        });
        Self {
            said,
            stop,
            thread: Some(thread),
        }
    }

    pub(super) fn said(&self) -> Vec<Said> {
        self.said.lock().unwrap().clone()
    }

    /// Waits until `rows` more were taken by `server`; answers when the first of them was.
    #[track_caller]
    pub(super) fn wait_rows(&self, server: u16, rows: usize, since: Instant) -> Instant {
        let server = server.to_string();
        let last = || self.said().last().cloned();
        until(
            &format!("{rows} rows on {server}, the last was {:?}", last()),
            || {
                let said = self.said();
                let mut taken = said
                    .iter()
                    .filter(|it| it.at >= since && it.result.as_ref() == Ok(&server));
                let first = taken.next()?.at;
                (taken.count() + 1 >= rows).then_some(first)
            },
        )
    }

    /// Statements that failed since then, and the longest time without a row that was taken.
    pub(super) fn failed_since(&self, since: Instant) -> (usize, Duration) {
        let said = self.said();
        let failed = said
            .iter()
            .filter(|it| it.at >= since && it.result.is_err())
            .count();
        let good: Vec<Instant> = said
            .iter()
            .filter(|it| it.result.is_ok())
            .map(|it| it.at)
            .collect();
        let gaps = good.windows(2).filter(|it| it[1] >= since);
        let gap = gaps.map(|it| it[1] - it[0]).max().unwrap_or_default();
        (failed, gap)
    }

    /// No row was taken by that server since then.
    #[track_caller]
    pub(super) fn none_on(&self, server: u16, since: Instant) {
        let server = server.to_string();
        let said = self.said();
        let wrong = said
            .iter()
            .filter(|it| it.at >= since && it.result.as_ref() == Ok(&server))
            .count();
        assert_eq!(wrong, 0, "rows went to {server}");
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn write<D: Dialect>(
    dialect: &D,
    to: SocketAddr,
    said: &Mutex<Vec<Said>>,
    stop: &AtomicBool,
) {
    let mut connection = None;
    let mut row = 0;
    while !stop.load(Ordering::SeqCst) {
        row += 1;
        let result = async {
            let open = match connection.take() {
                Some(open) => open,
                None => dialect.connect(to).await?,
            };
            let open = connection.insert(open);
            dialect.insert(open, row).await
        };
        let result = timeout(PATIENCE, result)
            .await
            .unwrap_or_else(|_| Err("no answer".to_owned()));
        if result.is_err() {
            connection = None;
        }
        said.lock().unwrap().push(Said { at: now(), result });
        sleep(PACE).await;
    }
}
