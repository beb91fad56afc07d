//! More than half of the machines lose their power at once: nothing is moved before a person has said that they are lost, since the one
//! that misses them may be the one that is cut off.

use crate::figures::{Figure, measure};
use crate::machine::Machine;
use crate::stage::{Cast, Stage};
use crate::support::clock::{now, until};

/// Four of five have an instance; below five, a gateway never tries those that are down.
const REPLICAS: u16 = 4;

#[test]
fn most_machines_gone_at_once_move_nothing_until_a_person_says_so() {
    measure("mass loss, three of five nodes without power", |timers| {
        let cast = Cast {
            members: 1,
            control: 1,
            gateways: 1,
            nodes: 5,
        };
        let mut stage = Stage::build(cast, timers);
        stage.open(REPLICAS);
        let has: Vec<usize> = (0..5).map(|it| stage.processes(it)).collect();
        assert_eq!(has.iter().sum::<usize>(), 4, "{has:?}");
        assert!(has.iter().all(|it| *it <= 1), "{has:?}");
        // The empty one, and two with an instance.
        let (mut lost, full): (Vec<usize>, Vec<usize>) = (0..5).partition(|it| has[*it] == 0);
        lost.extend(&full[..2]);
        let left = &full[2..];
        let record = stage.record();
        let load = stage.load(0);
        load.wait_for(50);

        let began = now();
        for node in &lost {
            stage.nodes[*node].host.link("down");
        }
        lost.iter().for_each(|it| stage.nodes[*it].power_off());
        let control = &stage.control[0];
        let told = control.wait_event("the alarm", |it| {
            it.kind == "alarm" && it.message.contains("3 of 5 nodes are gone at once")
        });
        let alarmed = began.elapsed();
        let says = "minato node drain NODE";
        assert!(told.message.contains(says), "{told:?}");
        for typed in [["status"].as_slice(), &["node", "list"]] {
            // A site with an alarm is not well.
            let output = control.cli(typed);
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                printed.contains("alarm: ") && printed.contains(says),
                "{printed}"
            );
        }
        // What the gateway found out by itself serves.
        let gateway = &stage.gateways[0];
        until("the lost ones to be out", || {
            let instances = gateway.instances("app");
            let serving = instances.iter().filter(|it| it["standing"] == "serving");
            (serving.count() == 2).then_some(())
        });
        let out = began.elapsed();
        let before = load.stop();
        let load = stage.load(0);
        let slots = || slots(&stage);
        let (kept, patience) = (slots(), now());
        Stage::let_pass(patience, (stage.lease() + stage.grace()) * 3);
        load.wait_for(100);
        assert_eq!(slots(), kept, "something was moved");
        for node in left {
            assert_eq!(stage.processes(*node), 1, "something was begun");
        }

        // The words that were asked for. With the first one no more than half is missed without a word, and the others are given up, too.
        let said = now();
        for node in &lost {
            let name = stage.nodes[*node].host.name.clone();
            control.type_in(&["node", "drain", &name, "--no-wait"]);
        }
        stage.wait_ok(REPLICAS);
        let whole = said.elapsed();
        let running: Vec<usize> = left.iter().map(|it| stage.processes(*it)).collect();
        assert_eq!(running, [2, 2], "it should be spread over those left");
        until("the alarm to end", || {
            alarm(control).is_empty().then_some(())
        });
        load.wait_for(100);
        let report = load.stop();
        report.nothing_failed();
        let judged = stage.judge(record, 1);
        judged.beside(vec![
            ("alarm", Figure::Time(alarmed)),
            ("the lost ones out of the table", Figure::Time(out)),
            ("failed until then", Figure::Count(before.failed)),
            ("requests until then", Figure::Count(before.sent)),
            ("whole after the word", Figure::Time(whole)),
            ("failed", Figure::Count(report.failed)),
            ("requests", Figure::Count(report.sent)),
        ])
    });
}

/// Each place, and who has it under which assignment.
fn slots(stage: &Stage) -> Vec<(String, String)> {
    let mut slots = stage.store.list("slots/");
    slots.sort();
    slots
}

fn alarm(control: &Machine) -> String {
    let nodes = control.json("/v1/nodes");
    nodes["alarm"].as_str().unwrap_or_default().to_owned()
}
