//! A real database over a named stream: its sessions, a result that is large, and what it and its client hear when the line ends.

use super::line::Line;
use super::{Cloud, door};
use crate::relay::{MariaDbPair as Servers, are_here};
use crate::support::clock::{now, until};
use crate::support::tls::Authority;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, OptsBuilder, Row};
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long a program may wait for what a stream should tell it at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// Rows of the large result, some 65 MiB: much more than waits anywhere on its way.
const ROWS: u64 = 60_000;

/// Osaka has the database; a program at tokyo finds it at `at`, by way of `line`.
struct Streams {
    _tokyo: Cloud,
    osaka: Cloud,
    line: Line,
    at: SocketAddr,
}

fn start(database: u16) -> Streams {
    let authority = Authority::new("sites");
    let mut tokyo = Cloud::new("tokyo", &authority, "tokyo");
    let mut osaka = Cloud::new("osaka", &authority, "osaka");
    let line = Line::to(door(&osaka.site));
    tokyo.knows_at(&[("osaka", line.address)]);
    osaka.knows(&tokyo);
    let at = tokyo.site.ports.own(4);
    let add = |cloud: &Cloud, more: &str| {
        let text = fs::read_to_string(cloud.site.settings()).unwrap();
        fs::write(cloud.site.settings(), text + more).unwrap();
    };
    add(&tokyo, &format!("[sites.osaka.streams]\ndb = \"{at}\"\n"));
    add(
        &osaka,
        &format!("[link.streams.db]\nto = \"127.0.0.1:{database}\"\nsites = [\"tokyo\"]\n"),
    );
    tokyo.site.start();
    osaka.site.start();
    tokyo.until_told(&["link to osaka is up"]);
    Streams {
        _tokyo: tokyo,
        osaka,
        line,
        at,
    }
}

async fn open(at: SocketAddr) -> Result<Conn, Error> {
    let options = OptsBuilder::default()
        .ip_or_hostname(at.ip().to_string())
        .tcp_port(at.port())
        .user(Some("app"))
        .pass(Some("app"))
        .db_name(Some("library"))
        .prefer_socket(false);
    Conn::new(options).await
}

async fn number(on: &mut Conn, statement: &str) -> Result<u64, Error> {
    let first: Option<u64> = on.query_first(statement).await?;
    Ok(first.unwrap_or_default())
}

/// Each row can be told from every other, and is as long as its number says.
const LARGE: &str =
    "SELECT seq, REPEAT(CHAR(97 + seq % 26), 1000 + seq % 97) FROM seq_1_to_60000 ORDER BY seq";

fn check(row: Row, number: u64) {
    let (found, text): (u64, Vec<u8>) = mysql_async::from_row(row);
    let letter = 97 + u8::try_from(number % 26).unwrap();
    let length = usize::try_from(1_000 + number % 97).unwrap();
    assert!(
        found == number && text == vec![letter; length],
        "row {number} is {found} of {} bytes",
        text.len()
    );
}

/// Sessions of programs at the database that are open and ask nothing, or the one that asks something slow.
fn sessions(servers: &Servers, which: &str) -> String {
    let all = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'app'";
    servers.sql(0, &[&format!("{all} AND {which}")])
}

const QUIET: &str = "command = 'Sleep'";
const SLOW: &str = "info LIKE '%SLEEP%'";

#[test]
fn a_database_over_a_stream_keeps_its_sessions_through_an_upgrade_and_tells_of_a_cut_line() {
    if !are_here(&["mariadbd", "mariadb-install-db", "mariadb"]) {
        return;
    }
    let ports = crate::support::ports::Ports::take();
    let servers = Servers::start([ports.own(2).port(), ports.own(3).port()]);
    let mut streams = start(servers.port(0));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut session = runtime.block_on(open(streams.at)).unwrap();
    let said = runtime.block_on(async {
        session.query_drop("SET @mine = 7").await?;
        session.query_drop("BEGIN").await?;
        session
            .query_drop("INSERT INTO entries VALUES (1, 1)")
            .await?;
        number(&mut session, "SELECT CONNECTION_ID()").await
    });
    let id = said.unwrap();

    // A large result is half read when the far gateway is upgraded; the rest comes by the process before.
    let mut reading = runtime.block_on(open(streams.at)).unwrap();
    let began = now();
    let mut rows = runtime.block_on(reading.query_iter(LARGE)).unwrap();
    let mut read = |from: u64, to: u64| {
        for number in from..=to {
            let row = runtime.block_on(rows.next()).unwrap();
            check(row.expect("a row"), number);
        }
    };
    read(1, ROWS / 10);
    streams.osaka.site.upgrade();
    assert!(streams.osaka.site.first_lives());
    read(ROWS / 10 + 1, ROWS);
    assert!(runtime.block_on(rows.next()).unwrap().is_none(), "one more");
    drop(rows);
    eprintln!(
        "{ROWS} rows over a stream and an upgrade: {:?}",
        began.elapsed()
    );

    // The session of before is the same one, in its transaction.
    let said = runtime.block_on(async {
        let same = number(&mut session, "SELECT CONNECTION_ID()").await?;
        let mine = number(&mut session, "SELECT @mine").await?;
        session.query_drop("COMMIT").await?;
        Ok::<_, Error>((same, mine))
    });
    assert_eq!(said.unwrap(), (id, 7));
    // A new one is of the new process; the old one ends with its last.
    let mut after = runtime.block_on(open(streams.at)).unwrap();
    runtime.block_on(session.disconnect()).unwrap();
    runtime.block_on(reading.disconnect()).unwrap();
    assert!(streams.osaka.site.first_ends().success());
    let count = runtime.block_on(number(&mut after, "SELECT COUNT(*) FROM entries"));
    assert_eq!(count.unwrap(), 1, "what was committed");

    told_of_a_cut(&runtime, after, &streams, &servers);
}

/// One program waits for an answer; another says nothing and has a transaction open.
fn told_of_a_cut(runtime: &Runtime, mut idle: Conn, streams: &Streams, servers: &Servers) {
    let mut waiting = runtime.block_on(open(streams.at)).unwrap();
    let opened = runtime.block_on(async {
        idle.query_drop("BEGIN").await?;
        idle.query_drop("INSERT INTO entries VALUES (2, 1)").await
    });
    opened.unwrap();
    let asked = runtime.spawn(async move { waiting.query_drop("SELECT SLEEP(300)").await });
    runtime.block_on(async {
        // The question is on its way only while this runs.
        while sessions(servers, SLOW) != "1" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(sessions(servers, QUIET), "1");
    let cut = now();
    streams.line.cut();
    let heard = runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await });
    let heard = heard.expect("it waits on").unwrap();
    let told = cut.elapsed();
    assert!(matches!(heard, Err(Error::Io(_))), "{heard:?}");
    let next = runtime
        .block_on(async { tokio::time::timeout(PATIENCE, number(&mut idle, "SELECT 1")).await });
    let next = next.expect("it waits on");
    assert!(matches!(next, Err(Error::Io(_))), "{next:?}");
    // The database lets go of what was open, and was not committed. Whom it computes an answer for it does not look at.
    until("the database to end the session", || {
        (sessions(servers, QUIET) == "0").then_some(())
    });
    eprintln!(
        "a cut line: the program is told after {told:?}, the database has let go after {:?}",
        cut.elapsed()
    );
    assert_eq!(
        servers.sql(0, &["SELECT COUNT(*) FROM library.entries"]),
        "1"
    );

    streams.line.mend();
    let count = until("a new session", || {
        runtime.block_on(async {
            let mut again = open(streams.at).await.ok()?;
            number(&mut again, "SELECT COUNT(*) FROM entries")
                .await
                .ok()
        })
    });
    assert_eq!(count, 1);
}
