//! Instances outlive agents: whatever moment one dies at, the next finds what there is.

use crate::support::*;
use minato_config::Health;
use minato_control::EventKind;
use minato_control_agent::Stop;
use minato_health::Phase;
use rustix::process::Signal;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn the_next_agent_adopts_what_the_last_one_left() {
    let mut site = Site::new();
    let command = sh("exec sleep 1000");
    site.serve(&command, Health::Off).await;
    site.assign(0, 1, &command).await;
    let first = site
        .instance_until(0, 1, "running", |it| it.phase == Phase::Running)
        .await;
    site.again(Stop::LeaveInstances).await;
    site.event(EventKind::Adopted).await;
    assert_eq!(
        site.instance(0, 1).await,
        Some(first.clone()),
        "nothing has changed"
    );
    // Its end is noticed although it is no child of ours.
    signal(first.pid.unwrap(), Signal::KILL);
    let second = site
        .instance_until(0, 1, "restarted", |it| {
            it.run.0 == 2 && it.phase == Phase::Running
        })
        .await;
    // It ends while nobody looks.
    site.end(Stop::LeaveInstances).await;
    signal(second.pid.unwrap(), Signal::KILL);
    until("dead", || site.folder.processes().is_empty().then_some(())).await;
    site.begin();
    let exited = site.event(EventKind::Exited).await;
    assert!(
        exited
            .message
            .contains("while no agent watched: killed by signal 9"),
        "{}",
        exited.message
    );
    site.instance_until(0, 1, "third", |it| {
        it.run.0 == 3 && it.phase == Phase::Running
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_meanwhile_is_stopped_and_what_lost_its_slot_is_kept() {
    let mut site = Site::new();
    let command = sh("exec sleep 1000");
    site.serve(&command, Health::Off).await;
    site.assign(0, 1, &command).await;
    site.assign(1, 1, &command).await;
    let is_running = |it: &minato_health::Instance| it.phase == Phase::Running;
    site.instance_until(0, 1, "0", is_running).await;
    let kept = site
        .instance_until(1, 1, "1", is_running)
        .await
        .pid
        .unwrap();
    site.end(Stop::LeaveInstances).await;
    site.unassign(0, 1, &command).await;
    site.delete(&minato_control_store::keys::Key::Slot(
        service_name(),
        minato_config::SlotIndex(1),
    ))
    .await;
    site.begin();
    site.no_instance(0, 1).await;
    site.event(EventKind::Alarm).await;
    assert_eq!(site.folder.instances(), [kept]);
}

/// An agent in a process of its own.
pub(crate) struct Agent(Child);

impl Agent {
    pub(crate) fn start(folder: &Folder) -> Self {
        let child = Command::new(child())
            .arg("agent")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What an agent finds at its first start: a service of that command, and one slot of it.
pub(crate) fn prepared(command: &minato_config::Command) -> Folder {
    let folder = Folder::new();
    let write =
        |name: &str, value: String| std::fs::write(folder.path().join(name), value).unwrap();
    write(
        "service.json",
        serde_json::to_string(&record(service(command.clone(), Health::Off))).unwrap(),
    );
    write(
        "slot.json",
        serde_json::to_string(&slot(1, command)).unwrap(),
    );
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_with_9_loses_nothing() {
    let folder = prepared(&sh("exec sleep 1000"));
    let mut agent = Agent::start(&folder);
    let pid = until("started", || folder.instances().pop()).await;
    agent.kill();
    let mut agent = Agent::start(&folder);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(folder.instances(), [pid]);
    agent.kill();
    // The keeper goes too, while nobody looks: what is left cannot be adopted, and is replaced.
    signal(parent(pid), Signal::KILL);
    let _agent = Agent::start(&folder);
    until("replaced", || match folder.instances()[..] {
        [it] if it != pid => Some(()),
        _ => None,
    })
    .await;
}

/// Agents are killed at random moments of their first steps, hundreds of times. Afterwards exactly one process fills the
/// slot, and one that has been seen alive has never been replaced.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_there_is_one_process_and_always_the_same() {
    const ROUNDS: u32 = 70;
    const KILLS: u32 = 4;
    let seed = std::env::var("MINATO_SEED")
        .ok()
        .and_then(|it| it.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut early, mut kept) = (0, 0);
    for round in 0..ROUNDS {
        let folder = prepared(&sh("exec sleep 1000"));
        let mut seen = None;
        for _ in 0..KILLS {
            let mut agent = Agent::start(&folder);
            tokio::time::sleep(Duration::from_millis(random.u64(0..80))).await;
            agent.kill();
            if let Some(pid) = seen {
                assert!(is_alive(pid), "round {round}: {pid} was replaced");
                kept += 1;
            } else {
                early += 1;
            }
            // A keeper that has its order may still be at it.
            let alive = folder.instances();
            assert!(alive.len() <= 1, "round {round}: {alive:?}");
            seen = seen.or(alive.first().copied());
        }
        let _agent = Agent::start(&folder);
        let last = until("one at last", || match folder.instances()[..] {
            [it] => Some(it),
            _ => None,
        })
        .await;
        assert!(
            seen.is_none_or(|it| it == last),
            "round {round}: {seen:?} became {last}"
        );
    }
    assert!(kept > 0 && early > 0, "{kept} {early}");
    let row = "measured | row 7, the agent killed at any moment of a start";
    println!("{row} | kills | {}", ROUNDS * KILLS);
    println!("{row} | beside a running instance | {kept}");
    println!("{row} | duplicates | 0");
}
