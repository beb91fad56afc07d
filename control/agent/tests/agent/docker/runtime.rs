//! The Docker runtime: the contract, and what only containers do.

use super::*;
use crate::docker::stage::inside;
use minato_config::{Access, Mount, Resources, Secret, SecretForm};
use minato_control_agent::runtime::contract::{Program, Subject, check};
use minato_control_agent::runtime::{Exit, FoundState, Runtime, RuntimeError, Signal};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

fn name(run: u64) -> RunName {
    run_name(0, 1, run)
}

async fn ended(runtime: &DockerRuntime, run: &RunName) -> minato_control_agent::runtime::Ended {
    let ended = tokio::time::timeout(PATIENCE, runtime.ended(run)).await;
    ended.expect("it does not end")
}

#[test]
fn containers_keep_the_contract() {
    inside("docker::runtime::containers_keep_the_contract", async {
        let engine = Engine::start().await;
        engine.image(&["test/program:1"]);
        let folder = Folder::new();
        let subject = Subject {
            open: &|| Arc::new(open(options(&engine, &folder.path())).0),
            order: &|program, name| {
                let mut command = match program {
                    Program::Sleeps => container("test/program:1", &["/program", "sleep"]),
                    Program::Stubborn => container("test/program:1", &["/program", "sleep"]),
                    Program::Fails => container("test/program:1", &["/program", "fail"]),
                    Program::Missing => container("test/program:1", &["/no/such/program"]),
                };
                // Process 1 of a container ignores what it does not handle, and an init tells of a missing program too late.
                if let (Program::Stubborn | Program::Missing, Some(image)) =
                    (program, &mut command.image)
                {
                    image.init = false;
                }
                let port = 23_000 + name.slot.0;
                order(name, command, port)
            },
            output: &|name| {
                let path = format!("logs/{}.{}.log", name.service, name.slot);
                std::fs::read_to_string(folder.path().join(path)).unwrap_or_default()
            },
        };
        check(&subject).await.unwrap();
        let left = engine.docker(&["ps", "-q"]);
        assert_eq!(left, "", "containers run on");
    });
}

#[test]
fn a_container_is_made_as_its_service_says() {
    inside(
        "docker::runtime::a_container_is_made_as_its_service_says",
        async {
            let engine = Engine::start().await;
            engine.image(&["test/program:1"]);
            let folder = Folder::new();
            let secrets = folder.path().join("operators");
            let shared = folder.path().join("shared");
            std::fs::create_dir_all(&secrets).unwrap();
            std::fs::create_dir_all(&shared).unwrap();
            std::fs::write(secrets.join("db"), "open-sesame\n").unwrap();
            std::fs::write(shared.join("note"), "from outside").unwrap();
            let mut options = options(&engine, &folder.path());
            options.settings.secrets = secrets;
            options.settings.volumes = [("data".to_owned(), shared.clone())].into();
            let (runtime, _events) = open(options.clone());
            let mut command = container("test/program:1", &[]);
            command.env = [("VERSION".to_owned(), "7".to_owned())].into();
            let image = command.image.as_mut().unwrap();
            let secret = |as_what| Secret {
                name: "db".to_owned(),
                as_what,
            };
            image.secrets = [
                ("DB".to_owned(), secret(SecretForm::File)),
                ("OPEN".to_owned(), secret(SecretForm::Variable)),
            ]
            .into();
            let mount = |access| Mount {
                volume: "data".to_owned(),
                access,
            };
            image.volumes = [
                ("/data".to_owned(), mount(Access::ReadWrite)),
                ("/fixed".to_owned(), mount(Access::ReadOnly)),
            ]
            .into();
            image.user = Some("1000:1000".to_owned());
            image.resources = Resources {
                cpu_milli: Some(500),
                cpu_limit_milli: Some(1_500),
                memory_bytes: Some(64 << 20),
            };
            std::fs::set_permissions(&shared, std::os::unix::fs::PermissionsExt::from_mode(0o777))
                .unwrap();
            let order = order(name(1), command, 23_001);
            let started = runtime.start(&order).await.unwrap();

            // Both ways lead to it: the port that was given, and the way that needs no engine.
            let published: SocketAddr = "127.0.0.1:23001".parse().unwrap();
            let direct = started
                .address
                .expect("a container on this machine's bridge is reached there");
            assert_eq!(direct.port(), 8080);
            for address in [published, direct] {
                assert_eq!(get_until(address, "/").await, "hello 7");
            }
            let ask = async |path: &str| get(direct, path).await.unwrap();
            assert_eq!(ask("/env/PORT").await, "8080");
            assert_eq!(ask("/env/DB_FILE").await, "/run/secrets/DB");
            assert_eq!(ask("/file/run/secrets/DB").await, "open-sesame\n");
            assert_eq!(ask("/env/DB").await, "unset");
            assert_eq!(ask("/env/OPEN").await, "open-sesame");
            assert_eq!(ask("/file/fixed/note").await, "from outside");
            assert_eq!(ask("/write/data/new").await, "written");
            assert!(ask("/write/fixed/newer").await.contains("Read-only"));
            assert_eq!(
                std::fs::read_to_string(shared.join("new")).unwrap(),
                "written"
            );

            // What the engine tells everyone has no secret but the one that was asked for as a variable.
            let container = "minato.local.here.library.0.0.1.1";
            let told = engine.inspect(container, "{{json .}}");
            assert_eq!(told.matches("open-sesame").count(), 1, "{told}");
            assert!(told.contains("\"OPEN=open-sesame\""));
            for (label, value) in [
                ("site", "local"),
                ("node", "here"),
                ("service", "library"),
                ("slot", "0"),
                ("generation", "0.1"),
                ("run", "1"),
                ("digest", order.digest.as_str()),
                ("port", "23001"),
            ] {
                let format = format!("{{{{index .Config.Labels \"minato.{label}\"}}}}");
                assert_eq!(engine.inspect(container, &format), value, "{label}");
            }
            let limits =
                "{{.HostConfig.CpuShares}} {{.HostConfig.CpuQuota}} {{.HostConfig.Memory}}";
            assert_eq!(
                engine.inspect(container, limits),
                format!("512 150000 {}", 64 << 20)
            );

            // Other limits, same process.
            let more = Resources {
                cpu_milli: Some(2_000),
                cpu_limit_milli: None,
                memory_bytes: Some(96 << 20),
            };
            runtime.adjust(&order.name, more).await.unwrap();
            assert_eq!(
                engine.inspect(container, limits),
                format!("2048 -1 {}", 96 << 20)
            );
            assert_eq!(
                engine.inspect(container, "{{.State.Pid}}"),
                started.pid.to_string()
            );
            runtime
                .adjust(&order.name, Resources::default())
                .await
                .unwrap();
            assert_eq!(
                get(direct, "/eat/80").await.unwrap(),
                format!("{} eaten", 80 << 20)
            );
            let usage = runtime.usage(&order.name).await.unwrap();
            assert!(
                usage.memory_bytes > 80 << 20 && usage.cpu > Duration::ZERO,
                "{usage:?}"
            );
            let error = runtime
                .adjust(
                    &order.name,
                    Resources {
                        memory_bytes: Some(16 << 20),
                        ..more
                    },
                )
                .await
                .unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("changing the resources of library"),
                "{error}"
            );
            assert_eq!(get(direct, "/").await.unwrap(), "hello 7");

            // Another agent adopts it by its labels alone; other minatos' containers are never seen.
            drop(runtime);
            std::fs::remove_dir_all(folder.path().join("containers")).unwrap();
            let (second, _events) = open(options.clone());
            let inventory = second.list().await.unwrap();
            let [found] = inventory.found.as_slice() else {
                panic!("{inventory:?}")
            };
            assert_eq!(found.order, order);
            let same = matches!(found.state, FoundState::Running { pid, address, .. }
            if pid == started.pid && address == started.address);
            assert!(same, "{:?} is not {started:?}", found.state);
            let mut theirs = options.clone();
            theirs.node = NodeId::parse("there").unwrap();
            let other = Folder::new();
            theirs.data = other.path();
            let (foreign, _events) = open(theirs);
            assert_eq!(foreign.list().await.unwrap().found, []);
            assert_eq!(foreign.strays(&BTreeSet::new()).await, []);

            second.signal(&order.name, Signal::Kill).await.unwrap();
            assert_eq!(ended(&second, &order.name).await.exit, Exit::Signal(9));
            let copies = folder.path().join("secrets");
            assert_eq!(
                std::fs::read_dir(copies).unwrap().count(),
                0,
                "secrets outlive their run"
            );
            second.remove(&order.name).await.unwrap();
            assert!(engine.try_docker(&["inspect", container]).is_err());
        },
    );
}

#[test]
fn what_a_node_does_not_allow_or_have_is_refused_with_reason_and_remedy() {
    let test =
        "docker::runtime::what_a_node_does_not_allow_or_have_is_refused_with_reason_and_remedy";
    inside(test, async {
        let engine = Engine::start().await;
        engine.image(&["test/program:1"]);
        let folder = Folder::new();
        let mut options = options(&engine, &folder.path());
        options.settings.secrets = folder.path().join("none");
        options.settings.volumes = [("gone".to_owned(), "/no/such/folder".into())].into();
        options.settings.networks.insert("lost".to_owned());
        let (runtime, _events) = open(options);
        let with = |change: &dyn Fn(&mut Image)| {
            let mut command = container("test/program:1", &[]);
            change(command.image.as_mut().unwrap());
            command
        };
        let mount = |volume: &str| Mount {
            volume: volume.to_owned(),
            access: Access::ReadOnly,
        };
        let secret = |name: &str| Secret {
            name: name.to_owned(),
            as_what: SecretForm::File,
        };
        engine.docker(&[
            "create",
            "--name",
            "minato.local.here.library.0.0.1.20",
            "test/program:1",
        ]);
        let cases = [
            (
                1,
                with(&|it| it.network = "host".to_owned()),
                "network",
                "add it to `networks` in [agent.docker]",
            ),
            (
                2,
                with(&|it| it.network = "lost".to_owned()),
                "network",
                "docker network create",
            ),
            (
                3,
                with(&|it| drop(it.volumes.insert("/x".into(), mount("data")))),
                "volumes",
                "add it below [agent.docker.volumes]",
            ),
            (
                4,
                with(&|it| drop(it.volumes.insert("/x".into(), mount("gone")))),
                "volumes",
                "make that folder",
            ),
            (
                5,
                with(&|it| drop(it.secrets.insert("A".into(), secret("a")))),
                "secrets",
                "write its value to that file",
            ),
            (
                6,
                with(&|it| drop(it.secrets.insert("A".into(), secret("../etc")))),
                "secrets",
                "is no name of a secret",
            ),
            (
                7,
                with(&|it| it.user = Some("nobody-here".to_owned())),
                "user",
                "name one that the image has",
            ),
            (
                8,
                with(&|it| it.reference = ImageReference::parse("test/none:1").unwrap()),
                "image",
                "is not on this node",
            ),
            (
                9,
                Command {
                    argv: vec!["/nothing".into()],
                    ..with(&|it| it.init = false)
                },
                "command",
                "the program is not in the image",
            ),
        ];
        for (run, command, key, remedy) in cases {
            let error = runtime
                .start(&order(name(run), command, 23_001))
                .await
                .unwrap_err();
            let right = matches!(&error, RuntimeError::Field { field, why } if *field == key && why.contains(remedy));
            assert!(right, "{run}: {key}: {error:?}");
        }
        // A port that is taken, and a name that is somebody else's.
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let plain = || container("test/program:1", &[]);
        let error = runtime
            .start(&order(name(10), plain(), port))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, RuntimeError::Port(why) if why.contains("ss -ltnp")),
            "{error:?}"
        );
        let error = runtime
            .start(&order(name(20), plain(), 23_001))
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("is not this minato's; remove it"),
            "{error}"
        );
        let all = engine.docker(&["ps", "-a", "--format", "{{.Names}}"]);
        assert_eq!(
            all, "minato.local.here.library.0.0.1.20",
            "only the foreign one is left"
        );
        let records = std::fs::read_dir(folder.path().join("containers/instances")).unwrap();
        assert_eq!(records.count(), 0, "records of what never was");
    });
}

#[test]
fn what_died_between_two_agents_or_of_memory_is_told_as_it_was() {
    let test = "docker::runtime::what_died_between_two_agents_or_of_memory_is_told_as_it_was";
    inside(test, async {
        let engine = Engine::start().await;
        engine.image(&["test/program:1"]);
        let folder = Folder::new();
        let options = options(&engine, &folder.path());
        let (runtime, mut events) = open(options.clone());
        let mut hungry = container("test/program:1", &[]);
        hungry.image.as_mut().unwrap().resources.memory_bytes = Some(32 << 20);
        let started = runtime
            .start(&order(name(1), hungry, 23_001))
            .await
            .unwrap();
        let address = started.address.unwrap();
        get_until(address, "/").await;
        let _ = get(address, "/eat/64").await;
        let how = ended(&runtime, &name(1)).await;
        assert_eq!(how.exit, Exit::OutOfMemory(Some(32 << 20)), "{how}");
        let told = async {
            loop {
                let event = events.recv().await.unwrap();
                if event.message.contains("reached its limit of memory") {
                    return event;
                }
            }
        };
        let told = tokio::time::timeout(PATIENCE, told).await.unwrap();
        assert!(told.hint.unwrap().contains("resources.memory"));

        // Lines go on where the agent before left off: none twice, none missing.
        let talk = container("test/program:1", &["/program", "talk"]);
        runtime.start(&order(name(2), talk, 23_001)).await.unwrap();
        let log = folder.path().join("logs/library.0.log");
        let lines = || {
            std::fs::read_to_string(&log)
                .unwrap_or_default()
                .lines()
                .filter(|it| it.starts_with("line "))
                .count()
        };
        until("the first lines", || (lines() > 20).then_some(())).await;
        drop(runtime);
        let before = lines();
        let container = "minato.local.here.library.0.0.1.2";
        until("lines that nobody copies", || {
            let all = engine.docker(&["logs", container]);
            (all.lines().count() > before + 50).then_some(())
        })
        .await;
        let (second, _events) = open(options);
        second.list().await.unwrap();
        until("the missing lines", || {
            (lines() > before + 50).then_some(())
        })
        .await;
        engine.docker(&["kill", container]);
        let how = ended(&second, &name(2)).await;
        assert_eq!(how.exit, Exit::Signal(9));
        let text = std::fs::read_to_string(&log).unwrap();
        let numbers: Vec<usize> = text
            .lines()
            .filter_map(|it| it.strip_prefix("line ")?.parse().ok())
            .collect();
        let wanted: Vec<usize> = (0..numbers.len()).collect();
        assert_eq!(numbers, wanted);
        assert_eq!(how.last_output, format!("line {}", numbers.len() - 1));
    });
}
