//! Runs of the command that copies a service's data when it moves: which one counts, and whether it fits into a hold. Pure.
//!
//! A run lives on the machine that led when it was begun, and outlives the leader's process there. `syncs/<service>` says where and
//! until when at most; another machine that leads cannot see how it goes, and waits it out: two runs at once would write the same data.
//! Not here: running it (`control/hook`), when it is wanted (`operation::switch`).

use crate::operation::switch::{MARGIN, Sync};
use minato_config::{NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// After its time a command is killed; so much later nothing of it lives for sure.
const KILLED: Duration = Duration::from_secs(10);
/// How much more than the last runs took is reckoned with, in percent.
const MORE: u32 = 120;

/// Names a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncId {
    /// Of which operation.
    pub operation: crate::OperationId,
    /// Which try of it.
    #[serde(rename = "try")]
    pub run: u32,
}

/// The document at `syncs/<service>`, written by the leader before a run begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRecord {
    /// Format version, 1.
    pub v: u32,
    /// Which run.
    pub id: SyncId,
    /// On which machine.
    pub node: NodeId,
    /// When it was begun.
    pub since: Timestamp,
    /// Nothing of it lives after this.
    pub until: Timestamp,
    /// When the last run began that ended well: so old the data is that lies here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied: Option<Timestamp>,
}

impl SyncRecord {
    /// One that begins now.
    pub fn new(id: SyncId, node: NodeId, timeout: Duration, now: Timestamp) -> Self {
        Self {
            v: 1,
            id,
            node,
            since: now,
            until: now.after(timeout + KILLED),
            copied: None,
        }
    }

    /// The same after this run ended well.
    pub fn ended_well(&self) -> Self {
        Self {
            copied: Some(self.since),
            ..self.clone()
        }
    }
}

/// How the run goes that this machine knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Which.
    pub id: SyncId,
    /// How it stands.
    pub state: LocalState,
}

/// How a run of this machine stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalState {
    /// Under way.
    Running,
    /// It ended well.
    Done,
    /// Why it did not.
    Failed(String),
}

/// How the run `id` does, as the leader on `node` can know.
pub fn judge(
    id: SyncId,
    record: Option<&SyncRecord>,
    local: Option<&Local>,
    node: &NodeId,
    now: Timestamp,
) -> Sync {
    if let Some(local) = local.filter(|it| it.id == id) {
        return match &local.state {
            LocalState::Running => Sync::Running(id.run),
            LocalState::Done => Sync::Done(id.run),
            LocalState::Failed(why) => Sync::Failed(id.run, why.clone()),
        };
    }
    let Some(record) = record.filter(|it| it.id == id) else {
        return Sync::None;
    };
    if record.node == *node {
        // Written, and the leader died before it was begun; to begin it is right.
        return Sync::None;
    }
    if now < record.until {
        return Sync::Running(id.run);
    }
    let why = format!(
        "it ran on {}, which leads no more: how it ended is not known here",
        record.node
    );
    Sync::Failed(id.run, why)
}

/// Why `id` may not begin on `node` now: another run may live elsewhere.
pub fn obstacle(
    id: SyncId,
    record: Option<&SyncRecord>,
    node: &NodeId,
    now: Timestamp,
) -> Option<String> {
    let other = record.filter(|it| it.node != *node && now < it.until)?;
    let seconds = other.until.since(now).as_secs_f64().ceil();
    Some(format!(
        "try {} of operation {} may still run on {} for {seconds} s (try {} waits)",
        other.id.run, other.id.operation, other.node, id.run
    ))
}

/// How long a copy is said to take, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predicted {
    /// So long.
    pub takes: Duration,
    /// Who says so.
    pub by: Predictor,
}

/// Who says how long a copy takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predictor {
    /// The operator's own command.
    Estimate,
    /// So many runs before.
    Earlier(usize),
}

/// `4.2 s by its estimate`, `1.2 s by the 3 runs before`
impl fmt::Display for Predicted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s by ", self.takes.as_secs_f64())?;
        match self.by {
            Predictor::Estimate => f.write_str("its estimate"),
            Predictor::Earlier(1) => f.write_str("the run before"),
            Predictor::Earlier(runs) => write!(f, "the {runs} runs before"),
        }
    }
}

/// The estimate, where there is one; else a little more than the longest of the runs before.
pub fn predict(estimate: Option<Duration>, earlier: &[Duration]) -> Option<Predicted> {
    if let Some(takes) = estimate {
        let by = Predictor::Estimate;
        return Some(Predicted { takes, by });
    }
    earlier.iter().max().map(|it| Predicted {
        takes: *it * MORE / 100,
        by: Predictor::Earlier(earlier.len()),
    })
}

/// Whether a copy is over while requests are held for `hold`: how it stands, or why it is not.
pub fn fits(predicted: Option<&Predicted>, hold: Duration) -> Result<String, String> {
    let window = hold.saturating_sub(MARGIN);
    let window_text = format!("{:.1} s", window.as_secs_f64());
    match predicted {
        None => Ok(format!(
            "how long the copy takes is not known; it has {window_text}"
        )),
        Some(it) if it.takes <= window => Ok(format!("the copy takes {it}, and has {window_text}")),
        Some(it) => Err(format!(
            "the copy takes {it}, and requests cannot be held for longer than {window_text} of it: copy most of the data before, then try again"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OperationId;

    fn id(run: u32) -> SyncId {
        SyncId {
            operation: OperationId(12),
            run,
        }
    }

    fn node(text: &str) -> NodeId {
        NodeId::parse(text).unwrap()
    }

    fn record(run: u32, at: &str) -> SyncRecord {
        SyncRecord::new(id(run), node(at), Duration::from_secs(20), Timestamp(0))
    }

    fn local(run: u32, state: LocalState) -> Local {
        Local { id: id(run), state }
    }

    #[test]
    fn a_run_is_found_again_where_it_lives_and_waited_out_from_elsewhere() {
        let judged = |record: Option<&SyncRecord>, local: Option<&Local>, second: u64| {
            judge(id(2), record, local, &node("a"), Timestamp(second * 1_000))
        };
        let here = record(2, "a");
        for (state, expected) in [
            (LocalState::Running, Sync::Running(2)),
            (LocalState::Done, Sync::Done(2)),
            (
                LocalState::Failed("full".to_owned()),
                Sync::Failed(2, "full".to_owned()),
            ),
        ] {
            assert_eq!(judged(Some(&here), Some(&local(2, state)), 1), expected);
        }
        // Another run says nothing of this one.
        let before = local(1, LocalState::Done);
        assert_eq!(judged(Some(&record(1, "a")), Some(&before), 1), Sync::None);
        assert_eq!(judged(Some(&here), Some(&before), 1), Sync::None);
        assert_eq!(judged(None, None, 1), Sync::None);
        let elsewhere = record(2, "b");
        assert_eq!(
            judged(Some(&elsewhere), Some(&before), 29),
            Sync::Running(2)
        );
        assert!(
            matches!(judged(Some(&elsewhere), None, 30), Sync::Failed(2, why) if why.contains("on b"))
        );
    }

    #[test]
    fn no_second_run_begins_while_one_may_live_elsewhere() {
        let begins = |record: Option<&SyncRecord>, second: u64| {
            obstacle(id(3), record, &node("a"), Timestamp(second * 1_000))
        };
        assert_eq!(begins(None, 0), None);
        assert_eq!(
            begins(Some(&record(2, "a")), 0),
            None,
            "this machine sees for itself"
        );
        let why = begins(Some(&record(2, "b")), 25).unwrap();
        assert!(why.contains("on b for 5 s"), "{why}");
        assert_eq!(begins(Some(&record(2, "b")), 30), None);
    }

    #[test]
    fn a_copy_that_does_not_fit_is_told_with_both_figures() {
        let seconds = Duration::from_secs;
        let fits = |estimate: Option<u64>, earlier: &[u64]| {
            let earlier: Vec<Duration> = earlier.iter().map(|it| seconds(*it)).collect();
            let predicted = predict(estimate.map(seconds), &earlier);
            fits(predicted.as_ref(), seconds(10))
        };
        assert!(fits(None, &[]).unwrap().contains("not known"));
        assert_eq!(
            fits(Some(8), &[90]).unwrap(),
            "the copy takes 8.0 s by its estimate, and has 8.0 s"
        );
        assert!(
            fits(None, &[1, 5, 3])
                .unwrap()
                .contains("6.0 s by the 3 runs before")
        );
        let why = fits(Some(9), &[]).unwrap_err();
        assert!(
            why.contains("9.0 s by its estimate") && why.contains("8.0 s"),
            "{why}"
        );
        assert!(
            fits(None, &[7])
                .unwrap_err()
                .contains("8.4 s by the run before")
        );
    }

    #[test]
    fn golden_document() {
        let text = r#"{"v":1,"id":{"operation":12,"try":2},"node":"a","since":0,"until":30000}"#;
        assert_eq!(serde_json::to_string(&record(2, "a")).unwrap(), text);
        assert_eq!(
            serde_json::from_str::<SyncRecord>(text).unwrap(),
            record(2, "a")
        );
    }
}
