//! The new process's half: takes what the old one hands over, and says how far it is.

use super::channel::Channel;
use super::draining::{Draining, Left};
use super::message::{Message, Offer};
use crate::listeners::Held;
use anyhow::{Context as _, bail, ensure};
use rustix::fd::{AsFd as _, OwnedFd};
use std::fs::File;
use std::time::Duration;
use tokio::time::timeout;

/// How long the offer may take: the old process has it ready.
const OFFER: Duration = Duration::from_secs(10);

/// What was inherited.
#[derive(Debug)]
pub(crate) struct Inheritance {
    /// Listeners, to be gathered.
    pub(crate) listeners: Vec<Held>,
    /// The pipe whose end means that the parent process ended.
    pub(crate) parent: Option<OwnedFd>,
    /// Keys of session tickets; empty without TLS.
    pub(crate) tickets: Vec<u8>,
    /// The old process, and those before it.
    pub(crate) draining: Draining,
    pub(crate) handover: Handover,
}

/// The conversation with the old process.
#[derive(Debug)]
pub(crate) struct Handover {
    channel: Channel,
    /// The old process.
    pub(crate) from: u32,
    /// Standard error of the old process; until this one has taken over, the old one listens to ours.
    output: OwnedFd,
}

impl Inheritance {
    /// Takes the handover from standard input, which ends with that.
    pub(crate) async fn receive() -> anyhow::Result<Self> {
        let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
        let nothing = File::open("/dev/null").context("/dev/null cannot be opened")?;
        rustix::stdio::dup2_stdin(&nothing)?;
        let channel = Channel::new(socket)
            .context("--take-over is what minato starts itself with; use `minato upgrade`")?;
        let offered = timeout(OFFER, channel.receive())
            .await
            .context("the old process offers nothing")??;
        match offered {
            Some((Message::Offer(offer), descriptors)) => Self::take(channel, offer, descriptors),
            Some((other, _)) => bail!("the old process said {other:?} instead of an offer"),
            None => bail!("the old process has ended"),
        }
    }

    fn take(channel: Channel, offer: Offer, descriptors: Vec<OwnedFd>) -> anyhow::Result<Self> {
        ensure!(
            descriptors.len() == offer.descriptors(),
            "{} descriptors came for {}",
            descriptors.len(),
            offer.descriptors()
        );
        let mut descriptors = descriptors.into_iter();
        let mut next = || descriptors.next().context("a descriptor is missing");
        let output = next()?;
        let mut listeners = Vec::new();
        for it in offer.listeners {
            listeners.push(Held::new(it.role, it.asked, it.origin, next()?.into()));
        }
        let parent = if offer.parent { Some(next()?) } else { None };
        let mut draining = Vec::new();
        for pid in offer.draining {
            draining.push(Left::new(pid, next()?));
        }
        // It lives: it is the parent of this process, and waits for an answer.
        draining.push(Left::of(offer.pid).context("the old process cannot be followed")?);
        Ok(Self {
            listeners,
            parent,
            tickets: offer.tickets.0,
            draining: Draining::new(draining),
            handover: Handover {
                channel,
                from: offer.pid,
                output,
            },
        })
    }
}

impl Handover {
    /// Says that everything is good, and waits until the old process has let go.
    ///
    /// An old process that dies meanwhile has crashed, and whoever restarts it would meet this one: it ends as well.
    pub(crate) async fn released(&self) -> anyhow::Result<()> {
        let ready = Message::Ready {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        self.channel.send(&ready, &[]).await?;
        match self.channel.receive().await? {
            Some((Message::Released, _)) => Ok(()),
            Some((other, _)) => bail!("the old process said {other:?} instead of released"),
            None => bail!("the old process ended in the middle of the handover"),
        }
    }

    /// Says that this process serves; the old one is on its way out from then on. Standard error is its own again.
    pub(crate) async fn running(self) -> anyhow::Result<()> {
        rustix::stdio::dup2_stderr(&self.output)?;
        // It has let go of everything, so its end changes nothing any more.
        if let Err(error) = self.channel.send(&Message::Running, &[]).await {
            tracing::warn!(%error, "the old process does not hear that this one serves");
        }
        Ok(())
    }

    /// Says why it comes to nothing.
    pub(crate) async fn failed(&self, why: &anyhow::Error) {
        let why = format!("{why:#}");
        let _ = self.channel.send(&Message::Failed { why }, &[]).await;
    }
}
