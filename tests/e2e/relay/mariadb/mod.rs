//! MariaDB: a primary and a replica by GTID.

mod pair;
mod secured;

pub(crate) use pair::Pair;

use super::writer::{Dialect, Writer};
use super::{are_here, dependency, wait_current};
use crate::support::clock::{now, until};
use crate::support::processes::signal;
use crate::support::site::Site;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, OptsBuilder};
use pair::{CHECK_PASSWORD, private};
use rustix::process::Signal;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

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

/// A transaction that is held open through the relay.
struct Held {
    runtime: tokio::runtime::Runtime,
    connection: Conn,
}

impl Held {
    fn open(to: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let connection = runtime.block_on(async {
            let mut connection = MariaDb.connect(to).await.unwrap();
            connection.query_drop("BEGIN").await.unwrap();
            connection
        });
        Self {
            runtime,
            connection,
        }
    }

    /// Asks for nothing that a server could refuse, until the connection itself is gone.
    fn wait_cut(mut self) -> std::time::Instant {
        until("the connection to the former primary to be cut", || {
            let asked = self.connection.query_first::<u8, _>("SELECT 1");
            match self.runtime.block_on(asked) {
                Ok(_) => None,
                Err(mysql_async::Error::Server(error)) => {
                    panic!("the server still answers: {error}")
                }
                Err(_) => Some(now()),
            }
        })
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

    // A connection in the middle of a transaction, which the writer knows nothing of.
    let held = Held::open(relay);

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
    // What was open on the former primary is cut, by a reset: nothing is written there, and nothing read, by whoever was connected.
    let cut = held.wait_cut();
    println!(
        "MariaDB demoted: a transaction that was open there is cut after {:.2?}",
        cut - began
    );

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
