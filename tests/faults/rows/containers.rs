//! Containers on two machines, each with an engine of its own: one is killed, and one machine is cut off with its engine running.

use crate::engine::{self, Engine};
use crate::figures::{Figure, measure};
use crate::network::Cut;
use crate::stage::{Cast, LEDGER, Stage};
use crate::support::clock::{now, until};

const IMAGE: &str = "test/library:1";

fn service(stage: &Stage) -> String {
    format!(
        "image = \"{IMAGE}\"\nport = 8080\ninit = true\nreplicas = 2\nroutes = [\"*\"]\n\
         env = {{ LEDGER = \"/orders/{LEDGER}\" }}\nvolumes = {{ \"/orders\" = \"orders\" }}\n\
         stop = {{ drain = \"2s\", grace = \"1s\" }}\nupdate = {{ healthy = \"1s\" }}\n{}",
        stage.checks()
    )
}

#[test]
fn a_container_that_dies_and_a_machine_of_containers_that_is_cut_off_cost_no_request() {
    if !engine::is_here() {
        return;
    }
    measure("containers on two machines", |timers| {
        let cast = Cast {
            members: 1,
            control: 1,
            gateways: 1,
            nodes: 2,
        };
        let mut stage = Stage::make(cast, timers);
        let folder = tempfile::tempdir().unwrap();
        let tar = engine::packed(folder.path());
        let engines: Vec<Engine> = stage
            .nodes
            .iter()
            .map(|node| {
                let engine = Engine::start(&node.host);
                engine.image(&tar, IMAGE);
                node.run_images(&engine.socket(), &stage.ledger());
                engine
            })
            .collect();
        stage.begin();
        stage.control[0].write("app", &service(&stage));
        stage.wait_ok(2);
        let spread = || {
            engines
                .iter()
                .map(|it| it.running().len())
                .collect::<Vec<_>>()
        };
        assert_eq!(spread(), [1, 1]);
        let mut counters: Vec<_> = engines.iter().map(Engine::counter).collect();
        let record = stage.record_by(move || counters.iter_mut().map(|it| it()).collect());
        let load = stage.load(0);
        load.wait_for(100);

        // One container is killed; its own agent starts it again.
        let (victim, began) = (engines[0].running()[0].clone(), now());
        engines[0].docker(&["kill", &victim]);
        until("it to be started again", || {
            let running = engines[0].running();
            (running.len() == 1 && running[0] != victim).then_some(())
        });
        let started = began.elapsed();
        stage.wait_ok(2);
        let whole = began.elapsed();
        load.wait_for(100);

        // The other machine is cut off from everybody: its engine and its container go on there.
        let others: Vec<_> = (stage.control.iter().chain(&stage.gateways))
            .map(|it| it.host.clone())
            .chain(stage.store.hosts().iter().cloned())
            .collect();
        let (cut, began) = (&stage.nodes[1].host, now());
        others.iter().for_each(|it| cut.cut_from(it, Cut::Drop));
        until("both to run on the machine that is left", || {
            (engines[0].running().len() == 2).then_some(())
        });
        stage.wait_ok(2);
        let elsewhere = began.elapsed();
        assert_eq!(engines[1].running().len(), 1, "nobody there could know");
        load.wait_for(100);
        let began = now();
        cut.heal();
        until("the old container to end", || {
            engines[1].running().is_empty().then_some(())
        });
        let ended = began.elapsed();
        stage.wait_ok(2);
        load.wait_for(100);
        let report = load.stop();
        let judged = stage.judge_beside(&[1], record, 1);
        report.nothing_failed();
        assert_eq!(spread(), [2, 0]);
        drop(stage);
        judged.beside(vec![
            ("killed, started again", Figure::Time(started)),
            ("killed, whole again", Figure::Time(whole)),
            ("cut off, whole elsewhere", Figure::Time(elsewhere)),
            ("healed, the old one ended", Figure::Time(ended)),
            ("failed", Figure::Count(report.failed)),
        ])
    });
}
