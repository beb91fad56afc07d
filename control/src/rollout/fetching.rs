//! Waiting for nodes to have an image: all of them, the same one, before anything else changes.

use super::record::{
    FailureKind, Freshness, ImageReport, ImageState, RolloutRecord, RolloutStage, Version,
};
use super::standing::unchanged;
use super::turn::{Turn, Watched};
use crate::Level;
use minato_config::ImageReference;
use std::collections::BTreeSet;
use std::time::Duration;

/// An agent that lives says within this time that it fetches an image, or it does not know how to.
const ANSWER: Duration = Duration::from_secs(60);

impl Turn<'_> {
    pub(super) fn fetch(&mut self, record: &mut RolloutRecord, watched: &mut Watched) {
        let Some(going) = record.going.as_mut() else {
            return;
        };
        if (watched.of, watched.stage) != (Some(going.since), Some(going.step)) {
            (watched.of, watched.stage) = (Some(going.since), Some(going.step));
            watched.moved = self.now;
        }
        // A node that is gone needs nothing.
        going.nodes.retain(|it| self.world.nodes.contains_key(it));
        if going.nodes.is_empty() {
            going.nodes.clone_from(&self.sight.nodes);
        }
        let waited = self.now.saturating_duration_since(watched.moved);
        let (mut waits, mut digests, mut ids) =
            (going.nodes.is_empty(), BTreeSet::new(), BTreeSet::new());
        let mut refused = None;
        let mut running = BTreeSet::new();
        let mut without_engine = BTreeSet::new();
        for node in &going.nodes {
            let report = self.world.images.get(&(node.clone(), self.name.clone()));
            let report = report
                .map(|it| &it.value)
                .filter(|it| it.fetch == going.fetch);
            let answers_newest =
                |it: Option<&ImageReport>| it.is_some_and(|it| it.freshness == going.freshness);
            match report.map(|it| &it.state) {
                None if waited >= ANSWER => {
                    refused = Some(format!(
                        "node {node} lives and does not say whether it has the image; is its minato an older one?"
                    ));
                }
                None | Some(ImageState::Fetching) => waits = true,
                Some(ImageState::Failed(why)) => refused = Some(format!("node {node}: {why}")),
                Some(ImageState::NoEngine) if self.sight.holders.contains(node) => {
                    refused = Some(format!(
                        "node {node} runs no containers; set runtime = \"docker\" in [agent] of its minato.toml, or drain it"
                    ));
                }
                Some(ImageState::NoEngine) => drop(without_engine.insert(node.clone())),
                Some(ImageState::Here { .. })
                    if going.freshness == Freshness::Newest && !answers_newest(report) =>
                {
                    refused = Some(format!(
                        "node {node} says what it has, and not what its registry has now; upgrade its minato, which is an older one"
                    ));
                }
                Some(ImageState::Here { digest, id }) => {
                    digests.extend(digest.clone());
                    ids.insert(id.clone());
                    running.extend(report.iter().flat_map(|it| it.runs.iter().cloned()));
                }
            }
        }
        going.nodes.retain(|it| !without_engine.contains(it));
        if refused.is_none()
            && !waits
            && (digests.len() > 1 || (digests.is_empty() && ids.len() > 1))
        {
            let all: Vec<&str> = digests.iter().chain(&ids).map(String::as_str).collect();
            refused = Some(format!(
                "nodes found different images under that name: {}; try again, or name it by its digest",
                all.join(", ")
            ));
        }
        if let Some(why) = refused {
            return self.fail(record, FailureKind::Refused, why);
        }
        if waits || going.nodes.is_empty() {
            if waited >= self.policy.deadline && going.nodes.is_empty() {
                let why = "no node that is alive takes it".to_owned();
                self.fail(record, FailureKind::Refused, why);
            }
            return;
        }
        pin(&mut going.to, digests.first());
        if let (Some(stable), [only]) = (&mut record.stable, &*Vec::from_iter(&running)) {
            // A first version was never looked up: from here on the way back leads to what runs, whatever its name means by then.
            pin(
                stable,
                Some(only).filter(|it| it.starts_with("sha256:")).copied(),
            );
        }
        if self.asked.known.is_none() {
            going.to.digest = going.to.command.digest();
        }
        let stable = record
            .stable
            .as_mut()
            .filter(|it| it.command == going.to.command);
        if let Some(stable) = stable {
            // The very image that runs.
            let digest = stable.digest.clone();
            going.to.digest = digest;
            if going.to.restart == stable.restart {
                let to = going.to.clone();
                let text = unchanged(&to);
                record.unchanged = to.number;
                *stable = to;
                record.going = None;
                return self.tell(Level::Info, &text, None);
            }
        }
        going.step = RolloutStage::Replacing;
    }
}

/// Names the image by what the registry said it is, so that every instance is of the same.
fn pin(to: &mut Version, digest: Option<&String>) {
    if let (Some(image), Some(digest)) = (&mut to.command.image, digest)
        && image.reference.digest().is_none()
        && let Ok(pinned) = ImageReference::parse(&format!("{}@{digest}", image.reference))
    {
        image.reference = pinned;
    }
}
