//! A constant rate of requests through the gateway: 64 connections, no retries, every body compared.
//!
//! Half of the requests go over 32 kept connections, half each open their own (at most 32 at once). 80 % are GETs to
//! both services, 20 % are POSTs with a number of their own. A request is due at a time that does not depend on the
//! answers before it, and its latency counts from then.

use crate::demo::clock::Clock;
use crate::demo::outcome::{Ask, End, PATIENCE, Service};
use crate::demo::service::{order_form, order_page};
use crate::demo::tape::{Record, Tape};
use crate::demo::wire::{self, Answer, Broken, Connection};
use bytes::Bytes;
use http::Method;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// Connections of each kind.
const CONNECTIONS: usize = 32;
/// Different orders that GETs look at.
const ORDERS: u64 = 1000;

/// How a request reaches the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Kept,
    New,
}

/// A static page and its path behind the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) path: String,
    pub(crate) body: Bytes,
}

/// One request to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shot {
    service: Service,
    ask: Ask,
    route: Route,
    path: String,
    send: Bytes,
    want: Bytes,
}

/// Request number `index`. Every block of five is one POST and four GETs, two to each service; blocks take turns
/// between kept and new connections.
fn shot(index: u64, pages: &[Page]) -> Shot {
    let route = if (index / 5).is_multiple_of(2) {
        Route::Kept
    } else {
        Route::New
    };
    let turn = index / 10;
    match index % 5 {
        0 => Shot {
            service: Service::Orders,
            ask: Ask::Post { number: index },
            route,
            path: format!("/orders/{index}"),
            send: order_form(index).into(),
            want: index.to_string().into(),
        },
        place @ (1 | 3) if !pages.is_empty() => {
            let at = usize::try_from(turn + place).unwrap_or_default() % pages.len();
            Shot {
                service: Service::Pages,
                ask: Ask::Get,
                route,
                path: pages[at].path.clone(),
                send: Bytes::new(),
                want: pages[at].body.clone(),
            }
        }
        _ => Shot {
            service: Service::Orders,
            ask: Ask::Get,
            route,
            path: format!("/orders/{}", index % ORDERS),
            send: Bytes::new(),
            want: order_page(index % ORDERS).into(),
        },
    }
}

/// Where the load goes.
#[derive(Debug)]
pub(crate) struct Aim {
    pub(crate) gateway: SocketAddr,
    pub(crate) pages: Vec<Page>,
    /// Requests each second, 1 to 5,000.
    pub(crate) rate: u32,
}

/// A running load.
#[derive(Debug)]
pub(crate) struct Load {
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

struct Client {
    clock: Clock,
    aim: Aim,
    tape: Arc<Tape>,
    /// Places of kept connections, rested longest first; an empty one is filled when its turn comes.
    kept: Mutex<VecDeque<Option<Connection>>>,
    kept_places: Semaphore,
    new_places: Semaphore,
}

impl Load {
    /// Starts at once.
    pub(crate) fn start(clock: Clock, aim: Aim, tape: Arc<Tape>) -> Self {
        let (stop, mut stopped) = watch::channel(());
        let client = Arc::new(Client {
            clock,
            aim,
            tape,
            kept: Mutex::new((0..CONNECTIONS).map(|_| None).collect()),
            kept_places: Semaphore::new(CONNECTIONS),
            new_places: Semaphore::new(CONNECTIONS),
        });
        let task = tokio::spawn(async move {
            tokio::select! {
                () = fire(&client) => {}
                _ = stopped.changed() => {}
            }
        });
        Self { stop, task }
    }

    /// Sends no more; what is out ends by itself within 5 s.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

/// Starts each request when it is due. Those out at once are bounded: each ends 5 s after it was due.
async fn fire(client: &Arc<Client>) {
    let begin = client.clock.now();
    for index in 0.. {
        let due = begin + Duration::from_secs(1).mul_f64(index as f64 / f64::from(client.aim.rate));
        let wait = due.saturating_sub(client.clock.now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let client = Arc::clone(client);
        tokio::spawn(async move { client.make(index, due).await });
    }
}

impl Client {
    async fn make(&self, index: u64, due: Duration) {
        let shot = shot(index, &self.aim.pages);
        let begun = self.clock.now();
        self.tape.begin(index, due, begun.saturating_sub(due));
        let mut sent = None;
        let rest = (due + PATIENCE).saturating_sub(begun);
        let ended = tokio::time::timeout(rest, self.exchange(&shot, &mut sent)).await;
        let (end, pid) = match ended {
            Ok(Ok(answer)) => (End::of(&answer, &shot.want), pid_of(&answer)),
            Ok(Err(broken)) => (End::Broken(broken), None),
            Err(_) if sent.is_some() => (End::Late(Broken::Sent), None),
            Err(_) => (End::Late(Broken::Unsent), None),
        };
        let record = Record {
            service: shot.service,
            ask: shot.ask,
            due,
            sent,
            ended: self.clock.now(),
            end,
            pid,
        };
        self.tape.end(index, record);
    }

    async fn exchange(&self, shot: &Shot, sent: &mut Option<Duration>) -> Result<Answer, Broken> {
        let places = match shot.route {
            Route::Kept => &self.kept_places,
            Route::New => &self.new_places,
        };
        let _place = places.acquire().await.map_err(|_| Broken::Unsent)?;
        let method = match shot.ask {
            Ask::Get => Method::GET,
            Ask::Post { .. } => Method::POST,
        };
        let mut request = wire::request(&method, self.aim.gateway, &shot.path, shot.send.clone())
            .map_err(|_| Broken::Unsent)?;
        let mut connection = match shot.route {
            Route::Kept => self.take_kept().await?,
            Route::New => {
                let close = http::HeaderValue::from_static("close");
                request.headers_mut().insert("connection", close);
                Connection::open(self.aim.gateway).await?
            }
        };
        *sent = Some(self.clock.now());
        let answer = connection.exchange(request).await;
        if let (Route::Kept, Ok(_)) = (shot.route, &answer) {
            self.pool().push_back(Some(connection));
        }
        answer
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, VecDeque<Option<Connection>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that has rested longest; a new one where its place is empty or it was closed.
    async fn take_kept(&self) -> Result<Connection, Broken> {
        let rested = self.pool().pop_front().flatten();
        match rested.filter(Connection::is_open) {
            Some(connection) => Ok(connection),
            None => Connection::open(self.aim.gateway).await,
        }
    }
}

/// The process in `x-instance: orders 4711`.
fn pid_of(answer: &Answer) -> Option<u32> {
    let text = answer.headers.get("x-instance")?.to_str().ok()?;
    text.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::ledger;
    use crate::demo::service::{Orders, serve};
    use crate::demo::tape::count;

    fn pages() -> Vec<Page> {
        let page = |name: &str| Page {
            path: format!("/pages/{name}"),
            body: Bytes::from(name.to_owned()),
        };
        vec![page("a"), page("b"), page("c")]
    }

    #[test]
    fn mix_is_eighty_to_twenty_over_both_services_and_both_kinds_of_connection() {
        let shots: Vec<Shot> = (0..1000).map(|it| shot(it, &pages())).collect();
        let number = |test: &dyn Fn(&Shot) -> bool| shots.iter().filter(|it| test(it)).count();
        let post = |it: &Shot| matches!(it.ask, Ask::Post { .. });
        assert_eq!(number(&post), 200);
        assert_eq!(number(&|it| post(it) && it.route == Route::New), 100);
        assert_eq!(number(&|it| it.route == Route::New), 500);
        assert_eq!(number(&|it| it.service == Service::Pages), 400);
        for page in pages() {
            assert!(number(&|it| it.path == page.path) > 100, "{}", page.path);
        }
    }

    #[tokio::test]
    async fn every_order_of_a_healthy_service_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let orders = Arc::new(Orders::open(&path, "orders").unwrap());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            serve(&listener, &orders, std::future::pending()).await;
        });
        let (clock, tape) = (Clock::start(), Arc::new(Tape::default()));
        let aim = Aim {
            gateway,
            pages: Vec::new(),
            rate: 500,
        };
        let load = Load::start(clock, aim, Arc::clone(&tape));
        while tape.totals().0 < 400 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        load.stop().await;
        let records = loop {
            match tape.cut_off(Duration::MAX) {
                Some(records) => break records,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let counts = count(&records, None);
        assert!(counts.requests >= 400);
        assert_eq!((counts.failed, counts.cut), (0, 0), "{:?}", counts.reasons);
        let pid = Some(std::process::id());
        assert!(records.iter().any(|it| it.pid == pid));
        let text = std::fs::read_to_string(&path).unwrap();
        let check = ledger::check(&text, &tape.acknowledged());
        assert!(
            check.is_good() && check.executed >= 80 && check.unanswered == 0,
            "{check:?}"
        );
        server.abort();
    }

    #[tokio::test]
    async fn nobody_listening_is_failed_for_every_method() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let gateway = closed.local_addr().unwrap();
        drop(closed);
        let tape = Arc::new(Tape::default());
        let aim = Aim {
            gateway,
            pages: pages(),
            rate: 1000,
        };
        let load = Load::start(Clock::start(), aim, Arc::clone(&tape));
        while tape.totals().0 < 50 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        load.stop().await;
        while tape.outstanding() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let counts = count(&tape.cut_off(Duration::MAX).unwrap(), None);
        assert_eq!(counts.failed, counts.requests);
        assert!(
            counts.reasons.contains_key("orders POST: refused"),
            "{:?}",
            counts.reasons
        );
    }
}
