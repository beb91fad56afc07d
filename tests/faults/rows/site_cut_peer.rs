//! Beside row 11: what HAProxy does on the same cut, with a server at each site, the near one as backup.
//!
//! Same network, same services, same client, same times where both have them: checks each second, 0.2 s apart once one failed, three
//! failures; one retry at another server. What it prints stands beside the row's in docs/faults.md; nothing is asserted of it but that
//! visitors are served again.

use crate::figures::{Figure, measure};
use crate::network::{Cut, Host, Network};
use crate::support::clock::{now, until};
use crate::support::http::get;
use crate::support::load::{Ask, Load};
use crate::support::processes::{beside, python};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// One way, as in the row.
const DELAY: Duration = Duration::from_millis(15);
const LOSS: f64 = 0.01;
const PORT: u16 = 9000;
const DOOR: u16 = 8080;

/// A process that ends with the test.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn instance(host: &Host, folder: &Path) -> Kept {
    let ledger = folder.join(format!("ledger-{}", host.name));
    let mut command = host.command(python());
    command
        .arg(beside("service.py"))
        .arg(PORT.to_string())
        .arg(ledger);
    let child = command.env("BIND", "0.0.0.0").stdout(Stdio::null()).spawn();
    Kept(child.unwrap())
}

fn haproxy(host: &Host, folder: &Path, first: &Host) -> Kept {
    let text = format!(
        "global\n  maxconn 2000\ndefaults\n  mode http\n  retries 1\n  option redispatch 1\n  retry-on conn-failure empty-response response-timeout\n\
         \x20 timeout connect 3s\n  timeout client 60s\n  timeout server 60s\n  timeout check 800ms\n\
         frontend door\n  bind {}:{DOOR}\n  default_backend sites\n\
         backend sites\n  option httpchk GET /healthz\n  default-server check inter 1s fastinter 200ms fall 3 rise 2 on-marked-down shutdown-sessions\n\
         \x20 server tokyo {}:{PORT}\n  server osaka {}:{PORT} backup\n",
        host.address, first.address, host.address
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, text).unwrap();
    let mut command = host.command("haproxy");
    command.arg("-db").arg("-f").arg(file).stdout(Stdio::null());
    Kept(command.stderr(Stdio::null()).spawn().unwrap())
}

fn is_here() -> bool {
    let found = Command::new("haproxy")
        .arg("-v")
        .stdout(Stdio::null())
        .status();
    let here = found.is_ok_and(|it| it.success());
    if !here {
        minato_skip::skip("no HAProxy: apt-get install haproxy");
    }
    here
}

#[test]
fn a_peer_with_backup_servers_on_the_same_cut() {
    if !is_here() {
        return;
    }
    measure("row 11, the same cut, HAProxy with a backup server", |_| {
        let mut network = Network::new();
        let mut named = tempfile::Builder::new();
        let folder = named.prefix("minato-faults-").tempdir().unwrap();
        let tokyo = network.far_host("tokyo");
        let osaka = network.far_host("osaka");
        let client = network.far_host("client");
        network.join(DELAY, LOSS);
        let _instances = [
            instance(&tokyo, folder.path()),
            instance(&osaka, folder.path()),
        ];
        let _proxy = haproxy(&osaka, folder.path(), &tokyo);
        let door = (osaka.address, DOOR).into();
        let served_by = |host: &Host| {
            let own: std::net::SocketAddr = (host.address, PORT).into();
            let pid = get(own, "faults.test", "/").ok()?.text();
            let answer = get(door, "faults.test", "/").ok()?;
            (answer.status == 200 && answer.text() == pid).then_some(())
        };
        client.inside(|| until("tokyo to serve", || served_by(&tokyo)));
        let ask = Ask::Get {
            path: "/page".to_owned(),
            body: "the page".to_owned(),
        };
        let load = client.inside(|| Load::start(door, "faults.test", &ask));
        load.wait_for(100);
        let began = now();
        tokyo.cut_from(&osaka, Cut::Drop);
        client.inside(|| until("osaka to serve", || served_by(&osaka)));
        let first = began.elapsed();
        load.wait_for(200);
        let report = load.stop();
        vec![
            ("first success at the other site", Figure::Time(first)),
            ("slowest request", Figure::Time(report.slowest)),
            ("failed", Figure::Count(report.failed)),
            ("requests", Figure::Count(report.sent)),
        ]
    });
}
