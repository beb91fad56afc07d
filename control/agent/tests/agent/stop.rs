//! What should go goes: drained, asked, killed, in this order.

use crate::support::*;
use minato_config::{Health, StopPolicy};
use minato_control::EventKind;
use minato_control_agent::Stop;
use minato_control_store::keys::Key;
use minato_health::{Phase, Verdict};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_slot_is_drained_first_and_its_document_goes_last() {
    let mut site = Site::new();
    let command = sh("exec sleep 1000");
    site.serve(&command, Health::Off).await;
    site.gateway("gate").await;
    site.assign(0, 1, &command).await;
    let pid = site
        .instance_until(0, 1, "running", |it| it.phase == Phase::Running)
        .await
        .pid
        .unwrap();
    site.unassign(0, 1, &command).await;
    let stopping = site
        .instance_until(0, 1, "stopping", |it| it.phase == Phase::Stopping)
        .await;
    assert_eq!(stopping.reason, "removed");
    // A report on another run says nothing of this one.
    site.verdict("gate", &run_name(0, 1, 7), Verdict::Up, true)
        .await;
    site.verdict("gate", &run_name(0, 1, 1), Verdict::Up, false)
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(is_alive(pid), "not drained, and yet stopped");
    site.verdict("gate", &run_name(0, 1, 1), Verdict::Up, true)
        .await;
    site.no_instance(0, 1).await;
    assert!(site.folder.processes().is_empty());
    site.event(EventKind::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_ends_with_its_time() {
    let site = Site::new();
    let mut command = sh("exec sleep 1000");
    command.stop.drain = Duration::from_millis(300);
    site.serve(&command, Health::Off).await;
    site.gateway("gate").await;
    site.assign(0, 1, &command).await;
    site.instance_until(0, 1, "running", |it| it.phase == Phase::Running)
        .await;
    site.unassign(0, 1, &command).await;
    let began = tokio::time::Instant::now();
    site.no_instance(0, 1).await;
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_generation_starts_only_after_the_old_one_is_gone() {
    let site = Site::new();
    // Takes the lock for as long as it lives, and fails when it is taken.
    let lock = site.folder.path().join("exclusive");
    let text = |n: u32| {
        format!(
            "exec 9>{}; flock -n 9 || exit 7; echo {n}; trap 'sleep 0.3; exit 0' TERM; while :; do sleep 0.05; done",
            lock.display()
        )
    };
    let (old, new) = (sh(&text(1)), sh(&text(2)));
    site.serve(&old, Health::Off).await;
    site.assign(0, 1, &old).await;
    let first = site
        .instance_until(0, 1, "old", |it| it.phase == Phase::Running)
        .await;
    site.serve(&new, Health::Off).await;
    site.assign(0, 2, &new).await;
    let second = site
        .instance_until(0, 2, "new", |it| it.phase == Phase::Running)
        .await;
    assert_eq!(second.address, first.address, "the slot keeps its port");
    assert!(!is_alive(first.pid.unwrap()));
    site.no_instance(0, 1).await;
    // The lower generation is refused.
    site.assign(0, 1, &old).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(is_alive(second.pid.unwrap()));
    assert_eq!(site.instance(0, 1).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_vanishes_stops_nothing_and_alarms() {
    let mut site = Site::new();
    let command = sh("exec sleep 1000");
    site.serve(&command, Health::Off).await;
    site.assign(0, 1, &command).await;
    let pid = site
        .instance_until(0, 1, "running", |it| it.phase == Phase::Running)
        .await
        .pid
        .unwrap();
    site.delete(&Key::Slot(service_name(), minato_config::SlotIndex(0)))
        .await;
    site.delete(&Key::Service(service_name())).await;
    let alarm = site.event(EventKind::Alarm).await;
    assert!(
        alarm
            .message
            .contains("has vanished without being marked as removed"),
        "{}",
        alarm.message
    );
    assert!(is_alive(pid));
    // Local repair goes on with what is known.
    signal(pid, rustix::process::Signal::KILL);
    site.instance_until(0, 1, "restarted", |it| {
        it.run.0 == 2 && it.phase == Phase::Running
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_vanishes_is_written_again() {
    let site = Site::new();
    let command = sh("exec sleep 1000");
    site.serve(&command, Health::Off).await;
    site.assign(0, 1, &command).await;
    let document = site
        .instance_until(0, 1, "running", |it| it.phase == Phase::Running)
        .await;
    let key = Key::Instance(
        site.options.node.clone(),
        service_name(),
        minato_config::SlotIndex(0),
        generation(1),
    );
    site.delete(&key).await;
    site.instance_until(0, 1, "written again", |it| *it == document)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_are_stopped_at_once_the_stubborn_by_force() {
    let mut site = Site::new();
    let mut command = sh("trap '' TERM; echo ready; while :; do sleep 1; done");
    command.stop = StopPolicy {
        drain: Duration::from_secs(60),
        grace: Duration::from_secs(1),
    };
    site.serve(&command, Health::Off).await;
    site.gateway("gate").await;
    for n in 0..6 {
        site.assign(n, 1, &command).await;
    }
    for n in 0..6 {
        site.instance_until(n, 1, "running", |it| it.phase == Phase::Running)
            .await;
    }
    let began = tokio::time::Instant::now();
    site.end(Stop::StopInstances).await;
    let took = began.elapsed();
    assert!((1000..3000).contains(&took.as_millis()), "{took:?}");
    assert!(site.folder.processes().is_empty());
    for n in 0..6 {
        assert_eq!(site.instance(n, 1).await, None);
    }
}
