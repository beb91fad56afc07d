//! Who lives on when what is wanted changes.

use super::super::wanted::FIXED;
use super::*;
use crate::clock;
use minato_config::{Backend, Generation, Health, HealthProbe, HealthTiming, Run, SiteId};
use minato_health::{Change, Failure};
use std::net::SocketAddr;

struct Site {
    fleet: Fleet,
    service: Service,
    /// Nothing is read from it: monitors of addresses where nobody listens have nothing to say that matters here.
    _changes: mpsc::Receiver<Report<WatchKey>>,
}

impl Site {
    fn new() -> Self {
        let (sender, changes) = mpsc::channel(64);
        let service = Service {
            name: ServiceName::parse("library").expect("a name"),
            backend: Backend::Endpoints(Vec::new()),
            replicas: 1,
            scale: None,
            routes: Vec::new(),
            health: Health::On {
                probe: HealthProbe::Tcp,
                timing: HealthTiming::default(),
            },
            upstream: Default::default(),
            limits: Default::default(),
            timeouts: Default::default(),
            retries: 1,
            nodes: Default::default(),
            update: Default::default(),
            depends_on: Default::default(),
            sites: None,
        };
        Self {
            fleet: Fleet::new(SiteId::local(), 4, sender),
            service,
            _changes: changes,
        }
    }

    /// Wants these; returns what is gone.
    fn want(&mut self, wanted: &[Wanted]) -> Vec<SocketAddr> {
        let before: BTreeMap<EndpointId, SocketAddr> = self.addresses();
        let update = self.fleet.update(&self.service, wanted, Intake::Open);
        let gone = update.map(|it| it.gone).unwrap_or_default();
        gone.iter().map(|(id, _)| before[id]).collect()
    }

    fn addresses(&self) -> BTreeMap<EndpointId, SocketAddr> {
        let known = self.fleet.service(&self.service.name);
        let members = known.into_iter().flat_map(|it| &it.members);
        members
            .map(|(id, it)| (id.clone(), it.endpoint.address()))
            .collect()
    }

    fn member(&self, port: u16) -> &Member {
        let known = self.fleet.service(&self.service.name).expect("known");
        let mut members = known.members.values();
        members
            .find(|it| it.endpoint.address().port() == port)
            .expect("a member")
    }

    fn judge(&mut self, port: u16, to: Verdict) -> bool {
        let member = self.member(port);
        let key = WatchKey {
            id: member.endpoint.id().clone(),
            serial: member.watch,
        };
        let change = Change {
            from: member.verdict,
            to,
            cause: None,
        };
        let at = clock::now();
        self.fleet.judge(&Report {
            key,
            change,
            at,
            first_detected: at,
        })
    }
}

fn fixed(slot: u16, port: u16) -> Wanted {
    Wanted {
        slot: SlotIndex(slot),
        generation: FIXED,
        run: Run(0),
        address: ([127, 0, 0, 1], port).into(),
        usage: Use::Serve,
    }
}

fn instance(port: u16, usage: Use) -> Wanted {
    Wanted {
        generation: Generation { era: 0, counter: 3 },
        run: Run(1),
        usage,
        ..fixed(0, port)
    }
}

#[tokio::test]
async fn an_address_that_stays_is_the_same_endpoint_with_its_verdict() {
    let mut site = Site::new();
    site.want(&[fixed(0, 81), fixed(1, 82)]);
    assert!(site.judge(82, Verdict::Up));
    let before = Arc::clone(&site.member(82).endpoint);
    let gone = site.want(&[fixed(0, 82)]);
    assert!(gone.is_empty(), "what it has in flight ends");
    assert!(Arc::ptr_eq(&before, &site.member(82).endpoint));
    assert_eq!(site.member(82).verdict, Verdict::Up);
    assert!(site.member(81).endpoint.is_draining());
}

#[tokio::test]
async fn addresses_make_room_only_when_a_new_one_is_up() {
    let mut site = Site::new();
    site.want(&[fixed(0, 81)]);
    site.judge(81, Verdict::Up);
    assert!(site.want(&[fixed(0, 82)]).is_empty());
    assert!(!site.member(81).endpoint.is_draining());
    site.judge(82, Verdict::Up);
    let old = site.member(81).endpoint.id().clone();
    assert!(site.member(81).endpoint.is_draining());
    while !site.fleet.drained().contains(&old) {}
    assert!(site.fleet.remove_drained(&old).is_some());
    assert_eq!(site.addresses().len(), 1);
}

#[tokio::test]
async fn a_service_that_becomes_fixed_addresses_keeps_its_instances_until_one_is_up() {
    let mut site = Site::new();
    site.want(&[instance(81, Use::Serve)]);
    site.judge(81, Verdict::Up);
    site.want(&[instance(81, Use::Leave), fixed(0, 82)]);
    assert!(!site.member(81).endpoint.is_draining());
    assert_ne!(site.member(82).endpoint.id().slot, SlotIndex(0), "taken");
    site.judge(82, Verdict::Up);
    assert!(site.member(81).endpoint.is_draining());
}

#[tokio::test]
async fn an_instance_that_does_not_run_is_gone_at_once() {
    let mut site = Site::new();
    site.want(&[instance(81, Use::Serve)]);
    let endpoint = Arc::clone(&site.member(81).endpoint);
    assert_eq!(site.want(&[]).len(), 1);
    assert!(endpoint.is_out());
}

#[tokio::test]
async fn a_service_that_comes_back_is_served_again() {
    let mut site = Site::new();
    let wanted = [instance(81, Use::Serve)];
    site.want(&wanted);
    site.judge(81, Verdict::Up);
    site.fleet.drain(&site.service.name.clone());
    assert!(site.member(81).endpoint.is_draining());
    let update = site.fleet.update(&site.service, &wanted, Intake::Open);
    assert!(update.is_some(), "nothing differs but that it was unrouted");
    assert!(!site.member(81).endpoint.is_draining());
    assert_eq!(site.member(81).verdict, Verdict::Up);
    let again = site.fleet.update(&site.service, &wanted, Intake::Open);
    assert!(again.is_none(), "nothing differs now");
}

#[tokio::test]
async fn what_an_ended_watch_had_to_say_is_not_heard() {
    let mut site = Site::new();
    site.want(&[fixed(0, 81)]);
    let stale = WatchKey {
        id: site.member(81).endpoint.id().clone(),
        serial: site.member(81).watch,
    };
    site.service.health = Health::On {
        probe: HealthProbe::Tcp,
        timing: HealthTiming {
            fall: 5,
            ..HealthTiming::default()
        },
    };
    site.want(&[fixed(0, 81)]);
    let at = clock::now();
    let change = Change {
        from: Verdict::Down,
        to: Verdict::Up,
        cause: None,
    };
    let heard = site.fleet.judge(&Report {
        key: stale,
        change,
        at,
        first_detected: at,
    });
    assert!(!heard);
    assert_eq!(site.member(81).verdict, Verdict::Down);
}

#[tokio::test]
async fn one_that_never_came_up_says_why() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let mut site = Site::new();
    site.want(&[fixed(0, port)]);
    let explained = async {
        while site.fleet.explained().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), explained)
        .await
        .expect("an explanation");
    let failure = site.member(port).failure.as_ref().expect("a failure");
    assert_eq!(failure.to_string(), "connect refused: connection refused");
    assert!(site.fleet.explained().is_empty(), "said once");
}

#[tokio::test]
async fn one_that_is_watched_in_another_way_says_what_is_wrong_now() {
    let mut site = Site::new();
    site.want(&[fixed(0, 81)]);
    let id = site.member(81).endpoint.id().clone();
    let stale = Failure {
        layer: Layer::Tls,
        detail: "certificate of an unknown issuer".to_owned(),
    };
    let known = site.fleet.services.get_mut(&site.service.name);
    let member = known.and_then(|it| it.members.get_mut(&id));
    member.expect("a member").failure = Some(stale);
    site.service.upstream.tls = Some(minato_config::UpstreamTls {
        ca: None,
        sni: None,
        verify: minato_config::Verify::Off,
    });
    site.want(&[fixed(0, 81)]);
    assert_eq!(site.member(81).failure, None);
}
