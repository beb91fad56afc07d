//! Notices the end of a keeper at once, be it our child or one that an earlier agent left.

use crate::proc::Process;
use rustix::process::{PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

/// Between looks at /proc, where the kernel has no pidfd for us.
const LOOK: Duration = Duration::from_millis(200);

/// Waits until the process has ended; buries it if it is a child of ours. Cancel-safe.
pub(super) async fn gone(process: Process) {
    if let Some(pidfd) = open(process)
        && pidfd.readable().await.is_ok()
    {
        let _ = waitid(
            WaitId::PidFd(pidfd.get_ref().as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        );
        return;
    }
    while process.is_alive() {
        sleep(LOOK).await;
    }
}

/// `None` when it has ended already, or the kernel refuses.
fn open(process: Process) -> Option<AsyncFd<OwnedFd>> {
    let pidfd = pidfd_open(process.id()?, PidfdFlags::empty()).ok()?;
    // Looked at after opening: from here on the id cannot come to mean another.
    if !process.is_alive() {
        let _ = waitid(
            WaitId::PidFd(pidfd.as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        );
        return None;
    }
    #[expect(
        deprecated,
        reason = "an OwnedFd keeps its number as long as it lives; what replaces this call is an unsafe function"
    )]
    AsyncFd::with_interest(pidfd, Interest::READABLE).ok()
}
