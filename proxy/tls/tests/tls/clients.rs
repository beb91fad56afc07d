//! What clients of every kind get: versions, ALPN, tickets, certificates of their own.

use crate::authority::Authority;
use crate::server::{Place, Server, wait};
use crate::tool::{curl, run};
use minato_config::ClientAuth;
use minato_tls::{Acceptor, Certificates, TicketKeys};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

/// A connection that is kept open by openssl.
pub(crate) struct Held {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Opens one and keeps it.
pub(crate) fn hold(ca: &Path, address: SocketAddr) -> (Child, Held) {
    let mut child = Command::new("timeout")
        .args([
            "60",
            "openssl",
            "s_client",
            "-quiet",
            "-verify_return_error",
        ])
        .args(["-verify_quiet", "-servername", "localhost", "-no_ign_eof"])
        .arg("-CAfile")
        .arg(ca)
        .args(["-connect", &address.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let held = Held {
        input: child.stdin.take().unwrap(),
        output: BufReader::new(child.stdout.take().unwrap()),
    };
    (child, held)
}

impl Held {
    /// One request; the body of its answer.
    pub(crate) fn ask(&mut self) -> String {
        self.input
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "closed");
            if line.starts_with("sni=") {
                return line;
            }
        }
    }
}

#[test]
fn versions() {
    let place = Place::with_default();
    let server = place.serve();
    for (arguments, expected) in [
        (&["-tls1_3"][..], Some("TLSv1.3")),
        (&["-tls1_2"], Some("TLSv1.2")),
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], None),
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], None),
        (&["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"], None),
    ] {
        // Without -ign_eof, so that it ends after the handshake.
        let address = server.address.to_string();
        let mut all = vec!["s_client", "-connect", &address];
        all.extend(arguments);
        let said = run("openssl", &all, "Q\n");
        match expected {
            Some(version) => {
                assert!(said.out.contains(&format!("New, {version}")), "{said:?}");
            }
            None => assert!(said.err.contains("alert"), "{arguments:?}: {said:?}"),
        }
    }
}

#[test]
fn the_protocol_is_agreed_by_alpn() {
    let place = Place::with_default();
    let server = place.serve();
    for (offered, agreed) in [
        ("h2,http/1.1", "h2"),
        ("http/1.1,h2", "h2"),
        ("http/1.1", "http/1.1"),
    ] {
        let address = server.address.to_string();
        let arguments = ["s_client", "-connect", &address, "-alpn", offered];
        let said = run("openssl", &arguments, "Q\n");
        let line = format!("ALPN protocol: {agreed}\n");
        assert!(said.out.contains(&line), "{offered}: {said:?}");
    }
    let address = server.address.to_string();
    let said = run("openssl", &["s_client", "-connect", &address], "Q\n");
    assert!(said.out.contains("No ALPN negotiated"), "{said:?}");
    // None in common: an alert, as RFC 7301 asks.
    let arguments = ["s_client", "-connect", &address, "-alpn", "imap"];
    let said = run("openssl", &arguments, "Q\n");
    assert!(said.err.contains("no application protocol"), "{said:?}");
}

/// Two connections, the second with the session of the first; what the server says of the second.
fn again(first: &Server, second: &Server, session: &Path, arguments: &[&str]) -> String {
    let file = session.to_str().unwrap();
    let ask = |server: &Server, how| {
        let mut all = vec![how, file];
        all.extend(arguments);
        // The server answers and keeps the connection; `Q` cannot be sent with -ign_eof, so the request asks for its end.
        let address = server.address.to_string();
        let mut whole = vec!["s_client", "-connect", &address, "-servername", "localhost"];
        whole.extend(&all);
        let mut child = Command::new("timeout")
            .args(["20", "openssl"])
            .args(whole)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut held = Held {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
        };
        let said = held.ask();
        drop(held);
        child.wait().unwrap();
        said
    };
    assert!(ask(first, "-sess_out").contains("resumed=false"));
    ask(second, "-sess_in")
}

#[test]
fn sessions_are_resumed() {
    let place = Place::with_default();
    let server = place.serve();
    let session = place.file("session");
    for arguments in [
        &["-tls1_3"][..],
        &["-tls1_2"],
        // By the server's memory.
        &["-tls1_2", "-no_ticket"],
    ] {
        let said = again(&server, &server, &session, arguments);
        assert!(said.contains("resumed=true"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_ticket_is_worth_something_only_where_its_keys_and_policy_are() {
    let place = Place::with_default();
    let (ca, session) = (place.file("ca.pem"), place.file("session"));
    let serve = |tickets: &Arc<TicketKeys>, client_auth: &ClientAuth| {
        let certificates = Certificates::open(&place.folder());
        let acceptor = Acceptor::new(Arc::clone(&certificates), Arc::clone(tickets), client_auth);
        Server::over(acceptor.unwrap(), certificates)
    };
    let (ours, others) = (TicketKeys::new().unwrap(), TicketKeys::new().unwrap());
    let asking = ClientAuth::Request { ca };
    let one = serve(&ours, &ClientAuth::None);
    for (server, resumed) in [
        (serve(&ours, &ClientAuth::None), true),
        (serve(&ours, &asking), false),
        (serve(&others, &ClientAuth::None), false),
    ] {
        let said = again(&one, &server, &session, &[]);
        assert!(said.contains(&format!("resumed={resumed} ")), "{said}");
    }
    others.import(&ours.export()).unwrap();
    let said = again(&one, &serve(&others, &ClientAuth::None), &session, &[]);
    assert!(said.contains("resumed=true"), "{said}");
}

#[test]
fn clients_show_certificates_where_they_must() {
    let place = Place::with_default();
    let ca = place.file("ca.pem");
    let other = Authority::new("other");
    let file = |name: &str| place.file(name).to_str().unwrap().to_owned();
    place
        .authority
        .sign_client("alice")
        .write(place.root.path(), "alice");
    other
        .sign_client("mallory")
        .write(place.root.path(), "mallory");
    let [alice, mallory] =
        ["alice", "mallory"].map(|it| [file(&format!("{it}.crt")), file(&format!("{it}.key"))]);
    let with = |[cert, key]: &[String; 2]| {
        vec![
            "--cert".to_owned(),
            cert.clone(),
            "--key".to_owned(),
            key.clone(),
        ]
    };
    let (require, request) = (
        ClientAuth::Require { ca: ca.clone() },
        ClientAuth::Request { ca: ca.clone() },
    );
    for (client_auth, arguments, expected) in [
        (&ClientAuth::None, vec![], Ok("client=- ")),
        (&ClientAuth::None, with(&alice), Ok("client=- ")),
        (&request, vec![], Ok("client=- ")),
        (&request, with(&alice), Ok("client=CN=alice ")),
        (&request, with(&mallory), Err("unknown ca")),
        (&require, vec![], Err("certificate required")),
        (&require, with(&alice), Ok("client=CN=alice ")),
        (&require, with(&mallory), Err("unknown ca")),
    ] {
        let server = Server::start(&place.folder(), client_auth);
        let url = format!("https://localhost:{}/", server.address.port());
        for version in ["1.3", "1.2"] {
            let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
            all.extend(["--tls-max", version, &url]);
            let said = curl(&ca, &all);
            match expected {
                Ok(line) => assert!(said.out.contains(line), "{version} {said:?}"),
                Err(alert) => {
                    assert_ne!(said.code, 0, "{version} {said:?}");
                    let is_told = said.err.contains(alert)
                        || (alert == "certificate required"
                            && said.err.contains("handshake failure"))
                        || (alert == "certificate required" && said.err.contains("alert"));
                    assert!(is_told, "{version} {said:?}");
                    server.failure();
                }
            }
        }
    }
}

#[test]
fn a_listener_without_its_authorities_is_refused_at_once() {
    let place = Place::with_default();
    for (name, text, expected) in [
        ("none.pem", None, "No such file"),
        ("empty.pem", Some(""), "it holds no certificate"),
        (
            "noise.pem",
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "cannot be read",
        ),
    ] {
        let ca = place.file(name);
        if let Some(text) = text {
            std::fs::write(&ca, text).unwrap();
        }
        let error = Acceptor::new(
            Certificates::open(&place.folder()),
            TicketKeys::new().unwrap(),
            &ClientAuth::Require { ca: ca.clone() },
        )
        .unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(expected) && cause.contains(name), "{cause}");
    }
}

#[test]
fn a_client_that_only_listens_gets_its_tickets() {
    let place = Place::with_default();
    let server = place.serve();
    let session = place.file("session");
    // No request: what the handshake left leaves all the same.
    let mut child = Command::new("timeout")
        .args(["20", "openssl", "s_client", "-sess_out"])
        .arg(&session)
        .args(["-connect", &server.address.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait("a ticket", || session.exists().then_some(()));
    drop(child.stdin.take());
    child.wait().unwrap();
}
