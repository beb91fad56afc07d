//! Row 15: a machine whose clock is ten minutes off. It is named; leases and instances do not care.

use crate::figures::{Figure, measure};
use crate::stage::{Cast, Stage};
use crate::support::clock::now;
use std::process::Command;

#[test]
fn a_clock_ten_minutes_off_is_named_and_changes_nothing() {
    let has = Command::new("faketime").arg("--version").output().is_ok();
    if !has {
        minato_skip::skip("no faketime: apt-get install faketime");
        return;
    }
    measure("row 15, a clock ten minutes off", |timers| {
        let cast = Cast {
            members: 1,
            control: 1,
            gateways: 1,
            nodes: 2,
        };
        let mut stage = Stage::build(cast, timers);
        stage.open(2);
        let pids = stage.pids();
        let record = stage.record();
        let load = stage.load(0);
        let began = now();
        stage.nodes[0].crash();
        stage.nodes[0].wrap(&["faketime", "-f", "+600s"]);
        stage.nodes[0].start();
        let name = stage.nodes[0].host.name.clone();
        let told = stage.control[0].wait_event("the wrong clock", |it| {
            it.message.contains(&name) && it.message.contains("clock")
        });
        let named = began.elapsed();
        assert!(told.message.contains("s ahead of"), "{told:?}");
        stage.wait_ok(2);
        load.wait_for(200);
        let report = load.stop();
        let judged = stage.judge(record, 1);
        report.nothing_failed();
        assert_eq!(stage.pids(), pids, "an instance was replaced");
        judged.beside(vec![
            ("named", Figure::Time(named)),
            ("failed", Figure::Count(report.failed)),
        ])
    });
}
