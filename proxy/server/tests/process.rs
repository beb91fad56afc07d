//! What a gateway takes of its process, descriptors and memory; in a process of its own, which is this binary again.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use arc_swap::ArcSwap;
use minato_config::{
    Backend, Generation, Health, HostPattern, Limits, PathPrefix, Route, RouteAction, RoutePattern,
    Run, Service, ServiceName, SlotIndex, Timeouts,
};
use minato_health::Verdict;
use minato_proxy::{Endpoint, EndpointId, Intake, ServiceEntry, Shared, Table};
use minato_proxy_server::{
    AccessLog, Gateway, GatewayOptions, Listener, Metrics, Phase, SorryPage,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const ORIGIN: &str = "MINATO_TEST_ORIGIN";
/// Sockets, the runtime's own and the spare one.
const DESCRIPTORS: u64 = 48;
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Not a test: the gateway, where the test below starts it. Serves until its standard input ends.
#[test]
fn gateway_of_few_descriptors() {
    let Ok(origin) = std::env::var(ORIGIN) else {
        return;
    };
    let limit = Rlimit {
        current: Some(DESCRIPTORS),
        maximum: Some(DESCRIPTORS),
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        println!("\nlistening {}", listener.local_addr().unwrap());
        let (_stop, stopped) = tokio::sync::watch::channel(Phase::Serve);
        tokio::spawn(gateway(origin.parse().unwrap()).serve(
            vec![Listener::http(listener)],
            stopped,
            Duration::ZERO,
        ));
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        ended.await.unwrap().unwrap();
    });
}

fn gateway(origin: SocketAddr) -> Arc<Gateway> {
    let name = ServiceName::parse("library").unwrap();
    let pattern = RoutePattern {
        host: HostPattern::Any,
        path: PathPrefix("/".to_owned()),
    };
    let service = Service {
        name: name.clone(),
        backend: Backend::Endpoints(vec![origin]),
        replicas: 1,
        scale: None,
        routes: vec![Route {
            pattern,
            action: RouteAction::Forward { strip: false },
        }],
        health: Health::Off,
        upstream: Default::default(),
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        retries: 0,
        nodes: Default::default(),
        update: Default::default(),
        depends_on: Default::default(),
        sites: None,
    };
    let id = EndpointId {
        service: name,
        slot: SlotIndex(0),
        generation: Generation::default(),
        run: Run(1),
        site: None,
    };
    let endpoint = Endpoint::new(id, origin, 0, Verdict::Up);
    let shared = Shared::new(&service);
    let entry = ServiceEntry::new(Arc::new(service), shared, vec![endpoint], Intake::Open);
    Gateway::new(GatewayOptions {
        table: Arc::new(ArcSwap::from_pointee(Table::default().with(entry))),
        evidence: tokio::sync::mpsc::channel(1).0,
        metrics: Metrics::new().unwrap(),
        trusted_proxies: Vec::new(),
        sorry: SorryPage::default(),
        access_log: AccessLog::Off,
        kept_log: None,
        connections: 10_000,
        workers: std::num::NonZeroUsize::new(1),
        redirect: None,
        link: None,
    })
}

/// Stops the gateway however the test ends.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    fn start(origin: SocketAddr) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "gateway_of_few_descriptors", "--nocapture"])
            .env(ORIGIN, origin.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let address = lines
            .find_map(|it| it.strip_prefix("listening ")?.parse().ok())
            .unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        client
    }

    /// Memory in use, in KiB.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|it| it.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Processor time so far, in ticks of 10 ms.
    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let rest = stat.rsplit_once(") ").unwrap().1;
        rest.split(' ')
            .skip(11)
            .take(2)
            .map(|it| it.parse::<u64>().unwrap())
            .sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers each request once `open` says so.
fn origin(open: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, open) = (stream.unwrap(), Arc::clone(&open));
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while matches!(stream.read(&mut bytes), Ok(1..)) {
                    while !open.load(Ordering::Relaxed) {
                        std::thread::park_timeout(Duration::from_millis(5));
                    }
                    if stream.write_all(OK).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[track_caller]
fn answered(client: &mut TcpStream, status: &str) {
    let mut bytes = [0; 12];
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(
        std::str::from_utf8(&bytes).unwrap(),
        format!("HTTP/1.1 {status}")
    );
}

#[test]
fn idle_connections_make_room_for_new_ones() {
    let running = Running::start(origin(Arc::new(AtomicBool::new(true))));
    let mut clients = Vec::new();
    for _ in 0..120 {
        let mut client = running.connect();
        client.write_all(GET).unwrap();
        answered(&mut client, "200");
        clients.push(client);
    }
}

#[test]
fn when_all_are_busy_accepting_pauses_and_does_not_spin() {
    let open = Arc::new(AtomicBool::new(false));
    let running = Running::start(origin(Arc::clone(&open)));
    // Each takes two descriptors.
    let mut clients: Vec<_> = (0..60).map(|_| running.connect()).collect();
    for client in &mut clients {
        client.write_all(GET).unwrap();
    }
    let (before, began) = (running.ticks(), Instant::now());
    while began.elapsed() < Duration::from_secs(1) {
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let spent = running.ticks() - before;
    assert!(
        spent < 40,
        "{spent} ticks of processor time in a second of waiting"
    );
    open.store(true, Ordering::Relaxed);
    let mut served = 0;
    for client in &mut clients {
        let mut bytes = [0; 12];
        match client.read_exact(&mut bytes) {
            Ok(()) => served += usize::from(&bytes == b"HTTP/1.1 200"),
            // Sent away before it had asked.
            Err(error) => assert_ne!(error.kind(), ErrorKind::WouldBlock, "a client hangs"),
        }
    }
    // Those that could not reach the instance in 3 s get the sorry page; nobody hangs.
    assert!(served >= 15, "{served}");
}

/// The instance sends 100 MiB at once; the client asks for it and reads nothing.
#[test]
fn a_client_that_reads_nothing_costs_little_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = Running::start(listener.local_addr().unwrap());
    let before = running.resident();
    let mut clients: Vec<_> = (0..3).map(|_| running.connect()).collect();
    let mut sent = 0;
    for client in &mut clients {
        client.write_all(GET).unwrap();
        let (mut instance, _) = listener.accept().unwrap();
        instance
            .set_write_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        instance
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
            .unwrap();
        while let Ok(n @ 1..) = instance.write(&[0; 1 << 16]) {
            sent += n;
        }
    }
    assert!(
        sent < 3 * (60 << 20),
        "{sent} bytes taken for clients that read nothing"
    );
    let grown = running.resident().saturating_sub(before);
    assert!(grown < 4 << 10, "{grown} KiB more");
}
