//! Plays a script before one core of a gateway, and keeps what was said.

use super::script::{Deed, Script, Setting, Step};
use super::words;
use crate::channel::Channel;
use crate::connection;
use crate::core::Core;
use crate::dial::Dial;
use crate::gateway::{AccessLog, Gateway, GatewayOptions};
use crate::memory::{Door, Doors, Far, Moment, pair};
use crate::metrics::Metrics;
use crate::peer::{Origin, Peer, Scheme};
use crate::{Deadlines, SorryPage};
use arc_swap::ArcSwap;
use minato_config::{
    Backend, Generation, Health, HealthProbe, HealthTiming, HostPattern, Limits, PathPrefix, Route,
    RouteAction, RoutePattern, Run, Service, ServiceName, SlotIndex, Timeouts,
};
use minato_health::Verdict;
use minato_proxy::{Endpoint, EndpointId, Intake, ServiceEntry, Shared, Standing, Table};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;
use tokio::task::yield_now;

/// Client connections of one script at most.
const CLIENTS: usize = 24;
const SEATS: usize = 4;
/// Turns after which an engine that nobody speaks to has come to rest.
const TURNS: u8 = 60;
/// What time passes in at the end, and how often: all deadlines of [`deadlines`] and of the service together.
const LAST: (Duration, u32) = (Duration::from_millis(100), 300);
/// Bytes that may be on their way in the engine, of one exchange and direction.
const HELD: usize = 200 * 1024;

/// What a script left behind.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) retries: u8,
    pub(super) clients: Vec<Far>,
    pub(super) instances: Vec<Far>,
}

/// Who asks on the connection of this number.
pub(super) fn address(client: usize) -> IpAddr {
    let last = u8::try_from(client + 1).unwrap_or(u8::MAX);
    Ipv4Addr::new(10, 0, 0, last).into()
}

/// Plays it to its end and past all deadlines.
pub(super) fn play(script: &Script) -> Played {
    // The choice between instances is the same each time, too.
    fastrand::seed(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(LocalOptions::default());
    let Ok(runtime) = runtime else {
        unreachable!("a runtime without input and output needs nothing of the system");
    };
    runtime.block_on(async {
        let mut stage = Stage::new(script.setting);
        for (step, turns) in &script.steps {
            stage.take(step).await;
            stage.run(*turns).await;
        }
        stage.close().await
    })
}

struct Stage {
    core: Rc<Core>,
    shared: Arc<Shared>,
    endpoints: Vec<Arc<Endpoint>>,
    doors: Doors,
    moment: Moment,
    setting: Setting,
    /// Which client connection has which seat.
    seats: [usize; SEATS],
    clients: Vec<(Far, Vec<u8>)>,
    instances: Vec<(Far, Vec<u8>)>,
    /// Numbers messages.
    number: usize,
    _evidence: mpsc::Receiver<crate::Evidence>,
}

impl Stage {
    fn new(setting: Setting) -> Self {
        let moment = Moment::default();
        let doors = Doors::new(&moment, setting.room);
        let service = service(setting);
        let endpoints: Vec<_> = (0..2).map(|slot| endpoint(&service.name, slot)).collect();
        let shared = Shared::new(&service);
        let entry = ServiceEntry::new(
            Arc::new(service),
            Arc::clone(&shared),
            endpoints.clone(),
            Intake::Open,
        );
        let (evidence, heard) = mpsc::channel(16);
        let Ok(metrics) = Metrics::new() else {
            unreachable!("fixed names register");
        };
        let options = GatewayOptions {
            table: Arc::new(ArcSwap::from_pointee(Table::default().with(entry))),
            evidence,
            metrics,
            trusted_proxies: Vec::new(),
            sorry: SorryPage::default(),
            access_log: AccessLog::Off,
            kept_log: None,
            connections: CLIENTS,
            workers: None,
            redirect: None,
            link: None,
        };
        let gateway = Gateway::with_deadlines(options, deadlines());
        let core = Core::with_dial(gateway, Dial::Memory(doors.clone()));
        let keeps = Rc::clone(&core);
        tokio::task::spawn_local(async move { keeps.keep_time(0).await });
        let mut stage = Self {
            core,
            shared,
            endpoints,
            doors,
            moment,
            setting,
            seats: [0; SEATS],
            clients: Vec::new(),
            instances: Vec::new(),
            number: 0,
            _evidence: heard,
        };
        (0..SEATS).for_each(|seat| stage.connect(seat));
        stage
    }

    fn connect(&mut self, seat: usize) {
        if self.clients.len() == CLIENTS || !self.core.gateway.places.take() {
            return;
        }
        let (near, far) = pair(&self.moment, self.setting.room);
        let peer = Peer {
            address: SocketAddr::new(address(self.clients.len()), 1024),
            scheme: Scheme::Http,
            origin: Origin::Visitor,
        };
        let open = self.core.opened();
        connection::spawn(&self.core, open, Channel::Memory(near), peer);
        self.seats[seat] = self.clients.len();
        self.clients.push((far, Vec::new()));
    }

    async fn take(&mut self, step: &Step) {
        self.number += 1;
        let number = self.number;
        match step {
            Step::Connect { seat } => self.connect(*seat),
            Step::Ask { seat, word } => {
                self.client(*seat).1.extend(words::request(*word, number));
            }
            Step::AskBytes { seat, bytes } => self.client(*seat).1.extend(bytes),
            Step::SaySome { seat, count } => say_some(self.client(*seat), *count),
            Step::Client { seat, does } => act(&mut self.client(*seat).0, *does),
            Step::Answer { line, word } => {
                if let Some(instance) = self.instance(*line) {
                    instance.1.extend(words::answer(*word, number));
                }
            }
            Step::AnswerBytes { line, bytes } => {
                if let Some(instance) = self.instance(*line) {
                    instance.1.extend(bytes);
                }
            }
            Step::AnswerSome { line, count } => {
                if let Some(instance) = self.instance(*line) {
                    say_some(instance, *count);
                }
            }
            Step::Instance { line, does } => {
                if let Some(instance) = self.instance(*line) {
                    act(&mut instance.0, *does);
                }
            }
            Step::Door(door) => self.doors.set(*door),
            Step::Stand { endpoint, standing } => self.endpoints[*endpoint].set_standing(
                [
                    Standing::Up,
                    Standing::Suspect,
                    Standing::Held,
                    Standing::Out,
                ][usize::from(*standing)],
            ),
            Step::Pass(time) => pass(*time).await,
            Step::Run => self.run(TURNS).await,
        }
    }

    fn client(&mut self, seat: usize) -> &mut (Far, Vec<u8>) {
        &mut self.clients[self.seats[seat]]
    }

    /// The last connections to instances, the newest first.
    fn instance(&mut self, line: usize) -> Option<&mut (Far, Vec<u8>)> {
        let count = self.instances.iter().filter(|it| !it.0.is_left()).count();
        let open = self.instances.iter_mut().rev();
        let mut open = open.filter(|it| !it.0.is_left());
        open.nth(line.checked_rem(count)?)
    }

    async fn run(&mut self, turns: u8) {
        for _ in 0..turns {
            yield_now().await;
            self.clients.iter_mut().for_each(|it| it.0.hear());
            for (_, made) in self.doors.made() {
                self.instances.push((made, Vec::new()));
            }
            self.instances.iter_mut().for_each(|it| it.0.hear());
        }
        self.is_bounded();
    }

    /// What the engine took of all sides and has not passed on.
    fn is_bounded(&self) {
        let all = || self.clients.iter().chain(&self.instances);
        let taken: usize = all().map(|it| it.0.taken()).sum();
        let given: usize = all().map(|it| it.0.heard.borrow().history.len()).sum();
        let most = HELD * (self.clients.len() + self.instances.len());
        assert!(taken <= given + most, "{taken} bytes in, {given} out");
    }

    fn is_over(&self) -> bool {
        let is_left = |it: &Arc<Endpoint>| it.connections() == 0;
        self.core.open() == 0 && self.endpoints.iter().all(is_left)
    }

    /// All peers say what they still have to say and leave; then every deadline passes.
    async fn close(mut self) -> Played {
        self.doors.set(Door::Refuses);
        for peer in self.clients.iter_mut().chain(&mut self.instances) {
            peer.0.hears_all();
        }
        self.run(TURNS).await;
        for peer in self.clients.iter_mut().chain(&mut self.instances) {
            peer.0.end();
        }
        for _ in 0..LAST.1 {
            tokio::time::advance(LAST.0).await;
            self.run(3).await;
            if self.is_over() {
                break;
            }
        }
        assert_eq!(self.core.open(), 0, "client connections are left over");
        assert_eq!(self.shared.queue.in_flight(), 0, "requests are left over");
        assert_eq!(self.shared.queue.waiting(), 0, "waiters are left over");
        for endpoint in &self.endpoints {
            assert_eq!(endpoint.in_flight(), 0, "in flight is left over");
            assert_eq!(endpoint.connections(), 0, "connections are left over");
            assert_eq!(endpoint.idle_connections(), 0, "idle ones are left over");
        }
        assert!(self.clients.iter().all(|it| it.0.is_left()));
        assert!(self.instances.iter().all(|it| it.0.is_left()));
        Played {
            retries: self.setting.retries,
            clients: self.clients.into_iter().map(|it| it.0).collect(),
            instances: self.instances.into_iter().map(|it| it.0).collect(),
        }
    }
}

/// In steps, for the engine counts its own ticks.
async fn pass(time: Duration) {
    for _ in 0..time.as_millis().div_ceil(LAST.0.as_millis()) {
        tokio::time::advance(LAST.0).await;
        yield_now().await;
    }
}

fn say_some((far, unsaid): &mut (Far, Vec<u8>), count: usize) {
    let count = if count == 0 { unsaid.len() } else { count };
    let rest = unsaid.split_off(count.min(unsaid.len()));
    far.say(unsaid);
    *unsaid = rest;
}

fn act(far: &mut Far, deed: Deed) {
    match deed {
        Deed::End => far.end(),
        Deed::Close => far.close(),
        Deed::Reset => far.reset(),
        Deed::Turn => far.turn(),
    }
}

fn deadlines() -> Deadlines {
    Deadlines {
        keep_alive: Duration::from_secs(3),
        head: Duration::from_secs(1),
        idle: Duration::from_secs(2),
        slow: Duration::from_secs(2),
        linger: Duration::from_millis(500),
        ..Deadlines::default()
    }
}

fn service(setting: Setting) -> Service {
    let pattern = RoutePattern {
        host: HostPattern::Exact("a.test".to_owned()),
        path: PathPrefix("/".to_owned()),
    };
    let Ok(name) = ServiceName::parse("library") else {
        unreachable!("it is a name");
    };
    Service {
        name,
        backend: Backend::Endpoints(Vec::new()),
        replicas: 2,
        scale: None,
        routes: vec![Route {
            pattern,
            action: RouteAction::Forward { strip: false },
        }],
        health: Health::On {
            probe: HealthProbe::Tcp,
            timing: HealthTiming::default(),
        },
        upstream: Default::default(),
        limits: Limits {
            in_flight: setting.in_flight,
            queue: 2,
            queue_timeout: Duration::from_secs(1),
            body_bytes: setting.body,
            connections: setting.connections,
            idle: setting.idle,
        },
        timeouts: Timeouts {
            connect: Duration::from_secs(1),
            first_byte: Duration::from_secs(2),
            idle: Duration::from_secs(2),
            tunnel: Duration::from_secs(3),
        },
        retries: setting.retries,
        nodes: Default::default(),
        update: Default::default(),
        depends_on: Default::default(),
        sites: None,
    }
}

fn endpoint(service: &ServiceName, slot: u16) -> Arc<Endpoint> {
    let id = EndpointId {
        service: service.clone(),
        slot: SlotIndex(slot),
        generation: Generation::default(),
        run: Run(1),
        site: None,
    };
    let address = SocketAddr::new(Ipv4Addr::new(10, 1, 0, 1).into(), 80 + slot);
    Endpoint::new(id, address, 0, Verdict::Up)
}
