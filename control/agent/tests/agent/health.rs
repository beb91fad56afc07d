//! Down for all observers: killed and started again. Down for one: left alone.

use crate::support::*;
use minato_config::{Health, HealthProbe, HttpProbe, StatusRange};
use minato_control::EventKind;
use minato_health::{Phase, Verdict};
use rustix::process::Signal;
use std::time::Duration;

const SERVER: &str = "exec python3 -m http.server $PORT --bind 127.0.0.1";

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_instance_is_replaced_once_gateway_and_agent_agree() {
    let mut site = Site::new();
    let command = sh(SERVER);
    site.serve(&command, probed()).await;
    site.gateway("gate").await;
    site.assign(0, 1, &command).await;
    let up = site
        .instance_until(0, 1, "up here", |it| it.local == Some(Verdict::Up))
        .await;
    let pid = up.pid.unwrap();
    // The gateway alone is not believed.
    site.verdict("gate", &run_name(0, 1, 1), Verdict::Down, false)
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(is_alive(pid));
    site.verdict("gate", &run_name(0, 1, 1), Verdict::Up, false)
        .await;
    freeze(pid);
    site.instance_until(0, 1, "down here", |it| it.local == Some(Verdict::Down))
        .await;
    assert!(is_alive(pid), "the agent alone is not believed either");
    site.verdict("gate", &run_name(0, 1, 1), Verdict::Down, false)
        .await;
    let killed = site.event(EventKind::Killed).await;
    assert!(
        killed
            .message
            .ends_with("down for all gateways: no answer in 1s"),
        "{}",
        killed.message
    );
    let again = site
        .instance_until(0, 1, "up again", |it| {
            it.run.0 == 2 && it.local == Some(Verdict::Up)
        })
        .await;
    assert_eq!((again.address, again.restarts), (up.address, 1));
    assert!(!is_alive(pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_checks_nothing_is_killed_for_its_health() {
    let site = Site::new();
    let command = sh("exec sleep 1000");
    site.serve(&command, Health::Off).await;
    site.gateway("a").await;
    site.gateway("b").await;
    site.assign(0, 1, &command).await;
    let pid = site
        .instance_until(0, 1, "running", |it| it.phase == Phase::Running)
        .await
        .pid
        .unwrap();
    for verdict in [Verdict::Up, Verdict::Down] {
        site.verdict("a", &run_name(0, 1, 1), verdict, false).await;
        site.verdict("b", &run_name(0, 1, 1), verdict, false).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(is_alive(pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_health_path_takes_the_only_instance_from_nobody() {
    let mut site = Site::new();
    let command = sh(SERVER);
    site.serve(&command, asked("/")).await;
    site.gateway("gate").await;
    site.assign(0, 1, &command).await;
    let up = site
        .instance_until(0, 1, "up here", |it| it.local == Some(Verdict::Up))
        .await;
    site.verdict("gate", &run_name(0, 1, 1), Verdict::Up, false)
        .await;
    site.serve(&command, asked("/nothing-there")).await;
    site.instance_until(0, 1, "down here", |it| it.local == Some(Verdict::Down))
        .await;
    site.verdict("gate", &run_name(0, 1, 1), Verdict::Down, false)
        .await;
    let alarm = site.event(EventKind::Alarm).await;
    assert!(alarm.message.contains("still answers"), "{}", alarm.message);
    assert!(alarm.hint.unwrap().contains("services/library.toml"));
    assert!(is_alive(up.pid.unwrap()));
    // One that no longer answers is another matter.
    freeze(up.pid.unwrap());
    site.event(EventKind::Killed).await;
}

/// Probed fast by HTTP.
fn asked(path: &str) -> Health {
    let Health::On { timing, .. } = probed() else {
        return Health::Off;
    };
    let http = HttpProbe {
        path: path.to_owned(),
        host: None,
        status: vec![StatusRange {
            first: 200,
            last: 399,
        }],
        headers: Default::default(),
        body: None,
    };
    Health::On {
        probe: HealthProbe::Http(http),
        timing,
    }
}

/// The whole group, as a person would.
fn freeze(pid: u32) {
    signal(pid, Signal::STOP);
}
