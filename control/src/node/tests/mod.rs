//! Stories of one place: what happens, and what the node answers to each line.

mod adopt;
mod down;
mod health;
mod start;
mod stop;
mod waiting;

use super::*;
use crate::{Event, ScaleRecord, Standing, Standings, Stored, Usable};
use minato_config::{
    Backend, Command, DependencyName, GatewayId, Generation, Grant, Health, HealthProbe, Image,
    ImageReference, NodeId, Resources, Run, Service, ServiceName, ServiceRecord, Slot, SlotIndex,
    Source, StopPolicy, Timestamp,
};
use minato_health::{GatewayAlive, Layer, Verdict, VerdictReport};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Places of service `a` on node `n`, told line by line: `2/3` is generation 2, run 3 of `a/0`; `1:2/3` of `a/1`.
struct Story {
    node: Node,
    world: World,
    origin: Instant,
    seconds: f64,
    said: Vec<String>,
    /// Whether the store has what the node says.
    publishes: bool,
    standings: Standings,
}

fn dependency(name: &str) -> DependencyName {
    DependencyName::parse(name).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "an origin for simulated time")]
fn origin() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// `web`: a process; `web+64`: a container that may have 64 bytes; `web+64^90`: and may be raised to 90.
fn command(text: &str) -> Command {
    let (text, most) = match text.split_once('^') {
        Some((text, most)) => (text, most.parse().ok()),
        None => (text, None),
    };
    let (program, memory) = match text.split_once('+') {
        Some((program, memory)) => (program, memory.parse().ok()),
        None => (text, None),
    };
    Command {
        argv: vec![program.to_owned()],
        env: Default::default(),
        directory: None,
        port: None,
        stop: StopPolicy {
            drain: Duration::from_secs(30),
            grace: Duration::from_secs(10),
        },
        image: memory.map(|bytes| {
            Box::new(Image {
                reference: ImageReference::parse("web").unwrap(),
                port: Some(80),
                network: "bridge".to_owned(),
                pull: Default::default(),
                init: false,
                user: None,
                secrets: Default::default(),
                volumes: Default::default(),
                resources: Resources {
                    memory_bytes: Some(bytes),
                    ..Default::default()
                },
                ceiling: Grant {
                    memory_bytes: most,
                    ..Default::default()
                },
            })
        }),
    }
}

fn stored<T>(value: T) -> Stored<T> {
    Stored { value, modified: 1 }
}

fn name() -> ServiceName {
    ServiceName::parse("a").unwrap()
}

/// `1:rest`: slot 1, else 0.
fn split_slot(text: &str) -> (SlotIndex, &str) {
    match text.split_once(':') {
        Some((slot, rest)) => (SlotIndex(slot.parse().unwrap()), rest),
        None => (SlotIndex(0), text),
    }
}

fn run_text(name: &RunName) -> String {
    let RunName {
        generation, run, ..
    } = name;
    match name.slot {
        SlotIndex(0) => format!("{}/{run}", generation.counter),
        slot => format!("{slot}:{}/{run}", generation.counter),
    }
}

fn run_name(text: &str) -> RunName {
    let (slot, text) = split_slot(text);
    let (counter, run) = text.split_once('/').unwrap();
    RunName {
        service: name(),
        slot,
        generation: Generation {
            era: 0,
            counter: counter.parse().unwrap(),
        },
        run: Run(run.parse().unwrap()),
    }
}

fn no_program() -> Refusal {
    Refusal::Command("no such program".to_owned())
}

fn verdict(text: &str) -> Verdict {
    match text {
        "up" => Verdict::Up,
        "suspect" => Verdict::Suspect,
        "down" => Verdict::Down,
        _ => panic!("{text}"),
    }
}

impl Story {
    fn new() -> Self {
        Self {
            node: Node::new(NodeId::parse("n").unwrap(), Ipv4Addr::LOCALHOST.into()),
            world: World::default(),
            origin: origin(),
            seconds: 0.0,
            said: Vec::new(),
            standings: Standings::new(),
            publishes: true,
        }
    }

    fn now(&self) -> Moment {
        Moment {
            instant: self.origin + Duration::from_secs_f64(self.seconds),
            wall: Timestamp((self.seconds * 1000.0) as u64 + 1_000_000),
        }
    }

    fn hear(&mut self, actions: Vec<NodeAction>) {
        self.said
            .extend(actions.into_iter().map(|action| match action {
                NodeAction::Start { name, command, .. } => {
                    format!("start {} {}", run_text(&name), command.argv[0])
                }
                NodeAction::Adjust { name, resources } => {
                    let bytes = resources.memory_bytes.unwrap_or(0);
                    format!("adjust {} {bytes}", run_text(&name))
                }
                NodeAction::Terminate(name) => format!("term {}", run_text(&name)),
                NodeAction::Kill(name) => format!("kill {}", run_text(&name)),
                NodeAction::Release((service, slot)) => format!("release {service}/{slot}"),
                NodeAction::Tell(Event { kind, .. }) => format!("{kind:?}").to_lowercase(),
            }));
    }

    /// One line; the answer of the node to it, sorted as it came.
    fn tell(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let now = self.now();
        let actions = match words.as_slice() {
            ["at", seconds] => {
                self.seconds = seconds.parse().unwrap();
                Vec::new()
            }
            ["serve", program] | ["serve", program, "unprobed"] => {
                let health = match words.get(2) {
                    Some(_) => Health::Off,
                    None => Health::On {
                        probe: HealthProbe::Tcp,
                        timing: Default::default(),
                    },
                };
                let service = Service {
                    name: name(),
                    backend: Backend::Command(command(program)),
                    replicas: 1,
                    scale: None,
                    routes: Vec::new(),
                    health,
                    upstream: Default::default(),
                    limits: Default::default(),
                    timeouts: Default::default(),
                    retries: 1,
                    nodes: Default::default(),
                    update: Default::default(),
                    depends_on: Default::default(),
                    sites: None,
                };
                let source = Source::File {
                    path: "services/a.toml".into(),
                };
                let record = ServiceRecord {
                    v: 1,
                    source,
                    service,
                    removed: false,
                };
                self.world.services.insert(name(), stored(record));
                Vec::new()
            }
            ["grant", bytes] => {
                let record = ScaleRecord {
                    v: 1,
                    replicas: 1,
                    reason: String::new(),
                    since: Timestamp(0),
                    grant: Some(Grant {
                        memory_bytes: bytes.parse().ok(),
                        ..Default::default()
                    }),
                };
                self.world.scales.insert(name(), stored(record));
                Vec::new()
            }
            ["ungrant"] => {
                self.world.scales.clear();
                Vec::new()
            }
            ["needs", names] => {
                let names = names.split(',').map(dependency);
                let record = self.world.services.get_mut(&name()).unwrap();
                record.value.service.depends_on = names.collect();
                Vec::new()
            }
            [which @ ("db" | "cache"), how] => {
                let state = match *how {
                    "up" => Usable::Yes,
                    "down" => Usable::No("10.0.0.9:3306 connect refused".to_owned()),
                    _ => Usable::Unknown,
                };
                let noun = "database";
                self.standings
                    .insert(dependency(which), Standing { noun, state });
                self.node.depend(self.standings.clone());
                Vec::new()
            }
            ["unserve"] => {
                self.world.services.clear();
                Vec::new()
            }
            ["slot", node, counter, program, rest @ ..] => {
                let (n, node) = split_slot(node);
                let slot = Slot {
                    v: 1,
                    node: NodeId::parse(node).unwrap(),
                    generation: Generation {
                        era: 0,
                        counter: counter.parse().unwrap(),
                    },
                    digest: command(program).digest(),
                    restart: None,
                    removed: rest == ["removed"],
                };
                self.world.slots.insert((name(), n), stored(slot));
                Vec::new()
            }
            ["ungateway"] => {
                self.world.gateways.clear();
                Vec::new()
            }
            ["mute"] => {
                self.publishes = false;
                Vec::new()
            }
            ["heard"] => {
                self.publishes = true;
                self.publish();
                Vec::new()
            }
            ["unslot"] => {
                self.world.slots.clear();
                Vec::new()
            }
            ["gateway", gateway] => {
                let alive = GatewayAlive {
                    v: 1,
                    since: Timestamp(0),
                };
                self.world
                    .gateways
                    .insert(GatewayId::parse(gateway).unwrap(), stored(alive));
                Vec::new()
            }
            ["says", gateway, run, what] => {
                let run = run_name(run);
                let slot = run.slot;
                let report = VerdictReport {
                    v: 1,
                    generation: run.generation,
                    run: run.run,
                    verdict: if *what == "drained" {
                        Verdict::Up
                    } else {
                        verdict(what)
                    },
                    reason: String::new(),
                    since: Timestamp(0),
                    drained: *what == "drained",
                };
                let key = (name(), slot, GatewayId::parse(gateway).unwrap());
                self.world.verdicts.insert(key, stored(report));
                Vec::new()
            }
            ["local", run, what, layer @ ..] => {
                let layer = match layer {
                    ["status"] => Some(Layer::Status),
                    _ if *what == "up" => None,
                    _ => Some(Layer::NoAnswer),
                };
                self.node
                    .local(&run_name(run), Some(verdict(what)), layer, now);
                Vec::new()
            }
            ["started", run] => self.node.started(&run_name(run), 77, 2000, None, now),
            ["refused", run] => {
                self.node
                    .not_started(&run_name(run), 2000, &no_program(), now, 0.0)
            }
            ["away", run] => {
                let why = Refusal::Away("the engine does not answer".to_owned());
                self.node.not_started(&run_name(run), 0, &why, now, 0.0)
            }
            ["adjusted", run] => self.node.adjusted(&run_name(run), Ok(()), now),
            ["unadjusted", run] => {
                let why = Err("more is in use".to_owned());
                self.node.adjusted(&run_name(run), why, now)
            }
            ["held", run] => {
                let why = Refusal::PortHeld("old/0 has it".to_owned());
                self.node.not_started(&run_name(run), 0, &why, now, 0.0)
            }
            ["ended", run] => self
                .node
                .ended(&run_name(run), "exited with status 3", now, 0.0),
            ["found", run, state, program] => {
                let state = match *state {
                    "running" => LeftState::Running {
                        pid: 77,
                        age: Duration::from_secs(5),
                    },
                    "dead" => LeftState::Ended("killed by signal 9".into()),
                    "stopped" => LeftState::Stopped,
                    _ => panic!("{state}"),
                };
                let left = Left {
                    name: run_name(run),
                    command: Some(Box::new(command(program))),
                    digest: command(program).digest(),
                    port: 2000,
                    address: None,
                    state,
                };
                self.node.adopt(left, None, now, 0.0)
            }
            ["close"] => {
                self.node.close();
                Vec::new()
            }
            ["look"] => Vec::new(),
            _ => panic!("{line}"),
        };
        self.hear(actions);
        let now = self.now();
        let decided = self.node.reconcile(&self.world, now);
        self.hear(decided);
        // Nothing new is decided without anything new.
        let again = self.node.reconcile(&self.world, now);
        assert_eq!(again, [], "after {line}");
        if self.publishes {
            self.publish();
        }
        let again = self.node.reconcile(&self.world, now);
        assert_eq!(again, [], "after {line}");
        let wake = self.node.next_wake(now.instant);
        assert!(wake.is_none_or(|it| it > now.instant), "after {line}");
        std::mem::take(&mut self.said).join(", ")
    }

    fn publish(&mut self) {
        let documents = self.node.documents().into_iter();
        self.world.instances = documents.map(|(key, it)| (key, stored(it))).collect();
    }

    fn document(&self) -> Option<Instance> {
        let mut documents = self.node.documents();
        assert!(documents.len() <= 1);
        documents.pop_first().map(|it| it.1)
    }
}

/// Each line is `what happens => what is answered`; without `=>` nothing is.
#[track_caller]
fn check(text: &str) -> Story {
    let mut story = Story::new();
    for line in text.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let (told, expected) = line.split_once("=>").unwrap_or((line, ""));
        assert_eq!(story.tell(told.trim()), expected.trim(), "{line}");
    }
    story
}
