//! Images: a registry with a password, digests, and a disk that fills up; and what is left behind.

use super::*;
use crate::docker::registry::{Access, Registry};
use crate::docker::stage::{inside, inside_with};
use minato_config::{Generation, Pull, Reaping, RuntimeSettings};
use minato_control_agent::runtime::{Runtime, RuntimeError, Signal};
use minato_health::Phase;
use std::collections::BTreeSet;

const PASSWORD: &str = "sesame-4711";

/// Debian's registry on loopback, which wants a password.
async fn registry() -> Registry {
    let users = std::process::Command::new("htpasswd")
        .args(["-Bbn", "ann", PASSWORD])
        .output()
        .unwrap();
    Registry::start(Access::Users(users.stdout)).await
}

fn name(counter: u64, run: u64) -> RunName {
    RunName {
        generation: Generation { era: 0, counter },
        ..run_name(0, 1, run)
    }
}

/// Fetches and starts, as an agent does.
async fn start(runtime: &DockerRuntime, order: &RunOrder) -> Result<(), RuntimeError> {
    runtime.prepare(order).await?;
    runtime.start(order).await.map(|_| ())
}

/// Ends a run, and waits for that.
async fn stop(runtime: &DockerRuntime, run: &RunName) {
    runtime.signal(run, Signal::Kill).await.unwrap();
    tokio::time::timeout(PATIENCE, runtime.ended(run))
        .await
        .expect("it does not end");
}

fn told(events: &mut mpsc::Receiver<Event>) -> String {
    let mut all = String::new();
    while let Ok(event) = events.try_recv() {
        all.push_str(&format!("{event}\n"));
    }
    all
}

#[test]
fn a_registry_with_a_password() {
    let also = [
        ("docker-registry", "docker-registry"),
        ("htpasswd", "apache2-utils"),
    ];
    inside_with(&also, "docker::images::a_registry_with_a_password", async {
        let engine = Engine::start().await;
        let mut registry = registry().await;
        let folder = Folder::new();
        let remote = "127.0.0.1:5000/team/library";
        let client = engine.folder.path().join("client/config.json");
        engine.docker(&["login", "-u", "ann", "-p", PASSWORD, "127.0.0.1:5000"]);
        let publish = |tag: &str| {
            let name = format!("{remote}:{tag}");
            engine.image(&[&name]);
            engine.docker(&["push", "-q", &name]);
            let digest = engine.inspect(&name, "{{index .RepoDigests 0}}");
            engine.docker(&["rmi", "-f", &name]);
            digest
        };
        let first = publish("1");
        let moving = publish("latest");
        assert_ne!(first, moving);
        let of = |reference: &str, counter, run| {
            order(name(counter, run), container(reference, &[]), 23_001)
        };
        let tagged = format!("{remote}:1");

        // Without a login, with a wrong one, with a file that is none: told, and started nowhere.
        let mut options = options(&engine, &folder.path());
        let refused = async |options: &DockerOptions, reference: &str| {
            let (runtime, _events) = open(options.clone());
            start(&runtime, &of(reference, 1, 1))
                .await
                .unwrap_err()
                .to_string()
        };
        let why = refused(&options, &tagged).await;
        assert!(
            why.contains("127.0.0.1:5000 wants a login")
                && why.contains("`logins` in [agent.docker]"),
            "{why}"
        );
        let wrong = folder.path().join("wrong.json");
        std::fs::write(
            &wrong,
            r#"{"auths":{"127.0.0.1:5000":{"username":"ann","password":"guessed"}}}"#,
        )
        .unwrap();
        options.settings.logins = Some(wrong);
        let why = refused(&options, &tagged).await;
        assert!(
            why.contains("refuses this login") && !why.contains("guessed"),
            "{why}"
        );
        options.settings.logins = Some(folder.path().join("none.json"));
        let why = refused(&options, &tagged).await;
        assert!(why.contains("cannot be read"), "{why}");
        options.settings.logins = Some(client);
        let why = refused(&options, &format!("{remote}:none")).await;
        assert!(
            why.contains("has no such image: check name and tag"),
            "{why}"
        );

        // With the login: fetched, resolved, and labelled by its digest.
        let (runtime, mut events) = open(options.clone());
        start(&runtime, &of(&tagged, 1, 1)).await.unwrap();
        let label = |engine: &Engine, run: &str| {
            let container = format!("minato.local.here.library.0.{run}");
            engine.inspect(&container, "{{index .Config.Labels \"minato.image\"}}")
        };
        let digest = first.split_once('@').unwrap().1.to_owned();
        assert_eq!(label(&engine, "0.1.1"), digest);
        let all = told(&mut events);
        assert!(
            all.contains("is being fetched")
                && all.contains(&format!("{tagged} is {digest}, fetched in")),
            "{all}"
        );
        assert!(!all.contains(PASSWORD));

        // The tag means another image now: the same assignment stays with its own, the next one by digest is exact.
        stop(&runtime, &name(1, 1)).await;
        let second = publish("1");
        assert_ne!(first, second);
        start(&runtime, &of(&tagged, 1, 2)).await.unwrap();
        assert_eq!(
            label(&engine, "0.1.2"),
            digest,
            "a restart changed the version"
        );
        stop(&runtime, &name(1, 2)).await;
        start(&runtime, &of(&second, 2, 1)).await.unwrap();
        assert_eq!(format!("{remote}@{}", label(&engine, "0.2.1")), second);
        stop(&runtime, &name(2, 1)).await;
        let latest = || of(remote, 3, 1);
        start(&runtime, &latest()).await.unwrap();
        assert_eq!(format!("{remote}@{}", label(&engine, "0.3.1")), moving);
        stop(&runtime, &name(3, 1)).await;

        // A registry that is away: what is here serves, what is not is told.
        registry.kill();
        told(&mut events);
        start(&runtime, &of(remote, 4, 1)).await.unwrap();
        let all = told(&mut events);
        assert!(
            all.contains("does not answer") && all.contains("the one that this node has is used"),
            "{all}"
        );
        stop(&runtime, &name(4, 1)).await;
        let why = start(&runtime, &of(&format!("{remote}:3"), 5, 1))
            .await
            .unwrap_err()
            .to_string();
        assert!(why.contains("127.0.0.1:5000 does not answer"), "{why}");
        let mut never = of(&format!("{remote}:3"), 5, 1);
        never.command.image.as_mut().unwrap().pull = Pull::Never;
        let why = start(&runtime, &never).await.unwrap_err().to_string();
        assert!(why.contains("docker load"), "{why}");
    });
}

#[test]
fn a_disk_that_fills_up() {
    let also = [
        ("docker-registry", "docker-registry"),
        ("htpasswd", "apache2-utils"),
    ];
    inside_with(&also, "docker::images::a_disk_that_fills_up", async {
        let engine = Engine::start().await;
        let _registry = registry().await;
        let folder = Folder::new();
        engine.docker(&["login", "-u", "ann", "-p", PASSWORD, "127.0.0.1:5000"]);
        let remote = |tag: u64| format!("127.0.0.1:5000/library:{tag}");
        for tag in 1..=5 {
            engine.image(&[&remote(tag)]);
            engine.docker(&["push", "-q", &remote(tag)]);
            engine.docker(&["rmi", "-f", &remote(tag)]);
        }
        engine.image(&["theirs:1"]);
        let mut options = options(&engine, &folder.path());
        options.settings.logins = Some(engine.folder.path().join("client/config.json"));
        let (runtime, mut events) = open(options.clone());
        let of = |tag: u64| order(name(tag, 1), container(&remote(tag), &[]), 23_001);
        for tag in 1..=4 {
            start(&runtime, &of(tag)).await.unwrap();
            stop(&runtime, &name(tag, 1)).await;
        }
        for tag in 2..=3 {
            runtime.remove(&name(tag, 1)).await.unwrap();
        }
        engine.docker(&["tag", &remote(2), "named-by-a-person:1"]);
        let images = || {
            let all = engine.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
            let mut all: Vec<String> = all.lines().map(str::to_owned).collect();
            all.sort();
            all.into_iter()
                .map(|it| it.replace("127.0.0.1:5000/library:", ""))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(images(), "1 2 3 4 named-by-a-person:1 theirs:1");
        // 1 has a container still, 2 a name by somebody else, 3 and 4 are the newest two.
        runtime.tidy().await;
        assert_eq!(images(), "1 2 3 4 named-by-a-person:1 theirs:1");

        // No room: what is old, ours and unused goes first; then the fetch is refused, and says what to do.
        drop(runtime);
        options.settings.free_bytes = 1 << 60;
        let (runtime, mut more) = open(options.clone());
        let why = start(&runtime, &of(5)).await.unwrap_err().to_string();
        assert!(
            why.contains("MiB are free at")
                && why.contains("`free_space` in [agent.docker]; make room"),
            "{why}"
        );
        assert_eq!(images(), "1 2 4 named-by-a-person:1 theirs:1");
        assert!(told(&mut more).contains("removed the image 127.0.0.1:5000/library:3"));
        // What is here starts nevertheless.
        start(
            &runtime,
            &order(name(6, 1), container(&remote(4), &[]), 23_001),
        )
        .await
        .unwrap();
        stop(&runtime, &name(6, 1)).await;
        runtime.tidy().await;
        assert!(told(&mut more).contains("no image is fetched"));
        told(&mut events);

        // As a rehearsal only.
        drop(runtime);
        options.settings.free_bytes = 0;
        options.settings.reap = Reaping::Report;
        let (runtime, mut more) = open(options);
        for run in [name(1, 1), name(4, 1), name(6, 1)] {
            runtime.remove(&run).await.unwrap();
        }
        for tag in [5, 3] {
            start(&runtime, &of(tag)).await.unwrap();
            stop(&runtime, &name(tag, 1)).await;
            runtime.remove(&name(tag, 1)).await.unwrap();
        }
        let before = images();
        runtime.tidy().await;
        assert!(told(&mut more).contains("would remove the image 127.0.0.1:5000/library:1"));
        assert_eq!(images(), before);
    });
}

#[test]
fn what_an_agent_left_behind_ends_only_where_a_document_allows_it() {
    let test = "docker::images::what_an_agent_left_behind_ends_only_where_a_document_allows_it";
    inside(test, async {
        let engine = Engine::start().await;
        engine.image(&["test/program:1"]);
        let folder = Folder::new();
        let (runtime, _events) = open(options(&engine, &folder.path()));
        let of = |slot: u16, run| {
            let name = run_name(slot, 1, run);
            order(name, container("test/program:1", &[]), 23_001 + slot)
        };
        runtime.start(&of(0, 1)).await.unwrap();
        runtime.start(&of(1, 1)).await.unwrap();
        engine.docker(&[
            "run",
            "-d",
            "--name",
            "theirs",
            "test/program:1",
            "/program",
            "sleep",
        ]);
        let known = BTreeSet::from([run_name(0, 1, 1)]);
        let strays = runtime.strays(&known).await;
        let [stray] = strays.as_slice() else {
            panic!("{strays:?}")
        };
        assert!(stray.lives && stray.run == run_name(1, 1, 1));
        runtime.reap(&stray.run).await.unwrap();
        assert_eq!(runtime.strays(&known).await, []);

        // A start looks before it acts: an older run that still lives makes way, a newer one does not, the same one is taken.
        let (second, _events) = open(options(&engine, &folder.path()));
        let again = second.start(&of(0, 1)).await.unwrap();
        let pid = engine.inspect("minato.local.here.library.0.0.1.1", "{{.State.Pid}}");
        assert_eq!(again.pid.to_string(), pid, "the same run was started twice");
        second.start(&of(0, 2)).await.unwrap();
        let error = second.start(&of(0, 1)).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("the newer run library.0.0.1.2 lives"),
            "{error}"
        );
        let mut lives: Vec<String> = engine
            .docker(&["ps", "--format", "{{.Names}}"])
            .lines()
            .map(str::to_owned)
            .collect();
        lives.sort();
        assert_eq!(lives, ["minato.local.here.library.0.0.1.2", "theirs"]);
    });
}

/// The base system comes from Debian's archive, which takes a while: `make test-image`.
#[test]
#[ignore = "fetches a Debian from the archive: make test-image"]
fn a_debian_image_serves() {
    let tar = std::env::temp_dir().join(format!(
        "minato-debian-{}.tar",
        rustix::process::geteuid().as_raw()
    ));
    if !tar.exists() {
        let made = std::process::Command::new("mmdebstrap")
            .args(["--variant=minbase", "--include=python3", "bookworm"])
            .arg(&tar)
            .status()
            .unwrap();
        assert!(made.success());
    }
    inside("docker::images::a_debian_image_serves", async {
        let engine = Engine::start().await;
        let tar = std::env::temp_dir().join(format!(
            "minato-debian-{}.tar",
            rustix::process::geteuid().as_raw()
        ));
        engine.docker(&["import", tar.to_str().unwrap(), "debian:test"]);
        let mut site = Site::with(|it| {
            it.runtime = RuntimeSettings::Docker(Box::new(DockerSettings {
                socket: engine.socket(),
                free_bytes: 0,
                ..Default::default()
            }));
        });
        let mut command = container("debian:test", &["python3", "-m", "http.server", "{port}"]);
        command.directory = Some("/etc".to_owned());
        command.image.as_mut().unwrap().user = Some("www-data".to_owned());
        site.serve(&command, probed()).await;
        site.assign(0, 1, &command).await;
        let up = site
            .instance_until(0, 1, "a run", |it| it.phase == Phase::Running)
            .await;
        assert!(
            get_until(up.address, "/debian_version")
                .await
                .starts_with("12")
        );
        site.event_where(|it| it.message.contains("was started"))
            .await;
        let log = site.options.data.join("logs/library.0.log");
        until("its log", || {
            std::fs::read_to_string(&log)
                .ok()?
                .contains("GET /debian_version")
                .then_some(())
        })
        .await;
    });
}
