//! What ends is started again, within its budget.

use crate::support::*;
use minato_config::{Command, Health, PortRange};
use minato_control::{EventKind, Level};
use minato_control_agent::Stop;
use minato_health::Phase;
use rustix::process::Signal;

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

#[tokio::test(flavor = "multi_thread")]
async fn what_exits_at_once_is_tried_with_growing_pauses_until_the_budget_is_spent() {
    let mut site = Site::new();
    let command = sh("echo no such table; exit 3");
    site.serve(&command, Health::Off).await;
    site.assign(0, 1, &command).await;
    let exited = site.event(EventKind::Exited).await;
    assert!(
        exited
            .message
            .starts_with("library/0 exited with status 3 after 0."),
        "{}",
        exited.message
    );
    assert!(
        exited.message.ends_with("; last output: \"no such table\""),
        "{}",
        exited.message
    );
    // At once, then 1 s: enough to see the doubling begin; the whole budget is in the pure tests.
    let waiting = site
        .instance_until(0, 1, "waiting", |it| {
            it.run.0 == 2 && it.phase == Phase::Exited
        })
        .await;
    let pause = waiting.retry_at.unwrap().since(waiting.since).as_millis();
    assert!((800..=1000).contains(&pause), "{pause}");
    assert!(
        waiting.reason.starts_with("exited with status 3"),
        "{}",
        waiting.reason
    );
    assert_eq!(waiting.pid, None);
    site.instance_until(0, 1, "third run", |it| it.run.0 == 3)
        .await;
    // A new assignment begins with a whole budget.
    let better = sh("exec sleep 1000");
    site.serve(&better, Health::Off).await;
    site.assign(0, 2, &better).await;
    let running = site
        .instance_until(0, 2, "running", |it| it.phase == Phase::Running)
        .await;
    assert_eq!(
        (running.run.0, running.restarts, running.address.port()),
        (1, 0, waiting.address.port())
    );
    site.no_instance(0, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_survives_the_agent() {
    let mut site = Site::new();
    let command = sh("exit 1");
    site.serve(&command, Health::Off).await;
    site.assign(0, 1, &command).await;
    // The agent before this one was restarted while the budget was spent: 5 restarts are remembered by the document.
    let seen = site
        .instance_until(0, 1, "seen", |it| {
            it.phase == Phase::Exited && it.restarts >= 2
        })
        .await;
    site.end(Stop::LeaveInstances).await;
    let key = site.keys.text(&minato_control_store::keys::Key::Instance(
        site.options.node.clone(),
        service_name(),
        minato_config::SlotIndex(0),
        generation(1),
    ));
    let spent = minato_health::Instance {
        restarts: 5,
        ..seen
    };
    let commit = minato_control_store::Commit::put(key, serde_json::to_vec(&spent).unwrap());
    site.store.commit(commit).await.unwrap();
    site.begin();
    let failed = site.event(EventKind::Failed).await;
    assert_eq!(failed.level, Level::Error);
    assert_eq!(
        failed.hint.as_deref(),
        Some("minato logs library; minato restart library")
    );
    let document = site
        .instance_until(0, 1, "failed", |it| it.phase == Phase::Failed)
        .await;
    site.again(Stop::LeaveInstances).await;
    site.instance_until(0, 1, "still failed", |it| *it == document)
        .await;
    site.assign(0, 2, &command).await;
    site.instance_until(0, 2, "tried again", |it| it.phase == Phase::Exited)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_does_not_exist_is_said_once_and_runs_when_it_comes() {
    let mut site = Site::new();
    let program = site.folder.path().join("late");
    let command = Command {
        argv: vec![program.display().to_string()],
        ..sh("")
    };
    site.serve(&command, Health::Off).await;
    site.assign(0, 1, &command).await;
    let waiting = site
        .instance_until(0, 1, "refused twice", |it| {
            it.phase == Phase::Exited && it.run.0 == 2
        })
        .await;
    assert!(
        waiting.reason.contains("cannot be read"),
        "{}",
        waiting.reason
    );
    std::fs::write(&program, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    std::fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    site.instance_until(0, 1, "running", |it| it.phase == Phase::Running)
        .await;
    let mut said = Vec::new();
    while let Ok(event) = site.events.try_recv() {
        said.push(event);
    }
    let refusals = said
        .iter()
        .filter(|it| it.kind == EventKind::Exited)
        .count();
    assert_eq!(refusals, 1, "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_another_program_took_is_passed_over_and_no_port_is_said() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut site = Site::with(|it| {
        it.ports = PortRange {
            first: port,
            last: port,
        }
    });
    let command = sh("exec sleep 1000");
    site.serve(&command, Health::Off).await;
    site.assign(0, 1, &command).await;
    let event = site.event(EventKind::Exited).await;
    assert!(
        event
            .message
            .contains(&format!("all ports from {port} to {port} are used")),
        "{}",
        event.message
    );
    drop(listener);
    let running = site
        .instance_until(0, 1, "running", |it| it.phase == Phase::Running)
        .await;
    assert_eq!(running.address.port(), port);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_slots_have_two_ports_and_keep_them_over_agents() {
    let mut site = Site::new();
    let command = sh("exec sleep 1000");
    site.serve(&command, Health::Off).await;
    site.assign(0, 1, &command).await;
    site.assign(1, 1, &command).await;
    let is_running = |it: &minato_health::Instance| it.phase == Phase::Running;
    let first = site.instance_until(0, 1, "0", is_running).await;
    let second = site.instance_until(1, 1, "1", is_running).await;
    assert_ne!(first.address, second.address);
    site.again(Stop::StopInstances).await;
    let again = site.instance_until(0, 1, "0 again", is_running).await;
    assert_eq!(again.address, first.address);
    assert_eq!(again.run.0, 2, "a run's number is never used again");
    assert_eq!(
        site.instance_until(1, 1, "1 again", is_running)
            .await
            .address,
        second.address
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_port_that_another_slot_has_is_waited_for_and_costs_no_restart() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut site = Site::new();
    let mut command = sh("exec sleep 1000");
    command.port = Some(port);
    site.serve(&command, Health::Off).await;
    site.assign(0, 1, &command).await;
    site.instance_until(0, 1, "running", |it| it.phase == Phase::Running)
        .await;
    site.assign(1, 1, &command).await;
    let event = site.event(EventKind::Exited).await;
    let said = format!(
        "library/1 could not be started: services/library.toml: port: port {port} is fixed for it, but library/0 has it"
    );
    assert!(event.message.starts_with(&said), "{}", event.message);
    let waiting = site
        .instance_until(1, 1, "waiting", |it| it.phase == Phase::Exited)
        .await;
    assert_eq!(waiting.restarts, 0);
    site.unassign(0, 1, &command).await;
    let running = site
        .instance_until(1, 1, "running", |it| it.phase == Phase::Running)
        .await;
    assert_eq!((running.run.0, running.restarts), (1, 0));
}
