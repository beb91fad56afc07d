//! The store is away for long, under load. Gateways serve on, restart without it, also with a table that is days old; agents restart what dies.

use crate::figures::{Figure, Timers, measure};
use crate::machine::Machine;
use crate::stage::{Cast, Stage};
use crate::support::clock::{now, until};
use crate::support::http::get;
use crate::support::processes::signal;
use rustix::process::Signal;
use std::process::Command;
use std::time::Duration;

const HOST: &str = "faults.test";
/// What a gateway saved before it was switched off for so long is served.
const DAYS: &str = "+9d";

/// How long the store is away.
fn away(timers: Timers) -> Duration {
    match timers {
        Timers::Short => Duration::from_secs(10),
        Timers::Default => Duration::from_secs(600),
    }
}

/// Until it serves the page from what it has on disk.
fn serves(gateway: &Machine, stage: &Stage) {
    let address = gateway.gateway();
    stage.client.inside(|| {
        until("the gateway to serve from its disk", || {
            let answer = get(address, HOST, "/page").ok()?;
            (answer.status == 200 && answer.text() == "the page").then_some(())
        });
    });
}

#[test]
fn the_store_is_away_for_long_and_everything_serves_and_restarts_without_it() {
    let has = Command::new("faketime").arg("--version").output().is_ok();
    if !has {
        minato_skip::skip("no faketime: apt-get install faketime");
        return;
    }
    measure("the store away, under load", |timers| {
        let cast = Cast {
            members: 3,
            control: 1,
            gateways: 3,
            nodes: 2,
        };
        let mut stage = Stage::build(cast, timers);
        stage.open(4);
        let pids = stage.pids();
        let record = stage.record();
        let load = stage.load(0);
        load.wait_for(50);
        stage.store.signal(Signal::STOP);
        let began = now();

        // What dies is restarted by its own agent.
        let died = u32::try_from(pids[0]).unwrap();
        let living = |stage: &Stage| stage.processes(0) + stage.processes(1);
        signal(died, Signal::KILL);
        until("a new run in its place", || {
            let is_gone = !crate::support::processes::is_alive(died);
            (is_gone && living(&stage) == 4).then_some(())
        });
        let again = began.elapsed();

        // One gateway is restarted at once, another as if it had been off for days.
        let restarted = now();
        stage.gateways[1].crash();
        stage.gateways[1].start();
        serves(&stage.gateways[1], &stage);
        let restarted = restarted.elapsed();
        stage.gateways[2].crash();
        stage.gateways[2].wrap(&["faketime", "-f", DAYS]);
        let aged = now();
        stage.gateways[2].start();
        serves(&stage.gateways[2], &stage);
        let aged = aged.elapsed();
        let loads = [stage.load(1), stage.load(2)];
        Stage::let_pass(began, away(timers));
        for load in &loads {
            load.wait_for(50);
        }
        load.wait_for(50);
        let length = began.elapsed();

        stage.store.signal(Signal::CONT);
        let thawed = now();
        stage.control[0].type_in(&["scale", "app", "5"]);
        stage.gateways[0].wait_ok("app", 5);
        let obeyed = thawed.elapsed();
        let (mut sent, mut failed) = (0, 0);
        for load in loads.into_iter().chain([load]) {
            let report = load.stop();
            report.nothing_failed();
            sent += report.sent;
            failed += report.failed;
        }
        let now_pids = stage.pids();
        assert!(
            pids[1..].iter().all(|it| now_pids.contains(it)),
            "{pids:?} became {now_pids:?}"
        );
        let judged = stage.judge(record, 1);
        judged.beside(vec![
            ("away", Figure::Time(length)),
            ("what died runs again", Figure::Time(again)),
            ("a restarted gateway serves", Figure::Time(restarted)),
            (
                "one whose table is nine days old serves",
                Figure::Time(aged),
            ),
            ("orders obeyed again", Figure::Time(obeyed)),
            ("requests", Figure::Count(sent)),
            ("failed", Figure::Count(failed)),
        ])
    });
}
