use super::*;
use minato_config::{
    Command, GatewayId, Generation, Health, HealthProbe, HealthTiming, HostPattern, Intent, Limits,
    NodeId, PathPrefix, Route, RouteAction, RoutePattern, Run, Service, Slot, SlotIndex, Source,
    StopPolicy, Timeouts,
};
use minato_control::InstanceKey;
use minato_health::{GatewayAlive, Instance, Phase, Verdict, VerdictReport};

const NOW: Timestamp = Timestamp(1_000_000);
const LONG_AGO: Timestamp = Timestamp(900_000);
const GENERATION: Generation = Generation { era: 0, counter: 1 };

fn library() -> ServiceName {
    ServiceName::parse("library").unwrap()
}

fn stored<T>(value: T) -> Stored<T> {
    Stored { value, modified: 1 }
}

/// A world with one service, written instance by instance.
struct Scene {
    world: World,
    traffic: Vec<ServiceTraffic>,
    endpoints: Vec<EndpointView>,
    digest: String,
}

impl Scene {
    fn new(backend: Backend, replicas: u16) -> Self {
        let digest = match &backend {
            Backend::Command(it) => it.digest(),
            Backend::Endpoints(_) => String::new(),
        };
        let route = Route {
            pattern: RoutePattern {
                host: HostPattern::Exact("example.org".to_owned()),
                path: PathPrefix("/library".to_owned()),
            },
            action: RouteAction::Forward { strip: false },
        };
        let record = ServiceRecord {
            v: 1,
            source: Source::File {
                path: "services/library.toml".to_owned(),
            },
            service: Service {
                name: library(),
                backend,
                replicas,
                scale: None,
                routes: vec![route],
                health: Health::On {
                    probe: HealthProbe::Tcp,
                    timing: HealthTiming::default(),
                },
                upstream: Default::default(),
                limits: Limits::default(),
                timeouts: Timeouts::default(),
                retries: 1,
                nodes: Default::default(),
                update: Default::default(),
                depends_on: Default::default(),
                sites: None,
            },
            removed: false,
        };
        let mut world = World::default();
        world.services.insert(library(), stored(record));
        let gateway = GatewayId::parse("g").unwrap();
        let alive = GatewayAlive {
            v: 1,
            since: LONG_AGO,
        };
        world.gateways.insert(gateway, stored(alive));
        Self {
            world,
            traffic: Vec::new(),
            endpoints: Vec::new(),
            digest,
        }
    }

    fn commands(replicas: u16) -> Self {
        let command = Command {
            argv: vec!["serve".to_owned()],
            env: BTreeMap::new(),
            directory: None,
            port: None,
            stop: StopPolicy::default(),
            image: None,
        };
        Self::new(Backend::Command(command), replicas)
    }

    fn slot(mut self, n: u16) -> Self {
        let slot = Slot {
            v: 1,
            node: NodeId::parse("one").unwrap(),
            generation: GENERATION,
            digest: self.digest.clone(),
            restart: None,
            removed: false,
        };
        let key = (library(), SlotIndex(n));
        self.world.slots.insert(key, stored(slot));
        self
    }

    fn runs(mut self, n: u16, phase: Phase, since: Timestamp, restarts: u32) -> Self {
        self = self.slot(n);
        let key = InstanceKey {
            node: NodeId::parse("one").unwrap(),
            service: library(),
            slot: SlotIndex(n),
            generation: GENERATION,
        };
        let instance = Instance {
            v: 1,
            run: Run(2),
            phase,
            address: ([127, 0, 0, 1], 20_000 + n).into(),
            since,
            pid: Some(7),
            restarts,
            local: None,
            // Of what runs an agent says only what it lacks.
            reason: match phase {
                Phase::Running => String::new(),
                _ => "the agent's word".to_owned(),
            },
            retry_at: None,
        };
        self.world.instances.insert(key, stored(instance));
        self
    }

    fn verdict(mut self, n: u16, verdict: Verdict, reason: &str) -> Self {
        let report = VerdictReport {
            v: 1,
            generation: GENERATION,
            run: Run(2),
            verdict,
            reason: reason.to_owned(),
            since: LONG_AGO,
            drained: false,
        };
        let gateway = GatewayId::parse("g").unwrap();
        let key = (library(), SlotIndex(n), gateway);
        self.world.verdicts.insert(key, stored(report));
        self
    }

    fn up(self, n: u16) -> Self {
        self.runs(n, Phase::Running, LONG_AGO, 0)
            .verdict(n, Verdict::Up, "")
    }

    fn intent(mut self, edit: impl Fn(&mut Intent)) -> Self {
        let mut intent = Intent {
            v: 1,
            who: "alice".to_owned(),
            since: LONG_AGO,
            ..Intent::default()
        };
        edit(&mut intent);
        self.world.intents.insert(library(), stored(intent));
        self
    }

    fn status(&self) -> ServiceStatus {
        let sources = Sources::new(&self.world, &self.traffic, &self.endpoints, NOW);
        sources.services().remove(0)
    }
}

fn traffic(draining: bool, in_flight: u64) -> ServiceTraffic {
    ServiceTraffic {
        service: library(),
        draining,
        in_flight,
        queued: 0,
        requests: 100,
        gateway_errors: 2,
        p50_ms: Some(1.5),
        p95_ms: None,
        p99_ms: None,
    }
}

#[test]
fn one_word_for_each_condition() {
    let recent = Timestamp(NOW.0 - 2_000);
    let down = |it: Scene, n| it.verdict(n, Verdict::Down, "connect refused: nobody");
    let cases = [
        ("all up", Scene::commands(2).up(0).up(1), ServiceState::Ok),
        ("nothing yet", Scene::commands(2), ServiceState::Settling),
        (
            "one without process",
            Scene::commands(2).up(0).slot(1),
            ServiceState::Settling,
        ),
        (
            "started just now",
            down(Scene::commands(1).runs(0, Phase::Running, recent, 0), 0).since(0, recent),
            ServiceState::Settling,
        ),
        (
            "started long ago and never up",
            down(Scene::commands(1).runs(0, Phase::Running, LONG_AGO, 0), 0),
            ServiceState::Down,
        ),
        (
            "one of two down",
            down(
                Scene::commands(2)
                    .up(0)
                    .runs(1, Phase::Running, LONG_AGO, 0),
                1,
            ),
            ServiceState::Degraded,
        ),
        (
            "restarted just now",
            down(
                Scene::commands(2).up(0).runs(1, Phase::Running, recent, 1),
                1,
            ),
            ServiceState::Degraded,
        ),
        (
            "one of two ended",
            Scene::commands(2).up(0).runs(1, Phase::Exited, recent, 1),
            ServiceState::Degraded,
        ),
        (
            "the only one failed",
            Scene::commands(1).runs(0, Phase::Failed, recent, 5),
            ServiceState::Down,
        ),
        (
            "suspect",
            Scene::commands(1)
                .runs(0, Phase::Running, LONG_AGO, 0)
                .verdict(0, Verdict::Suspect, "no answer in 1s"),
            ServiceState::Degraded,
        ),
        (
            "drained",
            Scene::commands(1).up(0).intent(|it| it.drain = true),
            ServiceState::Draining,
        ),
        (
            "scaled up, not there yet",
            Scene::commands(1).up(0).intent(|it| it.replicas = Some(3)),
            ServiceState::Settling,
        ),
    ];
    for (name, scene, expected) in cases {
        let status = scene.status();
        assert_eq!(status.state, expected, "{name}: {status:#?}");
        assert!(!status.detail.is_empty(), "{name}");
    }
}

impl Scene {
    /// Moves the begin of what gateways say.
    fn since(mut self, n: u16, since: Timestamp) -> Self {
        for ((_, slot, _), report) in &mut self.world.verdicts {
            if slot.0 == n {
                report.value.since = since;
            }
        }
        self
    }
}

#[test]
fn a_service_whose_file_is_gone_drains_and_one_whose_record_vanished_is_told() {
    let mut ending = Scene::commands(1).up(0);
    let record = ending.world.services.get_mut(&library()).unwrap();
    record.value.removed = true;
    assert_eq!(ending.status().state, ServiceState::Draining);
    let mut vanished = Scene::commands(1).up(0);
    vanished.world.services.clear();
    let status = vanished.status();
    assert_eq!(status.state, ServiceState::Degraded);
    assert_eq!(status.source, "none: its record vanished");
    assert!(status.detail.contains("vanished"), "{}", status.detail);
}

#[test]
fn numbers_and_words_come_from_where_they_are_known_best() {
    let mut scene = Scene::commands(1).up(0).intent(|it| it.replicas = Some(4));
    scene.traffic = vec![traffic(false, 3)];
    scene.endpoints = vec![EndpointView {
        service: library(),
        slot: SlotIndex(0),
        generation: GENERATION,
        run: Run(2),
        address: ([127, 0, 0, 1], 20_000).into(),
        verdict: Verdict::Suspect,
        standing: "suspect".to_owned(),
        reason: "no answer in 1s".to_owned(),
        since: LONG_AGO,
        in_flight: 3,
        requests: 90,
        failures: 1,
    }];
    let status = scene.status();
    let by_hand = status.by_hand.unwrap();
    assert_eq!((by_hand.replicas, by_hand.file_says), (4, 1));
    assert_eq!(
        (by_hand.who.as_str(), by_hand.since_ms),
        ("alice", LONG_AGO.0)
    );
    assert_eq!(status.routes, ["example.org/library"]);
    assert_eq!((status.requests, status.gateway_errors), (100, 2));
    assert_eq!((status.p50_ms, status.p95_ms), (Some(1.5), None));
    let it = &status.instances[0];
    // The gateway of this process is newer than what the store has.
    assert_eq!(it.verdict, "suspect");
    assert_eq!(it.reason, "no answer in 1s");
    assert_eq!((it.requests, it.failures, it.run), (90, 1, 2));
    // But not about another run.
    scene.endpoints[0].run = Run(1);
    assert_eq!(scene.status().instances[0].verdict, "up");
}

#[test]
fn one_gateway_that_sees_nothing_is_not_believed_against_the_others() {
    let told = |verdicts: [Verdict; 3]| {
        let mut scene = Scene::commands(1).up(0);
        let (key, report) = scene.world.verdicts.pop_first().unwrap();
        scene.world.gateways.clear();
        for (name, verdict) in ["g", "h", "i"].into_iter().zip(verdicts) {
            let gateway = GatewayId::parse(name).unwrap();
            let alive = minato_health::GatewayAlive {
                v: 1,
                since: LONG_AGO,
            };
            scene.world.gateways.insert(gateway.clone(), stored(alive));
            let mut report = report.clone();
            report.value.verdict = verdict;
            if verdict == Verdict::Down {
                report.value.reason = "connect timeout".to_owned();
            }
            let key = (key.0.clone(), key.1, gateway);
            scene.world.verdicts.insert(key, report);
        }
        let it = scene.status().instances.remove(0);
        (it.verdict, it.reason)
    };
    use Verdict::{Down, Suspect, Up};
    let said = |verdict: &str, reason: &str| (verdict.to_owned(), reason.to_owned());
    assert_eq!(told([Up, Up, Up]), said("up", ""));
    let minority = "down for gateway h: connect timeout";
    assert_eq!(told([Up, Down, Up]), said("up", minority));
    assert_eq!(told([Suspect, Down, Up]), said("suspect", minority));
    assert_eq!(told([Down, Down, Up]), said("down", "connect timeout"));
}

#[test]
fn older_generations_are_shown_as_ending_behind_the_new_one() {
    let mut scene = Scene::commands(2).up(0).up(1);
    let slot = scene.world.slots.get_mut(&(library(), SlotIndex(0)));
    slot.unwrap().value.generation = Generation { era: 0, counter: 2 };
    let status = scene.status();
    let shown: Vec<(u16, &str, bool)> = status
        .instances
        .iter()
        .map(|it| (it.slot, it.generation.as_str(), it.removed))
        .collect();
    assert_eq!(
        shown,
        [(0, "0.2", false), (0, "0.1", true), (1, "0.1", false)]
    );
}

#[test]
fn fixed_endpoints_come_from_the_record_and_are_judged_by_the_gateways() {
    let addresses = vec![([10, 0, 0, 7], 80).into(), ([10, 0, 0, 8], 80).into()];
    let mut scene = Scene::new(Backend::Endpoints(addresses), 2);
    assert_eq!(scene.status().state, ServiceState::Settling);
    let view = |n: u16, verdict, reason: &str| EndpointView {
        service: library(),
        slot: SlotIndex(n),
        generation: Generation::default(),
        run: Run(0),
        address: ([10, 0, 0, 7], 80).into(),
        verdict,
        standing: String::new(),
        reason: reason.to_owned(),
        since: LONG_AGO,
        in_flight: 0,
        requests: 0,
        failures: 0,
    };
    scene.endpoints = vec![
        view(0, Verdict::Up, ""),
        view(1, Verdict::Down, "connect refused"),
    ];
    let status = scene.status();
    assert_eq!(status.state, ServiceState::Degraded);
    assert_eq!(
        status.detail,
        "1 of 2 fixed endpoints up; 10.0.0.8:80 down: connect refused"
    );
    scene.endpoints[1].verdict = Verdict::Up;
    scene.endpoints[1].reason.clear();
    assert_eq!(scene.status().state, ServiceState::Ok);
}

#[test]
fn a_vanished_record_of_fixed_endpoints_leaves_what_the_gateway_serves() {
    let mut scene = Scene::new(Backend::Endpoints(Vec::new()), 1);
    scene.world.services.clear();
    scene.endpoints = vec![EndpointView {
        service: library(),
        slot: SlotIndex(0),
        generation: Generation::default(),
        run: Run(0),
        address: ([10, 0, 0, 7], 80).into(),
        verdict: Verdict::Up,
        standing: "serving".to_owned(),
        reason: String::new(),
        since: LONG_AGO,
        in_flight: 0,
        requests: 0,
        failures: 0,
    }];
    let sources = Sources::new(&scene.world, &scene.traffic, &scene.endpoints, NOW);
    let all = sources.services();
    let [status] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert_eq!(status.name, "library");
    assert_eq!(status.state, ServiceState::Degraded);
    assert_eq!(
        status.detail,
        "the record of library vanished; the gateway goes on with 1 fixed endpoints"
    );
    assert_eq!(
        (status.up, status.instances[0].address.as_str()),
        (1, "10.0.0.7:80")
    );
}

#[test]
fn drain_is_settled_when_the_gateway_says_so_and_nothing_is_in_flight() {
    let drained = Scene::commands(1).up(0).intent(|it| it.drain = true);
    let of = |world: &World, traffic: Option<ServiceTraffic>| {
        settle::settled(
            world,
            &library(),
            traffic.as_ref(),
            settle::Awaited::Service,
        )
    };
    let world = &drained.world;
    assert!(!of(world, Some(traffic(false, 0))).done);
    let waiting = of(world, Some(traffic(true, 3)));
    assert!(
        !waiting.done && waiting.detail.contains("3 in flight"),
        "{waiting:?}"
    );
    assert!(of(world, Some(traffic(true, 0))).done);
    assert!(of(world, None).done, "there is no gateway here");
    // And back again.
    let back = Scene::commands(1).up(0);
    assert!(!of(&back.world, Some(traffic(true, 0))).done);
    assert!(of(&back.world, Some(traffic(false, 9))).done);
}

#[test]
fn what_runs_without_its_database_is_degraded_and_says_so() {
    let lacking = |mut scene: Scene| {
        for instance in scene.world.instances.values_mut() {
            instance.value.reason = "its database library-db is down".to_owned();
        }
        scene.status()
    };
    let status = lacking(Scene::commands(1).up(0));
    assert_eq!(status.state, ServiceState::Degraded);
    assert_eq!(
        status.instances[0].reason,
        "its database library-db is down"
    );
    let down = Scene::commands(1)
        .runs(0, Phase::Running, LONG_AGO, 0)
        .verdict(0, Verdict::Down, "status: 503");
    assert_eq!(
        lacking(down).instances[0].reason,
        "its database library-db is down; status: 503"
    );
}

#[test]
fn while_requests_wait_status_says_so_and_for_how_long() {
    use minato_config::SiteId;
    use minato_control::OperationId;
    use minato_control::hold::{HoldOrder, Holder, hold};

    let mut scene = Scene::commands(1).slot(0);
    let order = HoldOrder {
        by: Holder {
            site: SiteId::parse("osaka").unwrap(),
            operation: OperationId(12),
        },
        run: 1,
        limit_ms: 8_000,
    };
    let mut record = hold(None, &order, Timestamp(NOW.0 - 2_000))
        .unwrap()
        .unwrap();
    scene.world.holds.insert(library(), stored(record.clone()));
    let detail = |scene: &Scene| {
        let sources = Sources::new(&scene.world, &scene.traffic, &scene.endpoints, NOW);
        sources.service(&library()).detail
    };
    assert_eq!(
        detail(&scene),
        "requests wait since 2.0 s while it moves (operation 12 of osaka, try 1): 0 at this gateway, for 6.0 s more at most"
    );
    record.released = true;
    scene.world.holds.insert(library(), stored(record));
    assert!(!detail(&scene).contains("requests wait"));
}
