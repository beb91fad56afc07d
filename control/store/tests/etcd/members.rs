//! Real etcd processes on loopback, with short timers and no fsync. Dropping the cluster ends them, also when a test panics.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(10);
/// Looks at a condition: half a minute and more.
const LOOKS: usize = 3_000;
/// Another program may take a port between our letting go and etcd's taking it.
const TRIES: usize = 5;

/// Whether etcd can be started here. A machine without it skips these tests with a word; under `CI=true` it fails.
pub(crate) fn is_here() -> bool {
    let has = |program: &str| {
        Command::new(program)
            .arg("--version")
            .output()
            .is_ok_and(|it| it.status.success())
    };
    let here =
        has("etcd") && has("setpriv") && Command::new("etcdctl").arg("version").output().is_ok();
    if !here {
        minato_skip::skip("no etcd: apt-get install etcd-server etcd-client");
    }
    here
}

/// PEM files, made by a test.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// One cluster.
pub(crate) struct Members {
    folder: tempfile::TempDir,
    all: Vec<Member>,
    tls: Option<Tls>,
}

struct Member {
    name: String,
    /// For clients, for members, for metrics.
    ports: [u16; 3],
    child: Option<Child>,
}

impl Members {
    /// Starts `count` members and waits until each serves.
    pub(crate) fn start(count: usize) -> Self {
        Self::start_with(count, None)
    }

    /// The same; with `tls` clients must show a certificate.
    pub(crate) fn start_with(count: usize, tls: Option<&Tls>) -> Self {
        for _ in 0..TRIES {
            let mut members = Self {
                folder: tempfile::Builder::new()
                    .prefix("minato-etcd-")
                    .tempdir()
                    .unwrap(),
                all: places(count),
                tls: tls.cloned(),
            };
            for index in 0..count {
                members.spawn(index, "new");
            }
            if (0..count).all(|it| members.serves(it)) {
                return members;
            }
        }
        panic!("etcd does not come up");
    }

    /// Where clients reach each member.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let port = |it: &Member| format!("{scheme}://127.0.0.1:{}", it.ports[0]);
        self.all.iter().map(port).collect()
    }

    pub(crate) fn signal(&self, index: usize, signal: Signal) {
        let child = self.all[index].child.as_ref().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn freeze(&self, index: usize) {
        self.signal(index, Signal::STOP);
    }

    pub(crate) fn thaw(&self, index: usize) {
        self.signal(index, Signal::CONT);
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self, index: usize) {
        if let Some(mut child) = self.all[index].child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts one again that was killed, with what it had on disk.
    pub(crate) fn revive(&mut self, index: usize) {
        self.spawn(index, "existing");
    }

    #[allow(
        dead_code,
        reason = "not every test program that uses this file needs it"
    )]
    /// Starts a cluster of one anew, empty, at the same place.
    pub(crate) fn forget(&mut self, index: usize) {
        std::fs::remove_dir_all(self.path(index, "data")).unwrap();
        self.spawn(index, "new");
    }

    #[allow(
        dead_code,
        reason = "not every test program that uses this file needs it"
    )]
    /// Saves what member 0 holds.
    pub(crate) fn snapshot(&self) {
        let file = self.path(0, "snapshot");
        self.etcdctl(&["snapshot", "save", &file.display().to_string()]);
    }

    #[allow(
        dead_code,
        reason = "not every test program that uses this file needs it"
    )]
    /// Ends a cluster of one and starts it with what was saved, at the same place. Another `token` makes another cluster of it.
    pub(crate) fn restore(&mut self, index: usize, token: &str) {
        self.kill(index);
        let data = self.path(index, "data");
        std::fs::remove_dir_all(&data).unwrap();
        let member = &self.all[index];
        let peer = format!("http://127.0.0.1:{}", member.ports[1]);
        let cluster = format!("{}={peer}", member.name);
        let [snapshot, data] = [self.path(0, "snapshot"), data].map(|it| it.display().to_string());
        self.etcdctl(&[
            "snapshot",
            "restore",
            &snapshot,
            "--data-dir",
            &data,
            "--name",
            &member.name,
            "--initial-cluster",
            &cluster,
            "--initial-advertise-peer-urls",
            &peer,
            "--initial-cluster-token",
            token,
        ]);
        self.revive(index);
        self.wait();
    }

    /// Waits until every member serves.
    pub(crate) fn wait(&mut self) {
        for index in 0..self.all.len() {
            assert!(
                self.serves(index),
                "member {index} does not serve: {}",
                self.log(index)
            );
        }
    }

    /// The member that leads, as each says of itself.
    pub(crate) fn leader(&self) -> usize {
        for _ in 0..LOOKS {
            let leads = |it: &Member| {
                ask(it.ports[2], "/metrics")
                    .is_some_and(|it| it.lines().any(|it| it == "etcd_server_is_leader 1"))
            };
            if let Some(index) = self.all.iter().position(leads) {
                return index;
            }
            std::thread::park_timeout(LOOK);
        }
        panic!("no member leads");
    }

    /// Types `etcdctl` with more arguments; it must succeed.
    pub(crate) fn etcdctl(&self, arguments: &[&str]) -> String {
        let output = self.try_etcdctl(arguments);
        assert!(output.status.success(), "etcdctl {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn try_etcdctl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.endpoints().join(",")));
        if let Some(tls) = &self.tls {
            command
                .arg(format!("--cacert={}", tls.ca.display()))
                .arg(format!("--cert={}", tls.certificate.display()))
                .arg(format!("--key={}", tls.key.display()));
        }
        command.args(arguments).output().unwrap()
    }

    pub(crate) fn log(&self, index: usize) -> String {
        std::fs::read_to_string(self.path(index, "log")).unwrap_or_default()
    }

    fn path(&self, index: usize, what: &str) -> PathBuf {
        self.folder.path().join(format!("{index}.{what}"))
    }

    fn spawn(&mut self, index: usize, state: &str) {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let cluster: Vec<String> = (self.all.iter())
            .map(|it| format!("{}=http://127.0.0.1:{}", it.name, it.ports[1]))
            .collect();
        let member = &self.all[index];
        let [client, peer, metrics] = member.ports;
        let log = File::create(self.path(index, "log")).unwrap();
        // Ends with the thread that started it, should a test end without its destructors.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "etcd", "--name", &member.name])
            .arg("--data-dir")
            .arg(self.path(index, "data"))
            .args([
                "--listen-client-urls",
                &format!("{scheme}://127.0.0.1:{client}"),
            ])
            .args([
                "--advertise-client-urls",
                &format!("{scheme}://127.0.0.1:{client}"),
            ])
            .args(["--listen-peer-urls", &format!("http://127.0.0.1:{peer}")])
            .args([
                "--initial-advertise-peer-urls",
                &format!("http://127.0.0.1:{peer}"),
            ])
            .args([
                "--listen-metrics-urls",
                &format!("http://127.0.0.1:{metrics}"),
            ])
            .args(["--initial-cluster", &cluster.join(",")])
            .args(["--initial-cluster-state", state])
            .args(["--heartbeat-interval", "10", "--election-timeout", "100"])
            .args([
                "--unsafe-no-fsync",
                "--logger",
                "zap",
                "--log-level",
                "warn",
            ]);
        if let Some(tls) = &self.tls {
            command
                .arg("--client-cert-auth")
                .arg("--trusted-ca-file")
                .arg(&tls.ca)
                .arg("--cert-file")
                .arg(&tls.certificate)
                .arg("--key-file")
                .arg(&tls.key);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.all[index].child = Some(child);
    }

    fn serves(&mut self, index: usize) -> bool {
        for _ in 0..LOOKS {
            let member = &mut self.all[index];
            let Some(child) = &mut member.child else {
                return false;
            };
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if ask(member.ports[2], "/health").is_some_and(|it| it.contains("\"true\"")) {
                return true;
            }
            std::thread::park_timeout(LOOK);
        }
        false
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for (index, member) in self.all.iter_mut().enumerate() {
            if let Some(mut child) = member.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
            if std::thread::panicking() {
                let log = self.folder.path().join(format!("{index}.log"));
                let text = std::fs::read_to_string(log).unwrap_or_default();
                let last: Vec<&str> = text.lines().rev().take(5).collect();
                eprintln!("the last words of member {index}, newest first: {last:#?}");
            }
        }
    }
}

fn places(count: usize) -> Vec<Member> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let held: Vec<TcpListener> = (0..count * 3).map(|_| bind()).collect();
    let ports: Vec<u16> = held
        .iter()
        .map(|it| it.local_addr().unwrap().port())
        .collect();
    let member = |(index, ports): (usize, &[u16])| Member {
        name: format!("m{index}"),
        ports: ports.try_into().unwrap(),
        child: None,
    };
    ports.chunks(3).enumerate().map(member).collect()
}

/// What a member says over plain HTTP.
fn ask(port: u16, path: &str) -> Option<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let limit = Duration::from_millis(500);
    let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
