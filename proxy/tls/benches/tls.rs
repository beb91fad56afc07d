//! What TLS costs a server: handshakes, kept-alive requests, long bodies, idle connections. Both ends in memory, the server's
//! processor time alone.
//!
//! `cargo bench -p minato-tls`

#![expect(clippy::print_stdout, reason = "a table of figures is what it is for")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a figure that cannot be measured is no figure"
)]

use minato_config::{ClientAuth, UpstreamTls, Verify};
use minato_tls::{Accepted, Acceptor, Certificates, Connector, Protocol, TicketKeys, TlsStream};
use rustix::time::{ClockId, clock_gettime};
use rustls::client::{ClientConnection, Resumption, UnbufferedClientConnection};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, NamedGroup, RootCertStore};
use std::fs;
use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

const ROUNDS: usize = 15;
const ADDRESS: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1)),
    443,
);

type Client = TlsStream<UnbufferedClientConnection, DuplexStream>;

struct Ends {
    acceptor: Acceptor,
    tls: UpstreamTls,
    _place: tempfile::TempDir,
}

/// This thread's processor time.
fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

/// Runs both in turn; the processor time of the second.
fn drive<A, B>(
    client: impl Future<Output = A>,
    server: impl Future<Output = B>,
) -> (A, B, Duration) {
    let mut cx = Context::from_waker(Waker::noop());
    let (mut client, mut server) = (pin!(client), pin!(server));
    let (mut one, mut other, mut spent) = (None, None, Duration::ZERO);
    for _ in 0..1_000_000 {
        if one.is_none()
            && let Poll::Ready(it) = client.as_mut().poll(&mut cx)
        {
            one = Some(it);
        }
        if other.is_none() {
            let began = cpu();
            if let Poll::Ready(it) = server.as_mut().poll(&mut cx) {
                other = Some(it);
            }
            spent += cpu() - began;
        }
        if let (Some(_), Some(_)) = (&one, &other) {
            return (one.unwrap(), other.unwrap(), spent);
        }
    }
    panic!("both wait");
}

impl Ends {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        fs::write(place.path().join("a.crt"), &certificate).unwrap();
        fs::write(place.path().join("a.key"), key.serialize_pem()).unwrap();
        let certificates = Certificates::open(place.path());
        let tickets = TicketKeys::new().unwrap();
        Self {
            acceptor: Acceptor::new(certificates, tickets, &ClientAuth::None).unwrap(),
            tls: UpstreamTls {
                ca: Some(place.path().join("a.crt")),
                sni: Some("a.test".to_owned()),
                verify: Verify::On,
            },
            _place: place,
        }
    }

    /// Handshakes with a client that offers `group` alone; the server's time for each.
    fn handshakes(&self, group: NamedGroup, count: u32, resumption: bool) -> f64 {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.kx_groups.retain(|it| it.name() == group);
        let file = self.tls.ca.clone().unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(file).unwrap())
            .unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        if !resumption {
            config.resumption = Resumption::disabled();
        }
        let config = Arc::new(config);
        let mut spent = Duration::ZERO;
        for n in 0..=count {
            let (client, server) = duplex(1 << 16);
            let (_, accepted, time) = drive(shake(&config, client), async {
                let mut accepted = self.acceptor.accept(server).await.unwrap();
                poll_fn(|cx| accepted.stream.poll_flush(cx)).await.unwrap();
                accepted
            });
            if n > 0 {
                assert_eq!(accepted.is_resumed, resumption);
                spent += time;
            }
        }
        micros(spent, count)
    }

    fn connect(&self, connector: &Connector) -> (Client, Accepted<DuplexStream>) {
        let (client, server) = duplex(1 << 20);
        let (client, server, _) = drive(
            connector.connect(client, &self.tls, ADDRESS, Protocol::Http1),
            self.acceptor.accept(server),
        );
        (client.unwrap(), server.unwrap())
    }
}

/// A client of rustls' own; takes the tickets that come.
async fn shake(config: &Arc<ClientConfig>, mut io: DuplexStream) {
    let name = ServerName::try_from("a.test").unwrap();
    let mut session = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut buffer = [0; 8_192];
    loop {
        let mut out = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut out).unwrap();
        }
        io.write_all(&out).await.unwrap();
        if session.tls13_tickets_received() == 2 {
            return;
        }
        let count = io.read(&mut buffer).await.unwrap();
        session.read_tls(&mut &buffer[..count]).unwrap();
        session.process_new_packets().unwrap();
    }
}

/// One request and its answer; the server's time.
fn exchange(
    client: &mut Client,
    server: &mut Accepted<DuplexStream>,
    head: &[u8],
    body: &[u8],
) -> Duration {
    let mut buffer = vec![0; 1 << 17];
    let mut request = [0; 4_096];
    let ask = async {
        client.write_all(&[b'q'; 200]).await.unwrap();
        client.flush().await.unwrap();
        let mut left = head.len() + body.len();
        while left > 0 {
            left -= client.read(&mut buffer).await.unwrap();
        }
    };
    let stream = &mut server.stream;
    let answer = async {
        let mut read = ReadBuf::new(&mut request);
        poll_fn(|cx| stream.poll_read(cx, &mut read)).await.unwrap();
        assert_eq!(read.filled().len(), 200);
        let mut sent = 0;
        while sent < head.len() + body.len() {
            let head = head.get(sent..).unwrap_or_default();
            let from = sent.saturating_sub(1 << 10);
            let slices = [
                IoSlice::new(head),
                IoSlice::new(&body[from.min(body.len())..]),
            ];
            sent += poll_fn(|cx| stream.poll_write_vectored(cx, &slices))
                .await
                .unwrap();
        }
        poll_fn(|cx| stream.poll_flush(cx)).await.unwrap();
    };
    drive(ask, answer).2
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn micros(time: Duration, count: u32) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(count)
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|it| it.starts_with("VmRSS")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

fn main() {
    const HANDSHAKES: u32 = 200;
    const REQUESTS: u32 = 2_000;
    const BODIES: u32 = 20;
    let ends = Ends::new();
    let head = [b'h'; 1 << 10];
    let long = vec![b'b'; 10 << 20];
    let mut all: [Vec<f64>; 6] = Default::default();
    for _ in 0..ROUNDS {
        all[0].push(ends.handshakes(NamedGroup::X25519, HANDSHAKES, false));
        all[1].push(ends.handshakes(NamedGroup::X25519, HANDSHAKES, true));
        all[5].push(ends.handshakes(NamedGroup::X25519MLKEM768, HANDSHAKES, false));
        let connector = Connector::default();
        for _ in 0..20 {
            let (mut client, mut server) = ends.connect(&connector);
            let answered = exchange(&mut client, &mut server, &head, &[]);
            all[2].push(micros(answered, 1));
        }
        let (mut client, mut server) = ends.connect(&connector);
        let kept = (0..REQUESTS).map(|_| exchange(&mut client, &mut server, &head, &[]));
        all[3].push(micros(kept.sum(), REQUESTS));
        let bodies = (0..BODIES / 10).map(|_| exchange(&mut client, &mut server, &head, &long));
        all[4].push(micros(bodies.sum(), BODIES / 10) / 10.0);
    }
    let names = [
        "full handshake, X25519, ECDSA P-256, two tickets, us",
        "resumed handshake, X25519, two tickets, us",
        "first request after it, with tickets, us",
        "kept-alive request of 200 B, answer of 1 KiB, us",
        "1 MiB of a long body, us",
        "full handshake, X25519MLKEM768, two tickets, us",
    ];
    for (name, times) in names.iter().zip(all) {
        println!("{name:<52} {:>8.2}", median(times));
    }
    const IDLE: usize = 2_000;
    let connector = Connector::default();
    let mut kept = Vec::with_capacity(IDLE);
    let before = resident();
    for _ in 0..IDLE {
        let (mut client, mut server) = ends.connect(&connector);
        exchange(&mut client, &mut server, &head, &[]);
        kept.push(server);
    }
    let grown = resident() - before;
    println!(
        "{:<52} {:>8.2}",
        "an idle connection and the pipe below it, KiB",
        grown as f64 / 1024.0 / IDLE as f64
    );
}
