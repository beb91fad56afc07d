//! Anycast with real BIRD: the gateway's machine announces a /32 over BGP to a router while the entrance says alive.
//!
//! What is shipped is what runs: `packaging/anycast/minato-announce` and `bird.conf`, with the test's own addresses in place.

use crate::bird::{self, Bird, SERVICE, is_here};
use crate::kept::Kept;
use crate::machine::Machine;
use crate::network::{Host, Network};
use crate::support::clock::{now, pause, until};
use crate::support::http::get;
use crate::support::load::{Ask, Load};
use rustix::process::Signal;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const PORT: u16 = 8080;

/// Gateway and router, their BIRDs and the watcher.
struct Anycast {
    watcher: Kept,
    gateway: Machine,
    router: Host,
    on_router: Bird,
    on_gateway: Bird,
    folder: tempfile::TempDir,
    _network: Network,
}

impl Anycast {
    fn build() -> Self {
        let mut network = Network::new();
        let mut named = tempfile::Builder::new();
        let folder = named.prefix("minato-anycast-").tempdir().unwrap();
        let (own, router) = (network.host("gateway"), network.host("router"));
        bird::has_address(&own);
        let (here, there) = (own.address.to_string(), router.address.to_string());
        let on_gateway = Bird::of_gateway(&own, folder.path(), &router);
        let of_router = format!(
            "router id {there};\nprotocol device {{}}\nprotocol bfd {{ interface \"*\" {{ interval 200 ms; multiplier 3; }}; }}\n\
             protocol kernel {{ ipv4 {{ export all; }}; }}\n\
             protocol bgp site {{ local {there} as 65000; neighbor {here} as 65001; bfd on; ipv4 {{ import all; export none; }}; }}\n"
        );
        let on_router = Bird::start(&router, folder.path(), &of_router);

        // The address of the service is on this machine whether it is announced or not.
        let more = "[entrance]\nlisten = [\"127.0.0.1:7071\"]\ndrain = \"4s\"\n";
        let mut gateway = Machine::new(
            folder.path(),
            own,
            &["gateway", "control", "agent"],
            "",
            more,
        );
        gateway.listen_on(&format!("0.0.0.0:{PORT}"));
        let ledger = folder.path().join("ledger");
        let service = crate::support::site::python_service(
            &ledger,
            1,
            "routes = [\"any.test\"]\nenv = { BIND = \"0.0.0.0\" }\n",
        );
        gateway.write("app", &service);
        gateway.start();
        gateway.wait();
        gateway.wait_ok("app", 1);

        let watcher = on_gateway.announce(folder.path());
        Self {
            watcher,
            gateway,
            router,
            on_router,
            on_gateway,
            folder,
            _network: network,
        }
    }

    fn said(&self) -> String {
        let read =
            |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        format!(
            "watcher:\n{}\nrouter:\n{}\ngateway:\n{}",
            read("announce-gateway.log"),
            self.on_router.asked("show protocols all"),
            self.on_gateway.asked("show protocols all")
        )
    }

    fn is_announced(&self) -> bool {
        let route = self.on_router.asked(&format!("show route for {SERVICE}"));
        route.contains("[site ")
    }

    /// Waits until the router has the route, or has it no longer; how long that took from `began`.
    #[track_caller]
    fn until(&self, announced: bool, began: Instant) -> Duration {
        let limit = Duration::from_secs(60);
        while self.is_announced() != announced {
            let waited = began.elapsed();
            assert!(waited < limit, "announced: {}\n{}", !announced, self.said());
            pause(Duration::from_millis(10));
        }
        began.elapsed()
    }

    fn service(&self) -> SocketAddr {
        format!("{SERVICE}:{PORT}").parse().unwrap()
    }

    fn visits(&self) -> bool {
        let visit = || get(self.service(), "any.test", "/page");
        self.router.inside(visit).is_ok_and(|it| it.status == 200)
    }
}

#[test]
fn the_route_follows_what_the_gateway_says_of_itself() {
    if !is_here() {
        return;
    }
    let mut it = Anycast::build();
    it.until(true, now());
    until("a visitor to come by the route", || {
        it.visits().then_some(())
    });

    // By hand: the route goes, and whoever still comes by another way is served.
    let load = it.router.inside(|| {
        let ask = Ask::Get {
            path: "/page".to_owned(),
            body: "the page".to_owned(),
        };
        Load::start(it.service(), "any.test", &ask)
    });
    load.wait_for(100);
    load.stop().nothing_failed();
    let began = now();
    it.gateway.type_in(&["entrance", "drain"]);
    let drained = it.until(false, began);
    let direct: SocketAddr = (it.gateway.host.address, PORT).into();
    let page = it
        .router
        .inside(|| get(direct, "any.test", "/page"))
        .unwrap();
    assert_eq!(page.status, 200, "a drained gateway serves");
    let began = now();
    it.gateway.type_in(&["entrance", "undrain"]);
    let undrained = it.until(true, began);
    until("visitors again", || it.visits().then_some(()));

    // The gateway dies.
    let began = now();
    it.gateway.crash();
    let died = it.until(false, began);
    it.gateway.start();
    it.gateway.wait();
    it.until(true, now());

    // An upgrade changes nothing that the router sees.
    let stop = std::sync::atomic::AtomicBool::new(false);
    let gaps = std::thread::scope(|scope| {
        let look = scope.spawn(|| {
            let (mut looks, mut gaps) = (0, 0);
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                looks += 1;
                gaps += usize::from(!it.is_announced());
            }
            (looks, gaps)
        });
        it.gateway.type_in(&["upgrade"]);
        pause(Duration::from_secs(1));
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        look.join().unwrap()
    });
    assert!(gaps.0 > 0 && gaps.1 == 0, "{gaps:?}: {}", it.said());

    // A stop: the route is gone while the listeners are still open.
    let pid = it.gateway.json("/v1/status")["pid"].as_u64().unwrap();
    let began = now();
    crate::support::processes::signal(u32::try_from(pid).unwrap(), Signal::TERM);
    let stopping = it.until(false, began);
    let page = it.router.inside(|| get(direct, "any.test", "/page"));
    assert_eq!(page.unwrap().status, 200, "it served while the route went");

    println!(
        "anycast, watcher each 0.2 s: withdrawn {died:?} after kill -9, {drained:?} after drain, {stopping:?} after a stop was asked for; \
         announced {undrained:?} after undrain"
    );
}

#[test]
fn a_watcher_that_is_told_to_end_withdraws_and_a_bird_that_restarts_announces_nothing() {
    if !is_here() {
        return;
    }
    let mut it = Anycast::build();
    it.until(true, now());
    let pid = it.watcher.0.id();
    crate::support::processes::signal(pid, Signal::TERM);
    it.until(false, now());
    assert!(it.watcher.0.wait().unwrap().success());
    // The gateway is well all the time.
    assert_eq!(it.gateway.json("/v1/entrance")["standing"], "alive");
    let state = it.on_gateway.asked("show protocols minato");
    assert!(state.contains("down"), "{state}");
}
