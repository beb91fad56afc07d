//! Row 8: the leading process is frozen past its lease, another leads, the first one wakes. A thousand times with orders held half way:
//! `control/server/tests/two_leaders.rs`.

use crate::figures::{Figure, measure};
use crate::stage::{Cast, Stage};
use crate::support::clock::{now, until};
use rustix::process::Signal;
use std::time::Duration;

#[test]
fn a_leader_that_was_frozen_wakes_and_is_not_obeyed() {
    measure("row 8, the leader frozen past its lease", |timers| {
        let cast = Cast {
            members: 1,
            control: 2,
            gateways: 2,
            nodes: 2,
        };
        let stage = Stage::build(cast, timers);
        stage.open(2);
        let record = stage.record();
        let load = stage.load(0);
        let mut taken_over = Duration::ZERO;
        for replicas in [3, 2] {
            let leads = || {
                let all = stage.store.list("leader");
                let (_, record) = all.first()?;
                stage
                    .control
                    .iter()
                    .position(|it| record.contains(&format!("\"node\":\"{}\"", it.host.name)))
            };
            let old = until("one to lead", leads);
            stage.control[old].signal(Signal::STOP);
            let began = now();
            until("the other to lead", || leads().filter(|it| *it != old));
            taken_over = taken_over.max(began.elapsed());
            stage.control[1 - old].type_in(&["scale", "app", &replicas.to_string()]);
            stage.wait_ok(replicas);
            let slots = || {
                let mut all = stage.store.list("slots/");
                all.retain(|(_, slot)| !slot.contains("\"removed\":true"));
                all
            };
            let before = slots();
            stage.control[old].signal(Signal::CONT);
            // It wakes within its work, and learns that it does not lead any more.
            stage.control[old].wait_event("that it does not lead any more", |it| {
                it.kind == "leader" && it.message.contains("no longer leads")
            });
            assert_eq!(slots(), before, "the one that woke has written");
        }
        let report = load.stop();
        let judged = stage.judge(record, 1);
        report.nothing_failed();
        judged.beside(vec![
            ("another leads", Figure::Time(taken_over)),
            ("failed", Figure::Count(report.failed)),
        ])
    });
}
