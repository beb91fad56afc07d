//! Runs that outlive whoever started them: one at a time for each name, found again by the next process of this machine.
//!
//! A *keeper* (`minato hook`, a process of its own session) runs the command, ends it at its time, and writes down what it says and
//! how it ended. Whether a run lives is told by a lock: the one who starts it takes it and hands it on as standard input, so that it is
//! held as long as the keeper or the command lives, and nothing else can hold it. There is no moment in which a run has begun and
//! the lock is free.
//!
//! Not here: which command may run, where, and what its end means (`control/server`).

mod keeper;
mod progress;
mod record;

pub use keeper::keep;
pub use progress::{Progress, estimated, masked};
pub use record::{RunId, RunRecord, RunState};

use record::Order;
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A command whose keeper is gone is ended so long after its time.
const GRACE: Duration = Duration::from_secs(5);

/// The runs of one machine.
#[derive(Debug, Clone)]
pub struct Runs {
    folder: PathBuf,
    keeper: Vec<OsString>,
}

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which run this is.
    pub id: RunId,
    /// Program and arguments.
    pub command: Vec<String>,
    /// All that it has of an environment, beside PATH, HOME and LANG.
    pub variables: Vec<(String, String)>,
    /// Then it is killed with all that it started.
    pub timeout: Duration,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// What became of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It runs.
    Begun,
    /// This run was begun before: it runs, or has ended.
    Before,
    /// Another one runs.
    Busy(RunId),
}

impl Runs {
    /// Below `data`; keepers are `program` with its arguments and a folder.
    pub fn new(data: &Path, program: Vec<OsString>) -> Self {
        Self {
            folder: data.join("hooks"),
            keeper: program,
        }
    }

    /// The run of `name` as it is, or was last; `None`: there was none.
    pub fn look(&self, name: &str, now_ms: u64) -> io::Result<Option<RunRecord>> {
        let folder = self.folder.join(name);
        let Some(mut record) = RunRecord::read(&folder)? else {
            return Ok(None);
        };
        if record.state == RunState::Running {
            match lock(&folder)? {
                None => end_overdue(&record, now_ms),
                Some(_held) => {
                    // It may have ended between the two looks.
                    record = RunRecord::read(&folder)?.unwrap_or(record);
                    if record.state == RunState::Running {
                        record.state = RunState::Failed(
                            "its keeper was killed, so that how it ended is not known".to_owned(),
                        );
                    }
                }
            }
        }
        Ok(Some(record))
    }

    /// Starts a run, unless it was begun before or another one runs.
    pub fn start(&self, name: &str, wanted: &Wanted) -> io::Result<Started> {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder)?;
        let before = RunRecord::read(&folder)?;
        if before.as_ref().is_some_and(|it| it.id == wanted.id) {
            return Ok(Started::Before);
        }
        let Some(held) = lock(&folder)? else {
            let id = RunRecord::read(&folder)?.map(|it| it.id);
            return Ok(match id.or(before.map(|it| it.id)) {
                Some(id) if id == wanted.id => Started::Before,
                id => Started::Busy(id.unwrap_or_default()),
            });
        };
        let _ = std::fs::remove_file(folder.join(keeper::STOP));
        Order::new(wanted).write(&folder)?;
        RunRecord::begun(wanted).write(&folder)?;
        let (program, arguments) = self.keeper.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        command.args(arguments).arg(&folder);
        command.stdin(Stdio::from(held));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // Nobody waits for it: it leaves its group at once, and is looked at by what it writes.
        let spawned = command.spawn();
        match spawned {
            Ok(mut child) => {
                std::thread::spawn(move || child.wait());
                Ok(Started::Begun)
            }
            Err(error) => {
                let mut record = RunRecord::begun(wanted);
                record.state = RunState::Failed(format!("it could not be run: {error}"));
                record.write(&folder)?;
                Err(error)
            }
        }
    }

    /// Asks the run of `name` to end, whichever it is; it is killed within a moment.
    pub fn stop(&self, name: &str) -> io::Result<()> {
        let folder = self.folder.join(name);
        if folder.is_dir() {
            File::create(folder.join(keeper::STOP))?;
        }
        Ok(())
    }

    /// How long the last runs of `name` took that ended well, the newest last: at most five.
    pub fn earlier(&self, name: &str) -> Vec<Duration> {
        record::earlier(&self.folder.join(name))
    }
}

/// The lock of a folder; `None` while a run has it.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(folder.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A command that outlives its keeper has nobody who ends it.
fn end_overdue(record: &RunRecord, now_ms: u64) {
    let limit = Duration::from_millis(record.timeout_ms).saturating_add(GRACE);
    let age = Duration::from_millis(now_ms.saturating_sub(record.began_ms));
    let group = record.process.as_ref().filter(|it| it.lives());
    if age > limit
        && let Some(group) = group.and_then(|it| Pid::from_raw(it.id))
    {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(test)]
mod tests;
