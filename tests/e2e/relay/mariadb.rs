//! MariaDB: a primary and a replica by GTID.

use super::writer::{Dialect, Writer};
use super::{are_here, dependency, wait_current};
use crate::support::clock::{now, until};
use crate::support::processes::signal;
use crate::support::site::Site;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, OptsBuilder};
use rustix::process::Signal;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const CHECK_PASSWORD: &str = "pass for checks";

/// One server.
struct Server {
    id: u16,
    port: u16,
    data: PathBuf,
    child: Child,
}

/// Two servers that begin with the same empty data.
struct Pair {
    folder: TempDir,
    servers: [Server; 2],
}

impl Pair {
    /// The first is primary, the second follows it.
    fn start(ports: [u16; 2]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("minato-mariadb-")
            .tempdir()
            .unwrap();
        let first = folder.path().join("1");
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal"])
            .args(["--skip-test-db", "--skip-name-resolve"])
            .arg(format!("--datadir={}", first.display()))
            .arg(format!("--tmpdir={}", temporary(&first)))
            .args(as_user())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let second = folder.path().join("2");
        let copied = Command::new("cp")
            .arg("-a")
            .args([&first, &second])
            .status()
            .unwrap();
        assert!(copied.success());
        let servers = [(1, ports[0], first), (2, ports[1], second)].map(|(id, port, data)| {
            let child = spawn(id, port, &data, &[]);
            Server {
                id,
                port,
                data,
                child,
            }
        });
        let pair = Self { folder, servers };
        pair.wait(0);
        pair.wait(1);
        pair.sql(
            0,
            &[
                &format!("CREATE USER minato@'127.0.0.1' IDENTIFIED BY '{CHECK_PASSWORD}'"),
                "GRANT SLAVE MONITOR ON *.* TO minato@'127.0.0.1'",
                "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'app'",
                "GRANT ALL ON library.* TO app@'127.0.0.1'",
                "CREATE USER follower@'127.0.0.1' IDENTIFIED BY 'follower'",
                "GRANT REPLICATION SLAVE ON *.* TO follower@'127.0.0.1'",
                "CREATE DATABASE library",
                "CREATE TABLE library.entries (n BIGINT, server INT)",
            ],
        );
        pair.follow(1, 0);
        pair
    }

    fn password_file(&self) -> PathBuf {
        let file = self.folder.path().join("password");
        fs::write(&file, format!("{CHECK_PASSWORD}\n")).unwrap();
        private(&file);
        file
    }

    fn port(&self, which: usize) -> u16 {
        self.servers[which].port
    }

    fn pid(&self, which: usize) -> u32 {
        self.servers[which].child.id()
    }

    /// As root, on the server itself.
    #[track_caller]
    fn sql(&self, which: usize, statements: &[&str]) -> String {
        let socket = self.servers[which].data.join("s");
        let done = Command::new("mariadb")
            .args([
                "--no-defaults",
                "--batch",
                "--skip-column-names",
                "--user=root",
            ])
            .arg(format!("--socket={}", socket.display()))
            .args(["--execute", &statements.join(";\n")])
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{statements:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// `who` becomes a replica of `whom`.
    #[track_caller]
    fn follow(&self, who: usize, whom: usize) {
        let port = self.port(whom);
        self.sql(who, &[
            "SET GLOBAL read_only = 1",
            "STOP SLAVE",
            &format!("CHANGE MASTER TO master_host='127.0.0.1', master_port={port}, master_user='follower', master_password='follower', master_use_gtid=current_pos, master_connect_retry=1"),
            "START SLAVE",
        ]);
    }

    /// The same where `who` has rows that nobody else ever saw: they are nobody's business here.
    #[track_caller]
    fn follow_from_now(&self, who: usize, whom: usize) {
        let position = self.sql(whom, &["SELECT @@gtid_current_pos"]);
        self.sql(
            who,
            &[
                "SET GLOBAL read_only = 1",
                "STOP SLAVE",
                "RESET MASTER",
                &format!("SET GLOBAL gtid_slave_pos = '{position}'"),
            ],
        );
        self.follow(who, whom);
    }

    #[track_caller]
    fn promote(&self, who: usize) {
        self.sql(
            who,
            &["STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0"],
        );
    }

    /// Waits until `who` has all that `whom` has.
    #[track_caller]
    fn caught_up(&self, who: usize, whom: usize) {
        until("the replica to catch up", || {
            // Taken first: rows go on being written.
            let wanted = self.sql(whom, &["SELECT @@gtid_binlog_pos"]);
            let waited = format!("SELECT MASTER_GTID_WAIT('{wanted}', 1)");
            (self.sql(who, &[&waited]) == "0").then_some(())
        });
    }

    #[track_caller]
    fn wait(&self, which: usize) {
        let socket = self.servers[which].data.join("s");
        until("MariaDB to answer", || {
            let asked = Command::new("mariadb-admin")
                .args(["--no-defaults", "--user=root", "ping"])
                .arg(format!("--socket={}", socket.display()))
                .stderr(Stdio::null())
                .stdout(Stdio::null())
                .status()
                .unwrap();
            asked.success().then_some(())
        });
    }

    fn kill(&mut self, which: usize) {
        let child = &mut self.servers[which].child;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn revive(&mut self, which: usize, more: &[&str]) {
        let server = &mut self.servers[which];
        server.child = spawn(server.id, server.port, &server.data, more);
        self.wait(which);
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.child.kill();
            let _ = server.child.wait();
            if std::thread::panicking() {
                let log = fs::read_to_string(server.data.join("log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(15).collect();
                eprintln!("server {}: {tail:#?}", server.id);
            }
        }
    }
}

/// The server refuses to run as root where that is not said.
fn as_user() -> Vec<&'static str> {
    match rustix::process::geteuid().is_root() {
        true => vec!["--user=root"],
        false => Vec::new(),
    }
}

/// A folder of its own beside the data: a server that starts removes what others have in theirs.
fn temporary(data: &Path) -> String {
    let folder = data.with_extension("tmp");
    fs::create_dir_all(&folder).unwrap();
    folder.display().to_string()
}

fn spawn(id: u16, port: u16, data: &Path, more: &[&str]) -> Child {
    let at = |name: &str| data.join(name).display().to_string();
    Command::new("mariadbd")
        .arg("--no-defaults")
        .args(as_user())
        .args([
            format!("--datadir={}", data.display()),
            format!("--tmpdir={}", temporary(data)),
            format!("--socket={}", at("s")),
            format!("--pid-file={}", at("pid")),
            format!("--log-error={}", at("log")),
            format!("--port={port}"),
            format!("--server-id={id}"),
            format!("--log-bin={}", at("binlog")),
            // Without a name of its own the relay log would be named after the machine.
            format!("--relay-log={}", at("relaylog")),
        ])
        .args([
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--log-slave-updates",
            "--innodb-buffer-pool-size=16M",
            "--innodb-log-file-size=8M",
            "--innodb-flush-log-at-trx-commit=0",
            "--slave-net-timeout=5",
        ])
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn private(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

struct MariaDb;

impl Dialect for MariaDb {
    type Connection = Conn;

    async fn connect(&self, to: SocketAddr) -> Result<Conn, String> {
        let options = OptsBuilder::default()
            .ip_or_hostname(to.ip().to_string())
            .tcp_port(to.port())
            .user(Some("app"))
            .pass(Some("app"))
            .db_name(Some("library"))
            .prefer_socket(false);
        Conn::new(options).await.map_err(|it| it.to_string())
    }

    async fn insert(&self, on: &mut Conn, row: u64) -> Result<String, String> {
        let insert = format!("INSERT INTO entries (n, server) VALUES ({row}, @@server_id)");
        let done = on.query_drop(insert).await;
        done.map_err(|it| it.to_string())?;
        let port: Option<u16> = on
            .query_first("SELECT @@port")
            .await
            .map_err(|it| it.to_string())?;
        Ok(port.unwrap_or_default().to_string())
    }
}

fn site(pair: &Pair, more: &str) -> Site {
    let site = Site::new();
    let [a, b] = [pair.port(0), pair.port(1)];
    let (listen, password) = (site.ports.own(4), pair.password_file());
    site.write_settings(&format!(
        "[dependencies.library-db]\nkind = \"mariadb\"\nmembers = [\"127.0.0.1:{a}\", \"127.0.0.1:{b}\"]\n\
         user = \"minato\"\npassword_file = \"{}\"\nlisten = \"{listen}\"\ndrain = \"1s\"\nwait = \"3s\"\n\
         interval = \"2s\"\nfast = \"200ms\"\ntimeout = \"1500ms\"\n{more}",
        password.display()
    ));
    site
}

#[test]
fn connections_follow_the_primary_through_demotion_death_freeze_and_return() {
    if !are_here(&["mariadbd", "mariadb-install-db", "mariadb"]) {
        return;
    }
    let ports = crate::support::ports::Ports::take();
    let mut pair = Pair::start([ports.own(2).port(), ports.own(3).port()]);
    let (a, b) = (pair.port(0), pair.port(1));
    let mut site = site(&pair, "");
    site.start();
    wait_current(&site, "library-db", a);
    let relay = site.ports.own(4);
    let writer = Writer::start(MariaDb, relay);
    writer.wait_rows(a, 20, now());

    // Planned: the primary becomes read-only, the other takes over.
    let began = now();
    pair.sql(0, &["SET GLOBAL read_only = 1"]);
    pair.caught_up(1, 0);
    pair.promote(1);
    let first = writer.wait_rows(b, 20, began);
    pair.follow(0, 1);
    let (failed, gap) = writer.failed_since(began);
    println!(
        "MariaDB demoted: first row on the new primary after {:.2?}, longest gap {gap:.2?}, {failed} statements failed",
        first - began
    );
    writer.none_on(a, first);
    wait_current(&site, "library-db", b);

    // Killed.
    pair.caught_up(0, 1);
    let began = now();
    pair.kill(1);
    site.wait_event("the database is down", |it| {
        it.kind == "dependency" && it.message.contains("database library-db is down")
    });
    let detected = began.elapsed();
    pair.promote(0);
    let promoted = now();
    let first = writer.wait_rows(a, 20, promoted);
    let (failed, gap) = writer.failed_since(began);
    println!(
        "MariaDB killed: told after {detected:.2?}, first row {:.2?} after the promotion, longest gap {gap:.2?}, {failed} statements failed",
        first - promoted
    );
    assert!(detected < Duration::from_secs(6), "{detected:?}");

    // It comes back and takes itself for the primary: an alarm, and nothing moves.
    pair.revive(1, &[]);
    let began = now();
    let told = site.wait_event("two primaries", |it| {
        it.kind == "alarm" && it.message.contains("say") && it.message.contains("primary beside")
    });
    assert!(told.message.contains(&format!("127.0.0.1:{b}")), "{told:?}");
    let alarms = site.json("/v1/status")["alarms"].to_string();
    assert!(alarms.contains("beside"), "{alarms}");
    writer.wait_rows(a, 50, began);
    writer.none_on(b, began);
    pair.follow_from_now(1, 0);
    until("the alarm to end", || {
        (dependency(&site, "library-db")["alarm"] == "").then_some(())
    });
    pair.caught_up(1, 0);

    // Frozen, replaced, thawed: nothing of before reaches it.
    let mut idle = TcpStream::connect(relay).unwrap();
    idle.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut greeting = [0; 4];
    std::io::Read::read_exact(&mut idle, &mut greeting).unwrap();
    let frozen = pair.pid(0);
    let began = now();
    signal(frozen, Signal::STOP);
    until("the freeze to show", || {
        (dependency(&site, "library-db")["state"] == "down").then_some(())
    });
    let detected = began.elapsed();
    pair.promote(1);
    let promoted = now();
    let first = writer.wait_rows(b, 20, promoted);
    let (failed, gap) = writer.failed_since(began);
    println!(
        "MariaDB frozen: detected after {detected:.2?}, first row {:.2?} after the promotion, longest gap {gap:.2?}, {failed} statements failed",
        first - promoted
    );
    assert!(detected < Duration::from_secs(6), "{detected:?}");
    // The connection of before was cut, while its server could not say a word.
    let mut rest = Vec::new();
    let ended = std::io::Read::read_to_end(&mut idle, &mut rest);
    let timed_out = |it: &std::io::Error| {
        matches!(
            it.kind(),
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
        )
    };
    assert!(
        ended.as_ref().err().is_none_or(|it| !timed_out(it)),
        "{ended:?}"
    );
    signal(frozen, Signal::CONT);
    let thawed = now();
    until("the thawed one to be called a rival", || {
        (dependency(&site, "library-db")["alarm"] != "").then_some(())
    });
    writer.wait_rows(b, 20, thawed);
    writer.none_on(a, thawed);

    // Nobody is primary: who comes waits, and is refused with each member's reason in the events.
    pair.kill(0);
    pair.sql(1, &["SET GLOBAL read_only = 1"]);
    until("nobody to be primary", || {
        (dependency(&site, "library-db")["state"] == "down").then_some(())
    });
    drop(writer);
    let began = now();
    let mut waits = TcpStream::connect(relay).unwrap();
    waits
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let ended = std::io::Read::read(&mut waits, &mut greeting);
    assert!(!matches!(ended, Ok(1..)), "{ended:?}");
    let waited = began.elapsed();
    println!("MariaDB without a primary: refused after {waited:.2?}");
    site.wait_event("the refusal", |it| {
        let each = [a, b]
            .iter()
            .all(|port| it.message.contains(&format!("127.0.0.1:{port} ")));
        it.message.contains("relay library-db refuses connections") && each
    });
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(6)).contains(&waited),
        "{waited:?}"
    );
    let reasons = dependency(&site, "library-db")["reason"].to_string();
    for part in [
        &format!("127.0.0.1:{a} connect refused"),
        &format!("127.0.0.1:{b} role: read-only"),
    ] {
        assert!(reasons.contains(part.as_str()), "{part} in {reasons}");
    }
    // And goes on, for those that wait, as soon as there is one.
    let mut waits = TcpStream::connect(relay).unwrap();
    waits
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    pair.sql(1, &["SET GLOBAL read_only = 0"]);
    std::io::Read::read_exact(&mut waits, &mut greeting).unwrap();
    let relay = &dependency(&site, "library-db")["relay"];
    assert!(relay["switches"].as_u64() >= Some(3), "{relay}");
    assert!(relay["cut"].as_u64() >= Some(1), "{relay}");
    let metric = |line: &str| site.metric(line).unwrap_or(-1.0);
    assert!(metric("minato_relay_switches_total{relay=\"library-db\"}") >= 3.0);
    assert!(metric("minato_relay_sent_bytes_total{relay=\"library-db\"}") > 1_000.0);
    let refused = metric("minato_relay_refused_total{relay=\"library-db\"}");
    assert!(refused >= 1.0);
    let shown = site.cli(&["dependencies"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("in use") && shown.contains("relay library-db on"),
        "{shown}"
    );
    // Neither in what it says nor in what it keeps does the password stand.
    let kept = fs::read(site.path("data/relays.json")).unwrap();
    assert!(String::from_utf8(kept).unwrap().contains(&b.to_string()));
    for text in [site.log_text(), site.api("/v1/dependencies").text()] {
        assert!(!text.contains(CHECK_PASSWORD));
    }
}

#[test]
fn a_wrong_password_is_named_and_a_right_one_taken_without_a_restart() {
    if !are_here(&["mariadbd", "mariadb-install-db", "mariadb"]) {
        return;
    }
    let ports = crate::support::ports::Ports::take();
    let pair = Pair::start([ports.own(2).port(), ports.own(3).port()]);
    let mut site = site(&pair, "");
    let file = pair.folder.path().join("password");
    fs::write(&file, "wrong").unwrap();
    site.start();
    until("the refusal to be named", || {
        let reason = dependency(&site, "library-db")["reason"].to_string();
        (reason.contains("login: Access denied")).then_some(())
    });
    fs::write(&file, CHECK_PASSWORD).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    until("the open file to be refused", || {
        let reason = dependency(&site, "library-db")["reason"].to_string();
        (reason.contains("others may read it")).then_some(())
    });
    private(&file);
    wait_current(&site, "library-db", pair.port(0));
}
