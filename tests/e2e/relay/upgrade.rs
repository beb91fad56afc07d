//! A relay in front of a plain server: half-close, limits, and connections that live through an upgrade.

use super::dependency;
use crate::support::clock::until;
use crate::support::site::Site;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Says everything twice as it comes, and `bye` when the other side has ended. Ends with the test.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    at
}

fn answer(mut stream: TcpStream) {
    let mut buffer = [0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => {
                let _ = stream.write_all(b"bye");
                return;
            }
            Ok(length) => {
                if stream.write_all(&buffer[..length]).is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

fn says(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, text.as_bytes());
}

#[test]
fn connections_live_through_an_upgrade_and_end_as_they_should() {
    let server = echo();
    let mut site = Site::new();
    let relay = site.ports.own(4);
    site.write_settings(&format!(
        "[dependencies.plain]\nkind = \"tcp\"\nmembers = [\"{server}\"]\nlisten = \"{relay}\"\nconnections = 3\nidle = \"5s\"\n"
    ));
    site.start();
    let mut old = connect(relay);
    says(&mut old, "before");
    let (before, after) = site.upgrade();
    assert_ne!(before, after);
    let mut new = connect(relay);
    says(&mut new, "by the new process");
    says(&mut old, "still by the old process");
    assert!(site.first_lives());

    // What is long goes both ways, and the end of one direction leaves the other open.
    let mut all = connect(relay);
    let long = vec![b'x'; 3 << 20];
    let mut reading = all.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let mut heard = Vec::new();
        reading.read_to_end(&mut heard).unwrap();
        heard
    });
    all.write_all(&long).unwrap();
    all.shutdown(Shutdown::Write).unwrap();
    let heard = reader.join().unwrap();
    assert_eq!(heard.len(), long.len() + 3);
    assert!(heard.ends_with(b"xbye"));
    let counted = || dependency(&site, "plain")["relay"].clone();
    until("its bytes to be counted", || {
        (counted()["bytes_in"].as_u64()? >= 3 << 20).then_some(())
    });

    // One more than allowed is refused; the others do not notice.
    let mut others: Vec<TcpStream> = (0..2).map(|_| connect(relay)).collect();
    others.iter_mut().for_each(|it| says(it, "one of three"));
    let mut surplus = connect(relay);
    let ended = surplus.read(&mut [0; 8]);
    assert!(!matches!(ended, Ok(1..)), "{ended:?}");
    assert!(counted()["refused"].as_u64() >= Some(1));
    says(&mut new, "still here");

    // The old process ends with its last connection; what carries nothing is ended by the idle limit.
    drop(old);
    assert!(site.first_ends().success());
    let ended = others[0].read(&mut [0; 8]);
    let timed_out = |it: &std::io::Error| {
        matches!(
            it.kind(),
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
        )
    };
    assert!(
        ended.as_ref().err().is_none_or(|it| !timed_out(it)),
        "{ended:?}"
    );
}
