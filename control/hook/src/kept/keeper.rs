//! The keeper of one run: starts it, hears what it says, ends it at its time or when told, and writes down how it ended.

use super::progress::{Progress, masked};
use super::record::{Order, Process, RunRecord, RunState, remember};
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// A file of this name ends the run.
pub(super) const STOP: &str = "stop";
/// How often that is looked for, and what was said is written down.
const LOOK: Duration = Duration::from_millis(100);
/// Lines that are kept, and bytes of what is no line yet.
const LINES: usize = 50;
const PART: usize = 4_096;

/// The hidden subcommand: keeps the run that `folder` orders. Its standard input is the lock.
///
/// Exit: 0 when how it ended stands there, 1 when not even that could be written.
pub fn keep(folder: &Path) -> ExitCode {
    // Fails only for the leader of a process group, which nobody makes of it.
    let _ = rustix::process::setsid();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let kept = runtime.and_then(|it| it.block_on(Keeper::run(folder)));
    match kept {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

struct Keeper<'a> {
    folder: &'a Path,
    record: RunRecord,
    lines: VecDeque<String>,
    /// The begin of a line.
    part: Vec<u8>,
    is_new: bool,
}

impl Keeper<'_> {
    async fn run(folder: &Path) -> io::Result<()> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let order = Order::read(folder)?.ok_or_else(missing)?;
        let mut keeper = Keeper {
            folder,
            record: RunRecord::read(folder)?.ok_or_else(missing)?,
            lines: VecDeque::new(),
            part: Vec::new(),
            is_new: false,
        };
        let began = Instant::now();
        let state = match start(&order) {
            Ok((child, output)) => keeper.follow(child, output, &order, began).await,
            Err(error) => {
                let program = order.command.first().cloned().unwrap_or_default();
                RunState::Failed(format!("{program} could not be run: {error}"))
            }
        };
        let took = began.elapsed();
        if state == RunState::Done {
            remember(folder, took)?;
        }
        keeper.record.state = state;
        keeper.record.took_ms = super::record::milliseconds(took);
        keeper.write()
    }

    async fn follow(
        &mut self,
        mut child: Child,
        mut output: Receiver,
        order: &Order,
        began: Instant,
    ) -> RunState {
        let limit = Duration::from_millis(order.timeout_ms);
        let group = child.id().and_then(|it| i32::try_from(it).ok());
        self.record.process = group.and_then(Process::find);
        let _ = self.write();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut piece = [0; 4_096];
        let mut is_open = true;
        let ended = loop {
            tokio::select! {
                read = output.read(&mut piece), if is_open => match read {
                    Ok(count @ 1..) => self.hear(piece.get(..count).unwrap_or_default()),
                    _ => is_open = false,
                },
                status = child.wait() => break Some(status),
                _ = look.tick() => {
                    if began.elapsed() >= limit || self.folder.join(STOP).exists() {
                        break None;
                    }
                    if std::mem::take(&mut self.is_new) {
                        let _ = self.write();
                    }
                }
            }
        };
        // Whatever it left behind would go on copying while nobody knows.
        if let Some(group) = group.and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = child.wait().await;
        while is_open
            && let Ok(Ok(count @ 1..)) = tokio::time::timeout(LOOK, output.read(&mut piece)).await
        {
            self.hear(piece.get(..count).unwrap_or_default());
        }
        self.end_line();
        let last = self.lines.back().cloned().unwrap_or_default();
        let last = match last.as_str() {
            "" => "it said nothing".to_owned(),
            last => format!("it said last: {last}"),
        };
        match ended {
            Some(Ok(status)) if status.success() => RunState::Done,
            Some(Ok(status)) => RunState::Failed(format!("{status}; {last}")),
            Some(Err(error)) => RunState::Failed(format!("how it ended is not known: {error}")),
            None if began.elapsed() >= limit => {
                RunState::Failed(format!("killed: it did not end within {limit:?}; {last}"))
            }
            None => RunState::Failed(format!("killed: it was given up; {last}")),
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => self.end_line(),
                _ if self.part.len() < PART => self.part.push(*byte),
                // The rest of a line that nobody reads.
                _ => {}
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.part).into_owned();
        self.part.clear();
        if let Some(progress) = Progress::parse(&line) {
            self.record.progress = Some(progress);
        } else if line.trim().is_empty() {
            return;
        } else {
            self.lines.push_back(masked(&line));
            let surplus = self.lines.len().saturating_sub(LINES);
            self.lines.drain(..surplus);
        }
        self.is_new = true;
    }

    fn write(&mut self) -> io::Result<()> {
        self.record.output = self.lines.iter().cloned().collect();
        self.record.write(self.folder)
    }
}

/// With the lock as its standard input, so that it is held as long as this lives.
fn start(order: &Order) -> io::Result<(Child, Receiver)> {
    let (program, arguments) = order
        .command
        .split_first()
        .ok_or_else(|| io::Error::other("no command is given"))?;
    let (output, written) = io::pipe()?;
    let output = Receiver::from_owned_fd(output.into())?;
    let lock = io::stdin().as_fd().try_clone_to_owned()?;
    let kept = ["PATH", "HOME", "LANG"].into_iter();
    let kept = kept.filter_map(|name| Some((name, std::env::var_os(name)?)));
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(kept)
        .envs(order.variables.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::from(lock))
        .stdout(written.try_clone()?)
        .stderr(written)
        .process_group(0)
        .spawn()?;
    Ok((child, output))
}
