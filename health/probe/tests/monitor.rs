//! Monitors against real servers, in real time: bounds are kept with slack for a slow machine only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic as tests do"
)]

mod server;

use minato_config::{HealthProbe, HealthTiming, HttpProbe, StatusRange};
use minato_health::{Evidence, Failure, Layer, Verdict};
use minato_health_probe::{Ask, Monitor, MonitorHandle, Report, Target};
use server::{Answer, Server, answer, ok};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a loaded machine may add to a bound.
const SLACK: Duration = Duration::from_millis(1_500);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn timing() -> HealthTiming {
    HealthTiming {
        interval: ms(400),
        fast: ms(100),
        timeout: ms(250),
        fall: 3,
        rise: 2,
    }
}

fn http() -> HealthProbe {
    HealthProbe::Http(HttpProbe {
        path: "/".to_owned(),
        host: None,
        status: vec![StatusRange {
            first: 200,
            last: 399,
        }],
        headers: BTreeMap::new(),
        body: None,
    })
}

fn now() -> Instant {
    tokio::time::Instant::now().into()
}

/// A monitor of one server, its reports, and the semaphore that only they use.
struct Watched {
    handle: MonitorHandle,
    reports: mpsc::Receiver<Report<&'static str>>,
    permits: Arc<Semaphore>,
}

impl Watched {
    fn start(server: &Server, timing: HealthTiming, start: Verdict) -> Self {
        let permits = Arc::new(Semaphore::new(4));
        let (changes, reports) = mpsc::channel(16);
        let monitor = Monitor {
            key: "it",
            ask: Ask::Probe(Target::at(server.address), http()),
            timing,
            start,
        };
        Self {
            handle: monitor.spawn(Arc::clone(&permits), changes),
            reports,
            permits,
        }
    }

    async fn next(&mut self) -> Report<&'static str> {
        timeout(PATIENCE, self.reports.recv())
            .await
            .expect("a report in time")
            .expect("the monitor lives")
    }

    #[track_caller]
    fn expect(report: &Report<&'static str>, from: Verdict, to: Verdict) {
        assert_eq!(
            (report.change.from, report.change.to),
            (from, to),
            "{report:?}"
        );
        assert_eq!(report.key, "it");
        assert!(report.first_detected <= report.at);
    }
}

/// Looks until it is true.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(ms(2)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn a_new_run_comes_up_by_two_fast_probes() {
    let server = Server::start(ok()).await;
    let begin = now();
    let mut it = Watched::start(&server, HealthTiming::default(), Verdict::Down);
    assert_eq!(it.handle.verdict(), Verdict::Down);
    let up = it.next().await;
    Watched::expect(&up, Verdict::Down, Verdict::Up);
    assert_eq!(up.change.cause, None);
    assert!(up.at - begin >= ms(490), "two probes, 500 ms apart");
    assert!(up.at - begin < ms(500) + SLACK);
    assert_eq!(
        (it.handle.verdict(), it.handle.last_failure()),
        (Verdict::Up, None)
    );
}

#[tokio::test]
async fn frozen_is_suspect_and_down_within_the_bound_and_back_after_a_thaw() {
    let server = Server::start(ok()).await;
    let timing = timing();
    let mut it = Watched::start(&server, timing.clone(), Verdict::Down);
    Watched::expect(&it.next().await, Verdict::Down, Verdict::Up);

    server.now(Answer::Silence);
    let frozen = now();
    let suspect = it.next().await;
    Watched::expect(&suspect, Verdict::Up, Verdict::Suspect);
    let failure = Failure::new(Layer::NoAnswer, "no answer in 250ms");
    assert_eq!(suspect.change.cause.as_ref(), Some(&failure));
    assert!(suspect.at - frozen <= timing.interval + timing.timeout + SLACK);
    let down = it.next().await;
    Watched::expect(&down, Verdict::Suspect, Verdict::Down);
    assert_eq!(down.first_detected, suspect.at.min(down.first_detected));
    assert!(down.first_detected <= suspect.at);
    let bound = timing.interval + timing.fast * 2 + timing.timeout;
    let took = down.at - frozen;
    assert!(took <= bound + SLACK, "{took:?}");
    assert_eq!(it.handle.last_failure(), Some(failure));

    server.now(ok());
    it.handle.nudge(Evidence::MayBeBack);
    Watched::expect(&it.next().await, Verdict::Down, Verdict::Up);
    assert_eq!(it.handle.last_failure(), None);
}

#[tokio::test]
async fn one_failed_answer_is_suspect_and_the_next_restores() {
    let server = Server::start(ok()).await;
    let mut it = Watched::start(&server, timing(), Verdict::Up);
    until("first probe", || !server.heads().is_empty()).await;
    server.now(Answer::Bytes(answer("503 Busy", "", "")));
    let suspect = it.next().await;
    server.now(ok());
    Watched::expect(&suspect, Verdict::Up, Verdict::Suspect);
    assert_eq!(suspect.change.cause.unwrap().to_string(), "status: 503");
    let up = it.next().await;
    Watched::expect(&up, Verdict::Suspect, Verdict::Up);
}

#[tokio::test]
async fn a_failed_connect_of_traffic_suspects_at_once_and_is_checked_fast() {
    let server = Server::start(ok()).await;
    let slow = HealthTiming {
        interval: ms(60_000),
        ..timing()
    };
    let mut it = Watched::start(&server, slow, Verdict::Up);
    until("first probe", || !server.heads().is_empty()).await;
    let failure = Failure::new(Layer::ConnectRefused, "connection refused");
    let begin = now();
    // Many at once are one.
    for _ in 0..1_000 {
        it.handle.nudge(Evidence::ConnectFailed(failure.clone()));
    }
    let suspect = it.next().await;
    Watched::expect(&suspect, Verdict::Up, Verdict::Suspect);
    assert_eq!(suspect.change.cause, Some(failure));
    let up = it.next().await;
    Watched::expect(&up, Verdict::Suspect, Verdict::Up);
    assert!(up.at - begin < ms(100) + SLACK);
}

#[tokio::test]
async fn an_ejected_one_stays_down_for_the_hold_and_earns_its_way_back() {
    let server = Server::start(ok()).await;
    let mut it = Watched::start(&server, timing(), Verdict::Up);
    until("first probe", || !server.heads().is_empty()).await;
    let failure = Failure::new(Layer::Traffic, "5 requests in a row failed");
    let held = now() + ms(900);
    it.handle.nudge(Evidence::Eject(failure.clone(), held));
    let down = it.next().await;
    Watched::expect(&down, Verdict::Up, Verdict::Down);
    assert_eq!(down.change.cause, Some(failure.clone()));
    assert_eq!(it.handle.last_failure(), Some(failure));
    let probed = server.accepted();
    let up = it.next().await;
    Watched::expect(&up, Verdict::Down, Verdict::Up);
    assert!(server.accepted() > probed + 2, "probed while held");
    assert!(up.first_detected >= held, "passes while held do not count");
    assert!(up.at < held + ms(100) + SLACK);
}

#[tokio::test]
async fn a_resumed_up_holds_until_the_first_outcome_and_then_falls_step_by_step() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::on(listener, Answer::Close);
    let mut it = Watched::start(&server, timing(), Verdict::Up);
    assert_eq!(it.handle.verdict(), Verdict::Up);
    Watched::expect(&it.next().await, Verdict::Up, Verdict::Suspect);
    Watched::expect(&it.next().await, Verdict::Suspect, Verdict::Down);
}

#[tokio::test]
async fn a_dropped_handle_ends_the_task_and_its_probes() {
    let server = Server::start(Answer::Silence).await;
    let it = Watched::start(&server, timing(), Verdict::Up);
    until("a probe waits", || server.waiting() > 0).await;
    drop(it.handle);
    until("no task left", || Arc::strong_count(&it.permits) == 1).await;
    until("no probe left", || server.waiting() == 0).await;
    assert_eq!(it.permits.available_permits(), 4);
}

#[tokio::test]
async fn it_ends_when_nobody_listens_any_more() {
    let server = Server::start(ok()).await;
    let it = Watched::start(&server, timing(), Verdict::Up);
    until("a probe", || server.accepted() > 0).await;
    drop(it.reports);
    until("no task left", || Arc::strong_count(&it.permits) == 1).await;
    drop(it.handle);
}

#[tokio::test]
async fn waiting_for_a_permit_is_no_failure() {
    let server = Server::start(ok()).await;
    let permits = Arc::new(Semaphore::new(1));
    let all = Arc::clone(&permits).acquire_owned().await.unwrap();
    let (changes, mut reports) = mpsc::channel(16);
    let monitor = Monitor {
        key: (),
        ask: Ask::Probe(Target::at(server.address), http()),
        timing: timing(),
        start: Verdict::Up,
    };
    let handle = monitor.spawn(permits, changes);
    // Longer than a bound's worth: were waiting counted, it would be down by now.
    tokio::time::sleep(ms(1_500)).await;
    assert_eq!(server.accepted(), 0);
    drop(all);
    until("probed", || server.accepted() >= 3).await;
    assert_eq!(
        (handle.verdict(), handle.last_failure()),
        (Verdict::Up, None)
    );
    assert!(reports.try_recv().is_err());
}

#[tokio::test]
async fn a_thousand_targets_share_the_permits() {
    let server = Server::start(ok()).await;
    let permits = Arc::new(Semaphore::new(16));
    let (changes, mut reports) = mpsc::channel(16);
    let timing = HealthTiming {
        interval: ms(5_000),
        fast: ms(500),
        timeout: ms(4_000),
        ..timing()
    };
    let handles: Vec<MonitorHandle> = (0..1_000)
        .map(|key| {
            Monitor {
                key,
                ask: Ask::Probe(Target::at(server.address), http()),
                timing: timing.clone(),
                start: Verdict::Down,
            }
            .spawn(Arc::clone(&permits), changes.clone())
        })
        .collect();
    let mut up = BTreeSet::new();
    while up.len() < handles.len() {
        let report = timeout(PATIENCE, reports.recv())
            .await
            .expect("in time")
            .unwrap();
        assert_eq!(report.change.to, Verdict::Up, "{report:?}");
        assert!(up.insert(report.key));
    }
    assert!(server.most_waiting() <= 16, "{}", server.most_waiting());
    assert!(server.most_waiting() > 1, "they do go side by side");
    assert!(server.accepted() >= 2_000);
}
