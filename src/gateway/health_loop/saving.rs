//! What the next process begins with: the table and its verdicts, on disk soon after each change.
//!
//! [`Saving`] decides when, and writes. Not here: the file (`last_good`).

use super::super::last_good::{LastCourse, LastEndpoint, LastGood};
use super::HealthLoop;
use crate::clock;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// The saved table is at most this much older than the real one.
const SAVE: Duration = Duration::from_millis(250);

/// Whether what is on disk is old, and who writes it anew.
pub(super) struct Saving {
    data: PathBuf,
    /// The first change that is not on disk.
    unsaved: Option<Instant>,
    /// One at a time: two would write the same file.
    under_way: Option<JoinHandle<()>>,
}

impl Saving {
    /// `data`: the folder to write to.
    pub(super) fn new(data: PathBuf) -> Self {
        Self {
            data,
            unsaved: None,
            under_way: None,
        }
    }

    fn changed(&mut self, now: Instant) {
        self.unsaved.get_or_insert(now);
    }

    fn is_due(&self, now: Instant) -> bool {
        let is_under_way = self.under_way.as_ref().is_some_and(|it| !it.is_finished());
        !is_under_way && self.unsaved.is_some_and(|at| now >= at + SAVE)
    }

    /// Writes off the caller's task: a disk that hangs must not hold verdicts up.
    fn begin(&mut self, good: LastGood) {
        self.unsaved = None;
        let data = self.data.clone();
        self.under_way = Some(tokio::task::spawn_blocking(move || save(&good, &data)));
    }

    /// Another process writes from now on.
    pub(super) fn leave(&mut self) {
        self.unsaved = None;
    }

    /// Waits until nothing is being written.
    pub(super) async fn ended(&mut self) {
        if let Some(under_way) = self.under_way.take() {
            let _ = under_way.await;
        }
    }
}

impl HealthLoop {
    /// Something changed that is to outlive this process.
    pub(super) fn dirty(&mut self) {
        self.saving.changed(clock::now());
    }

    pub(super) fn save_when_due(&mut self) {
        if self.following.is_ours_to_save() && self.saving.is_due(clock::now()) {
            let good = self.snapshot();
            self.saving.begin(good);
        }
    }

    /// Before this process ends, or another takes its duties.
    pub(super) fn save_at_once(&self) {
        if self.following.is_ours_to_save() {
            save(&self.snapshot(), &self.saving.data);
        }
    }

    fn snapshot(&self) -> LastGood {
        let members = self.fleet.services().flat_map(|(_, known)| &known.members);
        let stay = members.filter(|(_, it)| !it.endpoint.is_draining());
        let endpoints = stay.map(|(_, it)| LastEndpoint::new(&it.endpoint, it.verdict));
        let services = self.records.values().filter(|it| !it.removed).cloned();
        let drained = self.fleet.services().filter(|(_, it)| it.is_drained());
        let drained = drained.map(|(name, _)| name.clone());
        LastGood::new(
            services.collect(),
            endpoints.collect(),
            drained.collect(),
            self.courses(),
        )
        .led(self.options.orders.saved())
    }

    fn courses(&self) -> Vec<LastCourse> {
        let memories = self.fleet.memories(clock::now(), clock::wall());
        let courses = memories.into_iter().map(|(service, site, memory)| {
            let released = self.released.get(&(service.clone(), site.clone()));
            LastCourse {
                released: released.copied().unwrap_or(0),
                service,
                site,
                memory,
            }
        });
        courses.collect()
    }
}

fn save(good: &LastGood, data: &Path) {
    if let Err(error) = good.save(data) {
        let error = format!("{error:#}");
        tracing::warn!(
            error,
            "the table is not saved; a restart would begin with an older one"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_change_counts_and_one_file_is_written_at_a_time() {
        let data = tempfile::tempdir().expect("a folder");
        let mut saving = Saving::new(data.path().to_owned());
        let start = clock::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!saving.is_due(at(9_000)), "nothing has changed");
        saving.changed(at(0));
        saving.changed(at(200));
        assert!(!saving.is_due(at(249)));
        assert!(
            saving.is_due(at(250)),
            "later changes put it off no further"
        );
        saving.begin(LastGood::default());
        assert!(!saving.is_due(at(9_000)), "all is written");
        saving.changed(at(300));
        let (hangs, disk) = std::sync::mpsc::sync_channel::<()>(0);
        saving.under_way = Some(tokio::task::spawn_blocking(move || {
            let _ = disk.recv();
        }));
        assert!(!saving.is_due(at(9_000)), "it is still being written");
        drop(hangs);
        saving.ended().await;
        assert!(saving.is_due(at(550)));
    }
}
