//! A machine that came later takes its part when it is asked for, and nobody notices.

use crate::figures::{Figure, measure};
use crate::stage::{Cast, Stage};
use crate::support::clock::{now, until};

const TWO: Cast = Cast {
    members: 3,
    control: 1,
    gateways: 1,
    nodes: 2,
};

#[test]
fn a_rebalance_spreads_what_is_crowded_and_ends_and_a_second_one_moves_nothing() {
    measure("a rebalance", |timers| {
        let stage = Stage::build(TWO, timers);
        let control = &stage.control[0];
        let node = stage.nodes[1].host.name.clone();
        control.type_in(&["node", "drain", &node]);
        stage.open(4);
        control.type_in(&["node", "undrain", &node]);
        assert_eq!((stage.processes(0), stage.processes(1)), (4, 0));
        let planned = control.type_in(&["rebalance", "--dry-run"]);
        assert_eq!(planned.matches("would move: app/").count(), 2, "{planned}");
        let record = stage.record();
        let load = stage.load(0);
        load.wait_for(100);
        let began = now();
        control.type_in(&["rebalance", "app"]);
        let ended = began.elapsed();
        until("two on each", || {
            ((stage.processes(0), stage.processes(1)) == (2, 2)).then_some(())
        });
        stage.wait_ok(4);
        let pids = stage.pids();
        control.type_in(&["rebalance"]);
        assert_eq!(stage.pids(), pids, "a second request moved something");
        load.wait_for(100);
        let report = load.stop();
        let judged = stage.judge(record, 1);
        report.nothing_failed();
        judged.beside(vec![
            ("ended", Figure::Time(ended)),
            ("failed", Figure::Count(report.failed)),
            ("requests", Figure::Count(report.sent)),
        ])
    });
}
