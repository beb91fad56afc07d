//! What all steps came to: the table, the last line, and the JSON file.

use crate::demo::contrast::Contrast;
use crate::demo::figure::{Lateness, Spread, ms, spread};
use crate::demo::ledger::Check;
use crate::demo::report::{StepReport, counts};
use crate::demo::step::Act;
use crate::demo::tape::Counts;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) rate: u32,
    pub(crate) steps: Vec<StepReport>,
    /// Requests outside of any step, and while files were rewritten.
    pub(crate) between: Counts,
    /// `None` where the control run was not asked for.
    pub(crate) contrast: Option<Vec<Contrast>>,
    pub(crate) ledger: Check,
    pub(crate) lateness: Lateness,
    /// Finished requests that found no place on the tape. Must be 0.
    pub(crate) dropped: u64,
    /// What ended the demo early.
    pub(crate) trouble: Option<String>,
}

impl Summary {
    /// Nothing measured yet.
    pub(crate) fn new(rate: u32) -> Self {
        Self {
            rate,
            steps: Vec::new(),
            between: Counts::default(),
            contrast: None,
            ledger: Check::default(),
            lateness: Lateness::default(),
            dropped: 0,
            trouble: None,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Counts> {
        self.steps
            .iter()
            .map(|it| &it.counts)
            .chain([&self.between])
    }

    fn sum(&self, of: impl Fn(&Counts) -> usize) -> usize {
        self.all().map(of).sum()
    }

    fn contrast_failed(&self) -> Option<usize> {
        let all = self.contrast.as_ref()?;
        Some(all.iter().map(|it| it.counts.failed).sum())
    }

    /// Why the demo failed; empty when it did not. An invalid run is named first: it says nothing about minato.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.lateness.is_valid() {
            problems.push(format!(
                "this run is not valid: 1 % of the requests were sent more than {} ms late by the load itself; give it more CPU or a lower --rate",
                self.lateness.percentile(99).as_millis()
            ));
        }
        if self.dropped > 0 {
            problems.push(format!(
                "this run is not valid: {} requests were not recorded",
                self.dropped
            ));
        }
        problems.extend(self.trouble.clone());
        let failed = self.sum(|it| it.failed);
        if failed > 0 {
            problems.push(format!("{failed} requests failed"));
        }
        for step in &self.steps {
            if let Some(trouble) = &step.trouble {
                problems.push(format!("{}: {trouble}", step.act.name()));
            }
        }
        if !self.ledger.is_good() {
            let ledger = &self.ledger;
            problems.push(format!(
                "the ledger: {} orders executed twice, {} acknowledged and lost, {} torn lines",
                ledger.twice.len(),
                ledger.lost.len(),
                ledger.torn
            ));
        }
        if self.contrast_failed() == Some(0) {
            problems.push(
                "no request failed with checks and retries off: the zero means nothing".to_owned(),
            );
        }
        problems
    }

    /// The last line.
    pub(crate) fn last_line(&self) -> String {
        let problems = self.problems();
        if !problems.is_empty() {
            return format!("demo: FAILED: {}", problems.join("; "));
        }
        let longest = self.all().map(|it| it.longest).max().unwrap_or_default();
        let contrast = self.contrast_failed().map_or_else(
            || "no control run".to_owned(),
            |it| format!("with checks and retries off {it} failed"),
        );
        format!(
            "demo: ok, {} requests, 0 failed, {} POSTs cut in flight, {} orders executed once each, longest latency {:.2} s; {contrast}",
            self.sum(|it| it.requests),
            self.sum(|it| it.cut),
            self.ledger.executed,
            longest.as_secs_f64(),
        )
    }

    /// One row for each step, under a head; with repetitions, worst and median of each figure as well.
    pub(crate) fn table(&self) -> Vec<String> {
        let second = |it: Option<Duration>| {
            it.map_or("-".to_owned(), |it| format!("{:.2}", it.as_secs_f64()))
        };
        let row = |cells: [String; 8]| {
            let [name, rest @ ..] = cells;
            let rest: Vec<String> = rest.iter().map(|it| format!("{it:>9}")).collect();
            format!("{name:<26}{}", rest.join(" "))
        };
        let head = [
            "step",
            "suspect",
            "ejected",
            "whole",
            "requests",
            "failed",
            "POSTs cut",
            "longest",
        ];
        let mut lines = vec![row(head.map(str::to_owned))];
        for step in &self.steps {
            let name = match step.turn {
                1 => step.act.name().to_owned(),
                turn => format!("{} ({turn})", step.act.name()),
            };
            let cut = match step.excused {
                true => format!("{} of {}", step.counts.cut, step.counts.cut_bound),
                false => step.counts.cut.to_string(),
            };
            lines.push(row([
                name,
                second(step.suspect),
                second(step.eject),
                second(step.whole),
                step.counts.requests.to_string(),
                step.counts.failed.to_string(),
                cut,
                second(Some(step.counts.longest)),
            ]));
        }
        for contrast in self.contrast.iter().flatten() {
            let none = || "-".to_owned();
            lines.push(row([
                format!("no care: {}", contrast.name),
                none(),
                none(),
                none(),
                contrast.counts.requests.to_string(),
                contrast.counts.failed.to_string(),
                none(),
                second(Some(contrast.counts.longest)),
            ]));
        }
        if self.steps.iter().any(|it| it.turn > 1) {
            for (name, figures) in self.spreads() {
                let figures = figures.iter().filter_map(|(figure, it)| {
                    let it = (*it)?;
                    Some(format!("{figure} {:.0}/{:.0}", it.median, it.worst))
                });
                let figures: Vec<String> = figures.collect();
                lines.push(format!("{name}, median/worst: {}", figures.join(", ")));
            }
        }
        lines
    }

    /// Median and worst of each figure of each kind of step; times in ms.
    fn spreads(&self) -> BTreeMap<&'static str, Vec<(&'static str, Option<Spread>)>> {
        let mut by_act: BTreeMap<Act, Vec<&StepReport>> = BTreeMap::new();
        for step in &self.steps {
            by_act.entry(step.act).or_default().push(step);
        }
        let figures = |steps: &Vec<&StepReport>| {
            let times = |of: fn(&StepReport) -> Option<Duration>| {
                spread(steps.iter().filter_map(|it| of(it)).map(ms))
            };
            let numbers =
                |of: fn(&Counts) -> usize| spread(steps.iter().map(|it| of(&it.counts) as f64));
            let mut all = vec![
                ("suspect_ms", times(|it| it.suspect)),
                ("eject_ms", times(|it| it.eject)),
                ("restarted_ms", times(|it| it.restarted)),
                ("whole_ms", times(|it| it.whole)),
                ("failed", numbers(|it| it.failed)),
                ("posts_cut", numbers(|it| it.cut)),
                ("longest_ms", times(|it| Some(it.counts.longest))),
            ];
            let names = steps.iter().flat_map(|it| it.figures.iter().map(|it| it.0));
            let mut names: Vec<&'static str> = names.collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let of_name = steps
                    .iter()
                    .flat_map(|it| &it.figures)
                    .filter(|it| it.0 == name);
                all.push((name, spread(of_name.map(|it| ms(it.1)))));
            }
            all
        };
        by_act
            .iter()
            .map(|(act, steps)| (act.name(), figures(steps)))
            .collect()
    }

    /// Everything, for a machine.
    pub(crate) fn json(&self) -> Value {
        let summary: BTreeMap<&str, BTreeMap<&str, Option<Spread>>> = self
            .spreads()
            .into_iter()
            .map(|(name, figures)| (name, figures.into_iter().collect()))
            .collect();
        let contrast = self.contrast.as_ref().map(|all| {
            let each = all
                .iter()
                .map(|it| (it.name.to_owned(), counts(&it.counts)));
            each.collect::<serde_json::Map<_, _>>()
        });
        json!({
            "ok": self.problems().is_empty(),
            "problems": self.problems(),
            "rate": self.rate,
            "requests": self.sum(|it| it.requests),
            "failed": self.sum(|it| it.failed),
            "posts_cut": self.sum(|it| it.cut),
            "load": {
                "late_p99_ms": ms(self.lateness.percentile(99)),
                "late_worst_ms": ms(self.lateness.worst()),
                "valid": self.lateness.is_valid(),
            },
            "ledger": {
                "executed": self.ledger.executed,
                "twice": self.ledger.twice,
                "acknowledged_and_lost": self.ledger.lost,
                "executed_unanswered": self.ledger.unanswered,
                "torn": self.ledger.torn,
            },
            "summary": summary,
            "steps": self.steps.iter().map(StepReport::json).collect::<Vec<_>>(),
            "between": counts(&self.between),
            "control": contrast,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::outcome::Service;
    use crate::demo::step::Fault;

    fn step(turn: u32, eject: u64, failed: usize) -> StepReport {
        let counts = Counts {
            requests: 100,
            failed,
            ..Counts::default()
        };
        let act = Act::Fault(Fault::Freeze, Service::Orders);
        let mut step = StepReport::new(act, turn, Duration::ZERO, counts);
        step.eject = Some(Duration::from_millis(eject));
        step
    }

    fn summary(failed_in_control: usize) -> Summary {
        let counts = Counts {
            failed: failed_in_control,
            ..Counts::default()
        };
        Summary {
            steps: vec![step(1, 1000, 0), step(2, 3000, 0)],
            contrast: Some(vec![Contrast {
                name: "kill",
                counts,
            }]),
            ..Summary::new(400)
        }
    }

    #[test]
    fn ok_needs_failures_in_the_control_run() {
        let good = summary(3).last_line();
        assert!(
            good.starts_with("demo: ok, 200 requests, 0 failed, "),
            "{good}"
        );
        assert!(
            good.ends_with("; with checks and retries off 3 failed"),
            "{good}"
        );
        let empty = summary(0).last_line();
        assert_eq!(
            empty,
            "demo: FAILED: no request failed with checks and retries off: the zero means nothing"
        );
    }

    #[test]
    fn each_thing_that_may_go_wrong_fails_the_demo() {
        type Spoil = fn(&mut Summary);
        let table: [(Spoil, &str); 6] = [
            (|it| it.steps.push(step(3, 1, 2)), "2 requests failed"),
            (|it| it.between.failed = 1, "1 requests failed"),
            (
                |it| it.ledger.twice = vec![5],
                "the ledger: 1 orders executed twice",
            ),
            (
                |it| it.ledger.lost = vec![5],
                "the ledger: 0 orders executed twice, 1 acknowledged",
            ),
            (
                |it| it.steps[0].trouble = Some("stuck".into()),
                "freeze orders: stuck",
            ),
            (
                |it| it.lateness.add(Duration::from_millis(70)),
                "this run is not valid",
            ),
        ];
        for (spoil, wanted) in table {
            let mut spoiled = summary(3);
            spoil(&mut spoiled);
            let line = spoiled.last_line();
            assert!(
                line.starts_with(&format!("demo: FAILED: {wanted}")),
                "{line}"
            );
            assert_eq!(spoiled.json()["ok"], false);
        }
    }

    #[test]
    fn repetitions_give_worst_and_median() {
        let json = summary(3).json();
        let eject = &json["summary"]["freeze orders"]["eject_ms"];
        assert_eq!(
            (&eject["median"], &eject["worst"]),
            (&json!(2000.0), &json!(3000.0))
        );
        assert_eq!(json["steps"][1]["repetition"], 2);
        let table = summary(3).table().join("\n");
        assert!(table.contains("eject_ms 2000/3000"), "{table}");
    }
}
