//! Many connections that rest after a request.

use crate::process::Gateway;
use crate::witness::{GET, Witness, answered, origin};
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

/// What one may take beside its socket: a task of at most 512 bytes, its deadline, and the allocator's rounding.
const BYTES: u64 = 1536;

fn rest_at_once(count: usize) {
    let gateway = Gateway::start(origin());
    // What the first ones take is taken once.
    let mut resting: Vec<TcpStream> = (0..100).map(|_| one(&gateway)).collect();
    let before = gateway.resident();
    let witness = Witness::of(&gateway);
    resting.extend((0..count).map(|_| one(&gateway)));
    let each = gateway.resident().saturating_sub(before) / count as u64;
    let seen = witness.end();
    let busy = gateway.busy_at_rest();
    println!(
        "{count} idle connections: {each} bytes each; {busy:?} of processor time in a second of rest; meanwhile {seen}"
    );
    let row = format!("measured | row 18, {count} connections at rest");
    println!("{row} | memory for each | {each} bytes");
    println!("{row} | others' p99 | {:.4} s", seen.p99.as_secs_f64());
    println!("{row} | others' failed | 0");
    assert!(each < BYTES, "{each} bytes for each idle connection");
    assert!(
        busy < Duration::from_millis(250),
        "{busy:?} in a second of rest"
    );
    assert!(seen.p99 < Duration::from_millis(500), "{seen}");
    // All of them still work.
    for client in resting.iter_mut().step_by(count / 50) {
        client.write_all(GET).unwrap();
        answered(client);
    }
    drop(resting);
    gateway.settles("all of them close", |it| it.descriptors() < 100);
}

fn one(gateway: &Gateway) -> TcpStream {
    let mut client = gateway.connect();
    client.write_all(GET).unwrap();
    answered(&mut client);
    client
}

#[test]
fn a_thousand_rest() {
    rest_at_once(1_000);
}

#[test]
#[ignore = "long: make conformance"]
fn nine_thousand_rest() {
    rest_at_once(9_000);
}
