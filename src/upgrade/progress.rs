//! How far an upgrade of this process is, for who asks; and the wish for one.

use super::draining::{Draining, MOST};
use minato_control_server::api::{CopiedStatus, UpgradeRequest, UpgradeState, UpgradeStatus};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// A wish that was let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Instead of the program at the path that this one was started from.
    pub(crate) binary: Option<PathBuf>,
    /// Who asked, for the event.
    pub(crate) who: String,
}

/// Shared by the admin API, which asks, and the composition, which acts.
#[derive(Debug)]
pub(crate) struct Progress {
    state: Mutex<(UpgradeState, String)>,
    /// Of the store, when this process took over.
    copied: Mutex<Option<CopiedStatus>>,
    wishes: mpsc::Sender<Wanted>,
    draining: Arc<Draining>,
}

impl Progress {
    /// What is wished for arrives at the receiver, one at a time.
    pub(crate) fn new(draining: Arc<Draining>) -> (Self, mpsc::Receiver<Wanted>) {
        let (wishes, wanted) = mpsc::channel(1);
        let this = Self {
            state: Mutex::default(),
            copied: Mutex::default(),
            wishes,
            draining,
        };
        (this, wanted)
    }

    pub(crate) fn status(&self) -> UpgradeStatus {
        let (state, detail) = self.state().clone();
        UpgradeStatus {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state,
            detail,
            draining: self.draining.pids(),
            copied: self.copied().clone(),
        }
    }

    /// Lets a wish through, or says why not.
    pub(crate) fn begin(&self, asked: UpgradeRequest) -> Result<UpgradeStatus, String> {
        let draining = self.draining.pids().len();
        if std::process::id() == 1 {
            return Err("this minato is process 1 of its container, which ends with it: replace the container instead".to_owned());
        }
        if draining >= MOST {
            return Err(format!(
                "{draining} processes of before still serve their connections; wait until one has ended, or end one with SIGTERM"
            ));
        }
        let binary = asked.binary.map(PathBuf::from);
        if let Some(relative) = binary.as_ref().filter(|it| !it.is_absolute()) {
            return Err(format!("{} is no absolute path", relative.display()));
        }
        let who: String = asked
            .who
            .chars()
            .filter(|it| !it.is_control())
            .take(64)
            .collect();
        let wanted = Wanted { binary, who };
        let under_way = || "an upgrade is under way already".to_owned();
        let mut state = self.state();
        if state.0 == UpgradeState::UnderWay {
            return Err(under_way());
        }
        self.wishes.try_send(wanted).map_err(|_| under_way())?;
        *state = (UpgradeState::UnderWay, "begins".to_owned());
        drop(state);
        Ok(self.status())
    }

    pub(crate) fn set(&self, state: UpgradeState, detail: impl Into<String>) {
        *self.state() = (state, detail.into());
    }

    /// The store was copied before this process took it up.
    pub(crate) fn tell_copied(&self, copied: CopiedStatus) {
        *self.copied() = Some(copied);
    }

    fn copied(&self) -> MutexGuard<'_, Option<CopiedStatus>> {
        self.copied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, (UpgradeState, String)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(binary: Option<&str>) -> UpgradeRequest {
        UpgradeRequest {
            binary: binary.map(str::to_owned),
            who: "alice\n".to_owned(),
        }
    }

    #[test]
    fn one_at_a_time_and_again_after_a_failure() {
        let (progress, mut wanted) = Progress::new(Arc::default());
        assert_eq!(progress.status().state, UpgradeState::None);
        let answer = progress.begin(wish(None)).unwrap();
        assert_eq!(answer.state, UpgradeState::UnderWay);
        let got = wanted.try_recv().unwrap();
        assert_eq!((got.binary, got.who.as_str()), (None, "alice"));
        let refused = progress.begin(wish(None)).unwrap_err();
        assert_eq!(refused, "an upgrade is under way already");
        progress.set(UpgradeState::Failed, "no such file");
        progress.begin(wish(Some("/opt/minato"))).unwrap();
        assert_eq!(
            wanted.try_recv().unwrap().binary,
            Some("/opt/minato".into())
        );
    }

    #[test]
    fn a_path_that_only_its_sender_understands_is_refused() {
        let (progress, _wanted) = Progress::new(Arc::default());
        let refused = progress.begin(wish(Some("./minato"))).unwrap_err();
        assert_eq!(refused, "./minato is no absolute path");
        assert_eq!(progress.status().state, UpgradeState::None);
    }
}
