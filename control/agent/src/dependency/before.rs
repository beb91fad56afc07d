//! `relays.json` in the data folder: which member each relay used last.
//!
//! Without it an old primary that comes back, and stands first in the list, would be taken at the next start.

use minato_config::DependencyName;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A longer file is not ours.
const MOST_BYTES: u64 = 1 << 20;

type Members = BTreeMap<DependencyName, SocketAddr>;

/// What was in use, and what is.
#[derive(Debug)]
pub(super) struct Before {
    file: PathBuf,
    members: Mutex<Members>,
}

impl Before {
    /// What the file says; nothing where there is none, or it cannot be read.
    pub(super) fn load(data: &Path) -> Self {
        let file = data.join("relays.json");
        let members = match read(&file) {
            Ok(members) => members,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Members::new(),
            Err(error) => {
                tracing::warn!(%error, file = %file.display(), "which members relays used last is not known");
                Members::new()
            }
        };
        Self {
            file,
            members: Mutex::new(members),
        }
    }

    pub(super) fn of(&self, name: &DependencyName) -> Option<SocketAddr> {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.get(name).copied()
    }

    /// Written where it changed. Blocks for a small file.
    pub(super) fn note(&self, name: &DependencyName, member: SocketAddr) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if members.insert(name.clone(), member) == Some(member) {
            return;
        }
        if let Err(error) = write(&self.file, &members) {
            tracing::warn!(%error, file = %self.file.display(), "which member a relay uses could not be written down");
        }
    }
}

fn read(file: &Path) -> std::io::Result<Members> {
    let length = std::fs::metadata(file)?.len();
    if length > MOST_BYTES {
        return Err(std::io::Error::other(format!("{length} bytes long")));
    }
    serde_json::from_slice(&std::fs::read(file)?).map_err(std::io::Error::other)
}

/// Beside it first, so that a crash leaves the one or the other.
fn write(file: &Path, members: &Members) -> std::io::Result<()> {
    let beside = file.with_extension("json.new");
    let mut new = std::fs::File::create(&beside)?;
    new.write_all(&serde_json::to_vec(members).map_err(std::io::Error::other)?)?;
    new.sync_all()?;
    std::fs::rename(&beside, file)
}
