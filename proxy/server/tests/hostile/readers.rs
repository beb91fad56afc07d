//! Clients that ask for much and read nothing for a while.

use crate::process::Gateway;
use crate::witness::{self, Witness, origin};
use rustix::net::sockopt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What the gateway may hold for one answer on its way, beside what the kernel holds.
const HELD: u64 = 192 << 10;

fn read_late(clients: usize, length: usize) {
    let gateway = Gateway::start(origin());
    let before = gateway.resident();
    let witness = Witness::of(&gateway);
    let mut late: Vec<TcpStream> = (0..clients)
        .map(|_| {
            let mut client = gateway.connect();
            sockopt::set_socket_recv_buffer_size(&client, witness::KERNEL).unwrap();
            let asked = format!(
                "GET /bytes/{length} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
            );
            client.write_all(asked.as_bytes()).unwrap();
            client
        })
        .collect();
    let busy = (0..3).fold(Duration::ZERO, |_, _| gateway.busy_at_rest());
    let each = gateway.resident().saturating_sub(before) / clients as u64;
    for client in &mut late {
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        let body = got.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(got.len() - body, length);
        assert!(got[body..].iter().all(|it| *it == b'x'));
    }
    let seen = witness.end();
    println!(
        "{clients} late readers of {length} bytes: {each} bytes each, {busy:?} of processor time in a second of waiting; meanwhile {seen}"
    );
    let row = format!("measured | row 18, {clients} late readers of 10 MiB");
    println!("{row} | memory for each | {} KiB", each >> 10);
    println!("{row} | others' p99 | {:.4} s", seen.p99.as_secs_f64());
    println!("{row} | others' failed | 0");
    assert!(each < HELD, "{each} bytes for each late reader");
    // The witness asks meanwhile, some 300 times a second.
    assert!(busy < Duration::from_millis(500), "{busy:?}");
    assert!(seen.p99 < Duration::from_millis(500), "{seen}");
}

#[test]
fn ten_read_late() {
    read_late(10, 10 << 20);
}

#[test]
#[ignore = "long: make conformance"]
fn two_hundred_read_late() {
    read_late(200, 10 << 20);
}
