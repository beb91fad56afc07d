//! Checks of MySQL 8, against a server of the test's own that follows the protocol's documentation: Debian has no MySQL server.
//! What MariaDB does stands in the tests of relays, with real servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic as tests do"
)]

mod server;

use minato_config::{Database, DatabaseEngine, DatabaseRole, UpstreamTls, Verify};
use minato_health::{Layer, Outcome};
use minato_health_probe::Ask;
use server::{Answers, Key, PASSWORD, Secured, Server};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

fn file(place: &Path, password: &str) -> PathBuf {
    use std::io::Write as _;
    let path = place.join("password");
    let mut open = std::fs::OpenOptions::new();
    let mut file = open
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .unwrap();
    file.write_all(password.as_bytes()).unwrap();
    path
}

/// What a check for this role finds.
async fn ask(
    server: &Server,
    role: DatabaseRole,
    password: &str,
    tls: Option<UpstreamTls>,
) -> Outcome {
    let place = tempfile::tempdir().unwrap();
    let database = Database {
        engine: DatabaseEngine::Mysql,
        role,
        user: "minato".to_owned(),
        password: Some(file(place.path(), password)),
        name: "postgres".to_owned(),
        tls,
    };
    let ask = Ask::Role(server.address, database);
    ask.outcome(TIMEOUT).await.unwrap()
}

async fn primary(server: &Server, password: &str, tls: Option<UpstreamTls>) -> Outcome {
    ask(server, DatabaseRole::Primary, password, tls).await
}

fn by(ca: &Path, sni: Option<&str>) -> Option<UpstreamTls> {
    Some(UpstreamTls {
        ca: Some(ca.to_owned()),
        sni: sni.map(str::to_owned),
        verify: Verify::On,
    })
}

#[tokio::test]
async fn a_password_that_the_server_knows_is_proved_and_never_sent() {
    let server = Server::start(Answers::default()).await;
    assert_eq!(primary(&server, PASSWORD, None).await, Ok(()));
    assert_eq!(server.shown(), 0);
    let failure = primary(&server, "wrong", None).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "login: Access denied for user 'minato' (1045)"
    );
}

#[tokio::test]
async fn a_server_that_forgot_is_shown_it_encrypted_by_its_key_or_by_tls() {
    let forgot = Answers {
        knows: false,
        ..Answers::default()
    };
    let server = Server::start(forgot.clone()).await;
    assert_eq!(primary(&server, PASSWORD, None).await, Ok(()));
    assert_eq!((server.shown(), server.keys()), (1, 1));
    let failure = primary(&server, "wrong", None).await.unwrap_err();
    assert_eq!(failure.layer, Layer::Login, "{failure}");

    let place = Secured::new("127.0.0.1");
    let server = Server::start(Answers {
        tls: Some(place.acceptor()),
        ..forgot
    })
    .await;
    assert_eq!(
        primary(&server, PASSWORD, by(&place.ca, None)).await,
        Ok(())
    );
    // Inside TLS it is sent as it is, and no key is asked for.
    assert_eq!((server.shown(), server.keys()), (1, 0));
}

#[tokio::test]
async fn the_method_is_the_users_and_may_not_be_the_servers_usual_one() {
    for (usual, of_user) in [
        ("mysql_native_password", "caching_sha2_password"),
        ("caching_sha2_password", "mysql_native_password"),
        ("sha256_password", "caching_sha2_password"),
    ] {
        let server = Server::start(Answers {
            usual,
            of_user,
            ..Answers::default()
        })
        .await;
        let outcome = primary(&server, PASSWORD, None).await;
        assert_eq!(outcome, Ok(()), "{usual} {of_user}");
        let failure = primary(&server, "wrong", None).await.unwrap_err();
        assert_eq!(failure.layer, Layer::Login, "{usual} {of_user}");
    }
    let server = Server::start(Answers {
        of_user: "mysql_clear_password",
        ..Answers::default()
    })
    .await;
    let failure = primary(&server, PASSWORD, None).await.unwrap_err();
    assert!(
        failure.to_string().starts_with(
            "login: the user logs in by mysql_clear_password, which minato does not speak"
        ),
        "{failure}"
    );
    assert_eq!(server.shown(), 0);
}

#[tokio::test]
async fn a_server_that_does_not_prove_who_it_is_gets_no_login() {
    let (place, other) = (Secured::new("db.test"), Secured::new("db.test"));
    let server = Server::start(Answers {
        tls: Some(place.acceptor()),
        ..Answers::default()
    })
    .await;
    let good = by(&place.ca, Some("db.test"));
    assert_eq!(primary(&server, PASSWORD, good).await, Ok(()));
    assert_eq!(server.logins(), 1);
    for (tls, expected) in [
        (
            by(&other.ca, Some("db.test")),
            "TLS: certificate of an unknown issuer",
        ),
        (by(&place.ca, None), "TLS: certificate for another name: "),
        (
            by(Path::new("/nowhere/ca.pem"), None),
            "TLS: no authorities to check it with: /nowhere/ca.pem: ",
        ),
    ] {
        let failure = primary(&server, PASSWORD, tls).await.unwrap_err();
        assert!(failure.to_string().starts_with(expected), "{failure}");
    }
    // One that offers no TLS, or lost the offer on the way, is not asked without it.
    let plain = Server::start(Answers::default()).await;
    let failure = primary(&plain, PASSWORD, by(&place.ca, Some("db.test")))
        .await
        .unwrap_err();
    assert!(
        failure
            .to_string()
            .starts_with("TLS: the server offers none; "),
        "{failure}"
    );
    assert_eq!((server.logins(), plain.logins()), (1, 0));
}

#[tokio::test]
async fn roles_by_the_words_of_mysql_8_and_later() {
    let role = |read_only, source, applies| Answers {
        read_only,
        source,
        applies,
        ..Answers::default()
    };
    const LOST: &str = "role: a replica of 10.0.0.8 whose replication has stopped: Duplicate entry";
    for (answers, as_primary, as_replica) in [
        (role("0", None, "Yes"), "", "role: follows nobody"),
        (
            role("1", Some("10.0.0.8"), "Yes"),
            "role: a replica of 10.0.0.8, read-only",
            "",
        ),
        (
            role("1", Some("10.0.0.8"), "No"),
            "role: a replica of 10.0.0.8, read-only",
            LOST,
        ),
        (
            role("1", None, "Yes"),
            "role: read-only, and follows nobody",
            "role: follows nobody",
        ),
    ] {
        let server = Server::start(answers).await;
        for (wanted, expected) in [
            (DatabaseRole::Primary, as_primary),
            (DatabaseRole::Replica, as_replica),
        ] {
            let said = match ask(&server, wanted, PASSWORD, None).await {
                Ok(()) => String::new(),
                Err(failure) => failure.to_string(),
            };
            assert_eq!(said, expected, "{wanted}");
        }
    }
}

#[tokio::test]
async fn whatever_is_cut_short_or_none_is_a_failure_and_nothing_else() {
    let whole = Server::start(Answers {
        knows: false,
        ..Answers::default()
    })
    .await;
    assert_eq!(primary(&whole, PASSWORD, None).await, Ok(()));
    let octets = whole.sent();
    assert!(octets > 400, "{octets}");
    // Each octet the last one, and each packet cut in two.
    for end in (0..octets).step_by(7).chain(octets - 12..octets) {
        let server = Server::start(Answers {
            knows: false,
            ends_after: Some(end),
            ..Answers::default()
        })
        .await;
        let failure = primary(&server, PASSWORD, None).await.unwrap_err();
        assert_eq!(failure.layer, Layer::NoAnswer, "{end}: {failure}");
    }
    for key in [Key::None, Key::Text("no key at all"), Key::Short] {
        let server = Server::start(Answers {
            knows: false,
            key,
            ..Answers::default()
        })
        .await;
        let failure = primary(&server, PASSWORD, None).await.unwrap_err();
        assert_eq!(failure.layer, Layer::NoAnswer, "{failure}");
        assert_eq!(server.shown(), 0);
    }
}
