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
fn a_document_that_is_cut_short_or_garbage_changes_nothing_and_is_told() {
    for (key, value) in [
        ("services/app", Broken::CutShort),
        ("slots/app/0", Broken::CutShort),
        ("slots/app/1", Broken::Garbage),
    ] {
        measure(&format!("row 16, {key} {value:?}"), |timers| {
            let stage = Stage::build(CAST, timers);
            stage.open(2);
            let pids = stage.pids();
            let record = stage.record();
            let load = stage.load(0);
            let (control, name) = (&stage.control[0], format!("/minato/v1/local/{key}"));
            let (_, good) = stage.store.list(key).remove(0);
            let bad = match value {
                Broken::CutShort => good[..good.len() / 2].to_owned(),
                Broken::Garbage => "\u{1}\u{7f} no document".to_owned(),
            };
            let began = now();
            stage.store.etcdctl(&["put", &name, &bad]);
            let told = control.wait_event("an alarm", |it| {
                it.kind == "alarm" && it.message.contains(&name)
            });
            let alarmed = began.elapsed();
            assert!(
                told.message.contains("is not understood")
                    && told.message.contains("have that key written again"),
                "{told:?}"
            );
            // Others go on.
            control.write("other", &stage.other("other.test"));
            stage.gateways[0].wait_ok("other", 1);
            Stage::let_pass(began, stage.lease() * 2);
            load.wait_for(100);
            let report = load.stop();
            report.nothing_failed();
            let is_alive =
                |it: &&u64| crate::support::processes::is_alive(u32::try_from(**it).unwrap());
            assert!(pids.iter().all(|it| is_alive(&it)), "{pids:?}");
            // As the event asks for: written again, and all is as before.
            let mended = now();
            stage.store.etcdctl(&["put", &name, &good]);
            control.type_in(&["scale", "app", "3"]);
            stage.wait_ok(3);
            let obeyed = mended.elapsed();
            let after = stage.pids();
            assert!(
                pids.iter().all(|it| after.contains(it)),
                "{pids:?} became {after:?}"
            );
            let judged = stage.judge(record, 1);
            judged.beside(vec![
                ("alarm", Figure::Time(alarmed)),
                ("orders obeyed once it is mended", Figure::Time(obeyed)),
                ("failed", Figure::Count(report.failed)),
            ])
        });
    }
}

/// What stands in the store in place of a document.
#[derive(Debug, Clone, Copy)]
enum Broken {
    CutShort,
    Garbage,
}

#[test]
fn a_gateway_that_missed_a_compaction_sees_what_is() {
    measure("row 6, compacted while cut off", |timers| {
        let stage = Stage::build(CAST, timers);
        stage.open(2);
        stage.control[0].write("gone", &stage.other("gone.test"));
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
