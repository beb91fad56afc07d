//! A shortage of our own is no fault of the targets. Alone in its process, as it takes all descriptors away.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic as tests do"
)]

mod server;

use minato_config::{HealthProbe, HealthTiming};
use minato_health::{Layer, Verdict};
use minato_health_probe::{Ask, Monitor, Target, probe, try_probe};
use rustix::process::{Resource, getrlimit, setrlimit};
use server::{Server, ok};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

#[tokio::test]
async fn without_descriptors_the_last_verdict_holds() {
    let server = Server::start(ok()).await;
    let target = Target::at(server.address);
    let timing = HealthTiming {
        interval: Duration::from_millis(20),
        fast: Duration::from_millis(5),
        timeout: Duration::from_millis(15),
        ..HealthTiming::default()
    };
    let before = getrlimit(Resource::Nofile);
    let mut none = before;
    none.current = Some(0);
    setrlimit(Resource::Nofile, none).unwrap();

    let (changes, mut reports) = mpsc::channel(16);
    let handle = Monitor {
        key: (),
        ask: Ask::Probe(target.clone(), HealthProbe::Tcp),
        timing,
        start: Verdict::Up,
    }
    .spawn(Arc::new(Semaphore::new(8)), changes);
    let limit = Duration::from_secs(1);
    for _ in 0..50 {
        let blind = try_probe(&target, &HealthProbe::Tcp, limit)
            .await
            .unwrap_err();
        assert_eq!(blind.cause.raw_os_error(), Some(24), "EMFILE");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let failure = probe(&target, &HealthProbe::Tcp, limit).await.unwrap_err();
    assert_eq!(failure.layer, Layer::ConnectFailed);
    assert_eq!(
        (handle.verdict(), handle.last_failure()),
        (Verdict::Up, None)
    );
    assert!(reports.try_recv().is_err());

    setrlimit(Resource::Nofile, before).unwrap();
    let probed = async {
        while server.accepted() < 8 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), probed)
        .await
        .expect("probes go on");
    assert_eq!(handle.verdict(), Verdict::Up);
    let report = reports.try_recv();
    assert!(report.is_err(), "it was never anything else: {report:?}");
}
