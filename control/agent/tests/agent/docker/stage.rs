//! A container engine of the test's own, in namespaces of its own: nothing of the machine's network, processes or mounts is
//! touched, and all of it is gone when the test is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Set where a test runs inside its namespaces.
const INSIDE: &str = "MINATO_TEST_INSIDE";
/// How long an engine may take to start.
const START: Duration = Duration::from_secs(30);
/// What is needed, and where it comes from.
const NEEDED: [(&str, &str); 6] = [
    ("dockerd", "docker.io"),
    ("containerd", "containerd"),
    ("docker", "docker.io"),
    ("docker-init", "docker.io"),
    ("unshare", "util-linux"),
    ("ip", "iproute2"),
];

/// Runs `body` in namespaces of its own, by starting this very test again there. Skips with a printed reason where something is
/// missing; under CI=true that fails.
pub(super) fn inside(test: &str, body: impl Future<Output = ()>) {
    inside_with(&[], test, body);
}

pub(super) fn inside_with(also: &[(&str, &str)], test: &str, body: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(body);
        return;
    }
    if let Some(why) = missing(also) {
        minato_skip::skip(why);
        return;
    }
    let status = Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args(["sh", "-c", "ip link set lo up; \"$@\"; exit $?", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            test,
            "--nocapture",
            "--include-ignored",
            "--test-threads",
            "1",
        ])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{test}: {status}");
}

fn missing(also: &[(&str, &str)]) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root may make namespaces and run an engine".to_owned());
    }
    let may = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "true"])
        .stderr(Stdio::null())
        .status();
    if !may.is_ok_and(|it| it.success()) {
        return Some("this machine makes no namespaces".to_owned());
    }
    let has = |program: &str| {
        let path = std::env::var("PATH").unwrap_or_default();
        path.split(':')
            .any(|it| Path::new(it).join(program).exists())
    };
    let gone = NEEDED.iter().chain(also).find(|(program, _)| !has(program));
    gone.map(|(program, package)| format!("`{program}` is missing: apt-get install {package}"))
}

/// An engine that outlives its own end: containers go on (`--live-restore`, a containerd apart).
pub(super) struct Engine {
    pub(super) folder: tempfile::TempDir,
    containerd: Child,
    dockerd: Option<Child>,
}

impl Engine {
    pub(super) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let containerd = Command::new("containerd")
            .arg("--root")
            .arg(path("containerd-root"))
            .arg("--state")
            .arg(path("containerd-state"))
            .arg("--address")
            .arg(path("containerd.sock"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(path("containerd.log")).unwrap())
            .spawn()
            .unwrap();
        let mut engine = Self {
            folder,
            containerd,
            dockerd: None,
        };
        let socket = engine.folder.path().join("containerd.sock");
        wait("containerd", || socket.exists()).await;
        engine.begin().await;
        engine
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Starts dockerd, again where it was killed.
    pub(super) async fn begin(&mut self) {
        let path = |name: &str| self.folder.path().join(name);
        let _ = fs::remove_file(path("docker.pid"));
        let log = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path("dockerd.log"))
            .unwrap();
        let dockerd = Command::new("dockerd")
            .arg("--data-root")
            .arg(path("root"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("docker.pid"))
            .arg("--containerd")
            .arg(path("containerd.sock"))
            .arg("--live-restore")
            .arg("-H")
            .arg(format!("unix://{}", self.socket().display()))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.dockerd = Some(dockerd);
        wait("dockerd", || self.try_docker(&["version"]).is_ok()).await;
    }

    /// SIGKILL to dockerd, and to it alone.
    pub(super) fn kill(&mut self) {
        let mut dockerd = self.dockerd.take().unwrap();
        dockerd.kill().unwrap();
        dockerd.wait().unwrap();
    }

    #[allow(dead_code, reason = "not every test program freezes it")]
    /// SIGSTOP or SIGCONT to dockerd, and to it alone.
    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let id = self.dockerd.as_ref().unwrap().id();
        let pid = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// What the engine's own client says.
    #[track_caller]
    pub(super) fn docker(&self, arguments: &[&str]) -> String {
        self.try_docker(arguments).unwrap()
    }

    /// The engine's own client.
    pub(super) fn client(&self) -> Command {
        let mut client = Command::new("docker");
        client
            .arg("-H")
            .arg(format!("unix://{}", self.socket().display()))
            .env("DOCKER_CONFIG", self.folder.path().join("client"))
            .stdin(Stdio::null());
        client
    }

    pub(super) fn try_docker(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.client().args(arguments).output().unwrap();
        let text = |it: &[u8]| String::from_utf8_lossy(it).trim().to_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(format!("docker {arguments:?}: {}", text(&output.stderr))),
        }
    }

    /// An image of the test program alone, under these names; each call gives another image.
    pub(super) fn image(&self, names: &[&str]) {
        let root = self.folder.path().join("image");
        let program = root.join("program");
        if !program.exists() {
            fs::create_dir_all(&root).unwrap();
            build(&program);
        }
        let (first, rest) = names.split_first().unwrap();
        fs::write(root.join("name"), first).unwrap();
        let tar = self.folder.path().join("image.tar");
        let packed = Command::new("tar")
            .arg("-cf")
            .arg(&tar)
            .arg("-C")
            .arg(&root)
            .arg(".")
            .status();
        assert!(packed.unwrap().success());
        let change = "CMD [\"/program\", \"serve\"]";
        self.docker(&["import", "--change", change, tar.to_str().unwrap(), first]);
        for name in rest {
            self.docker(&["tag", first, name]);
        }
    }

    /// What the engine says of a container, by a template of its client.
    #[track_caller]
    pub(super) fn inspect(&self, container: &str, format: &str) -> String {
        self.docker(&["inspect", "--format", format, container])
    }
}

/// The test program, linked statically, so that an image needs nothing else.
fn build(program: &Path) {
    let source = program.with_extension("rs");
    fs::write(&source, include_str!("program.rs")).unwrap();
    let built = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--edition",
            "2024",
            "-O",
            "-C",
            "target-feature=+crt-static",
            "-o",
        ])
        .arg(program)
        .arg(&source)
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    fs::remove_file(source).unwrap();
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log =
                fs::read_to_string(self.folder.path().join("dockerd.log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(15).collect();
            eprintln!("dockerd, last line first: {last:#?}");
        }
        if self.dockerd.is_some()
            && let Ok(all) = self.try_docker(&["ps", "-aq"])
            && !all.is_empty()
        {
            let mut arguments = vec!["rm", "-f", "-v"];
            arguments.extend(all.lines());
            let _ = self.try_docker(&arguments);
        }
        for child in self.dockerd.iter_mut().chain([&mut self.containerd]) {
            let id = rustix::process::Pid::from_child(child);
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
            let _ = child.wait();
        }
    }
}

pub(super) async fn wait(what: &str, ready: impl Fn() -> bool) {
    let began = tokio::time::Instant::now();
    while !ready() {
        assert!(began.elapsed() < START, "{what} does not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
