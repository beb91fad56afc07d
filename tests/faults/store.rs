//! An etcd cluster, each member on a machine of its own. Dropping it ends the members, also when a test panics.

use crate::network::Host;
use crate::support::clock::until;
use crate::support::http;
use rustix::process::Signal;
use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use tempfile::TempDir;

/// Members and where they run.
pub(crate) struct Cluster {
    folder: TempDir,
    hosts: Vec<Host>,
    children: Vec<Child>,
    /// As whom `etcdctl` speaks, once the cluster asks for users.
    user: Option<&'static str>,
}

impl Cluster {
    /// Starts one member on each machine, and waits until all serve.
    pub(crate) fn start(hosts: Vec<Host>) -> Self {
        let mut named = tempfile::Builder::new();
        let folder = named.prefix("minato-etcd-").tempdir().unwrap();
        let peer = |it: &Host| format!("http://{}:2380", it.address);
        let all: Vec<String> = hosts
            .iter()
            .map(|it| format!("{}={}", it.name, peer(it)))
            .collect();
        let children = hosts
            .iter()
            .map(|host| {
                let log = File::create(folder.path().join(&host.name)).unwrap();
                let client = format!("http://{}:2379", host.address);
                host.command("setpriv")
                    .args(["--pdeathsig", "KILL", "etcd", "--name", &host.name])
                    .arg("--data-dir")
                    .arg(folder.path().join(format!("{}.data", host.name)))
                    .args(["--listen-client-urls", &client])
                    .args(["--advertise-client-urls", &client])
                    .args(["--listen-peer-urls", &peer(host)])
                    .args(["--initial-advertise-peer-urls", &peer(host)])
                    .args(["--initial-cluster", &all.join(",")])
                    .args(["--heartbeat-interval", "20", "--election-timeout", "200"])
                    .args(["--unsafe-no-fsync", "--logger", "zap"])
                    .stdin(Stdio::null())
                    .stdout(log.try_clone().unwrap())
                    .stderr(log)
                    .spawn()
                    .unwrap()
            })
            .collect();
        let cluster = Self {
            folder,
            hosts,
            children,
            user: None,
        };
        for host in &cluster.hosts {
            let address = SocketAddr::from((host.address, 2379));
            until("etcd to serve", || {
                let answer = host.inside(|| http::get(address, "etcd", "/health"));
                answer.ok().filter(|it| it.text().contains("true"))
            });
        }
        cluster
    }

    /// As `[store]` wants it.
    pub(crate) fn endpoints(&self) -> String {
        let all: Vec<String> = self
            .hosts
            .iter()
            .map(|it| format!("\"http://{}:2379\"", it.address))
            .collect();
        format!("etcd = [{}]\n", all.join(", "))
    }

    pub(crate) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// To every member.
    pub(crate) fn signal(&self, signal: Signal) {
        for child in &self.children {
            crate::support::processes::signal(child.id(), signal);
        }
    }

    /// Makes users and roles by these commands; from then on nobody is heard without a password.
    pub(crate) fn guard(&mut self, commands: &[Vec<String>]) {
        let own = [
            "user add root:root",
            "user grant-role root root",
            "auth enable",
        ];
        for command in commands {
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            self.etcdctl(&command);
        }
        for command in own {
            self.etcdctl(&command.split(' ').collect::<Vec<_>>());
        }
        self.user = Some("root:root");
    }

    /// Types `etcdctl`; it must succeed.
    #[track_caller]
    pub(crate) fn etcdctl(&self, arguments: &[&str]) -> String {
        let host = &self.hosts[0];
        let output = host
            .command("etcdctl")
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints=http://{}:2379", host.address))
            .args(self.user.map(|it| format!("--user={it}")))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "etcdctl {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The store's newest.
    pub(crate) fn revision(&self) -> u64 {
        let printed = self.etcdctl(&["get", "/", "--write-out=json"]);
        let answer: serde_json::Value = serde_json::from_str(&printed).unwrap();
        answer["header"]["revision"].as_u64().unwrap()
    }

    /// Everything below a prefix of the site's keys: key and value.
    pub(crate) fn list(&self, prefix: &str) -> Vec<(String, String)> {
        let prefix = format!("/minato/v1/local/{prefix}");
        let printed = self.etcdctl(&["get", "--prefix", &prefix]);
        let lines: Vec<&str> = printed.lines().collect();
        let pair = |it: &[&str]| (it[0].to_owned(), it[1].to_owned());
        lines.chunks_exact(2).map(pair).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for host in &self.hosts {
                let log = self.folder.path().join(&host.name);
                let text = std::fs::read_to_string(log).unwrap_or_default();
                let last: Vec<&str> = text.lines().rev().take(3).collect();
                eprintln!("the last words of {}, newest first: {last:#?}", host.name);
            }
        }
    }
}
