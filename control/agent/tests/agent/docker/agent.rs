//! A whole agent with containers: adoption, restarts, live changes, and an engine that goes and comes.

use super::*;
use crate::docker::stage::inside;
use minato_config::{Health, Resources, RuntimeSettings};
use minato_control::{EventKind, Level};
use minato_health::Phase;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn site(engine: &Engine, change: impl FnOnce(&mut DockerSettings)) -> Site {
    let mut settings = DockerSettings {
        socket: engine.socket(),
        free_bytes: 0,
        ..Default::default()
    };
    change(&mut settings);
    Site::with(|it| it.runtime = RuntimeSettings::Docker(Box::new(settings)))
}

/// Every container by its name, with its process.
fn running(engine: &Engine) -> BTreeMap<String, u32> {
    let names = engine.docker(&["ps", "--format", "{{.Names}}"]);
    let pid = |it: &str| engine.inspect(it, "{{.State.Pid}}").parse().unwrap();
    names.lines().map(|it| (it.to_owned(), pid(it))).collect()
}

async fn up(site: &Site, n: u16, counter: u64, run: u64) -> minato_health::Instance {
    site.instance_until(n, counter, "a run", |it| {
        it.phase == Phase::Running && it.run.0 == run
    })
    .await
}

#[test]
fn what_dies_is_started_again_at_once_and_limits_change_as_it_runs() {
    let test = "docker::agent::what_dies_is_started_again_at_once_and_limits_change_as_it_runs";
    inside(test, async {
        let engine = Engine::start().await;
        engine.image(&["test/program:1"]);
        let mut site = site(&engine, |_| {});
        let command = container("test/program:1", &[]);
        site.serve(&command, Health::Off).await;
        site.assign(0, 1, &command).await;
        let first = up(&site, 0, 1, 1).await;
        assert_eq!(get_until(first.address, "/").await, "hello ");

        // Killed from outside: seen by its event, not by a poll.
        let began = tokio::time::Instant::now();
        crate::support::signal(first.pid.unwrap(), Signal::KILL);
        let exited = site.event(EventKind::Exited).await;
        let noticed = began.elapsed();
        let second = up(&site, 0, 1, 2).await;
        get_until(second.address, "/").await;
        let whole = began.elapsed();
        println!("killed container: noticed after {noticed:?}, answers again after {whole:?}");
        assert!(exited.message.contains("killed by signal 9"), "{exited}");
        assert!(noticed < Duration::from_secs(3), "{noticed:?}");
        let published = |engine: &Engine, run: u64| {
            let container = format!("minato.local.here.library.0.0.1.{run}");
            engine.docker(&["port", &container])
        };
        let port = published(&engine, 2);
        assert!(port.starts_with("8080/tcp -> 127.0.0.1:22"), "{port}");

        // More memory, same process; then less than it uses, which is refused and told.
        let with = |memory| {
            let mut command = command.clone();
            command.image.as_mut().unwrap().resources = Resources {
                memory_bytes: memory,
                ..Default::default()
            };
            command
        };
        site.serve(&with(Some(96 << 20)), Health::Off).await;
        let event = site.event(EventKind::Adjusted).await;
        assert_eq!(event.level, Level::Info, "{event}");
        let container = "minato.local.here.library.0.0.1.2";
        let memory =
            |engine: &Engine| engine.inspect(container, "{{.HostConfig.Memory}} {{.State.Pid}}");
        assert_eq!(
            memory(&engine),
            format!("{} {}", 96 << 20, second.pid.unwrap())
        );
        get(second.address, "/eat/64").await.unwrap();
        site.serve(&with(Some(16 << 20)), Health::Off).await;
        let event = site.event(EventKind::Adjusted).await;
        assert!(
            event.level == Level::Warn
                && event.message.contains("goes on with the resources it has"),
            "{event}"
        );
        assert_eq!(get(second.address, "/").await.unwrap(), "hello ");

        // An agent that comes later finds the same process, on the same port.
        site.again(Stop::LeaveInstances).await;
        let adopted = site.event(EventKind::Adopted).await;
        assert!(
            adopted
                .message
                .contains(&format!("pid {}", second.pid.unwrap())),
            "{adopted}"
        );
        assert_eq!(published(&engine, 2), port);

        // Removed: ended, and nothing left of it.
        site.unassign(0, 1, &command).await;
        site.no_instance(0, 1).await;
        stage::wait("the end of all containers", || {
            engine.docker(&["ps", "-aq"]).is_empty()
        })
        .await;
    });
}

#[test]
fn an_engine_that_is_killed_takes_no_container_along() {
    let test = "docker::agent::an_engine_that_is_killed_takes_no_container_along";
    inside(test, async {
        let mut engine = Engine::start().await;
        engine.image(&["test/program:1"]);
        let mut site = site(&engine, |_| {});
        let command = container("test/program:1", &[]);
        site.serve(&command, probed()).await;
        for n in 0..3 {
            site.assign(n, 1, &command).await;
        }
        let mut addresses = Vec::new();
        for n in 0..3 {
            addresses.push(up(&site, n, 1, 1).await.address);
            get_until(addresses[usize::from(n)], "/").await;
        }
        let before = running(&engine);
        assert_eq!(before.len(), 3);

        engine.kill();
        let gone = site.event(EventKind::Engine).await;
        assert!(
            gone.level == Level::Error && gone.message.contains("containers go on"),
            "{gone}"
        );
        // They serve without it, and one that dies now is noticed all the same.
        for address in &addresses {
            assert_eq!(get(*address, "/").await.unwrap(), "hello ");
        }
        crate::support::signal(before["minato.local.here.library.2.0.1.1"], Signal::KILL);
        let exited = site
            .instance_until(2, 1, "the end that no engine tells", |it| {
                it.phase == Phase::Exited
            })
            .await;
        println!("without an engine: {}", exited.reason);
        // An agent that begins meanwhile knows what lives.
        site.again(Stop::LeaveInstances).await;
        let adopted = site.event(EventKind::Adopted).await;
        println!("without an engine: {adopted}");
        for address in &addresses[..2] {
            assert_eq!(get(*address, "/").await.unwrap(), "hello ");
        }

        let began = tokio::time::Instant::now();
        engine.begin().await;
        let whole = site
            .instance_until(2, 1, "the one that died", |it| {
                it.phase == Phase::Running && it.run.0 >= 2
            })
            .await;
        get_until(whole.address, "/").await;
        println!(
            "engine back and the lost container replaced after {:?}",
            began.elapsed()
        );
        let after = running(&engine);
        assert_eq!(after.len(), 3, "{after:?}");
        for n in 0..2 {
            let name = format!("minato.local.here.library.{n}.0.1.1");
            assert_eq!(
                after.get(&name),
                before.get(&name),
                "{name} was started again"
            );
        }
    });
}

#[test]
fn trouble_with_containers_holds_up_nothing_else() {
    let test = "docker::agent::trouble_with_containers_holds_up_nothing_else";
    inside(test, async {
        let mut engine = Engine::start().await;
        engine.image(&["test/program:1"]);
        engine.kill();
        // No engine at the start: processes run, containers wait, and what is wrong is told.
        let mut site = site(&engine, |_| {});
        let process = sh("exec sleep 1000");
        site.serve(&process, Health::Off).await;
        site.assign(0, 1, &process).await;
        up(&site, 0, 1, 1).await;
        let image = container("test/program:1", &[]);
        site.serve(&image, Health::Off).await;
        site.assign(1, 2, &image).await;
        let waiting = site
            .instance_until(1, 2, "a reason", |it| {
                it.reason.contains("container engine")
            })
            .await;
        assert!(
            waiting.reason.contains("systemctl start docker"),
            "{}",
            waiting.reason
        );
        assert_eq!(waiting.restarts, 0, "waiting costs nothing");
        engine.begin().await;
        // Its process goes on beside it: the slot's own generation says what it is.
        let started = up(&site, 1, 2, 1).await;
        get_until(started.address, "/").await;
        let first = site.instance(0, 1).await.unwrap();
        assert_eq!(first.run.0, 1);

        // An image that nobody has; the file is named, and what to do.
        let none = container("127.0.0.1:9/none:1", &[]);
        site.serve(&none, Health::Off).await;
        site.assign(2, 3, &none).await;
        let refused = site
            .event_where(|it| it.message.contains("library/2 could not be started"))
            .await;
        assert!(
            refused
                .message
                .contains("services/library.toml: image: 127.0.0.1:9/none:1 could not be fetched")
                && refused.message.contains("127.0.0.1:9 does not answer"),
            "{refused}"
        );
        assert_eq!(get(started.address, "/").await.unwrap(), "hello ");
    });
}

#[test]
fn an_engine_that_freezes_holds_up_no_process_and_takes_no_container_along() {
    let test =
        "docker::agent::an_engine_that_freezes_holds_up_no_process_and_takes_no_container_along";
    inside(test, async {
        let engine = Engine::start().await;
        engine.image(&["test/program:1"]);
        let mut site = site(&engine, |_| {});
        let process = sh("exec sleep 1000");
        site.serve(&process, Health::Off).await;
        site.assign(0, 1, &process).await;
        up(&site, 0, 1, 1).await;
        let image = container("test/program:1", &[]);
        site.serve(&image, Health::Off).await;
        site.assign(1, 2, &image).await;
        site.assign(2, 2, &image).await;
        let (one, two) = (up(&site, 1, 2, 1).await, up(&site, 2, 2, 1).await);
        get_until(one.address, "/").await;
        get_until(two.address, "/").await;

        engine.signal(Signal::STOP);
        // An order that the engine cannot carry out, and one that needs no engine.
        site.unassign(2, 2, &image).await;
        let died = site.instance(0, 1).await.unwrap();
        let began = tokio::time::Instant::now();
        crate::support::signal(died.pid.unwrap(), Signal::KILL);
        up(&site, 0, 1, 2).await;
        let restarted = began.elapsed();
        assert!(restarted < Duration::from_secs(10), "{restarted:?}");
        assert_eq!(get(one.address, "/").await.unwrap(), "hello ");
        let told = site
            .event_within(Duration::from_secs(90), |it| {
                it.kind == EventKind::Engine && it.level == Level::Error
            })
            .await;
        println!(
            "frozen engine: process again after {restarted:?}, told after {:?}: {told}",
            began.elapsed()
        );
        assert!(
            told.message.contains("does not answer in time")
                && told.message.contains("containers go on"),
            "{told}"
        );
        assert_eq!(get(one.address, "/").await.unwrap(), "hello ");

        engine.signal(Signal::CONT);
        site.event_where(|it| it.message.contains("answers again"))
            .await;
        site.no_instance(2, 2).await;
        let same = site.instance(1, 2).await.unwrap();
        assert_eq!((same.run.0, same.pid), (1, one.pid), "started again");
        assert_eq!(get(one.address, "/").await.unwrap(), "hello ");
    });
}

/// A registry that has every image and never gets to the end of one; what it was asked, and how many lines it holds.
fn endless_registry() -> Arc<Mutex<Vec<(String, std::net::TcpStream)>>> {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:5000").unwrap();
    let held = Arc::new(Mutex::new(Vec::new()));
    let all = held.clone();
    std::thread::spawn(move || {
        for line in listener.incoming() {
            let (mut line, all) = (line.unwrap(), all.clone());
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                let n = line.read(&mut head).unwrap_or(0);
                let asked = String::from_utf8_lossy(&head[..n]).into_owned();
                let asked = asked.lines().next().unwrap_or_default().to_owned();
                if asked.starts_with("GET /v2/ ") {
                    let _ = line.write_all(b"HTTP/1.1 200 OK\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
                    return;
                }
                all.lock().unwrap().push((asked, line));
            });
        }
    });
    held
}

#[test]
fn a_fetch_that_nobody_wants_any_more_is_called_off() {
    let test = "docker::agent::a_fetch_that_nobody_wants_any_more_is_called_off";
    inside(test, async {
        let engine = Engine::start().await;
        let held = endless_registry();
        let mut site = site(&engine, |_| {});
        let image = container("127.0.0.1:5000/endless:1", &[]);
        site.serve(&image, Health::Off).await;
        site.assign(0, 1, &image).await;
        site.event_where(|it| it.message.contains("endless:1 is being fetched"))
            .await;
        stage::wait("the engine to ask for it", || {
            !held.lock().unwrap().is_empty()
        })
        .await;
        site.unassign(0, 1, &image).await;
        site.no_instance(0, 1).await;
        // The engine hangs up: it fetches no more.
        stage::wait("the engine to hang up", || {
            held.lock().unwrap().iter().all(|(_, line)| {
                line.set_nonblocking(true).unwrap();
                matches!(line.peek(&mut [0; 1]), Ok(0))
            })
        })
        .await;
    });
}
