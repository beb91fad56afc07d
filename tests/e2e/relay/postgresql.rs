//! PostgreSQL: a primary and a standby by streaming replication.

use super::writer::{Dialect, Writer};
use super::{are_here, dependency, wait_current};
use crate::support::clock::{now, until};
use crate::support::processes::signal;
use crate::support::site::Site;
use crate::support::tls::{Authority, Time, put};
use rustix::process::Signal;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, config::SslMode};

const PASSWORD: &str = "pass for everything";

/// Debian keeps the programs of each version apart.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions
        .flatten()
        .map(|it| it.path().join("bin"))
        .filter(|it| it.join("initdb").exists())
        .collect();
    found.sort();
    found.pop()
}

/// Two servers.
struct Pair {
    folder: TempDir,
    programs: PathBuf,
    ports: [u16; 2],
    children: [Option<Child>; 2],
}

impl Pair {
    /// The first is primary, the second follows it.
    fn start(programs: PathBuf, ports: [u16; 2]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("minato-postgresql-")
            .tempdir()
            .unwrap();
        if is_root() {
            let given = Command::new("chown")
                .arg("postgres")
                .arg(folder.path())
                .status()
                .unwrap();
            assert!(given.success());
        }
        let mut pair = Self {
            folder,
            programs,
            ports,
            children: [None, None],
        };
        let password = pair.path("password");
        fs::write(&password, PASSWORD).unwrap();
        let text = |path: &Path| path.display().to_string();
        let made = pair
            .command("initdb")
            .args(["--username=minato", "--auth=scram-sha-256", "--no-sync"])
            .args([
                format!("--pgdata={}", text(&pair.data(0))),
                format!("--pwfile={}", text(&password)),
            ])
            .output();
        check(&made);
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
        pair.spawn(0);
        pair.wait(0);
        pair.sql(0, "CREATE TABLE rows (n bigint)");
        let copied = pair
            .command("pg_basebackup")
            .env("PGPASSWORD", PASSWORD)
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
            .args(["--host=127.0.0.1", "--username=minato"])
            .args([
                format!("--port={}", pair.ports[0]),
                format!("--pgdata={}", text(&pair.data(1))),
            ])
            .output();
        check(&copied);
        pair.spawn(1);
        pair.wait(1);
        pair
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self, which: usize) -> PathBuf {
        self.path(&format!("data{which}"))
    }

    /// The server refuses to run as root.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    fn spawn(&mut self, which: usize) {
        let log = fs::File::create(self.path(&format!("log{which}"))).unwrap();
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(self.data(which))
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args([
                "-c",
                "shared_buffers=16MB",
                "-c",
                "unix_socket_directories=",
            ])
            .args(["-c", &format!("port={}", self.ports[which])])
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.children[which] = Some(command.spawn().unwrap());
    }

    fn query(&self, which: usize, statement: &str) -> Output {
        let at = format!(
            "host=127.0.0.1 port={} user=minato dbname=postgres",
            self.ports[which]
        );
        let asked = self
            .command("psql")
            .env("PGPASSWORD", PASSWORD)
            .args([
                "--no-psqlrc",
                "--tuples-only",
                "--no-align",
                &at,
                "-c",
                statement,
            ])
            .output();
        asked.unwrap()
    }

    #[track_caller]
    fn sql(&self, which: usize, statement: &str) -> String {
        let asked = self.query(which, statement);
        let failed = String::from_utf8_lossy(&asked.stderr).into_owned();
        assert!(asked.status.success(), "{statement}: {failed}");
        String::from_utf8(asked.stdout).unwrap().trim().to_owned()
    }

    #[track_caller]
    fn wait(&self, which: usize) {
        until("PostgreSQL to answer", || {
            self.query(which, "SELECT 1").status.success().then_some(())
        });
    }

    fn kill(&mut self, which: usize) {
        let mut child = self.children[which].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // Its children notice and end; until then they hold the shared memory.
        let data = self.data(which);
        until("what is left of it to end", || {
            let left = Command::new("pgrep")
                .args(["--full", &data.display().to_string()])
                .stdout(Stdio::null())
                .status()
                .unwrap();
            (!left.success()).then_some(())
        });
        let _ = fs::remove_file(data.join("postmaster.pid"));
    }

    fn promote(&self, which: usize) {
        self.sql(which, "SELECT pg_promote()");
    }

    /// With all processes that it has.
    fn signal_all(&self, which: usize, what: Signal) {
        let parent = self.children[which].as_ref().unwrap().id();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        let children = children.unwrap_or_default();
        let pids = children.split_whitespace().filter_map(|it| it.parse().ok());
        for pid in std::iter::once(parent).chain(pids) {
            if crate::support::processes::is_alive(pid) {
                signal(pid, what);
            }
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for which in 0..2 {
            if self.children[which].is_none() {
                continue;
            }
            self.signal_all(which, Signal::CONT);
            // At once, and with all of its children.
            let mut child = self.children[which].take().unwrap();
            signal(child.id(), Signal::QUIT);
            let _ = child.wait();
            if std::thread::panicking() {
                let log = fs::read_to_string(self.path(&format!("log{which}")));
                let log = log.unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(15).collect();
                eprintln!("server {which}: {tail:#?}");
            }
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[track_caller]
fn check(done: &std::io::Result<Output>) {
    let done = done.as_ref().unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

struct Postgresql;

impl Dialect for Postgresql {
    type Connection = Client;

    async fn connect(&self, to: SocketAddr) -> Result<Client, String> {
        let mut config = Config::new();
        config
            .user("minato")
            .dbname("postgres")
            .password(PASSWORD)
            .ssl_mode(SslMode::Disable);
        let stream = tokio::net::TcpStream::connect(to).await;
        let stream = stream.map_err(|it| it.to_string())?;
        let connected = config.connect_raw(stream, NoTls).await;
        let (client, connection) = connected.map_err(|it| it.to_string())?;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn insert(&self, on: &mut Client, row: u64) -> Result<String, String> {
        let insert = format!("INSERT INTO rows (n) VALUES ({row}); SELECT current_setting('port')");
        let said = on
            .simple_query(&insert)
            .await
            .map_err(|it| it.to_string())?;
        let port = said.iter().find_map(|it| match it {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        port.ok_or_else(|| "no port".to_owned())
    }
}

#[test]
fn connections_follow_the_primary_through_death_return_and_freeze() {
    let Some(programs) = programs() else {
        assert!(!are_here(&["/usr/lib/postgresql/*/bin/initdb"]));
        return;
    };
    let ports = crate::support::ports::Ports::take();
    let mut pair = Pair::start(programs, [ports.own(2).port(), ports.own(3).port()]);
    let [a, b] = pair.ports;
    let mut site = Site::new();
    let relay = site.ports.own(4);
    site.write_settings(&format!(
        "[dependencies.library-db]\nkind = \"postgresql\"\nmembers = [\"127.0.0.1:{a}\", \"127.0.0.1:{b}\"]\n\
         user = \"minato\"\npassword_file = \"{password}\"\nlisten = [\"{relay}\"]\ndrain = \"1s\"\n\
         interval = \"2s\"\nfast = \"200ms\"\ntimeout = \"1500ms\"\n\
         [dependencies.library-reads]\nkind = \"postgresql\"\nrole = \"replica\"\nmembers = [\"127.0.0.1:{a}\", \"127.0.0.1:{b}\"]\n\
         user = \"minato\"\npassword_file = \"{password}\"\n",
        password = pair.path("password").display()
    ));
    site.start();
    wait_current(&site, "library-db", a);
    let writer = Writer::start(Postgresql, relay);
    writer.wait_rows(a, 20, now());
    until("the replica to be seen as one", || {
        let it = dependency(&site, "library-reads");
        let why = it["members"][0]["reason"] == "role: a primary (pg_is_in_recovery)";
        (it["state"] == "up" && why).then_some(())
    });

    let began = now();
    pair.kill(0);
    until("its death to show", || {
        (dependency(&site, "library-db")["state"] == "down").then_some(())
    });
    let detected = began.elapsed();
    pair.promote(1);
    let promoted = now();
    let first = writer.wait_rows(b, 20, promoted);
    let (failed, gap) = writer.failed_since(began);
    println!(
        "PostgreSQL killed: detected after {detected:.2?}, first row {:.2?} after the promotion, longest gap {gap:.2?}, {failed} statements failed",
        first - promoted
    );
    assert!(detected < Duration::from_secs(6), "{detected:?}");

    // The old one comes back as a primary of its own history.
    pair.spawn(0);
    pair.wait(0);
    let began = now();
    until("two primaries to be an alarm", || {
        (dependency(&site, "library-db")["alarm"] != "").then_some(())
    });
    writer.wait_rows(b, 30, began);
    writer.none_on(a, began);

    // The one in use freezes, and there is another: connections are cut at once.
    let began = now();
    pair.signal_all(1, Signal::STOP);
    let first = writer.wait_rows(a, 20, began);
    let (failed, gap) = writer.failed_since(began);
    println!(
        "PostgreSQL frozen beside another primary: first row there after {:.2?}, longest gap {gap:.2?}, {failed} statements failed",
        first - began
    );
    assert!(
        first - began < Duration::from_secs(8),
        "{:?}",
        first - began
    );
    let thawed = now();
    pair.signal_all(1, Signal::CONT);
    writer.wait_rows(a, 30, thawed);
    writer.none_on(b, thawed);
}

#[test]
fn a_server_proves_who_it_is_or_is_down_by_the_layer_of_tls() {
    let Some(programs) = programs() else {
        assert!(!are_here(&["/usr/lib/postgresql/*/bin/initdb"]));
        return;
    };
    let ports = crate::support::ports::Ports::take();
    let pair = Pair::start(programs, [ports.own(2).port(), ports.own(3).port()]);
    let port = pair.ports[0];
    let (good, stranger) = (Authority::new("good"), Authority::new("stranger"));
    good.write(&pair.path("good.pem"));
    stranger.write(&pair.path("stranger.pem"));
    let own = good.sign(&["127.0.0.1"], Time::Now);
    put(&pair.path("server.pem"), &own.certificate);
    put(&pair.path("server.key"), &own.key);
    let key = pair.path("server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    if is_root() {
        let given = Command::new("chown").arg("postgres").arg(&key).status();
        assert!(given.unwrap().success());
    }
    let of = |name: &str, tls: &str| {
        format!(
            "[dependencies.{name}]\nkind = \"postgresql\"\nmembers = [\"127.0.0.1:{port}\"]\nuser = \"minato\"\n\
             password_file = \"{}\"\ninterval = \"5500ms\"\nfast = \"200ms\"\ntimeout = \"5s\"\n{tls}\n",
            pair.path("password").display()
        )
    };
    let by = |ca: &str, more: &str| {
        let ca = pair.path(ca);
        format!("tls = {{ ca = \"{}\"{more} }}", ca.display())
    };
    let mut site = Site::new();
    let all = [
        of("plain", ""),
        of("good", &by("good.pem", "")),
        of("stranger", &by("stranger.pem", "")),
        of("misnamed", &by("good.pem", ", sni = \"db.example.org\"")),
    ];
    site.write_settings(&all.concat());
    site.start();
    let wait_reason = |name: &str, part: &str| {
        until(&format!("{name} to fail by `{part}`"), || {
            let reason = dependency(&site, name)["reason"].to_string();
            reason.contains(part).then_some(())
        });
    };
    let wait_up = |name: &str| {
        until(&format!("{name} to pass"), || {
            (dependency(&site, name)["state"] == "up").then_some(())
        });
    };
    wait_up("plain");
    wait_reason("good", "TLS: the server offers none");

    // From now on with TLS, and for nobody without it.
    let hba = pair.data(0).join("pg_hba.conf");
    fs::write(&hba, "hostssl all all 127.0.0.1/32 scram-sha-256\n").unwrap();
    for (name, value) in [
        (
            "ssl_cert_file",
            pair.path("server.pem").display().to_string(),
        ),
        ("ssl_key_file", key.display().to_string()),
        ("ssl", "on".to_owned()),
    ] {
        pair.sql(0, &format!("ALTER SYSTEM SET {name} = '{value}'"));
    }
    pair.sql(0, "SELECT pg_reload_conf()");
    wait_up("good");
    for (name, part) in [
        ("plain", "login: no pg_hba.conf entry"),
        (
            "stranger",
            "TLS: certificate of an unknown issuer; name its authority with tls.ca",
        ),
        ("misnamed", "TLS: certificate for another name: "),
    ] {
        wait_reason(name, part);
    }
}
