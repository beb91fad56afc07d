//! The old process's half: starts the new one, hands everything over in two steps, or ends it.

use super::channel::Channel;
use super::draining::{Draining, Left};
use super::launch;
use super::message::{Listening, Message, Offer, Secret, VERSION};
use super::words::Words;
use crate::listeners::{Held, Listeners};
use crate::supervisor;
use anyhow::{Context as _, anyhow, bail, ensure};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The flag that makes a process take over. It goes with the arguments of the old one.
const FLAG: &str = "--take-over";
/// How long the new process may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a process that closed the handover may take to end, so that its end can be told.
const PARTING: Duration = Duration::from_millis(500);

/// Milliseconds that a stopped launcher may take to stand still, while it starts a program for instance.
const STANDSTILL_LOOKS: u32 = 200;
/// How long a killed process may take to end.
const BURIAL: Duration = Duration::from_secs(5);

/// What the old process hands over besides its program's arguments.
pub(crate) struct Estate<'a> {
    pub(crate) listeners: &'a Listeners,
    /// The pipe whose end means that the parent process ended.
    pub(crate) parent: Option<OwnedFd>,
    pub(crate) draining: &'a Draining,
    /// Keys of session tickets, where TLS is served.
    pub(crate) tickets: Option<Vec<u8>>,
}

/// A new process that has not taken over yet. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Successor {
    launcher: Child,
    /// Known once it was started.
    process: Option<Left>,
    channel: Channel,
    words: Words,
    /// It said itself why it refuses; its last words would say it again.
    has_refused: bool,
}

impl Successor {
    /// Starts `program` with the arguments of this process and waits until it is ready. The error says why it is not;
    /// it has ended then.
    pub(crate) async fn raise(program: &Path, estate: &Estate<'_>) -> anyhow::Result<Self> {
        let (channel, theirs) = Channel::pair().context("no socket for the handover")?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg(launch::COMMAND)
            .arg(program)
            .args(arguments(std::env::args_os().skip(1)))
            .stdin(Stdio::from(theirs))
            .stderr(Stdio::piped());
        for variable in supervisor::PERSONAL {
            command.env_remove(variable);
        }
        let mut launcher = command.spawn().context("no new process can be started")?;
        // The command holds the other end of the socket, whose closing tells of the new process's end.
        drop(command);
        let mut this = Self {
            words: Words::listen(launcher.stderr.take()),
            launcher,
            process: None,
            channel,
            has_refused: false,
        };
        match this.begin(estate).await {
            Ok(()) => Ok(this),
            Err(error) => Err(this.end(error).await),
        }
    }

    async fn begin(&mut self, estate: &Estate<'_>) -> anyhow::Result<()> {
        const READY: &str = "it was ready";
        let (started, mut descriptors) = self.answer(READY).await?;
        let Message::Started { pid } = started else {
            bail!("the new process said {started:?} before it was started");
        };
        let handle = descriptors
            .pop()
            .context("the new process cannot be followed")?;
        self.process = Some(Left::new(pid, handle));
        // Who ends at once, ends before it has read: how it ended says more than that.
        let offered = self.offer(estate).await;
        let (ready, _) = self.answer(READY).await?;
        offered?;
        ensure!(
            matches!(ready, Message::Ready { .. }),
            "the new process said {ready:?} instead of ready"
        );
        // From here on it is no longer this process's grandchild.
        self.launcher.start_kill()?;
        self.launcher.wait().await?;
        Ok(())
    }

    async fn offer(&self, estate: &Estate<'_>) -> anyhow::Result<()> {
        let draining = estate.draining.copies()?;
        let held = estate.listeners.held();
        let offer = Offer {
            v: VERSION,
            pid: std::process::id(),
            listeners: held.iter().map(Listening::of).collect(),
            parent: estate.parent.is_some(),
            draining: draining.iter().map(|it| it.pid).collect(),
            tickets: Secret(estate.tickets.clone().unwrap_or_default()),
        };
        let output = std::io::stderr();
        let mut descriptors = vec![output.as_fd()];
        descriptors.extend(held.iter().map(|it| it.as_fd()));
        descriptors.extend(estate.parent.iter().map(|it| it.as_fd()));
        descriptors.extend(draining.iter().map(|it| it.handle().as_fd()));
        self.channel
            .send(&Message::Offer(offer), &descriptors)
            .await
    }

    /// Says that everything is let go, and waits until the new process runs on its own.
    pub(crate) async fn take_over(mut self) -> anyhow::Result<Inheritor> {
        let taken = async {
            self.channel.send(&Message::Released, &[]).await?;
            match self.answer("it had taken over").await?.0 {
                Message::Running => Ok(()),
                other => bail!("the new process said {other:?} instead of running"),
            }
        };
        match taken.await {
            Ok(()) => Ok(Inheritor(self.process.take().context("nobody took over")?)),
            Err(error) => Err(self.end(error).await),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, |it| it.pid)
    }

    /// The next message, unless the process refuses, ends or is silent first.
    async fn answer(&mut self, before: &str) -> anyhow::Result<(Message, Vec<OwnedFd>)> {
        let Ok(heard) = timeout(SILENCE, self.channel.receive()).await else {
            bail!(
                "the new process was not heard of within {SILENCE:?} before {before}, and was ended"
            );
        };
        match heard? {
            Some((Message::Failed { why }, _)) => {
                self.has_refused = true;
                bail!("{why}")
            }
            Some(heard) => Ok(heard),
            // Nobody has the other end any more.
            None => match timeout(PARTING, self.launcher.wait()).await {
                Ok(Ok(status)) => bail!("the new process ended before {before}{}", how(status)),
                _ => bail!("the new process closed the handover before {before}"),
            },
        }
    }

    /// Makes sure that it has ended, and adds its last words to why.
    async fn end(mut self, why: anyhow::Error) -> anyhow::Error {
        self.kill();
        let _ = self.launcher.wait().await;
        if let Some(process) = &self.process {
            // What it has open, the store above all, is free only then.
            let _ = timeout(BURIAL, process.ended()).await;
        }
        let words = self.words.last().await;
        if words.is_empty() || self.has_refused {
            why
        } else {
            anyhow!("{why:#}; its last words:\n{words}")
        }
    }

    fn kill(&mut self) {
        match &self.process {
            Some(process) => process.kill(),
            None => self.kill_unheard(),
        }
        let _ = self.launcher.start_kill();
    }

    /// The program may have been started without our having heard of it yet. A launcher that stands still starts nothing
    /// more and buries nobody, so that the ids of its children are theirs.
    fn kill_unheard(&self) {
        let pid = |it: u32| i32::try_from(it).ok().and_then(Pid::from_raw);
        let Some(launcher) = self.launcher.id().and_then(pid) else {
            return;
        };
        if kill_process(launcher, Signal::STOP).is_err() {
            return;
        }
        let folder = format!("/proc/{launcher}", launcher = launcher.as_raw_nonzero());
        let read =
            |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).unwrap_or_default();
        let stands = || {
            let stat = read("stat");
            let state = stat
                .rsplit_once(") ")
                .and_then(|(_, rest)| rest.chars().next());
            !matches!(state, Some('R' | 'S' | 'D'))
        };
        for _ in 0..STANDSTILL_LOOKS {
            if stands() {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        let children = read(&format!("task/{}/children", launcher.as_raw_nonzero()));
        let children = children.split_whitespace().filter_map(|it| it.parse().ok());
        for child in children.filter_map(pid) {
            let _ = kill_process(child, Signal::KILL);
        }
    }
}

impl Drop for Successor {
    /// One that has taken over was taken out before.
    fn drop(&mut self) {
        self.kill();
    }
}

/// The process that has taken over.
#[derive(Debug)]
pub(crate) struct Inheritor(Left);

impl Inheritor {
    pub(crate) fn pid(&self) -> u32 {
        self.0.pid
    }

    /// Passes a wish to stop on.
    pub(crate) fn stop(&self) {
        self.0.stop();
    }
}

impl Listening {
    fn of(held: &Held) -> Self {
        Self {
            role: held.role,
            asked: held.asked,
            origin: held.origin,
        }
    }
}

/// As this process was started, and the flag.
fn arguments(own: impl Iterator<Item = OsString>) -> Vec<OsString> {
    own.filter(|it| it != FLAG)
        .chain([OsString::from(FLAG)])
        .collect()
}

/// `: exit status 3`, or the signal; nothing where the launcher was ended first.
fn how(status: ExitStatus) -> String {
    match status.code() {
        Some(code) if code > launch::SIGNALLED.into() => {
            format!(": signal {}", code - i32::from(launch::SIGNALLED))
        }
        Some(code) => format!(": exit status {code}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    #[test]
    fn the_flag_is_there_once_however_often_it_is_handed_on() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let once = words("run --config x --take-over");
        assert_eq!(arguments(words("run --config x").into_iter()), once);
        assert_eq!(arguments(once.clone().into_iter()), once);
    }

    #[test]
    fn an_end_is_told_by_status_or_signal() {
        let exited = |code: i32| how(ExitStatus::from_raw(code << 8));
        assert_eq!(exited(3), ": exit status 3");
        assert_eq!(exited(128 + 9), ": signal 9");
        assert_eq!(how(ExitStatus::from_raw(9)), "");
    }
}
