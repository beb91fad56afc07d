//! A seeded simulation of a site: agents, gateways, a leader with an old view, operators and faults take turns in random
//! order, and invariants are checked after each turn. Then the faults stop, and everything must come to rest.
//!
//! A failure prints its seed and what happened last; `MINATO_SEED=7 cargo test -p minato-control --test simulation`
//! plays one seed again.

mod agent;
mod fault;
mod gateway;
mod invariant;
mod leader;
mod operator;
mod site;

use minato_control::{
    FailureKind, RolloutStanding, Settled, plan, rollout_standing, settled, wanted,
};
use site::Site;

const SEEDS: u64 = 520;
const TURNS: usize = 800;
/// A round is one turn for everybody and 2 s. A crash loop costs a pause of 60 s, an update a few rounds for each slot.
const ROUNDS_TO_REST: usize = 250;

#[test]
fn every_history_is_safe_and_comes_to_rest() {
    let wanted = std::env::var("MINATO_SEED").ok();
    let seeds = match wanted.and_then(|it| it.parse::<u64>().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..SEEDS,
    };
    let mut longest = 0;
    let mut counts = site::Counts::default();
    for seed in seeds {
        let mut site = Site::new(seed);
        for _ in 0..TURNS {
            turn(&mut site);
            invariant::check(&site);
        }
        longest = longest.max(rest(&mut site));
        counts.add(&site.counts);
    }
    eprintln!("at rest after at most {longest} rounds; {counts:?}");
    counts.assert_all_happened();
}

fn turn(site: &mut Site) {
    let step = match site.random.u8(0..50) {
        0 => 70_000,
        1..25 => site.random.u64(0..2000),
        _ => site.random.u64(0..50),
    };
    site.now.0 += step;
    match site.random.u8(0..100) {
        0..30 => agent::any_turn(site),
        30..62 => gateway::any_turn(site),
        62..75 => leader::look(site),
        75..92 => leader::act(site),
        92..96 => operator::turn(site),
        _ => fault::turn(site),
    }
}

/// No faults any more; returns the rounds it took.
fn rest(site: &mut Site) -> usize {
    fault::heal(site);
    operator::mend(site);
    let mut quiet = 0;
    for round in 0..ROUNDS_TO_REST {
        site.now.0 += 2000;
        if round % 60 == 59 {
            // An old version that never was well does not come to rest either.
            operator::ask_again(site);
        }
        agent::all(site);
        gateway::all(site);
        leader::look(site);
        leader::act(site);
        invariant::check(site);
        quiet = if is_at_rest(site) { quiet + 1 } else { 0 };
        if quiet == 3 && operator::follow_hints(site) == operator::Hints::Followed {
            quiet = 0;
        }
        if quiet == 3 {
            invariant::check_rest(site);
            return round;
        }
    }
    let names: Vec<_> = site.store.services.keys().cloned().collect();
    for name in names {
        let found = settled(&site.store, &name);
        site.note(&format!("never at rest: {name}: {found:?}"));
    }
    let left = plan(&site.store, site.now);
    assert!(
        left.steps.is_empty() && is_at_rest(site),
        "not at rest after {ROUNDS_TO_REST} rounds:\n{left}"
    );
    ROUNDS_TO_REST
}

fn is_at_rest(site: &Site) -> bool {
    let done = |name| {
        let whole = |standing| match standing {
            RolloutStanding::Whole | RolloutStanding::Unchanged(_) => true,
            RolloutStanding::Failed { failure, .. } => failure.how != FailureKind::Reverting,
            RolloutStanding::Asked | RolloutStanding::Going(_) => false,
        };
        // Where there should be nothing, nothing proves itself.
        let none = wanted(&site.store, name) == 0;
        matches!(settled(&site.store, name), Settled::Done(_))
            && (none || whole(rollout_standing(&site.store, name, None)))
    };
    let asked = site.store.rebalance.as_ref();
    let is_balanced = asked.is_none_or(|it| it.value.ended.is_some());
    is_balanced
        && plan(&site.store, site.now).steps.is_empty()
        && site.store.services.keys().all(done)
}
