//! Builds small worlds for tests.

use super::*;
use crate::{InstanceKey, RolloutRecord, Stored, Version};
use minato_config::{
    Backend, Command, DependencyName, GatewayId, Generation, Health, HealthProbe, HealthTiming,
    Intent, Limits, NodeId, Run, Service, ServiceRecord, Source, StopPolicy, Timeouts, UpdateOrder,
};
use minato_health::{
    GatewayAlive, Instance, NodeAlive, NodeDrain, NodeInfo, NodeLoad, NodeReach, Phase, Verdict,
    VerdictReport,
};

/// The time in every test; long after everything began.
pub(in crate::plan) const NOW: Timestamp = Timestamp(1_000_000);

/// A world under construction, about one service. Everything is written at revision 0 unless `at` says otherwise.
#[derive(Clone)]
pub(in crate::plan) struct Scene {
    pub(in crate::plan) world: World,
    name: ServiceName,
    revision: u64,
}

impl Scene {
    /// Node a, gateway g, and `library` with this many replicas of version 1.
    pub(in crate::plan) fn of(replicas: u16) -> Self {
        Self::empty()
            .service("library", replicas)
            .node("a")
            .gateway("g")
    }

    pub(in crate::plan) fn empty() -> Self {
        Self {
            world: World::default(),
            name: name("library"),
            revision: 0,
        }
    }

    /// Adds a service; what follows speaks of it.
    pub(in crate::plan) fn service(mut self, text: &str, replicas: u16) -> Self {
        self.name = name(text);
        let record = ServiceRecord {
            v: 1,
            source: Source::File {
                path: format!("services/{text}.toml"),
            },
            service: Service {
                name: name(text),
                backend: Backend::Command(command("1")),
                replicas,
                scale: None,
                routes: Vec::new(),
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
        let record = self.stored(record);
        self.world.services.insert(name(text), record);
        self
    }

    /// Everything added from here on was written by this commit.
    pub(in crate::plan) fn at(mut self, revision: u64) -> Self {
        self.revision = revision;
        self
    }

    fn stored<T>(&self, value: T) -> Stored<T> {
        Stored {
            value,
            modified: self.revision,
        }
    }

    pub(in crate::plan) fn node(mut self, text: &str) -> Self {
        let alive = self.stored(NodeAlive {
            v: 1,
            since: Timestamp(0),
        });
        self.world.nodes.insert(NodeId::parse(text).unwrap(), alive);
        self
    }

    /// What the agent says of its machine: 2 processors and no memory, changed by `change`.
    pub(in crate::plan) fn info(mut self, text: &str, change: impl FnOnce(&mut NodeInfo)) -> Self {
        let node = NodeId::parse(text).unwrap();
        let fresh = self.stored(NodeInfo {
            v: 1,
            version: "0.1.0".to_owned(),
            cpus: 2,
            memory_bytes: 0,
            labels: Default::default(),
            overcommit: Default::default(),
        });
        change(&mut self.world.node_infos.entry(node).or_insert(fresh).value);
        self
    }

    pub(in crate::plan) fn label(self, node: &str, label: &str, value: &str) -> Self {
        self.info(node, |it| {
            it.labels.insert(label.to_owned(), value.to_owned());
        })
    }

    /// The service asks for a label.
    pub(in crate::plan) fn label_wanted(self, label: &str, value: &str) -> Self {
        self.record(|it| {
            let nodes = &mut it.service.nodes;
            nodes.insert(label.to_owned(), value.to_owned());
        })
    }

    pub(in crate::plan) fn load(mut self, node: &str, load: NodeLoad) -> Self {
        let node = NodeId::parse(node).unwrap();
        self.world.node_loads.insert(node, self.stored(load));
        self
    }

    /// The node does not reach this, as its agent says.
    pub(in crate::plan) fn lacks(mut self, node: &str, dependency: &str) -> Self {
        let fresh = self.stored(NodeReach {
            v: 1,
            lacks: Default::default(),
        });
        let node = NodeId::parse(node).unwrap();
        let reach = self.world.reaches.entry(node).or_insert(fresh);
        let name = DependencyName::parse(dependency).unwrap();
        let why = "server: 10.0.0.9:1 connect refused".to_owned();
        reach.value.lacks.insert(name, why);
        self
    }

    /// The service cannot do without this.
    pub(in crate::plan) fn depends_on(self, dependency: &str) -> Self {
        self.record(|it| {
            let names = &mut it.service.depends_on;
            names.insert(DependencyName::parse(dependency).unwrap());
        })
    }

    pub(in crate::plan) fn drained(mut self, node: &str) -> Self {
        let drain = self.stored(NodeDrain {
            v: 1,
            drain: true,
            who: "alice".to_owned(),
            since: Timestamp(0),
        });
        let node = NodeId::parse(node).unwrap();
        self.world.drains.insert(node, drain);
        self
    }

    pub(in crate::plan) fn gateway(mut self, text: &str) -> Self {
        let alive = self.stored(GatewayAlive {
            v: 1,
            since: Timestamp(0),
        });
        let id = GatewayId::parse(text).unwrap();
        self.world.gateways.insert(id, alive);
        self
    }

    pub(in crate::plan) fn record(mut self, change: impl FnOnce(&mut ServiceRecord)) -> Self {
        change(&mut self.world.services.get_mut(&self.name).unwrap().value);
        self
    }

    pub(in crate::plan) fn version(self, version: &str) -> Self {
        self.record(|it| it.service.backend = Backend::Command(command(version)))
    }

    /// Each instance is replaced in its place.
    pub(in crate::plan) fn in_place(self) -> Self {
        self.record(|it| it.service.update.order = UpdateOrder::StopFirst)
    }

    pub(in crate::plan) fn rollout(mut self, change: impl FnOnce(&mut RolloutRecord)) -> Self {
        let fresh = self.stored(RolloutRecord {
            v: 1,
            ..RolloutRecord::default()
        });
        let rollout = self.world.rollouts.entry(self.name.clone());
        change(&mut rollout.or_insert(fresh).value);
        self
    }

    pub(in crate::plan) fn intent(mut self, change: impl FnOnce(&mut Intent)) -> Self {
        let fresh = self.stored(Intent::default());
        let intent = self.world.intents.entry(self.name.clone()).or_insert(fresh);
        change(&mut intent.value);
        self
    }

    /// A slot of version 1 in generation 0.`counter`, without an instance.
    pub(in crate::plan) fn slot(mut self, n: u16, node: &str, counter: u64) -> Self {
        let slot = self.stored(Slot {
            v: 1,
            node: NodeId::parse(node).unwrap(),
            generation: generation(counter),
            digest: command("1").digest(),
            restart: None,
            removed: false,
        });
        let key = (self.name.clone(), SlotIndex(n));
        self.world.slots.insert(key, slot);
        self
    }

    pub(in crate::plan) fn change_slot(mut self, n: u16, change: impl FnOnce(&mut Slot)) -> Self {
        let key = (self.name.clone(), SlotIndex(n));
        change(&mut self.world.slots.get_mut(&key).unwrap().value);
        self
    }

    pub(in crate::plan) fn lose_slot(mut self, n: u16) -> Self {
        let key = (self.name.clone(), SlotIndex(n));
        assert!(self.world.slots.remove(&key).is_some());
        self
    }

    pub(in crate::plan) fn drop_slot(self, n: u16) -> Self {
        self.lose_slot(n).drop_instances(n)
    }

    pub(in crate::plan) fn drop_instances(mut self, n: u16) -> Self {
        self.world.instances.retain(|key, _| key.slot.0 != n);
        self
    }

    /// An instance, in its phase for 100 s.
    pub(in crate::plan) fn instance(
        mut self,
        n: u16,
        node: &str,
        counter: u64,
        phase: Phase,
    ) -> Self {
        let key = InstanceKey {
            node: NodeId::parse(node).unwrap(),
            service: self.name.clone(),
            slot: SlotIndex(n),
            generation: generation(counter),
        };
        let instance = self.stored(Instance {
            v: 1,
            run: Run(1),
            phase,
            address: ([127, 0, 0, 1], 20_000 + n).into(),
            since: Timestamp(NOW.0 - 100_000),
            pid: None,
            restarts: 0,
            local: None,
            reason: match phase {
                Phase::Exited | Phase::Failed => "exited with status 3".to_owned(),
                Phase::Running | Phase::Stopping => String::new(),
            },
            retry_at: None,
        });
        self.world.instances.insert(key, instance);
        self
    }

    pub(in crate::plan) fn change_instances(mut self, change: impl Fn(&mut Instance)) -> Self {
        let all = self.world.instances.values_mut();
        all.for_each(|it| change(&mut it.value));
        self
    }

    /// Gateway `by` reports on run 1, since 100 s.
    pub(in crate::plan) fn verdict(
        mut self,
        n: u16,
        by: &str,
        counter: u64,
        verdict: Verdict,
    ) -> Self {
        let report = self.stored(VerdictReport {
            v: 1,
            generation: generation(counter),
            run: Run(1),
            verdict,
            reason: match verdict {
                Verdict::Up => String::new(),
                Verdict::Suspect | Verdict::Down => "connect refused".to_owned(),
            },
            since: Timestamp(NOW.0 - 100_000),
            drained: false,
        });
        let gateway = GatewayId::parse(by).unwrap();
        let key = (self.name.clone(), SlotIndex(n), gateway);
        self.world.verdicts.insert(key, report);
        self
    }

    pub(in crate::plan) fn change_verdicts(mut self, change: impl Fn(&mut VerdictReport)) -> Self {
        let all = self.world.verdicts.values_mut();
        all.for_each(|it| change(&mut it.value));
        self
    }

    /// Slot, running instance, and what gateway g says of it.
    pub(in crate::plan) fn running(
        self,
        n: u16,
        node: &str,
        counter: u64,
        verdict: Verdict,
    ) -> Self {
        self.slot(n, node, counter)
            .instance(n, node, counter, Phase::Running)
            .verdict(n, "g", counter, verdict)
    }

    pub(in crate::plan) fn up(self, n: u16, node: &str, counter: u64) -> Self {
        self.running(n, node, counter, Verdict::Up)
    }

    /// Compares the plan, line by line.
    #[track_caller]
    pub(in crate::plan) fn plans(&self, expected: &[&str]) {
        let plan = plan(&self.world, NOW);
        let text = plan.to_string();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert_eq!(plan, super::plan(&self.world.clone(), NOW));
    }

    #[track_caller]
    pub(in crate::plan) fn is_done(&self, expected: &str) {
        let found = settled(&self.world, &self.name);
        assert_eq!(found, Settled::Done(expected.to_owned()));
    }

    #[track_caller]
    pub(in crate::plan) fn waits(&self, expected: &str) {
        let found = settled(&self.world, &self.name);
        assert_eq!(found, Settled::Waiting(expected.to_owned()));
    }
}

pub(in crate::plan) fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

pub(in crate::plan) fn generation(counter: u64) -> Generation {
    Generation { era: 0, counter }
}

pub(in crate::plan) fn command(version: &str) -> Command {
    Command {
        argv: vec!["serve".to_owned(), version.to_owned()],
        env: Default::default(),
        directory: None,
        port: None,
        stop: StopPolicy::default(),
        image: None,
    }
}

/// `command(version)` as a rollout remembers it.
pub(in crate::plan) fn version(version: &str) -> Version {
    let command = command(version);
    Version {
        digest: command.digest(),
        asked: command.digest(),
        image: None,
        command: Box::new(command),
        restart: None,
        number: None,
        since: Timestamp(0),
    }
}
