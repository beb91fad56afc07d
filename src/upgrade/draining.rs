//! Processes of before that still serve the connections they had when another took over.
//!
//! Each is held by a descriptor of the process itself, so that a process id that is given anew is never mistaken for it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upgrades whose old processes may drain at once; one more is refused.
pub(super) const MOST: usize = 16;

/// How often it is looked for the end of one.
const LOOK: Duration = Duration::from_millis(50);

/// One of them.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) pid: u32,
    handle: OwnedFd,
}

impl Left {
    /// A process that is alive, as the caller knows for sure.
    pub(super) fn of(pid: u32) -> std::io::Result<Self> {
        let id = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let id = id.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(Self::new(pid, pidfd_open(id, PidfdFlags::empty())?))
    }

    pub(super) fn new(pid: u32, handle: OwnedFd) -> Self {
        Self { pid, handle }
    }

    /// SIGTERM. What it still serves has as long as at any stop.
    pub(super) fn stop(&self) {
        self.signal(Signal::TERM);
    }

    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        match pidfd_send_signal(self.handle.as_fd(), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => {
                tracing::warn!(%error, pid = self.pid, ?signal, "a process was not signalled");
            }
        }
    }

    fn copy(&self) -> std::io::Result<Self> {
        Ok(Self::new(self.pid, self.handle.try_clone()?))
    }

    pub(super) fn handle(&self) -> &OwnedFd {
        &self.handle
    }

    /// The descriptor can be read from the process's end on.
    fn is_alive(&self) -> bool {
        let mut polled = [PollFd::new(&self.handle, PollFlags::IN)];
        let at_once = Timespec::default();
        !matches!(poll(&mut polled, Some(&at_once)), Ok(1..))
    }

    pub(super) async fn ended(&self) {
        while self.is_alive() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Draining(Mutex<Vec<Left>>);

impl Draining {
    pub(super) fn new(all: Vec<Left>) -> Self {
        Self(Mutex::new(all))
    }

    /// Their ids, oldest first.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.living().iter().map(|it| it.pid).collect()
    }

    /// Those that live, to be handed on.
    pub(super) fn copies(&self) -> std::io::Result<Vec<Left>> {
        self.living().iter().map(Left::copy).collect()
    }

    /// Tells them to stop.
    pub(crate) fn stop(&self) {
        for it in self.living().iter() {
            it.stop();
        }
    }

    /// Waits for the end of each, oldest first; `each` hears of it.
    pub(crate) async fn ended(&self, mut each: impl FnMut(u32)) {
        let copies = self.copies();
        for it in copies.into_iter().flatten() {
            it.ended().await;
            each(it.pid);
        }
    }

    fn living(&self) -> MutexGuard<'_, Vec<Left>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(Left::is_alive);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[tokio::test]
    async fn a_process_is_there_until_it_ends_and_can_be_told_to_stop() {
        let mut child = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id();
        let draining = Draining::new(vec![Left::of(pid).unwrap()]);
        assert_eq!(draining.pids(), [pid]);
        draining.stop();
        let mut heard = Vec::new();
        let ended = draining.ended(|it| heard.push(it));
        tokio::time::timeout(Duration::from_secs(20), ended)
            .await
            .unwrap();
        // Not buried yet, and gone all the same.
        assert_eq!((heard, draining.pids()), (vec![pid], Vec::new()));
        child.wait().unwrap();
        draining.stop();
        assert!(Left::of(pid).is_err());
    }
}
