//! The simulated site: what the store holds, and what is true of processes.

use minato_config::{
    Backend, Command, GatewayId, Generation, Health, HealthProbe, HealthTiming, Limits, NodeId,
    Restart, Run, Service, ServiceName, ServiceRecord, SlotIndex, Source, StopPolicy, Timeouts,
    Timestamp, UpdateOrder, UpdatePolicy,
};
use minato_control::{InstanceKey, Rollouts, Stored, World};
use minato_health::{Instance, Phase, Verdict};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Lines of history that a failure prints.
const HISTORY: usize = 60;

/// A process, dead ones included until their agent has noticed.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) generation: Generation,
    pub(crate) run: Run,
    pub(crate) digest: String,
    pub(crate) restart: Option<Restart>,
    pub(crate) nature: Nature,
    pub(crate) state: State,
    /// Ends since the generation began; five spend the budget.
    pub(crate) ends: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Alive,
    Frozen,
    Dead,
}

/// What a version of a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    Good,
    /// Lives and never answers.
    Mute,
    /// Exits at once.
    Crash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leader {
    ReadsItsWrites,
    Forgets,
}

/// One gateway's memory of a slot.
#[derive(Debug, Clone)]
pub(crate) struct Opinion {
    pub(crate) generation: Generation,
    pub(crate) run: Run,
    pub(crate) verdict: Verdict,
    pub(crate) streak: u8,
    pub(crate) since: Timestamp,
}

/// How often things happened: a simulation in which nothing happens proves nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(pub(crate) BTreeMap<&'static str, u64>);

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    pub(crate) fn assert_all_happened(&self) {
        for what in [
            "assign",
            "remove",
            "forget",
            "forget service",
            "restore",
            "roll",
            "take over",
            "revert",
            "done",
            "fix",
            "retry",
            "round",
            "balanced",
            "stale",
        ] {
            assert!(self.0.contains_key(what), "`{what}` never happened");
        }
    }
}

pub(crate) struct Site {
    pub(crate) seed: u64,
    pub(crate) random: fastrand::Rng,
    pub(crate) now: Timestamp,
    /// What the store holds now.
    pub(crate) store: World,
    /// What the leader saw last.
    pub(crate) view: World,
    /// The leader's last commit.
    pub(crate) committed: u64,
    pub(crate) processes: BTreeMap<(NodeId, ServiceName, SlotIndex), Process>,
    pub(crate) nodes: BTreeSet<NodeId>,
    pub(crate) agents_down: BTreeSet<NodeId>,
    pub(crate) gateways: BTreeMap<GatewayId, BTreeMap<(ServiceName, SlotIndex), Opinion>>,
    pub(crate) names: Vec<ServiceName>,
    pub(crate) version: u32,
    /// Highest generation that a slot ever had.
    pub(crate) highest: BTreeMap<(ServiceName, SlotIndex), Generation>,
    /// Slots whose ready instance a plan took, and that were not ready since.
    pub(crate) taken: BTreeSet<(ServiceName, SlotIndex)>,
    /// When a plan last tried a failed slot again.
    pub(crate) retried: BTreeMap<(ServiceName, SlotIndex), Timestamp>,
    /// Services with a slot document that was written again; which version they run is not sure.
    pub(crate) restored: BTreeSet<ServiceName>,
    pub(crate) counts: Counts,
    /// The leader's memory, and the origin of its clock.
    pub(crate) rollouts: Rollouts,
    pub(crate) began: Instant,
    history: VecDeque<String>,
}

#[expect(clippy::disallowed_methods, reason = "an origin for simulated time")]
fn origin() -> Instant {
    Instant::now()
}

impl Site {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let few = |random: &mut fastrand::Rng| 1 + random.usize(0..3);
        let nodes = ["a", "b", "c"].into_iter().take(few(&mut random));
        let gateways = ["g", "h", "i"].into_iter().take(few(&mut random));
        let names = ["archive", "journal", "library"]
            .into_iter()
            .take(few(&mut random));
        let mut site = Self {
            seed,
            now: Timestamp(10_000_000),
            store: World::default(),
            view: World::default(),
            committed: 0,
            processes: BTreeMap::new(),
            nodes: nodes.flat_map(NodeId::parse).collect(),
            agents_down: BTreeSet::new(),
            gateways: gateways
                .flat_map(GatewayId::parse)
                .map(|it| (it, BTreeMap::new()))
                .collect(),
            names: names.flat_map(ServiceName::parse).collect(),
            version: 0,
            highest: BTreeMap::new(),
            taken: BTreeSet::new(),
            retried: BTreeMap::new(),
            restored: BTreeSet::new(),
            counts: Counts::default(),
            rollouts: Rollouts::default(),
            began: origin(),
            history: VecDeque::new(),
            random,
        };
        for name in site.names.clone() {
            let nature = Nature::Good;
            site.write_record(&name, nature);
        }
        site
    }

    /// Half of the sites have a leader that forgets its own commits; there no slot document vanishes, because only
    /// remembering tells a slot that came and went from one that never was.
    pub(crate) fn leader(&self) -> Leader {
        match self.seed % 2 {
            0 => Leader::ReadsItsWrites,
            _ => Leader::Forgets,
        }
    }

    pub(crate) fn note(&mut self, line: &str) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(format!("{:>10} {line}", self.now.0));
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.0.entry(what).or_default() += 1;
    }

    /// A new commit with this document.
    pub(crate) fn stored<T>(&mut self, value: T) -> Stored<T> {
        self.store.revision += 1;
        Stored {
            value,
            modified: self.store.revision,
        }
    }

    /// A new commit that deletes something.
    pub(crate) fn deleted(&mut self) {
        self.store.revision += 1;
    }

    pub(crate) fn one_of<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        match all.len() {
            0 => None,
            count => all.get(self.random.usize(0..count)).cloned(),
        }
    }

    /// A fresh command of this nature, as a file edit would write it.
    pub(crate) fn write_record(&mut self, name: &ServiceName, nature: Nature) {
        self.version += 1;
        let before = self.store.services.get(name).map(|it| &it.value.service);
        let (replicas, health, update) = match before {
            Some(it) => (it.replicas, it.health.clone(), it.update.clone()),
            None => {
                let update = self.any_update();
                (1 + self.random.u16(0..4), self.any_health(), update)
            }
        };
        let command = Command {
            argv: vec![format!("{nature:?}"), self.version.to_string()],
            env: BTreeMap::new(),
            directory: None,
            port: None,
            stop: StopPolicy::default(),
            image: None,
        };
        let record = ServiceRecord {
            v: 1,
            source: Source::File {
                path: format!("services/{name}.toml"),
            },
            service: Service {
                name: name.clone(),
                backend: Backend::Command(command),
                replicas,
                scale: None,
                routes: Vec::new(),
                health,
                upstream: Default::default(),
                limits: Limits::default(),
                timeouts: Timeouts::default(),
                retries: 1,
                nodes: Default::default(),
                update,
                depends_on: Default::default(),
                sites: None,
            },
            removed: false,
        };
        let record = self.stored(record);
        self.store.services.insert(name.clone(), record);
    }

    fn any_update(&mut self) -> UpdatePolicy {
        let stop_first = self.random.u8(0..4) == 0;
        UpdatePolicy {
            healthy: Duration::from_secs(self.random.u64(0..6)),
            deadline: Duration::from_secs(60),
            parallel: 1 + self.random.u16(0..2),
            order: if stop_first {
                UpdateOrder::StopFirst
            } else {
                UpdateOrder::StartFirst
            },
        }
    }

    fn any_health(&mut self) -> Health {
        match self.random.u8(0..8) {
            0 => Health::Off,
            _ => Health::On {
                probe: HealthProbe::Tcp,
                timing: HealthTiming::default(),
            },
        }
    }

    pub(crate) fn write_instance(
        &mut self,
        key: InstanceKey,
        run: Run,
        phase: Phase,
        reason: &str,
    ) {
        let instance = Instance {
            v: 1,
            run,
            phase,
            address: ([127, 0, 0, 1], 20_000).into(),
            since: self.now,
            pid: None,
            restarts: 0,
            local: None,
            reason: reason.to_owned(),
            retry_at: None,
        };
        let instance = self.stored(instance);
        self.store.instances.insert(key, instance);
    }
}

/// What a command does, and its digest.
pub(crate) fn command_of(record: &ServiceRecord) -> Option<(Nature, String)> {
    let Backend::Command(command) = &record.service.backend else {
        return None;
    };
    Some((nature_of(command), command.digest()))
}

fn nature_of(command: &Command) -> Nature {
    match command.argv.first().map(String::as_str) {
        Some("Mute") => Nature::Mute,
        Some("Crash") => Nature::Crash,
        _ => Nature::Good,
    }
}

/// What an agent that never ran it finds of a digest: what the file says, or what the leader remembers.
pub(crate) fn nature_by_digest(world: &World, name: &ServiceName, digest: &str) -> Option<Nature> {
    let record = world.services.get(name).map(|it| &it.value);
    let current = record.and_then(command_of);
    if let Some((nature, _)) = current.filter(|(_, it)| it == digest) {
        return Some(nature);
    }
    let rollout = &world.rollouts.get(name)?.value;
    let version = rollout.versions().find(|it| it.digest == digest)?;
    Some(nature_of(&version.command))
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in &self.history {
                eprintln!("{line}");
            }
            for (key, it) in &self.store.slots {
                eprintln!(
                    "slot {}/{}: {:?} at {}",
                    key.0, key.1, it.value, it.modified
                );
            }
            for (key, process) in &self.processes {
                eprintln!("process {key:?}: {process:?}");
            }
            eprintln!("seed {}", self.seed);
        }
    }
}
