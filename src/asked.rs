//! What is asked of this process from outside: to stop, or to let another take over.

use anyhow::Context as _;
use rustix::fd::{AsFd as _, OwnedFd};
use std::fs::File;
use std::io::Read as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To stop, and who says so.
    Stop(&'static str),
    /// The program at the same path in place of this one: SIGUSR2.
    Upgrade,
}

/// Signals, and the end of the parent process. Listens from when it is made: a word that comes while everything starts
/// is kept.
#[derive(Debug)]
pub(crate) struct Asked {
    terminate: Signal,
    interrupt: Signal,
    upgrade: Signal,
    parent: Option<Parent>,
}

/// Standard input of the first process of minato, whose end says that whoever started it has ended.
#[derive(Debug)]
struct Parent {
    input: OwnedFd,
    ended: watch::Receiver<bool>,
}

impl Asked {
    /// `parent`: the pipe to watch, where one is to be watched.
    pub(crate) fn listen(parent: Option<OwnedFd>) -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be received");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            upgrade: listen(SignalKind::user_defined2())?,
            parent: parent.map(Parent::watch).transpose()?,
        })
    }

    /// Standard input as it was when this process began.
    pub(crate) fn standard_input() -> anyhow::Result<OwnedFd> {
        let copy = std::io::stdin().as_fd().try_clone_to_owned();
        copy.context("there is no standard input to watch")
    }

    /// The watched pipe, for the process that takes over.
    pub(crate) fn parent(&self) -> std::io::Result<Option<OwnedFd>> {
        let parent = self.parent.as_ref();
        parent.map(|it| it.input.try_clone()).transpose()
    }

    /// The next wish. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Wish {
        let parent = async {
            match &mut self.parent {
                Some(parent) => drop(parent.ended.wait_for(|it| *it).await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Wish::Stop("Ctrl-C"),
            () = parent => Wish::Stop("the parent process ended"),
            _ = self.upgrade.recv() => Wish::Upgrade,
        }
    }

    /// Waits until it is to stop, and drops wishes for an upgrade: one is under way, or done. Cancel-safe.
    pub(crate) async fn stop_wish(&mut self) -> &'static str {
        loop {
            if let Wish::Stop(why) = self.next().await {
                return why;
            }
        }
    }
}

impl Parent {
    fn watch(input: OwnedFd) -> anyhow::Result<Self> {
        let (end, ended) = watch::channel(false);
        let mut reader = File::from(input.try_clone()?);
        // A thread of its own, which nobody waits for: reading a pipe blocks, and never ends by itself.
        std::thread::Builder::new()
            .name("parent".to_owned())
            .spawn(move || {
                let mut nothing = [0; 64];
                while reader.read(&mut nothing).is_ok_and(|it| it > 0) {}
                let _ = end.send(true);
            })?;
        Ok(Self { input, ended })
    }
}
