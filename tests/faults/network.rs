//! Machines as network namespaces on one bridge, and cuts between them. Dropping it removes them, also when a test panics.

use crate::support::clock::{now, pause, until};
use crate::support::processes::{is_alive, python};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Of every machine; what a test makes is seen by nobody else.
const PREFIX: [u8; 3] = [10, 77, 0];

/// Whether machines can be made here. Otherwise tests are skipped with a word; under `CI=true` that fails.
pub(crate) fn is_here() -> bool {
    let may = |arguments: &[&str]| {
        Command::new("ip")
            .args(arguments)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|it| it.success())
    };
    let name = format!("minato-try-{}-{}", std::process::id(), next());
    let made = may(&["netns", "add", &name]);
    let filters = made
        && Command::new("ip")
            .args(["netns", "exec", &name, "iptables", "-S"])
            .output()
            .is_ok_and(|it| it.status.success());
    if made {
        may(&["netns", "del", &name]);
    }
    let etcd = Command::new("etcd").arg("--version").output().is_ok();
    let here = filters && etcd;
    if !here {
        minato_skip::skip(
            "no machines: this needs root, iproute2, iptables, etcd-server and network namespaces",
        );
    }
    here
}

fn next() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

/// One bridge.
#[derive(Debug)]
pub(crate) struct Network {
    mark: String,
    hosts: u8,
    names: Vec<String>,
    /// Of machines that are far from each other: the namespaces with their addresses, and what carries frames between them.
    far: Vec<String>,
    switch: Option<Child>,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    namespace: String,
}

/// What happens to packets of a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nobody hears of it.
    Drop,
    /// The sender is told at once.
    Reject,
}

impl Network {
    pub(crate) fn new() -> Self {
        let mut network = Self {
            mark: format!("minato-{}-{}", std::process::id(), next()),
            hosts: 0,
            names: Vec::new(),
            far: Vec::new(),
            switch: None,
        };
        let hub = network.hub();
        ip(&["netns", "add", &hub]);
        network.names.push(hub.clone());
        ip(&["-n", &hub, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &hub, "link", "set", "br0", "up"]);
        network
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.mark)
    }

    /// Adds a machine.
    pub(crate) fn host(&mut self, name: &str) -> Host {
        self.hosts += 1;
        let [a, b, c] = PREFIX;
        let host = Host {
            name: name.to_owned(),
            address: Ipv4Addr::new(a, b, c, self.hosts),
            namespace: format!("{}-{name}", self.mark),
        };
        let (hub, own, port) = (self.hub(), &host.namespace, format!("port{}", self.hosts));
        ip(&["netns", "add", own]);
        self.names.push(own.clone());
        let peer = ["peer", "name", &port, "netns", &hub];
        let add = ["-n", own, "link", "add", "eth0", "type", "veth"];
        ip(&[add.as_slice(), &peer].concat());
        ip(&["-n", &hub, "link", "set", &port, "master", "br0", "up"]);
        let address = format!("{}/24", host.address);
        ip(&["-n", own, "addr", "add", &address, "dev", "eth0"]);
        ip(&["-n", own, "link", "set", "eth0", "up"]);
        ip(&["-n", own, "link", "set", "lo", "up"]);
        host
    }
}

impl Network {
    /// Adds a machine that is far from all others that are added so. It hears of them once they are joined.
    pub(crate) fn far_host(&mut self, name: &str) -> Host {
        self.host_at(name, name)
    }

    /// The same, near to those of the same site.
    pub(crate) fn host_at(&mut self, site: &str, name: &str) -> Host {
        self.hosts += 1;
        let [a, b, c] = PREFIX;
        let host = Host {
            name: name.to_owned(),
            address: Ipv4Addr::new(a, b, c, self.hosts),
            namespace: format!("{}-{name}", self.mark),
        };
        ip(&["netns", "add", &host.namespace]);
        self.names.push(host.namespace.clone());
        ip(&["-n", &host.namespace, "link", "set", "lo", "up"]);
        self.far
            .push(format!("{}={}/24@{site}", host.namespace, host.address));
        host
    }

    /// Joins them: each frame takes `delay` to each of the other sites, and `loss` of them are lost.
    pub(crate) fn join(&mut self, delay: Duration, loss: f64) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/tap_switch.py");
        let mut command = Command::new(python());
        let (delay, loss) = (delay.as_secs_f64().to_string(), loss.to_string());
        // It ends by itself where nobody ends it.
        command
            .args([script, &delay, &loss, "3600"])
            .args(&self.far);
        self.switch = Some(command.spawn().unwrap());
        until("the far machines to have their devices", || {
            self.far
                .iter()
                .all(|it| {
                    let name = it.split('=').next().unwrap_or_default();
                    let shown = Command::new("ip")
                        .args(["-n", name, "-br", "link", "show", "dev", "tap0", "up"])
                        .stderr(Stdio::null())
                        .output();
                    shown.is_ok_and(|it| it.status.success() && !it.stdout.is_empty())
                })
                .then_some(())
        });
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(mut switch) = self.switch.take() {
            let _ = switch.kill();
            let _ = switch.wait();
        }
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

impl Host {
    /// A program on this machine.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).arg(program);
        command
    }

    /// Does something as if on this machine: sockets that are opened within belong to it, threads begun within stay on it.
    pub(crate) fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            let namespace = File::open(self.path()).unwrap();
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            act()
        };
        std::thread::scope(|scope| scope.spawn(enter).join()).unwrap_or_else(|panic| {
            std::panic::resume_unwind(panic);
        })
    }

    /// Living processes on this machine: pid and command line.
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        let Ok(own) = fs::metadata(self.path()) else {
            return Vec::new();
        };
        let all = fs::read_dir("/proc").unwrap().flatten();
        all.filter_map(|it| {
            let pid: u32 = it.file_name().to_str()?.parse().ok()?;
            let is_here = fs::metadata(it.path().join("ns/net")).ok()?.ino() == own.ino();
            let line = fs::read(it.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            (is_here && is_alive(pid)).then_some((pid, line))
        })
        .collect()
    }

    /// How many living processes on each of these machines have such a command line: one look at all processes for all of them.
    pub(crate) fn processes_of(hosts: &[Self], wanted: impl Fn(&str) -> bool) -> Vec<usize> {
        let own = hosts
            .iter()
            .map(|it| Some(fs::metadata(it.path()).ok()?.ino()));
        let own: Vec<Option<u64>> = own.collect();
        let mut counts = vec![0; hosts.len()];
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let name = process.file_name();
            let Some(pid) = name.to_str().and_then(|it| it.parse().ok()) else {
                continue;
            };
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            if !wanted(&String::from_utf8_lossy(&line).replace('\0', " ")) || !is_alive(pid) {
                continue;
            }
            let Ok(space) = fs::metadata(process.path().join("ns/net")) else {
                continue;
            };
            let at = own.iter().position(|it| *it == Some(space.ino()));
            at.into_iter().for_each(|it| counts[it] += 1);
        }
        counts
    }

    /// Kills everything on this machine.
    pub(crate) fn kill_all(&self) {
        let patience = now();
        loop {
            let left = self.processes();
            if left.is_empty() || patience.elapsed() > Duration::from_secs(5) {
                return;
            }
            for (pid, _) in left {
                let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
                let _ = pid.map(|it| kill_process(it, Signal::KILL));
            }
            pause(Duration::from_millis(20));
        }
    }

    /// No packet goes between this machine and `other`.
    pub(crate) fn cut_from(&self, other: &Self, how: Cut) {
        let target: &[&str] = match how {
            Cut::Drop => &["DROP"],
            Cut::Reject => &["REJECT"],
        };
        let address = other.address.to_string();
        // What a machine forwards goes to its containers.
        for (chain, side) in [
            ("INPUT", "-s"),
            ("OUTPUT", "-d"),
            ("FORWARD", "-s"),
            ("FORWARD", "-d"),
        ] {
            let rule = ["-w", "-I", chain, side, &address, "-j"];
            self.filter(&[rule.as_slice(), target].concat());
        }
    }

    /// No packet goes between this machine, which was added with [`Network::far_host`], and any other.
    pub(crate) fn cut_off(&self) {
        for (chain, side) in [("INPUT", "-i"), ("OUTPUT", "-o")] {
            self.filter(&["-w", "-I", chain, side, "tap0", "-j", "DROP"]);
        }
    }

    /// Ends every cut of this machine.
    pub(crate) fn heal(&self) {
        self.filter(&["-w", "-F"]);
    }

    /// The cable is out, or in again.
    pub(crate) fn link(&self, state: &str) {
        ip(&["-n", &self.namespace, "link", "set", "eth0", state]);
    }

    fn filter(&self, arguments: &[&str]) {
        let output = self.command("iptables").args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "iptables {arguments:?}: {output:?}"
        );
    }

    fn path(&self) -> String {
        format!("/var/run/netns/{}", self.namespace)
    }
}

#[track_caller]
fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {output:?}");
}
