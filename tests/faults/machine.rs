//! minato on one machine, in the roles that a test gives it. Dropping it ends it and what it started, also when a test panics.

use crate::network::Host;
use crate::support::clock::{now, pause, until, within};
use crate::support::http::{self, Answer};
use crate::support::processes;
use crate::support::view::{Event, event};
use rustix::process::Signal;
use serde_json::Value;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Output, Stdio};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_minato");
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7070);
/// Where gateways listen.
pub(crate) const HTTP: u16 = 8080;

/// One minato.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) host: Host,
    folder: PathBuf,
    child: Option<Child>,
    input: Option<ChildStdin>,
    /// Before the program: `faketime`, say.
    wrap: Vec<String>,
}

impl Machine {
    /// Writes its settings; nothing runs yet. `more`: further settings, whole tables.
    pub(crate) fn new(site: &Path, host: Host, roles: &[&str], store: &str, more: &str) -> Self {
        let folder = site.join(&host.name);
        fs::create_dir_all(folder.join("services")).unwrap();
        let Host { name, address, .. } = &host;
        let text = format!(
            "node = \"{name}\"\nroles = {roles:?}\n[store]\npath = \"data\"\n{store}[gateway]\nhttp = [\"{address}:{HTTP}\"]\n\
             [agent]\nadvertise = \"{address}\"\nports = \"20000-20999\"\n{more}"
        );
        fs::write(folder.join("minato.toml"), text).unwrap();
        Self {
            host,
            folder,
            child: None,
            input: None,
            wrap: Vec::new(),
        }
    }

    /// Where its gateway listens instead; before the first start.
    pub(crate) fn listen_on(&self, address: &str) {
        self.set(&format!("{}:{HTTP}", self.host.address), address);
    }

    /// Another text in place of one in its settings, from the next start on.
    pub(crate) fn set(&self, old: &str, new: &str) {
        let file = self.folder.join("minato.toml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(old), "{old} is not in {text}");
        fs::write(file, text.replace(old, new)).unwrap();
    }

    /// Its agent runs images by the engine behind that socket, which see the folder of `ledger` as the volume `orders`; before the
    /// first start.
    pub(crate) fn run_images(&self, socket: &Path, ledger: &Path) {
        let file = self.folder.join("minato.toml");
        let text = fs::read_to_string(&file).unwrap();
        let docker = format!(
            "[agent]\nruntime = \"docker\"\ndocker = {{ socket = \"{}\", free_space = 0, volumes = {{ orders = \"{}\" }} }}\n",
            socket.display(),
            ledger.parent().unwrap().display()
        );
        fs::write(file, text.replace("[agent]\n", &docker)).unwrap();
    }

    pub(crate) fn wrap(&mut self, command: &[&str]) {
        self.wrap = command.iter().map(|&it| it.to_owned()).collect();
    }

    /// Starts it without waiting.
    pub(crate) fn start(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let mut command = match self.wrap.as_slice() {
            [] => self.host.command(PROGRAM),
            [program, rest @ ..] => {
                let mut command = self.host.command(program);
                command.args(rest).arg(PROGRAM);
                command
            }
        };
        let mut child = command
            .args(["run", "--exit-with-parent", "--config"])
            .arg(self.folder.join("minato.toml"))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.input = child.stdin.take();
        self.child = Some(child);
    }

    /// Until its API answers.
    #[track_caller]
    pub(crate) fn wait(&self) {
        until("the admin API", || {
            self.try_api("/healthz").filter(|it| it.status == 200)
        });
    }

    pub(crate) fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.folder.join("minato.log")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        processes::signal(self.child.as_ref().unwrap().id(), signal);
    }

    /// Kills minato and everything that it started, as a power cut does.
    pub(crate) fn power_off(&mut self) {
        self.host.link("down");
        self.host.kill_all();
        self.crash();
    }

    /// What it kept on its disk is gone.
    pub(crate) fn forget(&self) {
        let _ = fs::remove_dir_all(self.folder.join("data"));
    }

    /// Kills minato alone.
    pub(crate) fn crash(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    pub(crate) fn gateway(&self) -> SocketAddr {
        (self.host.address, HTTP).into()
    }

    fn try_api(&self, path: &str) -> Option<Answer> {
        let asked = || http::get(ADMIN, &ADMIN.to_string(), path).ok();
        self.host.inside(asked)
    }

    #[track_caller]
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.try_api(path).unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn service(&self, name: &str) -> Value {
        self.json(&format!("/v1/services/{name}"))
    }

    /// Those of a service that are not on their way out.
    #[track_caller]
    pub(crate) fn instances(&self, name: &str) -> Vec<Value> {
        let service = self.service(name);
        let all = service["instances"].as_array().cloned().unwrap_or_default();
        all.into_iter()
            .filter(|it| it["removed"] == false)
            .collect()
    }

    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Event> {
        let printed = self.try_api("/v1/events?last=1000").unwrap().text();
        printed.lines().map(event).collect()
    }

    #[track_caller]
    pub(crate) fn wait_event(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        within(Duration::from_secs(60), what, || {
            self.events().into_iter().find(|it| wanted(it))
        })
    }

    /// Waits until this machine sees `count` instances up and nothing else under way.
    #[track_caller]
    pub(crate) fn wait_ok(&self, name: &str, count: u64) {
        let mut last = Value::Null;
        let began = now();
        while began.elapsed() < Duration::from_secs(60) {
            last = self.service(name);
            if last["state"] == "ok" && last["up"] == count {
                return;
            }
            pause(Duration::from_millis(30));
        }
        let host = &self.host.name;
        panic!(
            "{host} does not see {name} ok with {count}: {last:#}\n{}",
            self.log_text()
        );
    }

    /// Types a command on this machine.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        self.host
            .command(PROGRAM)
            .args(["--admin", &ADMIN.to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Types one that must succeed.
    #[track_caller]
    pub(crate) fn type_in(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "minato {arguments:?}: {output:?}");
        printed
    }

    /// Whatever this machine took away as leader it had saved before, and the same follows from what it saved.
    #[track_caller]
    pub(crate) fn decided_as_saved(&self) {
        let listing = fs::read_dir(self.folder.join("data/decisions"));
        let files: Vec<PathBuf> = match listing {
            Ok(it) => it.map(|it| it.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        };
        let mut steps = String::new();
        for file in &files {
            let said = self.type_in(&["replay", file.to_str().unwrap()]);
            assert!(said.ends_with("the same follows again\n"), "{said}");
            steps.push_str(&said);
        }
        let log = self.log_text();
        let ended = log.lines().filter_map(|it| {
            let (before, _) = it.split_once(" is to end: ")?;
            before.split(' ').find(|it| it.contains('/'))
        });
        for instance in ended {
            let step = format!("  {instance}: remove: ");
            assert!(
                steps.contains(&step),
                "{}: {instance} ended unsaved: {files:?}",
                self.host.name
            );
        }
    }

    /// Writes a service file in one step.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let folder = self.folder.join("services");
        let new = folder.join(format!("{name}.new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, folder.join(format!("{name}.toml"))).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.crash();
        self.host.kill_all();
        if std::thread::panicking() {
            let log = self.log_text();
            let last: Vec<&str> = log.lines().rev().take(40).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            eprintln!("what {} said last:\n{}", self.host.name, last.join("\n"));
        }
    }
}
