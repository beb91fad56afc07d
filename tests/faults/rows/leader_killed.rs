//! Row 9, over many machines: the leading process is killed again and again while a wave replaces instances on several nodes.

use crate::figures::{Figure, measure};
use crate::stage::{Cast, Stage};
use crate::support::clock::{now, until, within};
use std::collections::BTreeSet;
use std::time::Duration;

/// Four instances, one after the other, and an election after each kill.
const LONG: Duration = Duration::from_secs(300);

#[test]
fn a_wave_goes_on_over_several_nodes_while_its_leaders_are_killed() {
    measure("row 9, leaders killed in a wave", |timers| {
        let cast = Cast {
            members: 1,
            control: 2,
            gateways: 2,
            nodes: 3,
        };
        let mut stage = Stage::build(cast, timers);
        stage.open(4);
        until("what serves to be known", || {
            let all = stage.store.list("rollouts/");
            let known = all.iter().any(|(_, it)| it.contains("\"stable\":{"));
            known.then_some(())
        });
        let before = stage.pids();
        let record = stage.record();
        let load = stage.load(1);
        load.wait_for(20);
        let wave = ["wave", "--services", "app", "--restart", "--no-wait"];
        stage.control[0].type_in(&wave);
        let began = now();
        let mut kills: u64 = 0;
        let mut seen = BTreeSet::new();
        loop {
            // How many new instances have proved themselves: each number is an order of its own.
            let (replaced, ended) = within(LONG, "one more instance, or the end", || {
                let operations = stage.store.list("operations/");
                let (_, operation) = operations.first()?;
                let ended = operation.contains("\"state\":\"done\",\"since\"")
                    && !operation.contains("\"state\":\"running\"");
                let restarted = |it: &&(String, String)| it.1.contains("\"restart\":1");
                let slots = stage.store.list("slots/");
                let replaced = slots.iter().filter(restarted).count();
                let is_new = replaced > 0 && seen.insert(replaced);
                (ended || is_new).then_some((replaced, ended))
            });
            if ended {
                assert_eq!(replaced, 4);
                break;
            }
            let records = stage.store.list("leader");
            let leads = stage.control.iter().position(|it| {
                let name = format!("\"node\":\"{}\"", it.host.name);
                records.iter().any(|(_, record)| record.contains(&name))
            });
            if let Some(leads) = leads {
                kills += 1;
                stage.control[leads].crash();
                stage.control[leads].start();
            }
        }
        let took = began.elapsed();
        assert!(kills >= 2, "killed {kills} times: {seen:?}");
        stage.wait_ok(4);
        let after = stage.pids();
        assert!(
            after.iter().all(|it| !before.contains(it)),
            "{before:?} {after:?}"
        );
        load.wait_for(20);
        let report = load.stop();
        let judged = stage.judge(record, 1);
        report.nothing_failed();
        judged.beside(vec![
            ("whole", Figure::Time(took)),
            ("leaders killed", Figure::Count(kills)),
            ("failed", Figure::Count(report.failed)),
        ])
    });
}
