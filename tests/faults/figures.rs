//! How often a row is run, and what came of it.

pub(crate) use crate::support::figures::{Figure, Figures};
use std::collections::BTreeMap;
use std::env;

/// The timers of the site under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timers {
    /// Leases of 2 s and the like.
    Short,
    /// Those that users get.
    Default,
}

/// Runs one row as often as `MINATO_FAULT_RUNS` says (once), with the timers that `MINATO_FAULT_TIMERS` names (`short` or
/// `default`), and prints median and worst of each figure.
pub(crate) fn measure(row: &str, run: impl Fn(Timers) -> Figures) {
    measure_in_turn(&[(row, &run)]);
}

/// The same of several rows that are compared: each once, then each again, so that what else the machine does meets all of them.
#[expect(clippy::print_stdout, reason = "the figures are what comes of it")]
pub(crate) fn measure_in_turn(rows: &[(&str, &dyn Fn(Timers) -> Figures)]) {
    if !crate::network::is_here() {
        return;
    }
    let runs = env::var("MINATO_FAULT_RUNS").ok();
    let runs: usize = runs.and_then(|it| it.parse().ok()).unwrap_or(1);
    let timers = match env::var("MINATO_FAULT_TIMERS").as_deref() {
        Ok("default") => Timers::Default,
        _ => Timers::Short,
    };
    let mut all: BTreeMap<(usize, &'static str), Vec<Figure>> = BTreeMap::new();
    for _ in 0..runs.max(1) {
        for (place, (_, run)) in rows.iter().enumerate() {
            for (name, figure) in run(timers) {
                all.entry((place, name)).or_default().push(figure);
            }
        }
    }
    for ((place, name), mut figures) in all {
        figures.sort_by(|one, other| one.partial_cmp(other).unwrap());
        let (median, worst) = (figures[figures.len() / 2], figures[figures.len() - 1]);
        println!(
            "{}: {name}: median {median}, worst {worst}, {} runs, {timers:?} timers",
            rows[place].0,
            figures.len()
        );
    }
}
