//! A store that asks for users: every machine has the one that docs/etcd.md gives it, and can do its work with it.

use crate::figures::{Figure, measure};
use crate::stage::{Cast, Stage};
use crate::support::clock::{now, until};
use crate::support::processes::{is_alive, signal};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

const SECRET: &str = "correct horse battery";

/// The commands of the manual for these machines; only the first may lead.
fn commands(names: &[&str]) -> Vec<Vec<String>> {
    let text = include_str!("../../../docs/etcd.md");
    let block = text.split("```sh\n").nth(1).unwrap();
    let block = block.split("```").next().unwrap();
    let lines = || block.lines().filter(|it| it.starts_with("etcdctl "));
    let mut all = Vec::new();
    for (index, name) in names.iter().enumerate() {
        for line in lines() {
            let own = line.contains("node1");
            let leads = line.contains("grant-role") && line.ends_with("tokyo-control");
            if index > 0 && (!own || leads) {
                continue;
            }
            let line = line.replace("node1", name).replace("/tokyo/", "/local/");
            let words = line.split_whitespace().skip(1);
            all.push(words.map(|it| it.replace("PASSWORD", SECRET)).collect());
        }
    }
    all
}

#[test]
fn every_machine_does_its_work_as_the_user_that_the_manual_gives_it() {
    measure("etcd's users and roles", |timers| {
        let cast = Cast {
            members: 1,
            control: 1,
            gateways: 1,
            nodes: 2,
        };
        let mut stage = Stage::make(cast, timers);
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("password");
        fs::write(&password, SECRET).unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
        let machines = (stage.control.iter())
            .chain(&stage.gateways)
            .chain(&stage.nodes);
        let mut names = Vec::new();
        for it in machines {
            let name = it.host.name.as_str();
            let user = format!(
                "user = \"{name}\"\npassword_file = \"{}\"\netcd = [",
                password.display()
            );
            it.set("etcd = [", &user);
            names.push(name);
        }
        let commands = commands(&names);
        stage.store.guard(&commands);
        stage.begin();
        let began = now();
        stage.open(2);
        let opened = began.elapsed();
        let record = stage.record();
        let load = stage.load(0);
        load.wait_for(50);

        // What each of the roles does: restarts, verdicts and loads; numbers, drains, spreading, a new version, a wave.
        let victim = u32::try_from(stage.pids()[0]).unwrap();
        signal(victim, Signal::KILL);
        until("it to be another process", || {
            let pids = stage.pids();
            let changed = !is_alive(victim) && pids.len() == 2;
            (changed && !pids.contains(&u64::from(victim))).then_some(())
        });
        stage.wait_ok(2);
        let control = &stage.control[0];
        control.type_in(&["scale", "app", "3"]);
        stage.wait_ok(3);
        let node = stage.nodes[1].host.name.clone();
        control.type_in(&["node", "drain", &node]);
        until("the node to be empty", || {
            (stage.processes(1) == 0).then_some(())
        });
        control.type_in(&["node", "undrain", &node]);
        control.type_in(&["rebalance"]);
        stage.wait_ok(3);
        let before = stage.pids();
        control.type_in(&["wave", "--services", "app", "--restart"]);
        stage.wait_ok(3);
        let after = stage.pids();
        assert!(
            after.iter().all(|it| !before.contains(it)),
            "{before:?} {after:?}"
        );
        load.wait_for(50);
        let report = load.stop();
        report.nothing_failed();
        let judged = stage.judge(record, 1);

        // All of that was written, and nobody was refused anything.
        for prefix in [
            "nodes/",
            "instances/",
            "verdicts/",
            "slots/",
            "intents/",
            "drains/",
            "operations/",
        ] {
            assert!(!stage.store.list(prefix).is_empty(), "nothing at {prefix}");
        }
        let machines = (stage.control.iter())
            .chain(&stage.gateways)
            .chain(&stage.nodes);
        for it in machines {
            let log = it.log_text();
            let refused: Vec<&str> = (log.lines())
                .filter(|it| it.contains("permission denied"))
                .collect();
            assert!(refused.is_empty(), "{}: {refused:#?}", it.host.name);
        }
        judged.beside(vec![
            ("two instances up", Figure::Time(opened)),
            ("failed", Figure::Count(report.failed)),
        ])
    });
}
