//! slowhttptest: heads, bodies and readers that trickle. Long forms only; it is a package of its own.

use crate::process::Gateway;
use crate::witness::{Witness, origin};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs it against a gateway; others must be served meanwhile, and its connections end.
fn trickle(what: &str, arguments: &[&str]) {
    let gateway = Gateway::start(origin());
    let before = gateway.descriptors();
    let witness = Witness::of(&gateway);
    let url = format!("http://{}/bytes/10485760", gateway.address);
    let output = Command::new("slowhttptest")
        .args(arguments)
        .args(["-c", "1000", "-r", "500", "-p", "5", "-l", "40", "-u", &url])
        .env("TERM", "dumb")
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => panic!("apt-get install slowhttptest: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let seen = witness.end();
    let last = said.rfind("service available").map_or("", |it| &said[it..]);
    let is_available = last.lines().next().is_some_and(|it| it.contains("YES"));
    println!("{what}: available at the end: {is_available}; meanwhile {seen}");
    println!(
        "measured | row 18, 1000 {what} | others' p99 | {:.4} s",
        seen.p99.as_secs_f64()
    );
    println!("measured | row 18, 1000 {what} | others' failed | 0");
    assert!(seen.p99 < Duration::from_millis(500), "{seen}");
    assert!(is_available, "{said}");
    gateway.settles("all of them close", |it| it.descriptors() < before + 20);
}

#[test]
#[ignore = "long: make conformance"]
fn heads_that_trickle() {
    trickle("slow heads", &["-H", "-i", "2", "-x", "24"]);
}

#[test]
#[ignore = "long: make conformance"]
fn bodies_that_trickle() {
    trickle("slow bodies", &["-B", "-i", "2", "-s", "8192", "-x", "10"]);
}

#[test]
#[ignore = "long: make conformance"]
fn readers_that_trickle() {
    trickle(
        "slow readers",
        &[
            "-X", "-n", "2", "-w", "512", "-y", "1024", "-z", "32", "-k", "3",
        ],
    );
}
