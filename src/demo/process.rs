//! The process of the demo's minato, and proof that nothing of it is left.

use crate::demo::site::Site;
use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};

/// minato stops its instances and then itself within this.
const STOP: Duration = Duration::from_secs(45);

/// `minato run` on the files of a site. It ends when its standard input closes, so also when this process is killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    program: PathBuf,
    folder: PathBuf,
}

impl Process {
    /// Starts it in a process group of its own; what it prints goes to the site's log.
    pub(crate) fn start(site: &Site) -> anyhow::Result<Self> {
        let log = fs::File::create(site.log())?;
        let child = Command::new(site.program())
            .arg("run")
            .arg("--config")
            .arg(site.settings())
            .args(["--stop-instances", "--exit-with-parent"])
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", site.program().display()))?;
        Ok(Self {
            child,
            program: site.program().to_owned(),
            folder: site.folder().to_owned(),
        })
    }

    /// Returns when minato ended by itself; a process that another has taken over from has not.
    pub(crate) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        let (mut ended, mut serves) = (None, None);
        loop {
            // Not `Child::wait`: that closes its standard input.
            if ended.is_none() {
                ended = self.child.try_wait()?;
            }
            if let Some(status) = ended
                && !serves.is_some_and(is_alive)
            {
                serves = self.running().first().copied();
                if serves.is_none() {
                    return Ok(status);
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// SIGTERM, and SIGKILL where that is not enough. `Err` says what went wrong or is left.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let mut trouble = Vec::new();
        for pid in self.running() {
            signal(pid, Signal::TERM);
        }
        if tokio::time::timeout(STOP, self.all_ended()).await.is_err() {
            trouble.push(format!("minato did not stop within {STOP:?}"));
            for pid in self.running() {
                signal(pid, Signal::KILL);
            }
            let _ = tokio::time::timeout(STOP, self.all_ended()).await;
        }
        let mut left = self.left();
        for _ in 0..60 {
            if left.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            left = self.left();
        }
        for (pid, name) in left {
            trouble.push(format!("process {pid} was left behind ({name}); killed it"));
            signal(pid, Signal::KILL);
        }
        anyhow::ensure!(trouble.is_empty(), "{}", trouble.join("; "));
        Ok(())
    }

    async fn all_ended(&mut self) {
        let _ = self.child.wait().await;
        while !self.running().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// `minato run` of this site: one, or more after an upgrade.
    fn running(&self) -> Vec<u32> {
        let found = self.found().into_iter();
        found.filter(|it| it.runs).map(|it| it.pid).collect()
    }

    fn left(&self) -> Vec<(u32, String)> {
        let words = |it: Found| {
            let words = String::from_utf8_lossy(&it.line).replace('\0', " ");
            (it.pid, words.chars().take(80).collect())
        };
        self.found().into_iter().map(words).collect()
    }

    /// Living processes of this site, this one apart: instances by their variable, minato's own by program and folder.
    fn found(&self) -> Vec<Found> {
        let mark = self.folder.as_os_str().as_encoded_bytes();
        let Ok(processes) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for process in processes.flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|it| it.parse().ok()) else {
                continue;
            };
            let read = |name| fs::read(process.path().join(name)).unwrap_or_default();
            let (line, environment) = (read("cmdline"), read("environ"));
            let instance = environment
                .split(|it| *it == 0)
                .any(|it| it.starts_with(b"MINATO_INSTANCE=") && contains(it, mark));
            let program = self.program.as_os_str().as_encoded_bytes();
            let mut words = line.split(|it| *it == 0);
            let own = words.next() == Some(program) && contains(&line, mark);
            let runs = own && words.next() == Some(b"run");
            if (instance || own) && pid != std::process::id() && is_alive(pid) {
                found.push(Found { pid, runs, line });
            }
        }
        found
    }
}

/// A process of the site.
struct Found {
    pid: u32,
    /// It is `minato run`.
    runs: bool,
    line: Vec<u8>,
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = pid_of(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// A process that has not ended; a zombie has.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// A process id as rustix wants it.
pub(crate) fn pid_of(pid: u32) -> Option<Pid> {
    i32::try_from(pid)
        .ok()
        .filter(|it| *it > 0)
        .and_then(Pid::from_raw)
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|it| it == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_left_behind_is_found_killed_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let process = |child| Process {
            child,
            program: PathBuf::from("/none"),
            folder: folder.path().to_owned(),
        };
        let mut orphan = std::process::Command::new("sleep")
            .arg("60")
            .env("MINATO_INSTANCE", folder.path().join("data"))
            .spawn()
            .unwrap();
        let error = process(Command::new("true").spawn().unwrap())
            .stop()
            .await
            .unwrap_err()
            .to_string();
        orphan.wait().unwrap();
        assert!(
            error.contains(&format!("process {} was left", orphan.id())),
            "{error}"
        );
        let mut again = process(Command::new("true").spawn().unwrap());
        assert!(again.ended().await.unwrap().success());
        again.stop().await.unwrap();
    }
}
