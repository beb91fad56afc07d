//! The process runtime: the contract, and what only processes do.

use crate::support::*;
use minato_config::Command;
use minato_control_agent::runtime::contract::{Program, Subject, check};
use minato_control_agent::runtime::{
    Ended, Exit, FoundState, ProcessRuntime, RunName, RunOrder, Runtime, RuntimeError, Signal,
};
use rustix::process;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

fn open(folder: &Folder) -> ProcessRuntime {
    ProcessRuntime::open(&folder.path(), shim(), 1 << 20).unwrap()
}

fn order(name: RunName, command: Command) -> RunOrder {
    RunOrder {
        name,
        digest: command.digest(),
        command,
        port: 23_456,
    }
}

fn output(folder: &Folder, name: &RunName) -> String {
    let path = folder
        .path()
        .join(format!("logs/{}.{}.log", name.service, name.slot));
    std::fs::read_to_string(path).unwrap_or_default()
}

async fn start(folder: &Folder, text: &str) -> (ProcessRuntime, RunName, u32) {
    let (runtime, name) = (open(folder), run_name(0, 1, 1));
    let started = runtime.start(&order(name.clone(), sh(text))).await.unwrap();
    (runtime, name, started.pid)
}

async fn ended(runtime: &ProcessRuntime, name: &RunName) -> Ended {
    tokio::time::timeout(PATIENCE, runtime.ended(name))
        .await
        .expect("it does not end")
}

async fn line(folder: &Folder, name: &RunName, wanted: &str) {
    until(wanted, || {
        output(folder, name).contains(wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_keep_the_contract() {
    let folder = Folder::new();
    let subject = Subject {
        open: &|| Arc::new(open(&folder)),
        order: &|program, name| {
            let command = match program {
                Program::Sleeps => sh("exec sleep 1000"),
                Program::Stubborn => sh("trap '' TERM; echo ready; while :; do sleep 1; done"),
                Program::Fails => sh("echo farewell; exit 3"),
                Program::Missing => Command {
                    argv: vec!["minato-no-such-program".into()],
                    ..sh("")
                },
            };
            order(name, command)
        },
        output: &|name| output(&folder, name),
    };
    check(&subject).await.unwrap();
    assert!(folder.processes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_executed_says_why_and_what_to_do() {
    let folder = Folder::new();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "#!/bin/sh\n").unwrap();
    let lost = folder.path().join("lost");
    std::fs::write(&lost, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&lost, std::fs::Permissions::from_mode(0o755)).unwrap();
    let argv = |program: &str| Command {
        argv: vec![program.to_owned()],
        ..sh("")
    };
    let cases = [
        (argv("minato-no-such-program"), "was not found in PATH"),
        (argv("/no/such/program"), "cannot be read"),
        (argv(plain.to_str().unwrap()), "run `chmod +x"),
        (
            argv(lost.to_str().unwrap()),
            "interpreter or loader that it names is missing",
        ),
        (
            Command {
                directory: Some("/no/such/folder".into()),
                ..sh("true")
            },
            "directory: `/no/such/folder` cannot be used",
        ),
        (
            Command {
                directory: Some("/etc/passwd".into()),
                ..sh("true")
            },
            "is not a folder",
        ),
        (sh(&"x".repeat(300_000)), "longer than the kernel allows"),
        (sh(&"x".repeat(1_100_000)), "can be handed over"),
    ];
    for (run, (command, says)) in (1..).zip(cases) {
        let error = open(&folder)
            .start(&order(run_name(0, 1, run), command))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, RuntimeError::Command(why) if why.contains(says)),
            "{says}: {error}"
        );
    }
    assert!(folder.processes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_is_no_keeper_is_named() {
    let folder = Folder::new();
    let runtime = ProcessRuntime::open(&folder.path(), vec!["/bin/true".into()], 1 << 20).unwrap();
    let error = runtime
        .start(&order(run_name(0, 1, 1), sh("true")))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the keeper of library.0.0.1.1 ended without an answer"),
        "{error}"
    );
    assert!(ProcessRuntime::open(&folder.path(), Vec::new(), 1).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_clean_and_nothing_secret_is_in_arguments() {
    let folder = Folder::new();
    let (runtime, name) = (open(&folder), run_name(0, 1, 1));
    let mut command = sh("env; pwd; echo arg=$0; exec sleep 1000");
    command.argv.push("{port}".into());
    command.env.insert("PASSWORD".into(), "open-sesame".into());
    runtime.start(&order(name.clone(), command)).await.unwrap();
    line(&folder, &name, "arg=").await;
    let text = output(&folder, &name);
    for wanted in [
        "PASSWORD=open-sesame",
        "PORT=23456",
        "arg=23456",
        "PATH=",
        "HOME=",
        "LANG=",
        "/instances/library.0\n",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.contains("CARGO"), "{text}");
    for pid in folder.processes() {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(!String::from_utf8_lossy(&arguments).contains("open-sesame"));
    }
    let record = folder.path().join("instances/library.0.0.1.1.json");
    assert_eq!(
        std::fs::metadata(record).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn children_and_those_that_left_the_group_end_with_the_instance() {
    let folder = Folder::new();
    let text = "sleep 1000 & setsid sleep 1000 & (setsid sh -c 'env -i sleep 1000 & exec sleep 1000' &) ; echo ready; exec sleep 1000";
    let (runtime, name, pid) = start(&folder, text).await;
    line(&folder, &name, "ready").await;
    let keeper = parent(pid);
    // The one that cleared its environment is found by its ancestor only.
    until("five processes", || {
        (folder.instances().len() == 4).then_some(())
    })
    .await;
    let nameless = until("the nameless one", || {
        descendants(keeper)
            .into_iter()
            .find(|it| !folder.processes().contains(it))
    })
    .await;
    runtime.signal(&name, Signal::Terminate).await.unwrap();
    assert_eq!(ended(&runtime, &name).await.exit, Exit::Signal(15));
    assert!(folder.processes().is_empty());
    assert!(!is_alive(nameless));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hides_its_mark_ends_even_when_keeper_and_instance_are_both_killed() {
    let folder = Folder::new();
    let text = "env -i sleep 1000 & echo ready; exec sleep 1000";
    let (runtime, name, pid) = start(&folder, text).await;
    line(&folder, &name, "ready").await;
    let keeper = parent(pid);
    let nameless = until("the nameless one", || {
        descendants(keeper)
            .into_iter()
            .find(|it| *it != pid && !folder.processes().contains(it))
    })
    .await;
    for it in [keeper, pid] {
        signal(it, process::Signal::KILL);
    }
    assert!(matches!(ended(&runtime, &name).await.exit, Exit::Unseen(_)));
    assert!(!is_alive(nameless), "it would hold the port for ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_keeper_does_not_hide_the_end_of_its_instance() {
    let folder = Folder::new();
    let (runtime, name, pid) = start(&folder, "echo ready; exec sleep 1000").await;
    line(&folder, &name, "ready").await;
    let keeper = parent(pid);
    signal(keeper, process::Signal::STOP);
    signal(pid, process::Signal::KILL);
    assert!(matches!(ended(&runtime, &name).await.exit, Exit::Unseen(_)));
    assert!(!is_alive(keeper));
}

fn descendants(of: u32) -> Vec<u32> {
    let all: Vec<u32> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|it| it.unwrap().file_name().to_str()?.parse().ok())
        .collect();
    let is_below = |pid: &u32| {
        let mut at = *pid;
        while let Some(above) = stat_parent(at) {
            if above == of {
                return true;
            }
            at = above;
        }
        false
    };
    all.into_iter()
        .filter(|it| is_alive(*it) && is_below(it))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_instance_is_killed() {
    let folder = Folder::new();
    let (runtime, name, pid) = start(&folder, "while :; do sleep 0.01; done").await;
    signal(pid, process::Signal::STOP);
    until("frozen", || (state(pid) == Some('T')).then_some(())).await;
    runtime.signal(&name, Signal::Terminate).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), runtime.ended(&name)).await;
    assert!(early.is_err(), "{early:?}");
    runtime.signal(&name, Signal::Kill).await.unwrap();
    assert_eq!(ended(&runtime, &name).await.exit, Exit::Signal(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_stays_within_its_bound() {
    let folder = Folder::new();
    let runtime = ProcessRuntime::open(&folder.path(), shim(), 64 * 1024).unwrap();
    let name = run_name(0, 1, 1);
    let text = "yes abcdefghijklmnopqrstuvwxyz | head -c 20000000; echo; echo the end; exit 1";
    runtime.start(&order(name.clone(), sh(text))).await.unwrap();
    let logs = folder.path().join("logs");
    let mut largest = 0;
    let end = tokio::select! {
        end = ended(&runtime, &name) => end,
        never = async {
            loop {
                let size: u64 = std::fs::read_dir(&logs).into_iter().flatten()
                    .filter_map(|it| it.ok()?.metadata().ok()).map(|it| it.len()).sum();
                largest = largest.max(size);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        } => never,
    };
    assert_eq!(
        (end.exit, end.last_output.as_str()),
        (Exit::Status(1), "the end")
    );
    assert!((1024..=64 * 1024).contains(&largest), "{largest}");
    let lines = minato_control_agent::logs(&folder.path(), &name.service, name.slot, 2).unwrap();
    assert_eq!(lines.last().unwrap(), "the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_is_deaf_to_signals_meant_for_minato() {
    let folder = Folder::new();
    let (runtime, name, pid) = start(&folder, "exec sleep 1000").await;
    let keeper = parent(pid);
    for each in [
        process::Signal::TERM,
        process::Signal::INT,
        process::Signal::HUP,
        process::Signal::QUIT,
    ] {
        signal(keeper, each);
    }
    let early = tokio::time::timeout(Duration::from_millis(200), runtime.ended(&name)).await;
    assert!(early.is_err(), "{early:?}");
    assert!(is_alive(pid) && is_alive(keeper));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_keeper_takes_its_run_with_it() {
    let folder = Folder::new();
    let (runtime, name, pid) = start(&folder, "sleep 1000 & exec sleep 1000").await;
    signal(parent(pid), process::Signal::KILL);
    let end = ended(&runtime, &name).await;
    assert!(
        matches!(&end.exit, Exit::Unseen(why) if why.contains("keeper was killed")),
        "{end:?}"
    );
    assert!(folder.processes().is_empty());
    let found = open(&folder).list().await.unwrap().found;
    assert!(
        matches!(&found[..], [it] if it.state == FoundState::Ended(end)),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_of_a_slot_does_not_start_beside_the_first() {
    let folder = Folder::new();
    let (runtime, _, _) = start(&folder, "exec sleep 1000").await;
    let error = runtime
        .start(&order(run_name(0, 1, 2), sh("exec sleep 1000")))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is held by the keeper of another run"),
        "{error}"
    );
    assert_eq!(folder.instances().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_lost_or_broken_leave_no_stranger() {
    let folder = Folder::new();
    let (_, _, first) = start(&folder, "exec sleep 1000").await;
    let runtime = open(&folder);
    let second = runtime
        .start(&order(run_name(1, 1, 1), sh("exec sleep 1000")))
        .await
        .unwrap()
        .pid;
    let third = runtime
        .start(&order(run_name(2, 1, 1), sh("exec sleep 1000")))
        .await
        .unwrap()
        .pid;
    std::fs::remove_file(folder.path().join("instances/library.0.0.1.1.json")).unwrap();
    std::fs::write(
        folder.path().join("instances/library.1.0.1.1.json"),
        "{torn",
    )
    .unwrap();
    let inventory = open(&folder).list().await.unwrap();
    assert_eq!(inventory.remarks.len(), 3, "{inventory:?}");
    assert!(!is_alive(first) && !is_alive(second) && is_alive(third));
    assert_eq!(folder.instances(), [third]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_before_the_machines_restart_is_dead_whatever_its_id_says() {
    let folder = Folder::new();
    let (_, name, pid) = start(&folder, "exec sleep 1000").await;
    let path = folder.path().join(format!("instances/{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    std::fs::write(&path, text.replace(boot.trim(), "another")).unwrap();
    let runtime = open(&folder);
    runtime.signal(&name, Signal::Kill).await.unwrap();
    assert!(
        is_alive(pid),
        "a process of this boot was signalled for one of another"
    );
    let found = runtime.list().await.unwrap().found;
    let is_dead = |it: &FoundState| matches!(it, FoundState::Ended(end) if end.to_string().contains("the machine was restarted"));
    assert!(
        matches!(&found[..], [it] if is_dead(&it.state)),
        "{found:?}"
    );
}

/// Keepers are killed at random moments of a start. Nothing of the run is left afterwards, or all of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_killed_while_it_starts_leaves_nothing() {
    let folder = Folder::new();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut cut = 0;
    for run in 1..=60 {
        let name = run_name(0, 1, run);
        let runtime = Arc::new(open(&folder));
        let starting = tokio::spawn({
            let (runtime, order) = (
                runtime.clone(),
                order(name.clone(), sh("sleep 1000 & exec sleep 1000")),
            );
            async move { runtime.start(&order).await }
        });
        tokio::time::sleep(Duration::from_micros(random.u64(0..15_000))).await;
        let keepers = folder.processes();
        keepers
            .into_iter()
            .for_each(|it| signal(it, process::Signal::KILL));
        let started = starting.await.unwrap();
        if started.is_ok() {
            runtime.signal(&name, Signal::Kill).await.unwrap();
            ended(&runtime, &name).await;
        } else {
            cut += 1;
        }
        assert!(folder.processes().is_empty(), "run {run}");
        let found = open(&folder).list().await.unwrap().found;
        let lives = found
            .iter()
            .any(|it| matches!(it.state, FoundState::Running { .. }));
        assert!(!lives, "run {run}: {found:?}");
    }
    assert!(cut > 0, "no start was ever cut");
}
