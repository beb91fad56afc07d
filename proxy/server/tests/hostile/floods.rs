//! Connections that ask for nothing, or for half of something, and go.

use crate::process::Gateway;
use crate::witness::{Witness, origin};
use rustix::net::sockopt;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

/// Connections that are open at once.
const AT_ONCE: usize = 500;
/// What may stay taken after all are gone.
const LEFT: u64 = 24 << 20;

/// What each of them says, if anything; and how it goes.
#[derive(Debug, Clone, Copy)]
enum Flood {
    Silent,
    HalfHead,
    HalfBody,
    Garbage,
    Reset,
}

fn flood(kind: Flood, count: usize) {
    let gateway = Gateway::start(origin());
    let before = (gateway.resident(), gateway.descriptors());
    let witness = Witness::of(&gateway);
    // What the machine is busy with beside it, another gateway feels too.
    let apart = Gateway::start(origin());
    let calm = Witness::of(&apart);
    for _ in 0..count.div_ceil(AT_ONCE) {
        let crowd: Vec<TcpStream> = (0..AT_ONCE).map(|_| one(&gateway, kind)).collect();
        drop(crowd);
    }
    let (seen, calm) = (witness.end(), calm.end());
    gateway.settles("all of them close", |it| it.descriptors() < before.1 + 20);
    let left = gateway.resident().saturating_sub(before.0);
    let busy = gateway.busy_at_rest();
    println!(
        "{count} connections, {kind:?}: {left} bytes left, {busy:?} of processor time in a second of rest; meanwhile {seen}; elsewhere {calm}"
    );
    let row = format!("measured | row 18, {count} connections, {kind:?}");
    println!("{row} | memory left | {} KiB", left >> 10);
    println!("{row} | others' p99 | {:.4} s", seen.p99.as_secs_f64());
    println!("{row} | others' failed | 0");
    assert!(left < LEFT, "{kind:?}: {left} bytes left");
    assert!(busy < Duration::from_millis(250), "{kind:?}: {busy:?}");
    let late = seen.p99.saturating_sub(calm.worst);
    assert!(
        late < Duration::from_millis(500),
        "{kind:?}: {seen}; elsewhere {calm}"
    );
}

fn one(gateway: &Gateway, kind: Flood) -> TcpStream {
    let mut client = gateway.connect();
    let says: &[u8] = match kind {
        Flood::Silent | Flood::Reset => b"",
        Flood::HalfHead => b"GET / HTTP/1.1\r\nHost: a.te",
        Flood::HalfBody => b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nhalf",
        Flood::Garbage => b"\x16\x03\x01\0\0\0\0\r\n\r\n",
    };
    client.write_all(says).unwrap();
    if matches!(kind, Flood::Reset) {
        sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
    }
    client
}

const ALL: [Flood; 5] = [
    Flood::Silent,
    Flood::HalfHead,
    Flood::HalfBody,
    Flood::Garbage,
    Flood::Reset,
];

#[test]
fn floods_of_a_thousand() {
    ALL.into_iter().for_each(|kind| flood(kind, 1_000));
}

#[test]
#[ignore = "long: make conformance"]
fn floods_of_twenty_thousand() {
    ALL.into_iter().for_each(|kind| flood(kind, 20_000));
}
