//! What the leader tells people of nodes that are gone: who, since when, whether it is given up, and why.
//!
//! Which nodes are given up is `lost`'s; no plan follows from this document.

use super::lost::Losses;
use super::place::is_drained;
use crate::{World, clock_text};
use minato_config::{NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The document at `absences`, written by the leader when it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsenceRecord {
    /// Format version, 1.
    pub v: u32,
    /// Nodes that are gone and have something, or had it when they were given up.
    pub nodes: BTreeMap<NodeId, Absence>,
    /// Why nothing is given up at all; a person is needed.
    #[serde(default)]
    pub alarm: Option<String>,
}

/// One node that is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// Since when, by the leader's clock.
    pub since: Timestamp,
    /// What it had goes, or went, elsewhere.
    pub lost: bool,
    /// Why it is given up, or why not yet.
    pub why: String,
}

impl AbsenceRecord {
    /// What is to be told now; `None` where that stands there already.
    pub fn due(world: &World, losses: &Losses, now: Timestamp) -> Option<Self> {
        let old = world.absences.as_ref().map(|it| &it.value);
        let known = |node: &NodeId| old.and_then(|it| it.nodes.get(node));
        let mut nodes = BTreeMap::new();
        for node in &losses.lost {
            let why = match is_drained(world, node) {
                true => "it is drained",
                false => "its lease ended, and nothing there answers",
            };
            nodes.insert(node.clone(), (true, why.to_owned()));
        }
        for (node, why) in &losses.waiting {
            let why = match why.as_str() {
                "" => "its lease ended a moment ago",
                why => why,
            };
            nodes.insert(node.clone(), (false, why.to_owned()));
        }
        // What was given up and is not back has nothing any more, and people should still know.
        for (node, it) in old.iter().flat_map(|it| &it.nodes) {
            let is_gone = !world.nodes.contains_key(node) && world.node_infos.contains_key(node);
            if it.lost && is_gone {
                nodes.entry(node.clone()).or_insert((true, it.why.clone()));
            }
        }
        let nodes = nodes.into_iter().map(|(node, (lost, why))| {
            let since = known(&node).map_or(now, |it| it.since);
            (node, Absence { since, lost, why })
        });
        let record = Self {
            v: 1,
            nodes: nodes.collect(),
            alarm: losses.alarm.clone(),
        };
        match old {
            Some(old) => (*old != record).then_some(record),
            None => (!record.nodes.is_empty() || record.alarm.is_some()).then_some(record),
        }
    }

    /// As the leader judged.
    pub fn losses(&self) -> Losses {
        let (lost, waiting) = self.nodes.iter().partition::<Vec<_>, _>(|(_, it)| it.lost);
        Losses {
            lost: lost.into_iter().map(|(node, _)| node.clone()).collect(),
            waiting: (waiting.into_iter())
                .map(|(node, it)| (node.clone(), it.why.clone()))
                .collect(),
            alarm: self.alarm.clone(),
            ..Losses::default()
        }
    }
}

impl Absence {
    /// `given up since 03:10:07: its lease ended, and nothing there answers`
    pub fn text(&self) -> String {
        let state = match self.lost {
            true => "given up, gone",
            false => "waited for, gone",
        };
        format!("{state} since {}: {}", clock_text(self.since), self.why)
    }

    /// What a person can do.
    pub fn hint(&self, node: &NodeId) -> String {
        match self.lost {
            true => format!(
                "start its agent again; once it is back, `minato rebalance` has it take its part; if it never comes back: minato node drain {node}"
            ),
            false => format!(
                "start its agent again, or give it up at once if nothing runs there any more: minato node drain {node}"
            ),
        }
    }
}
