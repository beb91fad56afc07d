//! The relay's sockets: accepts, waits for a member, carries, and cuts when it is told to.

use super::flow::carry;
use super::herald::Herald;
use super::view::{Place, Shown};
use crate::clock::now;
use minato_config::{DependencyName, Relay};
use minato_control::{Event, EventKind, Usable};
use minato_health::{Failure, Layer};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{sleep, sleep_until, timeout, timeout_at};

/// A connection to a member, as elsewhere in minato.
const CONNECT: Duration = Duration::from_secs(3);
/// Between attempts at a member that is said to be right and does not take connections.
const AGAIN: Duration = Duration::from_millis(100);
/// After an accept that failed, for want of descriptors for instance.
const BREATH: Duration = Duration::from_millis(100);
/// Connections that are refused are told of once in this time.
const TELL: Duration = Duration::from_secs(60);
/// Tenures whose end is remembered; connections of older ones end.
const TENURES: usize = 16;

/// Where new connections go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) member: SocketAddr,
    pub(super) tenure: u64,
}

/// What connections go by.
#[derive(Debug, Clone, Default)]
struct Course {
    /// The connection of the fewest goes first; none: new connections wait.
    ways: Vec<Way>,
    /// When the connections of a tenure end.
    ends: BTreeMap<u64, Instant>,
    /// Connections of tenures below end at once.
    oldest: u64,
}

impl Course {
    fn end_of(&self, tenure: u64) -> Option<Instant> {
        if tenure < self.oldest {
            return Some(now().instant);
        }
        self.ends.get(&tenure).copied()
    }
}

/// One relay.
#[derive(Debug)]
pub(super) struct Passage {
    name: DependencyName,
    settings: Relay,
    shown: Arc<Shown>,
    herald: Herald,
    course: watch::Sender<Course>,
    permits: Arc<Semaphore>,
    closed: watch::Sender<bool>,
    failures: mpsc::Sender<(SocketAddr, Failure)>,
    failed: Mutex<mpsc::Receiver<(SocketAddr, Failure)>>,
    /// Accepted on once this process serves.
    held: std::sync::Mutex<Vec<TcpListener>>,
    /// When refusals were last told of, in milliseconds of the wall clock.
    told: AtomicU64,
}

impl Passage {
    pub(super) fn new(
        name: &DependencyName,
        settings: &Relay,
        shown: Arc<Shown>,
        herald: &Herald,
    ) -> Self {
        let (failures, failed) = mpsc::channel(16);
        Self {
            name: name.clone(),
            settings: settings.clone(),
            shown,
            herald: herald.clone(),
            course: watch::Sender::new(Course::default()),
            permits: Arc::new(Semaphore::new(settings.connections)),
            closed: watch::Sender::new(false),
            failures,
            failed: Mutex::new(failed),
            held: std::sync::Mutex::default(),
            told: AtomicU64::new(0),
        }
    }

    /// Will accept there.
    pub(super) fn hold(&mut self, listener: TcpListener) {
        let held = self.held.get_mut();
        held.unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Accepts from now on.
    pub(super) fn serve_held(self: Arc<Self>) {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        for listener in held {
            tokio::spawn(Arc::clone(&self).accept(listener));
        }
    }

    /// New connections go there, each to the one that has the fewest; none: they wait.
    pub(super) fn lead(&self, ways: Vec<Way>) {
        self.course.send_if_modified(|it| {
            let changes = it.ways != ways;
            it.ways = ways;
            changes
        });
    }

    /// The connections of a tenure end then; `None`: they go on.
    pub(super) fn cut(&self, tenure: u64, at: Option<Instant>) {
        self.course.send_modify(|it| {
            match at {
                Some(at) => it.ends.insert(tenure, at),
                None => it.ends.remove(&tenure),
            };
            while it.ends.len() > TENURES {
                if let Some((tenure, _)) = it.ends.pop_first() {
                    it.oldest = tenure + 1;
                }
            }
        });
    }

    /// Another process accepts.
    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Accepts no more.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Waits until no connection is open.
    pub(super) async fn emptied(&self) {
        let all = u32::try_from(self.settings.connections).unwrap_or(u32::MAX);
        let _ = self.permits.acquire_many(all).await;
    }

    /// The next member that a connection could not be made to.
    pub(super) async fn unreachable(&self) -> (SocketAddr, Failure) {
        match self.failed.lock().await.recv().await {
            Some(failed) => failed,
            None => std::future::pending().await,
        }
    }

    /// Until it is closed. Connections are tasks of the runtime's and live on.
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut closed = self.closed.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = closed.wait_for(|it| *it) => return,
            };
            let client = match accepted {
                Ok((client, _)) => client,
                Err(error) => {
                    tracing::warn!(%error, relay = %self.name, "cannot accept; tried again");
                    sleep(BREATH).await;
                    continue;
                }
            };
            let counts = &self.shown.counts;
            counts.connections.fetch_add(1, Ordering::Relaxed);
            match Arc::clone(&self.permits).try_acquire_owned() {
                Ok(permit) => {
                    tokio::spawn(Arc::clone(&self).serve(client, permit));
                }
                Err(_) => {
                    let most = self.settings.connections;
                    self.refuse(
                        &client,
                        &format!("{most} connections are open, which is the most"),
                        "raise `connections`, or look for clients that do not close theirs",
                    );
                }
            }
        }
    }

    async fn serve(self: Arc<Self>, client: TcpStream, permit: OwnedSemaphorePermit) {
        let counts = &self.shown.counts;
        counts.open.fetch_add(1, Ordering::Relaxed);
        self.carry(client).await;
        counts.open.fetch_sub(1, Ordering::Relaxed);
        drop(permit);
    }

    async fn carry(&self, mut client: TcpStream) {
        let deadline = now().instant + self.settings.wait;
        let (mut member, way, _place) = match self.connect(deadline).await {
            Ok(connected) => connected,
            Err(why) => {
                self.refuse(&client, &why, "minato dependencies");
                return;
            }
        };
        for stream in [&client, &member] {
            if let Err(error) = prepare(stream) {
                tracing::debug!(%error, relay = %self.name, "a socket keeps its defaults");
            }
        }
        let counts = &self.shown.counts;
        let bytes = (&counts.bytes_in, &counts.bytes_out);
        let mut course = self.course.subscribe();
        tokio::select! {
            ended = carry(&mut client, &mut member, bytes, self.settings.idle) => if ended.is_err() {
                // The other side must not take a broken connection for one that ended in order.
                reset(&client);
                reset(&member);
            },
            () = until_cut(&mut course, way.tenure) => {
                counts.cut.fetch_add(1, Ordering::Relaxed);
                reset(&client);
                reset(&member);
            }
        }
    }

    /// Connects to whoever is right, waiting until there is one that takes connections.
    async fn connect(&self, deadline: Instant) -> Result<(TcpStream, Way, Place), String> {
        let mut course = self.course.subscribe();
        let mut last = None;
        // Of several the next one is tried at once.
        let mut failed = BTreeSet::new();
        loop {
            let led = timeout_at(deadline.into(), course.wait_for(|it| !it.ways.is_empty())).await;
            // The guard must not be held any longer.
            let led = led.map(|it| it.map(|course| course.ways.clone()));
            let ways = match led {
                Ok(Ok(ways)) => ways,
                Ok(Err(_)) => return Err("the relay ends".to_owned()),
                Err(_) => {
                    let why = match self.shown.view().state {
                        Usable::No(why) => why,
                        Usable::Unknown => "no member has answered yet".to_owned(),
                        Usable::Yes => last.unwrap_or_default(),
                    };
                    let waited = self.settings.wait;
                    return Err(format!("no member takes them within {waited:?}: {why}"));
                }
            };
            let left = ways.into_iter().filter(|it| !failed.contains(&it.member));
            if let Some((way, place)) = self.shown.place(left, |it| it.member) {
                match dial(way.member).await {
                    Ok(stream) => return Ok((stream, way, place)),
                    Err(failure) => {
                        failed.insert(way.member);
                        last = Some(format!("{} {failure}", way.member));
                        let _ = self.failures.try_send((way.member, failure));
                    }
                }
                if now().instant < deadline {
                    continue;
                }
            }
            failed.clear();
            if now().instant >= deadline {
                return Err(last.unwrap_or_default());
            }
            // Another member is taken at once.
            let _ = timeout(AGAIN, course.changed()).await;
        }
    }

    fn refuse(&self, client: &TcpStream, why: &str, hint: &str) {
        reset(client);
        let refused = &self.shown.counts.refused;
        refused.fetch_add(1, Ordering::Relaxed);
        let wall = now().wall;
        let told = self.told.load(Ordering::Relaxed);
        let due = told == 0 || wall.since(minato_config::Timestamp(told)) >= TELL;
        let mine = due
            && self
                .told
                .compare_exchange(told, wall.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if mine {
            let sentence = format!(
                "relay {} refuses connections: {why}; told once a minute",
                self.name
            );
            let event = Event::warn(wall, EventKind::Dependency, sentence);
            self.herald.tell(event.hint(hint));
        }
    }
}

/// Waits until the connections of a tenure have to end.
async fn until_cut(course: &mut watch::Receiver<Course>, tenure: u64) {
    loop {
        let end = course.borrow_and_update().end_of(tenure);
        let due = async {
            match end {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => return,
            changed = course.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

async fn dial(member: SocketAddr) -> Result<TcpStream, Failure> {
    match timeout(CONNECT, TcpStream::connect(member)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                Failure::new(Layer::ConnectRefused, "connection refused")
            }
            _ => Failure::new(Layer::ConnectFailed, error.to_string()),
        }),
        Err(_) => Err(Failure::new(
            Layer::ConnectTimeout,
            format!("no connection in {CONNECT:?}"),
        )),
    }
}

/// Statements are small and wait for answers; a peer whose machine is gone shows after some minutes.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(6);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// At its drop the socket sends a reset, and what waits in it is thrown away.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}
