//! A machine is gone, whole: what it had comes up elsewhere; and what is only out of sight stays.

use crate::figures::{Figure, measure};
use crate::history::moved_away;
use crate::network::Cut;
use crate::stage::{Cast, Stage};
use crate::support::clock::{now, until};

const THREE: Cast = Cast {
    members: 3,
    control: 1,
    gateways: 2,
    nodes: 3,
};

#[test]
fn a_machine_that_loses_its_power_is_replaced_by_the_others() {
    measure("row 1, a node without power", |timers| {
        let mut stage = Stage::build(THREE, timers);
        stage.open(3);
        let record = stage.record();
        let load = stage.load(0);
        load.wait_for(100);
        let lost = stage.nodes[0].host.name.clone();
        let began = now();
        stage.nodes[0].power_off();
        stage.control[0].wait_event("the loss", |it| {
            it.message.contains(&format!("node {lost} is lost"))
        });
        stage.wait_ok(3);
        load.wait_for(100);
        let report = load.stop();
        let judged = stage.judge(record, 1);
        report.nothing_failed();
        let (detected, recovered) = moved_away(&judged.looks[0], &lost, began).unwrap();
        let explained = stage.control[0].type_in(&["explain", "app"]);
        assert!(
            !explained.contains(&format!("on node {lost}")),
            "{explained}"
        );
        judged.beside(vec![
            ("detected", Figure::Time(detected)),
            ("whole again", Figure::Time(recovered)),
            ("failed", Figure::Count(report.failed)),
            ("requests", Figure::Count(report.sent)),
        ])
    });
}

#[test]
fn a_machine_that_control_cannot_see_and_gateways_can_is_left_alone() {
    measure("rows 3 and 5, a node out of the store's sight", |timers| {
        let stage = Stage::build(THREE, timers);
        stage.open(3);
        let pids = stage.pids();
        let record = stage.record();
        let load = stage.load(0);
        for member in stage.store.hosts() {
            stage.nodes[0].host.cut_from(member, Cut::Drop);
        }
        let began = now();
        let node = stage.nodes[0].host.name.clone();
        until("the lease to end", || {
            let nodes = stage.control[0].json("/v1/nodes");
            let all = nodes["nodes"].as_array()?;
            all.iter()
                .find(|it| it["name"] == node && it["state"] == "gone")
                .map(drop)
        });
        let missed = began.elapsed();
        // Far longer than the grace.
        let patience = now();
        load.wait_for(200);
        Stage::let_pass(patience, stage.lease() + stage.grace() * 2);
        stage.nodes[0].host.heal();
        stage.wait_ok(3);
        let report = load.stop();
        let judged = stage.judge(record, 1);
        report.nothing_failed();
        assert_eq!(stage.pids(), pids, "an instance was replaced");
        judged.beside(vec![
            ("its lease ended", Figure::Time(missed)),
            ("failed", Figure::Count(report.failed)),
        ])
    });
}

#[test]
fn a_drained_machine_is_empty_and_nobody_notices() {
    measure("a drain", |timers| {
        let stage = Stage::build(THREE, timers);
        stage.open(3);
        let record = stage.record();
        let load = stage.load(1);
        let node = stage.nodes[1].host.name.clone();
        assert_eq!(stage.processes(1), 1, "one of three should be there");
        let began = now();
        stage.control[0].type_in(&["node", "drain", &node]);
        until("the machine to be empty", || {
            (stage.processes(1) == 0).then_some(())
        });
        let emptied = began.elapsed();
        stage.wait_ok(3);
        stage.control[0].type_in(&["node", "undrain", &node]);
        let report = load.stop();
        let judged = stage.judge(record, 1);
        report.nothing_failed();
        judged.beside(vec![
            ("empty", Figure::Time(emptied)),
            ("failed", Figure::Count(report.failed)),
        ])
    });
}
