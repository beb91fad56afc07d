//! The images that this agent fetched and the machine did not have before: remembered, and removed when they are old and
//! used by nobody.

use super::{ASK, Images, Resolved};
use crate::clock::now;
use crate::runtime::docker::engine::EngineError;
use crate::runtime::docker::refusals::failed;
use crate::runtime::{Durable, RuntimeError, write_whole};
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveImageOptions};
use minato_config::{ImageReference, Timestamp};
use minato_control::{Event, EventKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

/// Images that are remembered as ours.
const MOST_OURS: usize = 1_000;
/// Of each name this many unused ones stay, so that the way back needs no registry.
const KEPT: usize = 2;
/// Removing an image may have to delete many files.
const REMOVE: Duration = Duration::from_secs(110);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ours {
    id: String,
    name: String,
    reference: String,
    at: Timestamp,
}

/// Whether something is done or told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime::docker) enum Instead {
    Do,
    Tell,
}

impl Images {
    /// Ours that no container uses, but for the newest `kept` of each name. Those that somebody else has named too stay.
    pub(super) async fn remove_old(
        &self,
        kept: usize,
        instead: Instead,
    ) -> Result<(), RuntimeError> {
        let ours = self
            .ours
            .lock()
            .unwrap_or_else(|it| it.into_inner())
            .clone();
        if ours.is_empty() {
            return Ok(());
        }
        let options = ListContainersOptionsBuilder::new().all(true).build();
        let containers = self
            .engine
            .ask(ASK, async |it| it.list_containers(Some(options)).await)
            .await
            .map_err(|it| failed("listing the engine's containers".to_owned(), it))?;
        let used: BTreeSet<String> = containers
            .into_iter()
            .filter_map(|it| it.image_id)
            .collect();
        let present = self.ids().await?;
        self.forget(|it| present.contains(&it.id));
        for old in surplus(&ours, &used, kept).filter(|it| present.contains(&it.id)) {
            let what = format!(
                "the image {} ({}), which no container uses",
                old.reference, old.id
            );
            if instead == Instead::Tell {
                self.tell(Event::info(
                    now().wall,
                    EventKind::Image,
                    format!("would remove {what}"),
                ));
                continue;
            }
            let removed = self
                .engine
                .ask(REMOVE, async |it| {
                    it.remove_image(&old.id, None::<RemoveImageOptions>, None)
                        .await
                })
                .await;
            match removed {
                Ok(_) => {
                    self.forget(|it| it.id != old.id);
                    self.tell(Event::info(
                        now().wall,
                        EventKind::Image,
                        format!("removed {what}"),
                    ));
                }
                // Somebody else uses or named it: it is theirs from now on.
                Err(EngineError::Conflict(_) | EngineError::Missing(_)) => {
                    self.forget(|it| it.id != old.id);
                }
                Err(error) => return Err(failed(format!("removing {what}"), error)),
            }
        }
        Ok(())
    }

    /// As [`Images::remove_old`], with what stays for the way back.
    pub(in crate::runtime::docker) async fn tidy(
        &self,
        instead: Instead,
    ) -> Result<(), RuntimeError> {
        self.remove_old(KEPT, instead).await?;
        if let Some((root, free)) = self.room().await?
            && free < self.free_bytes.saturating_mul(2)
        {
            let sentence = format!(
                "{} MiB are free on the engine's disk at {root}; below {} MiB no image is fetched",
                free >> 20,
                self.free_bytes >> 20
            );
            self.tell(Event::warn(now().wall, EventKind::Image, sentence).hint("docker system df"));
        }
        Ok(())
    }

    pub(super) fn remember(&self, reference: &ImageReference, resolved: &Resolved) {
        let mut ours = self.ours.lock().unwrap_or_else(|it| it.into_inner());
        ours.retain(|it| it.id != resolved.id);
        ours.push(Ours {
            id: resolved.id.clone(),
            name: reference.name().to_owned(),
            reference: reference.to_string(),
            at: now().wall,
        });
        let surplus = ours.len().saturating_sub(MOST_OURS);
        ours.drain(..surplus);
        self.write(&ours);
    }

    fn forget(&self, kept: impl Fn(&Ours) -> bool) {
        let mut ours = self.ours.lock().unwrap_or_else(|it| it.into_inner());
        let before = ours.len();
        ours.retain(kept);
        if ours.len() != before {
            self.write(&ours);
        }
    }

    fn write(&self, ours: &[Ours]) {
        let written = serde_json::to_vec(ours)
            .map_err(io::Error::from)
            .and_then(|it| write_whole(&self.path, &it, Durable::WhileUp));
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "the list of fetched images could not be written");
        }
    }
}

/// Those that nobody uses, oldest first, but for the newest `kept` of each name, used or not.
fn surplus<'a>(
    ours: &'a [Ours],
    used: &BTreeSet<String>,
    kept: usize,
) -> impl Iterator<Item = &'a Ours> {
    let mut newest: BTreeMap<&str, Vec<&Ours>> = BTreeMap::new();
    for it in ours {
        newest.entry(&it.name).or_default().push(it);
    }
    let mut old: Vec<&Ours> = Vec::new();
    for mut of_name in newest.into_values() {
        of_name.sort_by_key(|it| std::cmp::Reverse(it.at));
        old.extend(
            of_name
                .into_iter()
                .skip(kept)
                .filter(|it| !used.contains(&it.id)),
        );
    }
    old.sort_by_key(|it| it.at);
    old.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_and_unused_ones_go() {
        let ours = |id: &str, name: &str, at: u64| Ours {
            id: id.to_owned(),
            name: name.to_owned(),
            reference: format!("{name}:{at}"),
            at: Timestamp(at),
        };
        let all = [
            ours("1", "a", 1),
            ours("2", "a", 2),
            ours("3", "a", 3),
            ours("4", "a", 4),
            ours("5", "b", 1),
        ];
        let gone = |used: &[&str], kept| {
            let used = used.iter().map(|it| (*it).to_owned()).collect();
            surplus(&all, &used, kept)
                .map(|it| it.id.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(gone(&[], 2), "1 2");
        assert_eq!(gone(&["1"], 2), "2");
        assert_eq!(gone(&["4"], 0), "1 5 2 3");
        assert_eq!(gone(&["1", "2", "3", "4", "5"], 0), "");
    }
}
