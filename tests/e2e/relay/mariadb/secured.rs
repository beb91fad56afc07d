//! Checks over TLS, and by MariaDB's own method of login: who the server is, is proved, or said why not.

use super::super::{are_here, dependency, wait_current};
use super::pair::{CHECK_PASSWORD, Pair};
use crate::support::clock::{PATIENCE, now, pause, until};
use crate::support::site::Site;
use crate::support::tls::{Authority, Time, put};
use std::path::Path;
use std::time::Duration;

fn settings(port: u16, name: &str, password: &Path, tls: &str) -> String {
    format!(
        "[dependencies.{name}]\nkind = \"mariadb\"\nmembers = [\"127.0.0.1:{port}\"]\nuser = \"minato\"\n\
         password_file = \"{}\"\ninterval = \"5500ms\"\nfast = \"200ms\"\ntimeout = \"5s\"\n{tls}\n",
        password.display()
    )
}

/// Waits until the check fails with a reason that has this in it.
#[track_caller]
fn wait_reason(site: &Site, name: &str, part: &str) {
    let mut last = String::new();
    let began = now();
    while !last.contains(part) {
        let waited = began.elapsed();
        assert!(
            waited < PATIENCE,
            "{name} is not down by `{part}`, but: {last}"
        );
        pause(Duration::from_millis(50));
        last = dependency(site, name).to_string();
    }
}

#[test]
fn a_server_proves_who_it_is_or_is_down_by_the_layer_of_tls() {
    if !are_here(&["mariadbd", "mariadb-install-db", "mariadb"]) {
        return;
    }
    let ports = crate::support::ports::Ports::take();
    let mut pair = Pair::start([ports.own(2).port(), ports.own(3).port()]);
    let (port, password) = (pair.port(0), pair.password_file());
    let folder = pair.folder.path().to_owned();
    let (good, stranger) = (Authority::new("good"), Authority::new("stranger"));
    good.write(&folder.join("good.pem"));
    stranger.write(&folder.join("stranger.pem"));
    let own = good.sign(&["127.0.0.1"], Time::Now);
    put(&folder.join("server.pem"), &own.certificate);
    put(&folder.join("server.key"), &own.key);
    let by = |ca: &str, more: &str| {
        let ca = folder.join(ca);
        format!("tls = {{ ca = \"{}\"{more} }}", ca.display())
    };
    let mut site = Site::new();
    site.write_settings(
        &[
            settings(port, "plain", &password, ""),
            settings(port, "good", &password, &by("good.pem", "")),
            settings(port, "stranger", &password, &by("stranger.pem", "")),
            settings(
                port,
                "misnamed",
                &password,
                &by("good.pem", ", sni = \"db.example.org\""),
            ),
            settings(port, "nowhere", &password, &by("nowhere.pem", "")),
        ]
        .concat(),
    );
    site.start();
    // A server without TLS is asked where none is wanted, and never where it is.
    until("the plain one", || {
        (dependency(&site, "plain")["state"] == "up").then_some(())
    });
    wait_reason(&site, "good", "TLS: the server offers none");

    // With it, and for nobody without it; the user logs in by ed25519.
    pair.sql(
        0,
        &[
            "INSTALL SONAME 'auth_ed25519'",
            &format!(
                "ALTER USER minato@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('{CHECK_PASSWORD}')"
            ),
        ],
    );
    pair.kill(0);
    pair.revive(
        0,
        &[
            &format!("--ssl-cert={}", folder.join("server.pem").display()),
            &format!("--ssl-key={}", folder.join("server.key").display()),
            "--require-secure-transport=ON",
        ],
    );
    until("the one that proves itself", || {
        (dependency(&site, "good")["state"] == "up").then_some(())
    });
    for (name, part) in [
        // MariaDB says no more than that; MySQL says why.
        ("plain", "login: Access denied"),
        (
            "stranger",
            "TLS: certificate of an unknown issuer; name its authority with tls.ca",
        ),
        ("misnamed", "TLS: certificate for another name: "),
        ("nowhere", "TLS: no authorities to check it with: "),
    ] {
        wait_reason(&site, name, part);
    }
    // What was down before for another reason is not told of again; who starts now says why.
    site.crash();
    site.start();
    let told = site.wait_event("a dependency that is down for its TLS", |it| {
        it.kind == "dependency"
            && it.message.contains("database stranger is down")
            && it.message.contains("unknown issuer")
    });
    assert!(
        told.message.contains(&format!("127.0.0.1:{port} TLS: ")),
        "{told:?}"
    );
}

#[test]
fn replicas_share_connections_and_one_that_falls_out_loses_its_own() {
    use mysql_async::prelude::Queryable as _;
    use mysql_async::{Conn, OptsBuilder};
    if !are_here(&["mariadbd", "mariadb-install-db", "mariadb"]) {
        return;
    }
    let ports = crate::support::ports::Ports::take();
    let mut pair = Pair::start([ports.own(2).port(), ports.own(3).port()]);
    let (a, b) = (pair.port(0), pair.port(1));
    // Each follows the other: two replicas without a third server. It begins where the first one is, which the other must have.
    pair.caught_up(1, 0);
    pair.follow(0, 1);
    let mut site = Site::new();
    let relay = site.ports.own(4);
    site.write_settings(&format!(
        "[dependencies.reads]\nkind = \"mariadb\"\nrole = \"replica\"\nmembers = [\"127.0.0.1:{a}\", \"127.0.0.1:{b}\"]\n\
         user = \"minato\"\npassword_file = \"{}\"\nlisten = \"{relay}\"\ndrain = \"1s\"\nwait = \"20s\"\n\
         interval = \"5500ms\"\nfast = \"200ms\"\ntimeout = \"5s\"\n",
        pair.password_file().display()
    ));
    site.start();
    let in_use = |site: &Site| -> Vec<bool> {
        let it = dependency(site, "reads");
        let members = it["members"].as_array().unwrap().iter();
        members.map(|it| it["in_use"] == true).collect()
    };
    until("both to be used", || {
        (in_use(&site) == [true, true]).then_some(())
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let open = |count: usize| -> Vec<(u16, Conn)> {
        runtime.block_on(async {
            let mut all = Vec::new();
            for _ in 0..count {
                let options = OptsBuilder::default()
                    .ip_or_hostname("127.0.0.1")
                    .tcp_port(relay.port())
                    .user(Some("app"))
                    .pass(Some("app"))
                    .prefer_socket(false);
                let mut one = Conn::new(options).await.unwrap();
                let port: Option<u16> = one.query_first("SELECT @@port").await.unwrap();
                all.push((port.unwrap(), one));
            }
            all
        })
    };
    let ask = |one: &mut Conn| {
        runtime.block_on(async {
            let asked = one.query_first::<u16, _>("SELECT @@port");
            let patience = std::time::Duration::from_secs(10);
            let asked = tokio::time::timeout(patience, asked).await;
            asked.expect("an answer, or the end").map(Option::unwrap)
        })
    };
    let on = |all: &[(u16, Conn)], port: u16| all.iter().filter(|it| it.0 == port).count();
    let mut first = open(8);
    assert_eq!((on(&first, a), on(&first, b)), (4, 4));
    let shown = site.type_in(&["dependencies"]);
    assert_eq!(shown.matches("in use (4)").count(), 2, "{shown}");
    let metric =
        format!("minato_relay_member_connections{{relay=\"reads\",member=\"127.0.0.1:{b}\"}}");
    assert_eq!(site.metric(&metric), Some(4.0));

    // One dies: what it had ends, what the other has goes on, what comes goes there.
    pair.kill(1);
    until("the dead one to be left", || {
        (in_use(&site) == [true, false]).then_some(())
    });
    for (port, one) in &mut first {
        let answer = ask(one);
        assert_eq!(answer.is_ok(), *port == a, "{answer:?}");
    }
    let second = open(3);
    assert_eq!(on(&second, a), 3);

    // It is back, and gets what comes until it has as many.
    pair.revive(1, &[]);
    until("it to be used again", || {
        (in_use(&site) == [true, true]).then_some(())
    });
    let mut third = open(7);
    assert_eq!(on(&third, b), 7);

    // It lives and no longer follows: its connections end after the drain, so that nobody reads what is old for long.
    pair.sql(1, &["STOP SLAVE"]);
    until("it to be left", || {
        (in_use(&site) == [true, false]).then_some(())
    });
    until("its connections to be cut", || {
        third
            .iter_mut()
            .all(|(_, one)| ask(one).is_err())
            .then_some(())
    });
    for (port, one) in &mut first {
        assert_eq!(ask(one).is_ok(), *port == a);
    }
    site.wait_event("why it is used no longer", |it| {
        it.kind == "dependency"
            && it
                .message
                .contains(&format!("127.0.0.1:{b} is used no longer (role: "))
    });
    drop(second);
    // The rest ends in order, before its server.
    runtime.block_on(async {
        for (_, one) in first {
            let _ = one.disconnect().await;
        }
    });
    assert!(pair.sql(0, &["SELECT 1"]) == "1");
    wait_current(&site, "reads", a);
}
