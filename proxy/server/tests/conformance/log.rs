//! The access log: one line for each request, refused ones too. The gateway is a process of its own, this binary again.

use crate::peer::Peer;
use crate::refused;
use crate::setup::{OK, Setup};
use minato_proxy_server::AccessLog;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

const ORIGIN: &str = "MINATO_TEST_LOG_ORIGIN";

/// Not a test: the gateway, where the test below starts it. Serves until its standard input ends.
#[test]
fn gateway_that_logs() {
    let Ok(origin) = std::env::var(ORIGIN) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut setup = Setup::new();
        setup.access_log = AccessLog::On;
        setup.service.limits.body_bytes = 10;
        let running = setup.start(&[origin.parse().unwrap()]).await;
        println!("\nlistening {}", running.address);
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        ended.await.unwrap().unwrap();
        running.stop.send_replace(minato_proxy_server::Phase::Stop);
        running.serving.await.unwrap();
    });
}

/// Ends with the test, however that ends.
struct Logging(Child);

impl Logging {
    /// With where it listens, and what it says.
    fn start(origin: SocketAddr) -> (Self, SocketAddr, BufReader<ChildStdout>) {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "log::gateway_that_logs", "--nocapture"])
            .env(ORIGIN, origin.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut logging = Self(child.unwrap());
        let mut lines = BufReader::new(logging.0.stdout.take().unwrap());
        loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "it did not start");
            if let Some(address) = line.trim().strip_prefix("listening ") {
                return (logging, address.parse().unwrap(), lines);
            }
        }
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Refused by what is known after the head.
const PAST_THE_HEAD: &[(&str, &str)] = &[
    (
        "POST /long HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\n01234567890",
        "\"POST a.test/long\" 413 56 library/- retries=0 body_too_large",
    ),
    (
        "POST /broken HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
        "\"POST a.test/broken\" 400 29 -/- retries=0 malformed",
    ),
];

#[tokio::test]
async fn each_request_has_one_line() {
    let origin = crate::peer::Origin::start().await.always(OK);
    let (mut logging, address, mut lines) = Logging::start(origin);
    let mut expected = Vec::new();
    for case in refused::heads() {
        let mut client = Peer::connect(address).await;
        client.send(&case.sent).await;
        let (answer, _) = client.rest().await;
        let status = case.answers[0];
        assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
        let note = match status {
            400 => "malformed",
            405 => "method",
            417 => "expectation",
            505 => "version",
            other => panic!("{other}"),
        };
        expected.push(format!("\"- \" {status} 0 -/- retries=0 {note}"));
    }
    let mut client = Peer::connect(address).await;
    client
        .ask("GET /x?y HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        .await;
    expected.push("\"GET a.test/x?y\" 200 2 library/0 retries=0 -".to_owned());
    let unrouted = "GET / HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n";
    Peer::connect(address).await.ask(unrouted).await;
    expected.push("\"GET b.test/\" 404 30 -/- retries=0 no_route".to_owned());
    for (sent, line) in PAST_THE_HEAD {
        let mut client = Peer::connect(address).await;
        client.send(sent).await;
        client.rest().await;
        expected.push((*line).to_owned());
    }
    let large = format!(
        "GET / HTTP/1.1\r\nHost: a.test\r\nX: {}\r\n\r\n",
        "y".repeat(40_000)
    );
    let mut client = Peer::connect(address).await;
    client.send(&large).await;
    client.rest().await;
    expected.push("\"- \" 431 0 -/- retries=0 head_too_large".to_owned());
    drop(logging.0.stdin.take());
    let text = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        lines.read_to_string(&mut text).unwrap();
        text
    });
    let text = crate::peer::soon("the end of the log", text).await.unwrap();
    let logged: Vec<String> = text.lines().filter_map(without_times).collect();
    for (logged, expected) in logged.iter().zip(&expected) {
        assert_eq!(logged, expected);
    }
    assert_eq!(logged.len(), expected.len());
}

/// What one line says, but for who asked when and how long it took; other lines are of the test's own.
fn without_times(line: &str) -> Option<String> {
    let (before, rest) = line.split_once(" \"")?;
    assert_eq!(before.split(' ').nth(1), Some("127.0.0.1"), "{line}");
    let words = rest.split(' ').filter(|it| !it.ends_with("us"));
    Some(format!("\"{}", words.collect::<Vec<_>>().join(" ")))
}
