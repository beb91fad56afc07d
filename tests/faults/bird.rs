//! BIRD, on gateways with what is shipped (`packaging/anycast`, with the test's addresses in place), and on routers.

use crate::kept::Kept;
use crate::network::Host;
use crate::support::clock::until;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The service's address, as in the shipped `bird.conf`.
pub(crate) const SERVICE: &str = "192.0.2.10";

/// Whether BIRD and machines are here; otherwise tests are skipped.
pub(crate) fn is_here() -> bool {
    let bird = Command::new("bird").arg("--version").output().is_ok();
    if !bird {
        minato_skip::skip("no BIRD: apt-get install bird2");
    }
    bird && crate::network::is_here()
}

/// The service's address lies on this machine, whether it is announced or not.
pub(crate) fn has_address(host: &Host) {
    let mut command = host.command("ip");
    command.args(["address", "add", &format!("{SERVICE}/32"), "dev", "lo"]);
    assert!(command.status().unwrap().success());
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/anycast")
}

/// One that runs.
pub(crate) struct Bird {
    socket: PathBuf,
    host: Host,
    _running: Kept,
}

impl Bird {
    /// As it is shipped, for a gateway on `host` that announces to `router`.
    pub(crate) fn of_gateway(host: &Host, folder: &Path, router: &Host) -> Self {
        let config = fs::read_to_string(shipped().join("bird.conf")).unwrap();
        let config = config
            .replace("10.0.0.254", &router.address.to_string())
            .replace("10.0.0.1", &host.address.to_string());
        Self::start(host, folder, &config)
    }

    pub(crate) fn start(host: &Host, folder: &Path, config: &str) -> Self {
        let of = |ending: &str| folder.join(format!("bird-{}.{ending}", host.name));
        fs::write(of("conf"), config).unwrap();
        let log = File::create(of("log")).unwrap();
        let socket = of("ctl");
        let child = host
            .command("bird")
            .args(["-f", "-c"])
            .arg(of("conf"))
            .arg("-s")
            .arg(&socket)
            .arg("-P")
            .arg(of("pid"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let bird = Self {
            socket,
            host: host.clone(),
            _running: Kept(child),
        };
        until("BIRD to answer", || {
            bird.asked("show status")
                .contains("up and running")
                .then_some(())
        });
        bird
    }

    /// Starts the shipped watcher beside it, which looks five times a second; what it says stands in `announce-HOST.log`.
    pub(crate) fn announce(&self, folder: &Path) -> Kept {
        let log = File::create(folder.join(format!("announce-{}.log", self.host.name))).unwrap();
        let watcher = self
            .host
            .command(shipped().join("minato-announce").to_str().unwrap())
            .env("BIRDC", format!("birdc -s {}", self.socket.display()))
            .env("INTERVAL", "0.2")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        Kept(watcher.unwrap())
    }

    /// What `birdc` answers.
    pub(crate) fn asked(&self, what: &str) -> String {
        let socket = self.socket.to_str().unwrap();
        let mut command = self.host.command("birdc");
        command.args(["-s", socket]).args(what.split(' '));
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
