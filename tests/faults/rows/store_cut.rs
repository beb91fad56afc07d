//! Row 3: an agent that cannot reach the store, or only after seconds. Never two live generations of one slot, never two
//! processes for long. Row 2: all members of the store freeze.

use crate::figures::{Figure, Figures, Timers, measure};
use crate::line::Line;
use crate::network::Cut;
use crate::stage::{Cast, Stage};
use crate::support::clock::{now, until};
use rustix::process::Signal;
use std::time::Duration;

const CAST: Cast = Cast {
    members: 1,
    control: 1,
    gateways: 2,
    nodes: 2,
};

/// What becomes of what the agent and the store say to each other.
#[derive(Debug, Clone, Copy)]
enum Between {
    Cut(Cut),
    /// It arrives, this much later: orders of before, and writes of before.
    Late(Duration),
}

/// The node is cut from store *and* gateways, so that it is given up while its instance lives; then it comes back.
fn cut_and_back(timers: Timers, how: Between) -> Figures {
    let mut stage = Stage::build(CAST, timers);
    let member = stage.store.hosts()[0].clone();
    let (line, cut) = match how {
        Between::Cut(cut) => (None, cut),
        Between::Late(delay) => {
            let node = &mut stage.nodes[0];
            let line = Line::to(&node.host, (member.address, 2379).into());
            node.crash();
            node.set(&format!("http://{}:2379", member.address), &line.endpoint());
            node.start();
            node.wait();
            (Some((line, delay)), Cut::Drop)
        }
    };
    stage.open(2);
    let record = stage.record();
    let load = stage.load(0);
    load.wait_for(50);
    let node = &stage.nodes[0].host;
    let began = now();
    match &line {
        Some((line, delay)) => line.delay(*delay),
        None => node.cut_from(&member, cut),
    }
    for gateway in &stage.gateways {
        node.cut_from(&gateway.host, cut);
    }
    let event = format!("node {} is lost", node.name);
    stage.control[0].wait_event("the loss", |it| it.message.contains(&event));
    let lost = began.elapsed();
    stage.wait_ok(2);
    let whole = began.elapsed();
    assert_eq!(
        stage.processes(0),
        1,
        "the cut node's instance should live on"
    );
    let healed = now();
    node.heal();
    if let Some((line, _)) = &line {
        line.delay(Duration::ZERO);
    }
    // What it had was given to the other: it must end its own, and only its own.
    until("the old generation to end", || {
        (stage.processes(0) == 0).then_some(())
    });
    let ended = healed.elapsed();
    load.wait_for(50);
    let report = load.stop();
    let judged = stage.judge_beside(&[0], record, 1);
    report.nothing_failed();
    stage.wait_ok(2);
    judged.beside(vec![
        ("given up", Figure::Time(lost)),
        ("whole again", Figure::Time(whole)),
        ("old one ended after healing", Figure::Time(ended)),
        ("failed", Figure::Count(report.failed)),
    ])
}

#[test]
fn an_agent_whose_packets_vanish_comes_back_without_a_second_generation() {
    measure("row 3, DROP", |timers| {
        cut_and_back(timers, Between::Cut(Cut::Drop))
    });
}

#[test]
fn an_agent_whose_packets_are_refused_comes_back_without_a_second_generation() {
    measure("row 3, REJECT", |timers| {
        cut_and_back(timers, Between::Cut(Cut::Reject))
    });
}

#[test]
fn an_agent_whose_packets_come_five_seconds_late_comes_back_without_a_second_generation() {
    measure("row 3, 5 s delay", |timers| {
        cut_and_back(timers, Between::Late(Duration::from_secs(5)))
    });
}

#[test]
fn every_member_of_the_store_freezes_and_nothing_is_evicted() {
    measure("row 2, all members frozen", |timers| {
        let stage = Stage::build(CAST, timers);
        stage.open(2);
        let pids = stage.pids();
        let record = stage.record();
        let load = stage.load(0);
        stage.store.signal(Signal::STOP);
        let began = now();
        // Every lease ends meanwhile, on every clock.
        Stage::let_pass(began, stage.lease() * 3);
        load.wait_for(100);
        stage.store.signal(Signal::CONT);
        let thawed = now();
        stage.control[0].type_in(&["scale", "app", "3"]);
        stage.wait_ok(3);
        let obeyed = thawed.elapsed();
        let report = load.stop();
        let judged = stage.judge(record, 1);
        report.nothing_failed();
        let now_pids = stage.pids();
        assert!(
            pids.iter().all(|it| now_pids.contains(it)),
            "{pids:?} became {now_pids:?}"
        );
        judged.beside(vec![
            ("orders obeyed again", Figure::Time(obeyed)),
            ("failed", Figure::Count(report.failed)),
        ])
    });
}
