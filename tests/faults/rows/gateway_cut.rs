//! Row 4: one gateway of three is cut from the instances. It alone cannot turn them to stopped.

use crate::figures::{Figure, measure};
use crate::network::Cut;
use crate::stage::{Cast, Stage};
use crate::support::clock::{now, until};

#[test]
fn one_gateway_of_three_that_sees_nothing_stops_nothing() {
    measure("row 4, one gateway of three cut off", |timers| {
        let cast = Cast {
            members: 1,
            control: 1,
            gateways: 3,
            nodes: 2,
        };
        let stage = Stage::build(cast, timers);
        stage.open(2);
        let pids = stage.pids();
        let record = stage.record();
        let loads = [stage.load(0), stage.load(1)];
        let began = now();
        for node in &stage.nodes {
            stage.gateways[2].host.cut_from(&node.host, Cut::Drop);
        }
        let reported = until("its verdicts in the store", || {
            let verdicts = stage.store.list("verdicts/gateway-3/app/");
            let down = verdicts
                .iter()
                .filter(|(_, it)| it.contains("\"verdict\":\"down\""));
            (down.count() >= 1).then(|| began.elapsed())
        });
        // Long enough for every rule that restarts or moves to act, were it to.
        let since = now();
        Stage::let_pass(since, stage.lease() * 3);
        let seen = stage.control[0].service("app");
        assert_eq!(
            (&seen["state"], &seen["up"]),
            (&"degraded".into(), &2.into()),
            "{seen:#}"
        );
        let detail = seen["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("2 of 2 up") && detail.contains("down for gateway gateway-3"),
            "{detail}"
        );
        let mut failed = 0;
        for load in loads {
            load.wait_for(50);
            let report = load.stop();
            report.nothing_failed();
            failed += report.failed;
        }
        assert_eq!(stage.pids(), pids, "an instance was replaced");
        let healed = now();
        stage.gateways[2].host.heal();
        stage.gateways[2].wait_ok("app", 2);
        let back = healed.elapsed();
        let judged = stage.judge(record, 1);
        judged.beside(vec![
            ("its verdicts reported", Figure::Time(reported)),
            ("it serves again after healing", Figure::Time(back)),
            ("failed at the others", Figure::Count(failed)),
        ])
    });
}

#[test]
fn gateways_that_join_and_have_seen_nothing_yet_stop_nothing() {
    measure("two gateways join one", |timers| {
        let cast = Cast {
            members: 1,
            control: 1,
            gateways: 3,
            nodes: 2,
        };
        let mut stage = Stage::build(cast, timers);
        stage.open(4);
        let pids = stage.pids();
        let load = stage.load(0);
        for gateway in &mut stage.gateways[1..] {
            gateway.crash();
            gateway.forget();
        }
        until("their leases to end", || {
            let alive = stage.store.list("gateways/");
            (alive.len() == 1).then_some(())
        });
        let began = now();
        stage.gateways[1..].iter_mut().for_each(|it| it.start());
        stage.gateways[1..].iter().for_each(|it| it.wait());
        stage.wait_ok(4);
        let joined = began.elapsed();
        load.wait_for(100);
        let report = load.stop();
        report.nothing_failed();
        assert_eq!(stage.pids(), pids, "an instance was replaced");
        vec![
            ("both serve all", Figure::Time(joined)),
            ("failed", Figure::Count(report.failed)),
        ]
    });
}
