//! What a request costs beside the work of kernel and codec: no memory, and little time.

use super::*;
use crate::accept::{self, Deal};
use crate::access_log::Sink;
use crate::clock;
use crate::gateway::{AccessLog, Gateway, GatewayOptions};
use crate::listener::Door;
use crate::metrics::Metrics;
use crate::record::judge;
use arc_swap::ArcSwap;
use minato_config::{Generation, Health, Run, Service, ServiceName, SlotIndex, parse_service};
use minato_health::Verdict;
use minato_proxy::{
    AttemptEnd, Endpoint, EndpointId, Intake, Scope, Shared, Standing, Table, pick,
};
use std::future::pending;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::sync_channel;
use std::thread;
use tokio::runtime::{LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, oneshot};

const REQUEST: &[u8] =
    b"GET /a/path?with=query HTTP/1.1\r\nHost: library.test\r\nUser-Agent: a browser\r\nCookie: a=b\r\n\r\n";
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\nhello";

/// A core with a service whose one instance is at `address`, and all features on.
fn core(address: SocketAddr) -> Rc<Core> {
    let name = ServiceName::parse("library").unwrap();
    let text = format!("endpoints = [\"{address}\"]\nroutes = [\"library.test\"]");
    let service: Service = parse_service("library.toml".as_ref(), &name, &text).unwrap();
    assert_ne!(service.health, Health::Off);
    let id = EndpointId {
        service: name,
        slot: SlotIndex(0),
        generation: Generation::default(),
        run: Run(1),
        site: None,
    };
    let endpoint = Endpoint::new(id, address, 0, Verdict::Up);
    assert_eq!(endpoint.standing(), Standing::Up);
    let shared = Shared::new(&service);
    let entry = ServiceEntry::new(Arc::new(service), shared, vec![endpoint], Intake::Open);
    let (evidence, _) = mpsc::channel(16);
    let mut gateway = Gateway::new(GatewayOptions {
        table: Arc::new(ArcSwap::from_pointee(Table::default().with(entry))),
        evidence,
        metrics: Metrics::new().unwrap(),
        trusted_proxies: Vec::new(),
        sorry: crate::SorryPage::default(),
        access_log: AccessLog::Off,
        kept_log: None,
        connections: 100,
        workers: None,
        redirect: None,
        link: None,
    });
    // Logged, but not to standard output.
    let (lines, written) = sync_channel::<Vec<u8>>(64);
    thread::spawn(move || written.into_iter().map(|it| it.len()).sum::<usize>());
    Arc::get_mut(&mut gateway).unwrap().access_log = Sink::to(lines);
    Core::new(gateway)
}

fn runtime() -> LocalRuntime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap()
}

/// Reads to the end of what ends with `last`.
fn read_to(stream: &mut TcpStream, last: &[u8]) -> bool {
    let mut seen = Vec::new();
    let mut bytes = [0; 4096];
    while !seen.ends_with(last) {
        match stream.read(&mut bytes) {
            Ok(count @ 1..) => seen.extend_from_slice(&bytes[..count]),
            _ => return false,
        }
    }
    true
}

/// An instance that always answers the same.
fn instance() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                while read_to(&mut stream, b"\r\n\r\n") {
                    stream.write_all(ANSWER).unwrap();
                }
            });
        }
    });
    address
}

/// The client is a thread of its own; what this one allocates is the engine's.
#[test]
fn a_kept_alive_request_allocates_nothing() {
    const REQUESTS: u64 = 2_000;
    let runtime = runtime();
    let (client, core) = runtime.block_on(async {
        let core = core(instance());
        let keeps = Rc::clone(&core);
        tokio::task::spawn_local(async move { keeps.keep_time(0).await });
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let accepting = accept::run(Rc::clone(&core), socket, Door::Http, Deal::Keep, pending());
        tokio::task::spawn_local(accepting);
        (client, core)
    });
    let ask = |count: u64| {
        let mut client = client.try_clone().unwrap();
        let (done, ended) = oneshot::channel();
        thread::spawn(move || {
            for _ in 0..count {
                client.write_all(REQUEST).unwrap();
                assert!(read_to(&mut client, b"hello"));
            }
            done.send(()).unwrap();
        });
        ended
    };
    let warm = ask(100);
    runtime.block_on(warm).unwrap();
    let counted = allocation_counter::measure(|| {
        let all = ask(REQUESTS);
        runtime.block_on(all).unwrap();
    });
    // Starting the client, a batch of the log now and then, and what is done each tick.
    let most = REQUESTS / 20;
    assert!(counted.count_total < most, "{counted:?}");
    drop(core);
}

/// All that policy, metrics and logging do for a request: route, admit, pick, judge, count, log. By `make bench`, optimised.
#[test]
#[ignore = "a timing: by make bench"]
fn policy_metrics_and_log_take_less_than_500_ns() {
    const EACH: u32 = 200_000;
    let mut best = std::time::Duration::MAX;
    runtime().block_on(async {
        let core = core("127.0.0.1:1".parse().unwrap());
        let mut request = RequestHead::default();
        request.read(REQUEST).unwrap();
        let peer: SocketAddr = "192.0.2.7:40000".parse().unwrap();
        for _ in 0..5 {
            let began = clock::now();
            for _ in 0..EACH {
                decide_and_tell(&core, &request, peer);
            }
            best = best.min(clock::now() - began);
        }
    });
    let each = best / EACH;
    println!("policy, metrics and log of one request: {each:?}");
    assert!(each.as_nanos() < 500, "{each:?}");
}

fn decide_and_tell(core: &Rc<Core>, request: &RequestHead, peer: SocketAddr) {
    let mut record = Record::new(peer, clock::now());
    let table = core.gateway.table.load();
    let route = table.find(request.host(), request.path()).unwrap().route;
    let entry = Arc::clone(&route.service);
    record.service = Some(Arc::clone(&entry));
    assert!(matches!(forward_path(&route, request), Forward::Path(_)));
    let Admission::Permit(_permit) = entry.shared.queue.admit() else {
        unreachable!("there is room");
    };
    let endpoint = pick(&entry, Scope::Everywhere, None, core.now(), &mut |n| {
        fastrand::usize(..n)
    })
    .unwrap();
    record.instance = Some(endpoint.id().slot.0);
    let in_flight = endpoint.begin();
    (record.status, record.bytes) = (200, 5);
    drop(in_flight);
    judge(core, &entry, &endpoint, AttemptEnd::Answered(200), None);
    record.finish(core, Some(request));
}
