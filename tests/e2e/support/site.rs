//! The real binary with a folder of its own. Dropping it stops minato and its instances, also when a test panics.

use super::clock::{now, pause, until, within};
use super::http;
use super::ports::Ports;
use super::processes;
use rustix::process::Signal;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_minato");
/// Stopping takes no longer.
const STOP: Duration = Duration::from_secs(30);

/// When instances are checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checks {
    pub(crate) interval_ms: u64,
    pub(crate) fast_ms: u64,
    pub(crate) timeout_ms: u64,
}

/// Where a busy machine must not pass for a sick instance.
pub(crate) const PATIENT: Checks = Checks {
    interval_ms: 5_500,
    fast_ms: 200,
    timeout_ms: 5_000,
};

/// Where it is tested how soon a failure is found.
pub(crate) const QUICK: Checks = Checks {
    interval_ms: 1_000,
    fast_ms: 200,
    timeout_ms: 800,
};

/// As where a service file says nothing.
pub(crate) const USUAL: Checks = Checks {
    interval_ms: 2_000,
    fast_ms: 500,
    timeout_ms: 1_000,
};

impl Checks {
    /// A line of a service file. `what`: `path = "/healthz"`, or `kind = "tcp"`.
    pub(crate) fn of(self, what: &str) -> String {
        let Self {
            interval_ms,
            fast_ms,
            timeout_ms,
        } = self;
        format!(
            "health = {{ {what}, interval = \"{interval_ms}ms\", fast = \"{fast_ms}ms\", timeout = \"{timeout_ms}ms\" }}\n"
        )
    }

    /// Until what hangs is down, at most.
    pub(crate) fn bound_ms(self) -> u64 {
        self.interval_ms + 2 * self.fast_ms + self.timeout_ms
    }
}

/// One minato.
#[derive(Debug)]
pub(crate) struct Site {
    folder: TempDir,
    pub(crate) ports: Ports,
    child: Option<Child>,
    /// Standard input of the first process: its end ends all.
    input: Option<ChildStdin>,
    /// The process that serves since an upgrade; no child of this one.
    successor: Option<u32>,
    /// From the next start on.
    pub(crate) at_stop: AtStop,
}

/// What a stop of minato does with its instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtStop {
    StopInstances,
    /// As without a flag.
    LeaveInstances,
}

impl Site {
    /// Files only; nothing runs yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("minato-e2e-")
            .tempdir()
            .unwrap();
        let site = Self {
            folder,
            ports: Ports::take(),
            child: None,
            input: None,
            successor: None,
            at_stop: AtStop::StopInstances,
        };
        fs::create_dir(site.path("services")).unwrap();
        site.write_settings("");
        site
    }

    pub(crate) fn write_settings(&self, more: &str) {
        self.write_settings_of("minato.toml", "", more);
    }

    /// The same in another file of the folder, with `store` below `[store]`.
    pub(crate) fn write_settings_of(&self, file: &str, store: &str, more: &str) {
        let (gateway, admin, range) = (self.gateway(), self.admin(), self.ports.range());
        let text = format!(
            "node = \"here\"\n[store]\npath = \"data\"\n{store}[gateway]\nhttp = [\"{gateway}\"]\n[agent]\nports = \"{range}\"\n[admin]\nlisten = \"{admin}\"\n{more}"
        );
        fs::write(self.path(file), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn settings(&self) -> PathBuf {
        self.path("minato.toml")
    }

    pub(crate) fn gateway(&self) -> SocketAddr {
        self.ports.gateway()
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.ports.admin()
    }

    /// Writes a service file in one step.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let new = self.path(&format!("services/{name}.new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, self.service_file(name)).unwrap();
    }

    pub(crate) fn service_file(&self, name: &str) -> PathBuf {
        self.path(&format!("services/{name}.toml"))
    }

    /// `service.py`, `replicas` times.
    pub(crate) fn python(&self, replicas: u16, more: &str) -> String {
        let ledger = self.ledger();
        python_service(&ledger, replicas, more)
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.path("ledger")
    }

    /// Starts it and waits until its API answers.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.start_as(Command::new(PROGRAM));
    }

    /// The same, by a command that becomes minato.
    #[track_caller]
    pub(crate) fn start_as(&mut self, mut command: Command) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        command.arg("run");
        if self.at_stop == AtStop::StopInstances {
            command.arg("--stop-instances");
        }
        let mut child = command
            .args(["--exit-with-parent", "--config"])
            .arg(self.settings())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.input = child.stdin.take();
        self.child = Some(child);
        until("the admin API", || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none(),
                "minato ended early ({ended:?}):\n{}",
                self.log_text()
            );
            http::get(self.admin(), &self.admin().to_string(), "/healthz")
                .ok()
                .filter(|it| it.status == 200)
        });
    }

    fn log(&self) -> PathBuf {
        self.path("minato.log")
    }

    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Of the process that serves.
    pub(crate) fn pid(&self) -> u32 {
        self.successor
            .unwrap_or_else(|| self.child.as_ref().unwrap().id())
    }

    /// Types `minato upgrade`, which must succeed; both pids, old and new.
    #[track_caller]
    pub(crate) fn upgrade(&mut self) -> (u32, u32) {
        let old = self.pid();
        let printed = self.type_in(&["upgrade"]);
        assert!(printed.contains("done"), "{printed}");
        (old, self.follow_upgrade())
    }

    /// Takes note of the process that serves by now.
    #[track_caller]
    pub(crate) fn follow_upgrade(&mut self) -> u32 {
        let pid = self.json("/v1/status")["pid"].as_u64().unwrap();
        let pid = u32::try_from(pid).unwrap();
        assert_ne!(pid, self.pid(), "no other process serves");
        self.successor = Some(pid);
        pid
    }

    /// Waits for the end of the first process, which has handed over.
    #[track_caller]
    pub(crate) fn first_ends(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        within(STOP, "the old process to end", || child.try_wait().unwrap())
    }

    /// The first process has not ended.
    pub(crate) fn first_lives(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|it| it.try_wait().unwrap().is_none())
    }

    /// Sends `signal` to the process that serves since an upgrade, and waits until it has ended.
    #[track_caller]
    pub(crate) fn stop_successor(&mut self, signal: Signal) {
        let pid = self.successor.take().unwrap();
        processes::signal(pid, signal);
        within(STOP, "the new process to end", || {
            (!processes::is_alive(pid)).then_some(())
        });
    }

    /// Kills minato alone, as a crash would.
    pub(crate) fn crash(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends `signal` and waits for the end.
    #[track_caller]
    pub(crate) fn stop(&mut self, signal: Signal) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        processes::signal(child.id(), signal);
        let ended = within(STOP, "minato to stop", || child.try_wait().unwrap());
        drop(child);
        ended
    }

    /// Types a command.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        let admin = self.admin().to_string();
        Command::new(PROGRAM)
            .args(["--admin", &admin])
            .args(arguments)
            .stdin(Stdio::null())
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// Types one that goes on by itself; whoever gets it ends it.
    pub(crate) fn begin_cli(&self, arguments: &[&str]) -> Child {
        let admin = self.admin().to_string();
        Command::new(PROGRAM)
            .args(["--admin", &admin])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir(self.folder.path())
            .spawn()
            .unwrap()
    }

    /// Kills the process that serves since an upgrade, as a crash would.
    #[track_caller]
    pub(crate) fn crash_successor(&mut self) {
        self.stop_successor(Signal::KILL);
    }

    /// Types one, whatever its exit code; returns what it printed.
    pub(crate) fn type_in_any(&self, arguments: &[&str]) -> String {
        text(&self.cli(arguments).stdout)
    }

    /// Types one that must succeed; returns what it printed.
    #[track_caller]
    pub(crate) fn type_in(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        let printed = text(&output.stdout);
        assert!(
            output.status.success(),
            "minato {arguments:?}: {:?}\n{printed}{}",
            output.status,
            text(&output.stderr)
        );
        printed
    }

    /// `minato run` where it must not come up; returns its exit code and what it said.
    pub(crate) fn run_in_vain(&self) -> (Option<i32>, String) {
        let output = Command::new(PROGRAM)
            .args(["run", "--config"])
            .arg(self.settings())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.code(), text(&output.stderr))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let mut forced = false;
        if let Some(pid) = self.successor.take()
            && processes::is_alive(pid)
        {
            processes::signal(pid, Signal::TERM);
            let began = now();
            while processes::is_alive(pid) && began.elapsed() < STOP {
                pause(Duration::from_millis(20));
            }
        }
        if let Some(mut child) = self.child.take() {
            let pid = child.id();
            if child.try_wait().is_ok_and(|it| it.is_none()) {
                processes::signal(pid, Signal::TERM);
                let began = now();
                while child.try_wait().is_ok_and(|it| it.is_none()) {
                    if began.elapsed() > STOP {
                        forced = true;
                        let _ = child.kill();
                        let _ = child.wait();
                        break;
                    }
                    pause(Duration::from_millis(20));
                }
            }
        }
        if std::thread::panicking() {
            eprintln!("what minato said:\n{}", self.log_text());
        }
        let left = processes::end_all(self.folder.path());
        if !std::thread::panicking() {
            assert!(
                !forced,
                "minato did not stop within {STOP:?}:\n{}",
                self.log_text()
            );
            assert!(
                left.is_empty(),
                "left behind: {left:?}\n{}",
                self.log_text()
            );
        }
    }
}

/// Types a command to the minato whose admin address this is.
pub(crate) fn cli_at(admin: &str, arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(["--admin", admin])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// A service file for `service.py`.
pub(crate) fn python_service(ledger: &Path, replicas: u16, more: &str) -> String {
    let (python, script) = (processes::python(), processes::beside("service.py"));
    let health = if more.contains("health =") {
        String::new()
    } else {
        PATIENT.of("path = \"/healthz\"")
    };
    let routes = if more.contains("routes =") {
        ""
    } else {
        "routes = [\"*\"]\n"
    };
    let update = if more.contains("update =") {
        ""
    } else {
        "update = { healthy = \"1s\" }\n"
    };
    format!(
        "command = [\"{python}\", \"{}\", \"{{port}}\", \"{}\"]\nreplicas = {replicas}\nstop = {{ drain = \"2s\", grace = \"1s\" }}\n{routes}{health}{update}{more}",
        script.display(),
        ledger.display()
    )
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
