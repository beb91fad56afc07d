//! What this gateway says of itself, shared by who decides it and who is asked; and the operator's word on disk.

use minato_control::entrance::{ByHand, Door, Standing};
use serde::{Deserialize, Serialize};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// In the data folder; there while the word holds.
const FILE: &str = "entrance.json";
/// Bytes that are read of it.
const LARGEST: u64 = 64 << 10;
/// Of the file.
const VERSION: u32 = 1;

/// The operator's word could not be kept, so it does not hold.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written, and nothing was changed: {cause}", path.display())]
pub struct GateError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    #[serde(flatten)]
    by_hand: ByHand,
}

/// See the module.
#[derive(Debug)]
pub struct Gate {
    path: PathBuf,
    door: watch::Sender<Door>,
    /// Since when it has said, without a break, that it wants no visitors.
    leaving: watch::Sender<Option<Instant>>,
}

impl Gate {
    /// With the word that is kept in the folder `data`.
    pub fn open(data: &Path) -> Self {
        let gate = Self {
            path: data.join(FILE),
            door: watch::Sender::default(),
            leaving: watch::Sender::default(),
        };
        gate.reread();
        gate
    }

    /// Takes up what another process kept meanwhile.
    ///
    /// A file that cannot be understood was written when the gateway was drained, by another version perhaps: it counts
    /// as drained, by nobody knows whom. Sending visitors to where an operator works would be worse.
    pub fn reread(&self) {
        let by_hand = match read(&self.path) {
            Ok(by_hand) => by_hand,
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%error, "{path} cannot be read, so this gateway stays drained; `minato entrance undrain` ends that");
                Some(ByHand {
                    who: String::new(),
                    since: minato_config::Timestamp(0),
                })
            }
        };
        self.change(|door| door.by_hand = by_hand);
    }

    /// What it says now.
    pub fn standing(&self) -> Standing {
        self.door.borrow().standing()
    }

    /// What decides about that.
    pub fn door(&self) -> Door {
        self.door.borrow().clone()
    }

    /// Follows it.
    pub fn follow(&self) -> watch::Receiver<Door> {
        self.door.subscribe()
    }

    /// Keeps the operator's word, or that there is none; returns what held before.
    ///
    /// # Errors
    /// The file cannot be written: what held before holds.
    pub fn by_hand(&self, word: Option<ByHand>) -> Result<Option<ByHand>, GateError> {
        let before = self.door().by_hand;
        write(&self.path, word.as_ref()).map_err(|cause| GateError {
            path: self.path.clone(),
            cause,
        })?;
        self.change(|door| door.by_hand = word);
        Ok(before)
    }

    /// From now on it says that it is about to stop. Returns how much of `drain` is left until its listeners may close.
    pub fn stop(&self, drain: Duration) -> Duration {
        self.change(|door| door.is_stopping = true);
        let since = *self.leaving.borrow();
        drain.saturating_sub(since.map_or(Duration::ZERO, |it| it.elapsed()))
    }

    pub(crate) fn stuck(&self, is_stuck: bool) {
        if is_stuck && !self.door.borrow().is_stuck {
            tracing::error!(
                "a thread of the gateway has stood still for 5 s: the entrance says so; restart minato, and report this as a bug"
            );
        }
        self.change(|door| door.is_stuck = is_stuck);
    }

    fn change(&self, change: impl FnOnce(&mut Door)) {
        self.door.send_if_modified(|door| {
            let before = door.clone();
            change(door);
            *door != before
        });
        let leaves = matches!(self.standing(), Standing::Draining(_));
        self.leaving.send_if_modified(|since| {
            if leaves != since.is_some() {
                *since = leaves.then(Instant::now);
            }
            false
        });
    }
}

fn read(path: &Path) -> io::Result<Option<ByHand>> {
    use std::io::Read as _;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text)?;
    let stored: Stored = serde_json::from_slice(&text)?;
    if stored.v != VERSION {
        let text = format!("it is of version {}, this is {VERSION}", stored.v);
        return Err(io::Error::other(text));
    }
    Ok(Some(stored.by_hand))
}

/// Whole and on the disk, or as it was.
fn write(path: &Path, word: Option<&ByHand>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    match word {
        Some(word) => {
            let stored = Stored {
                v: VERSION,
                by_hand: word.clone(),
            };
            let new = path.with_extension("json.new");
            let mut file = std::fs::File::create(&new)?;
            file.write_all(&serde_json::to_vec(&stored)?)?;
            file.sync_all()?;
            std::fs::rename(new, path)?;
        }
        None => match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        },
    }
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::Timestamp;
    use minato_control::entrance::Leaving;

    const DRAIN: Duration = Duration::from_secs(10);

    fn word() -> Option<ByHand> {
        Some(ByHand {
            who: "alice".to_owned(),
            since: Timestamp(5),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_word_outlives_the_process_and_its_taking_back_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let gate = Gate::open(folder.path());
        assert_eq!(gate.standing(), Standing::Alive);
        assert_eq!(gate.by_hand(word()).unwrap(), None);
        let other = Gate::open(folder.path());
        assert_eq!(other.standing(), Standing::Draining(Leaving::ByHand));
        assert_eq!(other.by_hand(None).unwrap(), word());
        gate.reread();
        assert_eq!(gate.standing(), Standing::Alive);
        assert!(!folder.path().join(FILE).exists());
        // Taken back twice is no failure.
        assert_eq!(gate.by_hand(None).unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_word_that_cannot_be_understood_holds() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "{}", "null", "{\"v\":2,\"who\":\"a\",\"since\":5}"] {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            let gate = Gate::open(folder.path());
            let expected = Standing::Draining(Leaving::ByHand);
            assert_eq!(gate.standing(), expected, "{text:?}");
            gate.by_hand(None).unwrap();
            assert_eq!(gate.standing(), Standing::Alive, "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_word_that_cannot_be_kept_does_not_hold() {
        let folder = tempfile::tempdir().unwrap();
        let gate = Gate::open(&folder.path().join("missing"));
        let error = gate.by_hand(word()).unwrap_err().to_string();
        assert!(error.contains("entrance.json cannot be written"), "{error}");
        assert_eq!(gate.standing(), Standing::Alive);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_only_for_what_has_not_been_said_yet() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Gate::open(folder.path()).stop(DRAIN), DRAIN);
        let gate = Gate::open(folder.path());
        gate.by_hand(word()).unwrap();
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(gate.stop(DRAIN), Duration::from_secs(6));
        assert_eq!(gate.standing(), Standing::Draining(Leaving::Stopping));
        tokio::time::advance(Duration::from_secs(400)).await;
        assert_eq!(gate.stop(DRAIN), Duration::ZERO);
    }
}
