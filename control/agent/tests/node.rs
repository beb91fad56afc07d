//! The node loop with real processes: starts, restarts, stops.

mod support;

use minato_config::Health;
use minato_control::EventKind;
use minato_control_agent::Stop;
use minato_health::Phase;
use rustix::process::Signal;
use support::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_assigned_slot_is_filled_and_a_killed_instance_comes_back_at_once() {
    let mut site = Site::new();
    let command = sh("exec sleep 1000");
    site.serve(&command, Health::Off).await;
    site.assign(0, 1, &command).await;
    let first = site
        .instance_until(0, 1, "started", |it| it.phase == Phase::Running)
        .await;
    let pid = first.pid.unwrap();
    assert_eq!(site.folder.instances(), [pid]);
    signal(pid, Signal::KILL);
    let second = site
        .instance_until(0, 1, "restarted", |it| {
            it.run.0 == 2 && it.phase == Phase::Running
        })
        .await;
    assert_eq!(second.address, first.address, "the port is kept");
    assert_eq!(second.restarts, 1);
    assert_eq!(site.folder.instances(), [second.pid.unwrap()]);
    let exited = site.event(EventKind::Exited).await;
    assert!(
        exited
            .message
            .starts_with("library/0 killed by signal 9 after "),
        "{}",
        exited.message
    );
    site.end(Stop::StopInstances).await;
    assert!(site.folder.processes().is_empty());
    assert_eq!(site.instance(0, 1).await, None);
}
