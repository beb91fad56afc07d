//! Looks at an identity every few seconds, in a thread of its own.

use crate::identity::{Identity, tell};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// How often the files are looked at: three of them, and only their times.
const SWEEP: Duration = Duration::from_secs(2);

/// The thread lives as long as this does.
#[derive(Debug)]
pub struct Following {
    _end: SyncSender<()>,
}

impl Identity {
    /// Takes in changes of the files and renews what is due, until the answer is dropped. Fails only where no thread can be had.
    pub fn follow(self: &Arc<Self>) -> io::Result<Following> {
        let (end, ended) = sync_channel::<()>(1);
        let this = Arc::clone(self);
        let thread = std::thread::Builder::new().name("minato-link".to_owned());
        thread.spawn(move || {
            while ended.recv_timeout(SWEEP) == Err(RecvTimeoutError::Timeout) {
                for it in this.look() {
                    tell(&it);
                }
            }
        })?;
        Ok(Following { _end: end })
    }
}
