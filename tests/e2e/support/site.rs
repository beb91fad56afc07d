//! The real binary with a folder of its own. Dropping it stops minato and its instances, also when a test panics.

use super::clock::{PATIENCE, now, pause, until, within};
use super::http::{self, Answer};
use super::load::{Ask, Load};
use super::ports::Ports;
use super::processes;
use rustix::process::Signal;
use serde_json::Value;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_minato");
/// Stopping takes no longer.
const STOP: Duration = Duration::from_secs(30);

/// Health checks that are quick, yet patient enough for a busy machine: interval, fast and timeout in milliseconds.
pub(crate) const QUICK: (u64, u64, u64) = (300, 100, 250);

/// One minato.
#[derive(Debug)]
pub(crate) struct Site {
    folder: TempDir,
    pub(crate) ports: Ports,
    child: Option<Child>,
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

/// One event, as `minato events --json` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) seq: u64,
    pub(crate) at_ms: u64,
    pub(crate) kind: String,
    pub(crate) service: String,
    pub(crate) slot: Option<u64>,
    pub(crate) run: Option<u64>,
    pub(crate) message: String,
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
            at_stop: AtStop::StopInstances,
        };
        fs::create_dir(site.path("services")).unwrap();
        site.write_settings("");
        site
    }

    pub(crate) fn write_settings(&self, more: &str) {
        let (gateway, admin, range) = (self.gateway(), self.admin(), self.ports.range());
        let text = format!(
            "node = \"here\"\n[store]\npath = \"data\"\n[gateway]\nhttp = [\"{gateway}\"]\n[agent]\nports = \"{range}\"\n[admin]\nlisten = \"{admin}\"\n{more}"
        );
        fs::write(self.settings(), text).unwrap();
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
        let child = command
            .args(["--exit-with-parent", "--config"])
            .arg(self.settings())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
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

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
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

    #[track_caller]
    pub(crate) fn api(&self, path: &str) -> Answer {
        http::get(self.admin(), &self.admin().to_string(), path).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.api(path).body).unwrap()
    }

    #[track_caller]
    pub(crate) fn service(&self, name: &str) -> Value {
        self.json(&format!("/v1/services/{name}"))
    }

    #[track_caller]
    pub(crate) fn instance(&self, name: &str, slot: u64) -> Option<Value> {
        let service = self.service(name);
        service["instances"]
            .as_array()?
            .iter()
            .find(|it| it["slot"] == slot && it["removed"] == false)
            .cloned()
    }

    /// Waits until `count` instances are up and nothing else is under way.
    #[track_caller]
    pub(crate) fn wait_ok(&self, name: &str, count: u64) {
        let mut last = Value::Null;
        let began = now();
        while began.elapsed() < PATIENCE {
            last = self.service(name);
            if last["state"] == "ok" && last["up"] == count {
                return;
            }
            pause(Duration::from_millis(30));
        }
        panic!(
            "{name} did not become ok with {count} instances: {last:#}\n{}",
            self.log_text()
        );
    }

    /// The pids of a service's instances by slot.
    #[track_caller]
    pub(crate) fn pids(&self, name: &str) -> Vec<u32> {
        let service = self.service(name);
        let instances = service["instances"].as_array().unwrap();
        instances
            .iter()
            .map(|it| u32::try_from(it["pid"].as_u64().unwrap()).unwrap())
            .collect()
    }

    #[track_caller]
    pub(crate) fn address(&self, name: &str, slot: u64) -> SocketAddr {
        self.instance(name, slot).unwrap()["address"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Event> {
        let printed = self.api("/v1/events?last=1000").text();
        printed.lines().map(event).collect()
    }

    /// Those of one slot after number `after`.
    #[track_caller]
    pub(crate) fn events_of(&self, name: &str, slot: u64, after: u64) -> Vec<Event> {
        let mut events = self.events();
        events.retain(|it| it.seq > after && it.service == name && it.slot == Some(slot));
        events
    }

    /// The number of the newest event.
    #[track_caller]
    pub(crate) fn latest_event(&self) -> u64 {
        self.events().last().map_or(0, |it| it.seq)
    }

    #[track_caller]
    pub(crate) fn wait_event(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let mut seen = Vec::new();
        let began = now();
        while began.elapsed() < PATIENCE {
            seen = self.events();
            if let Some(found) = seen.iter().find(|it| wanted(it)) {
                return found.clone();
            }
            pause(Duration::from_millis(30));
        }
        panic!("no event in {PATIENCE:?}: {what}; seen: {seen:#?}");
    }

    /// GETs of `/page`, which every instance of `service.py` answers alike.
    pub(crate) fn load(&self) -> Load {
        let ask = Ask::Get {
            path: "/page".to_owned(),
            body: "the page".to_owned(),
        };
        Load::start(self.gateway(), "e2e.test", &ask)
    }

    /// A value of the metrics page; `None` where the line is not there.
    #[track_caller]
    pub(crate) fn metric(&self, line: &str) -> Option<f64> {
        let page = self.api("/metrics").text();
        let found = page
            .lines()
            .find_map(|it| it.strip_prefix(line)?.strip_prefix(' ')?.parse().ok());
        found
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let mut forced = false;
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

/// A service file for `service.py`.
pub(crate) fn python_service(ledger: &Path, replicas: u16, more: &str) -> String {
    let (python, script) = (processes::python(), processes::beside("service.py"));
    let (interval, fast, timeout) = QUICK;
    let health = if more.contains("health =") {
        String::new()
    } else {
        format!(
            "health = {{ path = \"/healthz\", interval = \"{interval}ms\", fast = \"{fast}ms\", timeout = \"{timeout}ms\" }}\n"
        )
    };
    let routes = if more.contains("routes =") {
        ""
    } else {
        "routes = [\"*\"]\n"
    };
    format!(
        "command = [\"{python}\", \"{}\", \"{{port}}\", \"{}\"]\nreplicas = {replicas}\nstop = {{ drain = \"2s\", grace = \"1s\" }}\n{routes}{health}{more}",
        script.display(),
        ledger.display()
    )
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
pub(crate) fn event(line: &str) -> Event {
    let line: Value = serde_json::from_str(line).unwrap();
    let it = &line["event"];
    let word = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
    Event {
        seq: line["seq"].as_u64().unwrap(),
        at_ms: it["at"].as_u64().unwrap(),
        kind: word("kind"),
        service: word("service"),
        slot: it["instance"]["slot"].as_u64(),
        run: it["instance"]["run"].as_u64(),
        message: word("message"),
    }
}
