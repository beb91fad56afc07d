//! The instance itself: started in a process group of its own, waited for, and ended with all that it left behind.

use super::output::Output;
use super::resolve::resolve;
use super::{Answer, INSTANCE_VARIABLE, Order, end_descendants};
use crate::proc::{self, Process};
use crate::runtime::{Exit, Records, private_folder};
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long the remains of a run may take to die of SIGKILL.
const REMAINS: Duration = Duration::from_secs(5);
/// Where programs are looked for when minato itself has no PATH.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) struct Instance {
    pub(super) process: Process,
    id: Pid,
    output: Output,
}

impl Instance {
    pub(super) fn start(order: &Order, records: &Records) -> Result<Self, Answer> {
        let record = &order.record;
        let (name, command) = (&record.name, &record.command);
        let directory = directory(order, records)?;
        let fill = |text: &String| text.replace("{port}", &record.port.to_string());
        let path = command
            .env
            .get("PATH")
            .cloned()
            .or_else(|| env::var("PATH").ok())
            .unwrap_or_else(|| PATH.to_owned());
        let mut argv = command.argv.iter().map(fill);
        let program = argv.next().unwrap_or_default();
        let file = resolve(&program, &path, &directory)
            .map_err(|why| Answer::Command(format!("command: {why}")))?;
        let output = Output::open(&order.data, &name.service, name.slot, order.log_bytes)
            .map_err(|cause| Answer::Machine(format!("opening the log of its output: {cause}")))?;
        let (writer, other) = output
            .writers()
            .map_err(|cause| Answer::Machine(format!("opening a pipe for its output: {cause}")))?;
        let inherited = |variable: &str, otherwise: &str| {
            env::var(variable).unwrap_or_else(|_| otherwise.to_owned())
        };
        let mut child = Command::new(&file);
        child
            .arg0(&program)
            .args(argv)
            .env_clear()
            .env("HOME", inherited("HOME", &directory.to_string_lossy()))
            .env("LANG", inherited("LANG", "C.UTF-8"))
            .env("PATH", &path)
            .envs(&command.env)
            .env("PORT", record.port.to_string())
            .env(INSTANCE_VARIABLE, marker(&name.to_string(), &order.data))
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(other)
            .process_group(0);
        let spawned = child.spawn().map_err(|cause| refused(&file, &cause))?;
        // It holds the pipe's writing ends, without which the pipe would never end.
        drop(child);
        let pid = spawned.id();
        // One that has ended already has no start time left to tell.
        let process = Process::find(pid).unwrap_or(Process { pid, start: 0 });
        match proc::id(pid) {
            Some(id) => Ok(Self {
                process,
                id,
                output: output.copy(),
            }),
            None => Err(Answer::Machine(format!(
                "the machine gave the unusable process id {pid}"
            ))),
        }
    }

    /// Waits for the instance itself; orphans of the run that end meanwhile are buried.
    pub(super) fn wait(&self) -> Exit {
        loop {
            match wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) if pid == self.id => return exit(status),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(cause) => {
                    return Exit::Unseen(format!("its keeper cannot wait for it: {cause}"));
                }
            }
        }
    }

    /// Ends what is left of the run; returns the last line of its output.
    pub(super) fn end(self) -> String {
        end_descendants(REMAINS);
        self.output.finish(REMAINS)
    }
}

/// The value of [`INSTANCE_VARIABLE`].
pub(crate) fn marker(name: &str, data: &Path) -> String {
    format!("{name}@{}", data.display())
}

fn directory(order: &Order, records: &Records) -> Result<PathBuf, Answer> {
    let name = &order.record.name;
    match &order.record.command.directory {
        None => {
            let home = records.home(&name.service, name.slot);
            private_folder(&home)
                .map(|()| home)
                .map_err(|cause| Answer::Machine(format!("making its working folder: {cause}")))
        }
        Some(given) => match std::fs::metadata(given) {
            Ok(about) if about.is_dir() => Ok(PathBuf::from(given)),
            Ok(_) => Err(Answer::Command(format!(
                "directory: `{given}` is not a folder; name the folder to run in"
            ))),
            Err(cause) => Err(Answer::Command(format!(
                "directory: `{given}` cannot be used ({cause}); create it, or correct the path"
            ))),
        },
    }
}

/// The file is there and executable, and yet the kernel refused.
fn refused(file: &Path, cause: &io::Error) -> Answer {
    let shown = file.display();
    match cause.kind() {
        io::ErrorKind::NotFound => Answer::Command(format!(
            "command: `{shown}` cannot be executed: the interpreter or loader that it names is missing; install that, or correct its first line"
        )),
        io::ErrorKind::PermissionDenied => Answer::Command(format!(
            "command: `{shown}` may not be executed by this user, or lies on a file system mounted noexec; correct its mode or move it"
        )),
        _ if cause.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            Answer::Command(format!(
                "command: `{shown}` is no program for this machine; a script needs a first line such as `#!/bin/sh`"
            ))
        }
        io::ErrorKind::ArgumentListTooLong => Answer::Command(format!(
            "command: the arguments and variables of `{shown}` are longer than the kernel allows; shorten them"
        )),
        _ => Answer::Machine(format!("starting `{shown}`: {cause}")),
    }
}

fn exit(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(status), _) => Exit::Status(status),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unseen(format!("its status was {:#x}", status.as_raw())),
    }
}
