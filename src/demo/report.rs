//! What one step came to.

use crate::demo::admin::Victim;
use crate::demo::figure::ms;
use crate::demo::step::Act;
use crate::demo::tape::Counts;
use crate::demo::timeline::Mark;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// One step. Durations count from the fault or the change.
#[derive(Debug)]
pub(crate) struct StepReport {
    pub(crate) act: Act,
    /// Which repetition, from 1.
    pub(crate) turn: u32,
    pub(crate) at: Duration,
    pub(crate) counts: Counts,
    /// Whether POSTs may have been on a dying instance.
    pub(crate) excused: bool,
    pub(crate) victim: Option<Victim>,
    pub(crate) suspect: Option<Duration>,
    pub(crate) eject: Option<Duration>,
    pub(crate) restarted: Option<Duration>,
    /// As many instances as wanted take requests again, or the change is true.
    pub(crate) whole: Option<Duration>,
    pub(crate) marks: Vec<Mark>,
    /// Figures of this kind of step alone.
    pub(crate) figures: Vec<(&'static str, Duration)>,
    /// Why the step failed, apart from failed requests.
    pub(crate) trouble: Option<String>,
    pub(crate) remarks: Vec<String>,
}

impl StepReport {
    /// A step that went well unless more is said.
    pub(crate) fn new(act: Act, turn: u32, at: Duration, counts: Counts) -> Self {
        Self {
            act,
            turn,
            at,
            counts,
            excused: false,
            victim: None,
            suspect: None,
            eject: None,
            restarted: None,
            whole: None,
            marks: Vec::new(),
            figures: Vec::new(),
            trouble: None,
            remarks: Vec::new(),
        }
    }

    /// For a machine.
    pub(crate) fn json(&self) -> Value {
        let millis = |it: &Option<Duration>| it.map(ms);
        let marks: Vec<Value> = self
            .marks
            .iter()
            .map(|it| json!({"after_ms": ms(it.after), "what": it.what, "note": it.note}))
            .collect();
        let figures: BTreeMap<&str, f64> = self
            .figures
            .iter()
            .map(|(name, it)| (*name, ms(*it)))
            .collect();
        let victim = self.victim.as_ref().map(|it| {
            json!({"service": it.service, "slot": it.slot, "generation": it.generation,
                "run": it.run, "pid": it.pid, "restarts": it.restarts})
        });
        json!({
            "step": self.act.name(),
            "repetition": self.turn,
            "at_ms": ms(self.at),
            "victim": victim,
            "suspect_ms": millis(&self.suspect),
            "eject_ms": millis(&self.eject),
            "restarted_ms": millis(&self.restarted),
            "whole_ms": millis(&self.whole),
            "figures": figures,
            "counts": counts(&self.counts),
            "timeline": marks,
            "trouble": self.trouble,
            "remarks": self.remarks,
        })
    }
}

/// Counts for a machine.
pub(crate) fn counts(counts: &Counts) -> Value {
    json!({
        "requests": counts.requests,
        "failed": counts.failed,
        "posts_cut": counts.cut,
        "posts_cut_bound": counts.cut_bound,
        "longest_ms": ms(counts.longest),
        "reasons": counts.reasons,
    })
}
