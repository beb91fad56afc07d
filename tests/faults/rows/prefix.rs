//! Rows 6 and 16: a prefix of the store vanishes; the store is compacted, with deletes, while a gateway is cut off.

use crate::figures::{Figure, measure};
use crate::network::Cut;
use crate::stage::{Cast, Stage};
use crate::support::clock::{now, until};

const CAST: Cast = Cast {
    members: 1,
    control: 1,
    gateways: 2,
    nodes: 2,
};

#[test]
fn a_prefix_that_vanishes_stops_nothing_and_is_told() {
    for prefix in ["services/", "slots/"] {
        measure(&format!("row 16, {prefix} deleted"), |timers| {
            let stage = Stage::build(CAST, timers);
            stage.open(2);
            let pids = stage.pids();
            let record = stage.record();
            let load = stage.load(0);
            let began = now();
            let key = format!("/minato/v1/local/{prefix}");
            stage.store.etcdctl(&["del", "--prefix", &key]);
            // Whoever owns the documents says so: control of its services, an agent of its slots.
            let owner = match prefix {
                "services/" => &stage.control[0],
                _ => &stage.nodes[0],
            };
            let told = owner.wait_event("an alarm", |it| it.kind == "alarm");
            let alarmed = began.elapsed();
            assert!(told.message.contains("vanished"), "{told:?}");
            Stage::let_pass(began, stage.lease() * 2);
            load.wait_for(100);
            let report = load.stop();
            let judged = stage.judge(record, 1);
            report.nothing_failed();
            let living: Vec<u64> = pids
                .iter()
                .copied()
                .filter(|&it| crate::support::processes::is_alive(u32::try_from(it).unwrap()))
                .collect();
            assert_eq!(living, pids, "an instance was stopped");
            judged.beside(vec![
                ("alarm", Figure::Time(alarmed)),
                ("failed", Figure::Count(report.failed)),
            ])
        });
    }
}

#[test]
fn a_gateway_that_missed_a_compaction_sees_what_is() {
    measure("row 6, compacted while cut off", |timers| {
        let stage = Stage::build(CAST, timers);
        stage.open(2);
        stage.control[0].write("gone", &stage.app(1).replace("\"*\"", "\"gone.test\""));
        stage.gateways[1].wait_ok("gone", 1);
        let record = stage.record();
        let load = stage.load(1);
        let (cut, member) = (&stage.gateways[1], &stage.store.hosts()[0]);
        cut.host.cut_from(member, Cut::Drop);
        stage.control[0].type_in(&["scale", "app", "3"]);
        stage.gateways[0].wait_ok("app", 3);
        // What is deleted leaves nothing behind but its deletion, and that is compacted away.
        stage
            .store
            .etcdctl(&["put", "/minato/v1/local/intents/gone", "{\"v\":1}"]);
        stage
            .store
            .etcdctl(&["del", "/minato/v1/local/intents/gone"]);
        stage
            .store
            .etcdctl(&["del", "/minato/v1/local/drains/nobody"]);
        let revision = stage.store.revision();
        stage.store.etcdctl(&["compaction", &revision.to_string()]);
        load.wait_for(100);
        let healed = now();
        cut.host.heal();
        cut.wait_ok("app", 3);
        let current = healed.elapsed();
        let report = load.stop();
        report.nothing_failed();
        let view = |it: &crate::machine::Machine| {
            let mut all: Vec<(u64, String)> = it
                .instances("app")
                .iter()
                .map(|it| (it["slot"].as_u64().unwrap(), it["generation"].to_string()))
                .collect();
            all.sort();
            all
        };
        until("both gateways to see the same", || {
            (view(&stage.gateways[0]) == view(cut)).then_some(())
        });
        let judged = stage.judge(record, 1);
        judged.beside(vec![
            ("current after healing", Figure::Time(current)),
            ("failed", Figure::Count(report.failed)),
        ])
    });
}
