//! Where the health loop learns what should be: from the store, or from what the process that has taken over saves.

use super::last_good::LastGood;
use minato_control::Event;
use minato_control_store::{Follower, Observed, StoreError, Touched};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often the saved table is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What the loop is to follow from now on.
pub(crate) enum Source {
    /// The store, which this process has open.
    Site {
        follower: Box<Follower>,
        /// Where events go.
        events: mpsc::Sender<Event>,
        /// What the process before thought last, of what this one does not know yet.
        saved: LastGood,
        /// Told when the table is in line with the store.
        taken: oneshot::Sender<()>,
    },
    /// The file in the data folder, which another process writes: this one only serves what it still has open.
    Saved {
        /// Told when nothing of the store is held any more, and the table is saved.
        left: oneshot::Sender<()>,
    },
}

/// What the loop follows.
pub(super) enum Following {
    /// Nothing yet.
    Nothing,
    Site(Box<Follower>),
    /// The store cannot be followed any more.
    Lost,
    Saved(Saved),
}

/// What came.
pub(super) enum News {
    Store(Result<Touched, StoreError>),
    Saved(LastGood),
}

impl Following {
    pub(super) fn saved(data: &Path) -> Self {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self::Saved(Saved {
            data: data.to_owned(),
            stamp: LastGood::file(data).metadata().ok().map(stamp),
            look,
            reading: None,
        })
    }

    /// Whoever follows the store writes the table down.
    pub(super) fn is_ours_to_save(&self) -> bool {
        matches!(self, Self::Site(_) | Self::Lost)
    }

    pub(super) fn observed(&self) -> Option<&Observed> {
        match self {
            Self::Site(follower) => Some(follower.observed()),
            _ => None,
        }
    }

    /// The next change; never where there is nothing to follow. Cancel-safe.
    pub(super) async fn next(&mut self) -> News {
        match self {
            Self::Nothing | Self::Lost => std::future::pending().await,
            Self::Site(follower) => News::Store(follower.next().await),
            Self::Saved(saved) => News::Saved(saved.next().await),
        }
    }
}

/// When, how long and which file: another one has been renamed into its place when any differs.
type Stamp = (i64, i64, u64, u64);

/// The file that another process saves.
pub(super) struct Saved {
    data: PathBuf,
    stamp: Option<Stamp>,
    look: Interval,
    /// Off this task: a disk that hangs must not hold verdicts up.
    reading: Option<JoinHandle<Option<(Stamp, LastGood)>>>,
}

impl Saved {
    async fn next(&mut self) -> LastGood {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = reading.await;
                self.reading = None;
                if let Ok(Some((stamp, good))) = read {
                    self.stamp = Some(stamp);
                    return good;
                }
            }
            self.look.tick().await;
            let (data, last) = (self.data.clone(), self.stamp);
            self.reading = Some(tokio::task::spawn_blocking(move || changed(&data, last)));
        }
    }
}

/// The file, if it is another than `last`.
fn changed(data: &Path, last: Option<Stamp>) -> Option<(Stamp, LastGood)> {
    let stamp = LastGood::file(data).metadata().ok().map(stamp)?;
    let differs = last != Some(stamp);
    differs.then(|| (stamp, LastGood::load(data)))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "made to be mapped over what the system answers"
)]
fn stamp(it: std::fs::Metadata) -> Stamp {
    (it.mtime(), it.mtime_nsec(), it.size(), it.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::ServiceName;

    fn drained(name: &str) -> LastGood {
        let name = ServiceName::parse(name).expect("a name");
        LastGood::new(Vec::new(), Vec::new(), vec![name], Vec::new())
    }

    #[tokio::test]
    async fn each_saved_table_is_read_once_and_an_older_one_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        drained("one").save(folder.path()).expect("saved");
        let mut following = Following::saved(folder.path());
        assert!(!following.is_ours_to_save());
        let soon = Duration::from_millis(700);
        assert!(tokio::time::timeout(soon, following.next()).await.is_err());
        for name in ["two", "six"] {
            drained(name).save(folder.path()).expect("saved");
            match following.next().await {
                News::Saved(good) => assert_eq!(good, drained(name)),
                News::Store(_) => panic!("there is no store"),
            }
        }
    }
}
