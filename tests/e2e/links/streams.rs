//! Named TCP streams over a link, for programs that know nothing of it.

use super::Cloud;
use crate::support::clock::{now, until};
use crate::support::tls::Authority;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Osaka offers `to` by the name `db`; tokyo's programs find it at `at`.
struct Streams {
    tokyo: Cloud,
    osaka: Cloud,
    at: SocketAddr,
}

fn start(to: SocketAddr, sites: &str, more: &str) -> Streams {
    let authority = Authority::new("sites");
    let mut tokyo = Cloud::new("tokyo", &authority, "tokyo");
    let mut osaka = Cloud::new("osaka", &authority, "osaka");
    tokyo.knows(&osaka);
    osaka.knows(&tokyo);
    let at = tokyo.site.ports.own(4);
    let add = |cloud: &Cloud, more: &str| {
        let text = fs::read_to_string(cloud.site.settings()).unwrap();
        fs::write(cloud.site.settings(), text + more).unwrap();
    };
    add(&tokyo, &format!("[sites.osaka.streams]\ndb = \"{at}\"\n"));
    add(
        &osaka,
        &format!(
            "[sites.kyoto]\ngateways = [\"127.0.0.1:1\"]\n[link.streams.db]\nto = \"{to}\"\nsites = {sites}\n{more}"
        ),
    );
    tokyo.site.start();
    osaka.site.start();
    tokyo.until_told(&["link to osaka is up"]);
    Streams { tokyo, osaka, at }
}

/// Whatever listens on loopback, for one connection at a time.
fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn open(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn bytes_go_both_ways_and_either_side_may_end_first() {
    let (listener, to) = listener();
    let streams = start(to, "[\"tokyo\"]", "");
    let size = 8 << 20;
    let sent: Vec<u8> = (0..size)
        .map(|it: u32| (it.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let server = std::thread::spawn(move || {
        let (mut one, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        // The caller ends its direction; what it sent goes back after that.
        one.read_to_end(&mut all).unwrap();
        one.write_all(&all).unwrap();
        drop(one);
        // The other way round: this side ends first, and hears on.
        let (mut one, _) = listener.accept().unwrap();
        one.write_all(b"first").unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        let mut late = Vec::new();
        one.read_to_end(&mut late).unwrap();
        late
    });
    let mut client = open(streams.at);
    let mut writing = client.try_clone().unwrap();
    let copy = sent.clone();
    let writer = std::thread::spawn(move || {
        writing.write_all(&copy).unwrap();
        writing.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    client.read_to_end(&mut back).unwrap();
    writer.join().unwrap();
    assert!(
        back == sent,
        "{} of {} bytes came back",
        back.len(),
        sent.len()
    );

    let mut client = open(streams.at);
    let mut first = Vec::new();
    client.read_to_end(&mut first).unwrap();
    assert_eq!(first, b"first");
    client.write_all(b"late").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.join().unwrap(), b"late");
}

#[test]
fn only_sites_that_are_listed_and_so_many_at_once() {
    let (listener, to) = listener();
    let streams = start(to, "[\"kyoto\"]", "");
    // Accepted here, since whom it is for is the other site's word; then reset.
    let mut client = open(streams.at);
    let ended = client.read(&mut [0; 1]);
    assert!(
        ended
            .as_ref()
            .is_err_and(|it| it.kind() == ErrorKind::ConnectionReset),
        "{ended:?}"
    );
    until("the reason in the log", || {
        streams
            .tokyo
            .site
            .log_text()
            .contains("osaka offers tokyo no stream of that name")
            .then_some(())
    });
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(streams);

    // Each connection is greeted, and open until its client has ended it.
    listener.set_nonblocking(false).unwrap();
    std::thread::spawn(move || {
        for mut one in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let _ = one.write_all(b"x");
                let _ = one.read_to_end(&mut Vec::new());
            });
        }
    });
    let streams = start(to, "[\"tokyo\"]", "connections = 2\n");
    let greeted = || {
        let mut client = open(streams.at);
        client.read_exact(&mut [0; 1]).ok().map(|()| client)
    };
    let kept = [greeted(), greeted()];
    assert!(kept.iter().all(Option::is_some));
    assert!(greeted().is_none(), "a third");
    drop(kept);
    until("a place", greeted);
}

#[test]
fn what_breaks_off_on_one_side_breaks_off_on_the_other_and_an_upgrade_cuts_nothing() {
    let (listener, to) = listener();
    let mut streams = start(to, "[\"tokyo\"]", "");
    let pair = |at: SocketAddr| {
        let mut client = open(at);
        client.write_all(b"a").unwrap();
        let (mut one, _) = listener.accept().unwrap();
        one.set_read_timeout(Some(PATIENCE)).unwrap();
        one.read_exact(&mut [0; 1]).unwrap();
        (client, one)
    };
    let talk = |(client, one): &mut (TcpStream, TcpStream)| {
        client.write_all(b"ping").unwrap();
        one.read_exact(&mut [0; 4]).unwrap();
        one.write_all(b"pong").unwrap();
        client.read_exact(&mut [0; 4]).unwrap();
    };
    let mut before = pair(streams.at);
    streams.tokyo.site.upgrade();
    streams.osaka.site.upgrade();
    talk(&mut before);
    let mut after = pair(streams.at);
    talk(&mut after);
    // The old processes end once their last stream has.
    assert!(streams.tokyo.site.first_lives());
    drop(before);
    streams.tokyo.site.first_ends();
    streams.osaka.site.first_ends();
    talk(&mut after);
    // A crash is no orderly end.
    streams.osaka.site.crash_successor();
    let ended = after.0.read(&mut [0; 1]);
    assert!(ended.is_err(), "{ended:?}");
}

/// A real program that knows nothing of links: rsync's daemon, copied from over a stream.
#[test]
fn rsync_copies_over_a_stream() {
    let here = Command::new("rsync")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if here.is_err() {
        minato_skip::skip("no rsync: scripts/install-needed.sh --tests installs it");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir(&from).unwrap();
    for n in 0..200 {
        let text = format!("{n}\n").repeat(1_000 + n * 37);
        fs::write(from.join(format!("page-{n}")), text).unwrap();
    }
    let (listener, address) = listener();
    drop(listener);
    let config = folder.path().join("rsyncd.conf");
    let module = format!("use chroot = no\n[pages]\npath = {}\n", from.display());
    fs::write(&config, module).unwrap();
    let mut daemon = Command::new("rsync")
        .args(["--daemon", "--no-detach", "--address=127.0.0.1"])
        .arg(format!("--port={}", address.port()))
        .arg(format!("--config={}", config.display()))
        .spawn()
        .unwrap();
    let streams = start(address, "[\"tokyo\"]", "");
    let began = now();
    let source = format!("rsync://{}/pages/", streams.at);
    until("rsync to copy", || {
        let done = Command::new("rsync")
            .args(["-a", "--delete", &source])
            .arg(&to)
            .status()
            .unwrap();
        done.success().then_some(())
    });
    eprintln!("rsync over a stream: {:?}", began.elapsed());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    for n in 0..200 {
        let name = format!("page-{n}");
        assert_eq!(
            fs::read(from.join(&name)).unwrap(),
            fs::read(to.join(&name)).unwrap(),
            "{name}"
        );
    }
}
