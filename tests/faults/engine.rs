//! A container engine on a machine of the test's own. Dropping it ends it and its containers, also when a test panics.
//!
//! The machine is a network namespace: the engine's bridge and its rules of forwarding are in there, and nobody else's.

use crate::network::Host;
use crate::support::clock::until;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Where a test's images come from: one program, linked statically.
const PROGRAM: &str = include_str!("../../control/agent/tests/agent/docker/program.rs");

/// Whether engines can be started here. Otherwise tests are skipped with a word; under `CI=true` that fails.
pub(crate) fn is_here() -> bool {
    let has = |program: &&str| Command::new(program).arg("--version").output().is_ok();
    let missing: Vec<&str> = ["dockerd", "containerd", "docker", "docker-init", "rustc"]
        .into_iter()
        .filter(|it| !has(it))
        .collect();
    if !missing.is_empty() {
        minato_skip::skip(format_args!(
            "no engine: {missing:?} missing (apt-get install docker.io)"
        ));
    }
    missing.is_empty()
}

/// One engine, with a containerd apart.
pub(crate) struct Engine {
    folder: TempDir,
    containerd: Child,
    dockerd: Child,
}

impl Engine {
    pub(crate) fn start(host: &Host) -> Self {
        let mut named = tempfile::Builder::new();
        let folder = named.prefix("minato-engine-").tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let log = |name: &str| fs::File::create(path(name)).unwrap();
        let containerd = host
            .command("containerd")
            .arg("--root")
            .arg(path("containerd-root"))
            .arg("--state")
            .arg(path("containerd-state"))
            .arg("--address")
            .arg(path("containerd.sock"))
            .stdout(Stdio::null())
            .stderr(log("containerd.log"))
            .spawn()
            .unwrap();
        let socket = path("containerd.sock");
        until("containerd", || socket.exists().then_some(()));
        let dockerd = host
            .command("dockerd")
            .arg("--data-root")
            .arg(path("root"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("docker.pid"))
            .arg("--containerd")
            .arg(&socket)
            .arg("-H")
            .arg(format!("unix://{}", path("docker.sock").display()))
            .stdout(Stdio::null())
            .stderr(log("dockerd.log"))
            .spawn()
            .unwrap();
        let engine = Self {
            folder,
            containerd,
            dockerd,
        };
        until("dockerd", || engine.try_docker(&["version"]).ok());
        engine
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// An image of the test program alone.
    pub(crate) fn image(&self, tar: &Path, name: &str) {
        let change = "CMD [\"/program\", \"serve\"]";
        self.docker(&["import", "--change", change, tar.to_str().unwrap(), name]);
    }

    /// What its own client says.
    #[track_caller]
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        self.try_docker(arguments).unwrap()
    }

    fn try_docker(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.client().args(arguments).output().unwrap();
        let text = |it: &[u8]| String::from_utf8_lossy(it).trim().to_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(format!("docker {arguments:?}: {}", text(&output.stderr))),
        }
    }

    /// Names of the containers that run.
    pub(crate) fn running(&self) -> Vec<String> {
        let names = self.docker(&["ps", "--format", "{{.Names}}"]);
        names.lines().map(str::to_owned).collect()
    }

    /// How many run, for whoever asks from another thread.
    pub(crate) fn counter(&self) -> impl FnMut() -> usize + Send + use<> {
        let mut client = self.client();
        client.args(["ps", "-q"]);
        move || {
            let output = client.output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8_lossy(&output.stdout).lines().count()
        }
    }

    fn client(&self) -> Command {
        let mut client = Command::new("docker");
        client
            .arg("-H")
            .arg(format!("unix://{}", self.socket().display()))
            .env("DOCKER_CONFIG", self.folder.path().join("client"))
            .stdin(Stdio::null());
        client
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("dockerd.log"));
            let log = log.unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(15).collect();
            eprintln!("dockerd, last line first: {last:#?}");
        }
        if let Ok(all) = self.try_docker(&["ps", "-aq"])
            && !all.is_empty()
        {
            let mut arguments = vec!["rm", "-f", "-v"];
            arguments.extend(all.lines());
            let _ = self.try_docker(&arguments);
        }
        for child in [&mut self.dockerd, &mut self.containerd] {
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
            let _ = child.wait();
        }
    }
}

/// The test program as a tar, ready for any engine.
pub(crate) fn packed(folder: &Path) -> PathBuf {
    let root = folder.join("image");
    fs::create_dir_all(&root).unwrap();
    let (source, program) = (folder.join("program.rs"), root.join("program"));
    fs::write(&source, PROGRAM).unwrap();
    let built = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--edition",
            "2024",
            "-O",
            "-C",
            "target-feature=+crt-static",
            "-o",
        ])
        .arg(&program)
        .arg(&source)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
    let tar = folder.join("image.tar");
    let packed = Command::new("tar")
        .arg("-cf")
        .arg(&tar)
        .arg("-C")
        .arg(&root)
        .arg(".")
        .status();
    assert!(packed.unwrap().success());
    tar
}
