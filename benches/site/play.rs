//! Agents and gateways, as far as the store sees them.

use crate::wall;
use minato_config::{
    Backend, Command, GatewayId, Health, HealthProbe, HostPattern, Limits, NodeId, Overcommit,
    PathPrefix, Route, RouteAction, RoutePattern, Run, Service, ServiceName, ServiceRecord, Source,
    StopPolicy, Timeouts,
};
use minato_control::{InstanceKey, World};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, LeaseId, SharedStore, StoreError, follow};
use minato_health::{
    Flow, GatewayAlive, Instance, InstanceUsage, NodeAlive, NodeInfo, NodeLoad, NodeUsage, Phase,
    Verdict, VerdictReport,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// As agents and gateways have it.
const LEASE: Duration = Duration::from_secs(20);
/// How often a load is told that does not change.
const LOAD: Duration = Duration::from_secs(60);
/// Writes of one commit.
const BATCH: usize = 100;
const GATEWAYS: [&str; 2] = ["gateway-1", "gateway-2"];
/// Between two looks at what changed.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Cast {
    pub(crate) nodes: usize,
    pub(crate) services: usize,
}

/// All of them.
#[derive(Clone)]
pub(crate) struct Players {
    store: SharedStore,
    keys: Keys,
    /// Nodes that live, with their leases.
    living: Arc<Mutex<BTreeMap<NodeId, LeaseId>>>,
    gateways: LeaseId,
}

impl Players {
    /// Nodes and gateways join, services are written; nothing runs yet.
    pub(crate) async fn enter(store: SharedStore, keys: Keys, cast: Cast) -> Outcome<Self> {
        let mut living = BTreeMap::new();
        for number in 0..cast.nodes {
            let node = NodeId::parse(&format!("node-{number}"))?;
            let lease = store.grant(LEASE).await?;
            let info = NodeInfo {
                v: 1,
                version: "0.1.0".to_owned(),
                cpus: 16,
                memory_bytes: 64 << 30,
                labels: BTreeMap::new(),
                overcommit: Overcommit::default(),
            };
            let alive = NodeAlive {
                v: 1,
                since: wall(),
            };
            let commit = Commit::default()
                .and_put(keys.text(&Key::NodeInfo(node.clone())), json(&info)?, None)
                .and_put(
                    keys.text(&Key::NodeLoad(node.clone())),
                    json(&load())?,
                    None,
                )
                .and_put(
                    keys.text(&Key::NodeAlive(node.clone())),
                    json(&alive)?,
                    Some(lease),
                );
            store.commit(commit).await?;
            living.insert(node, lease);
        }
        let gateways = store.grant(LEASE).await?;
        for gateway in GATEWAYS {
            let key = keys.text(&Key::GatewayAlive(GatewayId::parse(gateway)?));
            let alive = json(&GatewayAlive {
                v: 1,
                since: wall(),
            })?;
            let commit = Commit::default().and_put(key, alive, Some(gateways));
            store.commit(commit).await?;
        }
        let mut commit = Commit::default();
        for number in 0..cast.services {
            let record = ServiceRecord {
                v: 1,
                source: Source::File {
                    path: format!("services/library-{number}.toml"),
                },
                service: service(number)?,
                removed: false,
            };
            let key = keys.text(&Key::Service(record.service.name.clone()));
            commit = commit.and_put(key, json(&record)?, None);
            if commit.write.len() == BATCH {
                store.commit(std::mem::take(&mut commit)).await?;
            }
        }
        if !commit.write.is_empty() {
            store.commit(commit).await?;
        }
        Ok(Self {
            store,
            keys,
            living: Arc::new(Mutex::new(living)),
            gateways,
        })
    }

    /// Starts what is assigned, ends what is not, keeps leases, tells loads, for ever.
    pub(crate) async fn play(self) -> Outcome {
        let keeper = tokio::spawn(self.clone().keep_leases());
        let teller = tokio::spawn(self.clone().tell_loads());
        let mut follower = follow(self.store.clone(), self.keys.clone()).await?;
        loop {
            let commits = self.answers(&follower.observed().world)?;
            for commit in commits {
                self.store.commit(commit).await?;
            }
            if keeper.is_finished() || teller.is_finished() {
                return Err("a lease or a load could not be written".into());
            }
            let _ = tokio::time::timeout(LOOK, async {
                loop {
                    if follower.next().await.is_err() {
                        tokio::time::sleep(LOOK).await;
                    }
                }
            })
            .await;
        }
    }

    /// What agents and gateways write about this world.
    fn answers(&self, world: &World) -> Outcome<Vec<Commit>> {
        let living = self.living().keys().cloned().collect::<BTreeSet<NodeId>>();
        let mut commits = vec![Commit::default()];
        let mut write = |puts: Vec<(String, Vec<u8>)>, deletes: Vec<String>| {
            if commits.last().is_none_or(|it| it.write.len() + 6 > BATCH) {
                commits.push(Commit::default());
            }
            if let Some(last) = commits.last_mut() {
                let mut commit = std::mem::take(last);
                for (key, value) in puts {
                    let lease = key.contains("/verdicts/").then_some(self.gateways);
                    commit = commit.and_put(key, value, lease);
                }
                *last = deletes.into_iter().fold(commit, Commit::and_delete);
            }
        };
        for ((service, n), slot) in &world.slots {
            let slot = &slot.value;
            let key = InstanceKey {
                node: slot.node.clone(),
                service: service.clone(),
                slot: *n,
                generation: slot.generation,
            };
            if slot.removed || !living.contains(&slot.node) || world.instances.contains_key(&key) {
                continue;
            }
            let instance = Instance {
                v: 1,
                run: Run(1),
                phase: Phase::Running,
                address: ([10, 0, 0, 1], 20_000).into(),
                since: wall(),
                pid: Some(1),
                restarts: 0,
                local: Some(Verdict::Up),
                reason: String::new(),
                retry_at: None,
            };
            let mut puts = vec![(self.instance(&key), json(&instance)?)];
            for gateway in GATEWAYS {
                puts.push(self.verdict(gateway, &key, Verdict::Up)?);
            }
            write(puts, Vec::new());
        }
        for (key, instance) in &world.instances {
            let place = (key.service.clone(), key.slot);
            let slot = world.slots.get(&place).map(|it| &it.value);
            let is_wanted = slot.is_some_and(|it| {
                !it.removed && it.generation == key.generation && it.node == key.node
            });
            if living.contains(&key.node) && !is_wanted {
                write(Vec::new(), vec![self.instance(key)]);
            } else if !living.contains(&key.node) && is_wanted && instance.value.run == Run(1) {
                let mut puts = Vec::new();
                for gateway in GATEWAYS {
                    let id = GatewayId::parse(gateway)?;
                    let said = world.verdicts.get(&(key.service.clone(), key.slot, id));
                    if said.is_some_and(|it| it.value.verdict == Verdict::Up) {
                        puts.push(self.verdict(gateway, key, Verdict::Down)?);
                    }
                }
                if !puts.is_empty() {
                    write(puts, Vec::new());
                }
            }
        }
        commits.retain(|it| !it.write.is_empty());
        Ok(commits)
    }

    fn instance(&self, key: &InstanceKey) -> String {
        self.keys.text(&Key::Instance(
            key.node.clone(),
            key.service.clone(),
            key.slot,
            key.generation,
        ))
    }

    fn verdict(
        &self,
        gateway: &str,
        key: &InstanceKey,
        verdict: Verdict,
    ) -> Outcome<(String, Vec<u8>)> {
        let report = VerdictReport {
            v: 1,
            generation: key.generation,
            run: Run(1),
            verdict,
            reason: match verdict {
                Verdict::Up => String::new(),
                Verdict::Suspect | Verdict::Down => {
                    "connect timeout: no connection in 1s".to_owned()
                }
            },
            since: wall(),
            drained: false,
        };
        let gateway = GatewayId::parse(gateway)?;
        let key = Key::Verdict(gateway, key.service.clone(), key.slot);
        Ok((self.keys.text(&key), json(&report)?))
    }

    async fn keep_leases(self) -> Outcome {
        loop {
            let leases: Vec<LeaseId> = self.living().values().copied().collect();
            for lease in leases.into_iter().chain([self.gateways]) {
                match self.store.keep_alive(lease).await {
                    // That of a node that has just vanished.
                    Ok(()) | Err(StoreError::LeaseGone { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            tokio::time::sleep(LEASE / 4).await;
        }
    }

    /// How busy each node is, and what each of its instances uses: a document each.
    async fn tell_loads(self) -> Outcome {
        let mut follower = follow(self.store.clone(), self.keys.clone()).await?;
        loop {
            let nodes: Vec<NodeId> = self.living().keys().cloned().collect();
            let pause = LOAD / u32::try_from(nodes.len().max(1))?;
            for node in nodes {
                let _ = tokio::time::timeout(pause, async {
                    while follower.next().await.is_ok() {}
                    std::future::pending::<()>().await;
                })
                .await;
                let usage = usage(&follower.observed().world, &node);
                let key = self.keys.text(&Key::NodeUsage(node.clone()));
                self.store.commit(Commit::put(key, json(&usage)?)).await?;
                let key = self.keys.text(&Key::NodeLoad(node));
                self.store.commit(Commit::put(key, json(&load())?)).await?;
            }
        }
    }

    /// This many nodes lose their power at once: their leases run out by themselves.
    pub(crate) async fn vanish(&self, count: usize) -> Outcome {
        let mut living = self.living();
        for _ in 0..count {
            living.pop_last();
        }
        Ok(())
    }

    /// Until every service is as it should be, on nodes that live.
    pub(crate) async fn until_settled(&self) -> Outcome {
        self.until(|world| self.is_settled(world)).await
    }

    /// Until every service's first version has proved itself, which is written down once for each.
    pub(crate) async fn until_stable(&self) -> Outcome {
        self.until(|world| {
            let stable = world
                .rollouts
                .values()
                .filter(|it| it.value.stable.is_some());
            Ok(stable.count() == world.services.len())
        })
        .await
    }

    async fn until(&self, holds: impl Fn(&World) -> Outcome<bool>) -> Outcome {
        let mut follower = follow(self.store.clone(), self.keys.clone()).await?;
        loop {
            if holds(&follower.observed().world)? {
                return Ok(());
            }
            let _ = tokio::time::timeout(LOOK * 4, async {
                loop {
                    if follower.next().await.is_err() {
                        tokio::time::sleep(LOOK).await;
                    }
                }
            })
            .await;
        }
    }

    fn is_settled(&self, world: &World) -> Outcome<bool> {
        let living = self.living().clone();
        if world.slots.len() != world.services.len() * 2 {
            return Ok(false);
        }
        for ((service, n), slot) in &world.slots {
            let slot = &slot.value;
            for gateway in GATEWAYS {
                let key = (service.clone(), *n, GatewayId::parse(gateway)?);
                let said = world.verdicts.get(&key).map(|it| &it.value);
                let is_up = said.is_some_and(|it| {
                    it.verdict == Verdict::Up && it.generation == slot.generation
                });
                if !is_up || !living.contains_key(&slot.node) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    pub(crate) async fn revision(&self) -> Outcome<u64> {
        let listing = self.store.list(&self.keys.text(&Key::Leader)).await?;
        Ok(listing.revision.0)
    }

    fn living(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, LeaseId>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn usage(world: &World, node: &NodeId) -> NodeUsage {
    let own = world.instances.iter().filter(|(key, _)| key.node == *node);
    let instances = own.map(|(key, it)| InstanceUsage {
        service: key.service.clone(),
        slot: key.slot,
        generation: key.generation,
        run: it.value.run,
        cpu_milli: 50,
        memory_bytes: 128 << 20,
        disk: Some(Flow::default()),
        network: Some(Flow::default()),
    });
    NodeUsage {
        v: 1,
        instances: instances.collect(),
    }
}

fn load() -> NodeLoad {
    NodeLoad {
        v: 1,
        at: wall(),
        cpu_permille: 100,
        memory_free_bytes: 32 << 30,
        disk_free_bytes: 1 << 40,
        disk_bytes: 2 << 40,
        received_per_s: 1_000,
        sent_per_s: 1_000,
    }
}

fn service(number: usize) -> Outcome<Service> {
    Ok(Service {
        name: ServiceName::parse(&format!("library-{number}"))?,
        backend: Backend::Command(Command {
            argv: vec!["serve".to_owned(), "{port}".to_owned()],
            env: BTreeMap::new(),
            directory: None,
            port: None,
            stop: StopPolicy::default(),
            image: None,
        }),
        replicas: 2,
        scale: None,
        routes: vec![Route {
            pattern: RoutePattern {
                host: HostPattern::Exact(format!("library{number}.example.ac.jp")),
                path: PathPrefix("/".to_owned()),
            },
            action: RouteAction::Forward { strip: false },
        }],
        health: Health::On {
            probe: HealthProbe::Tcp,
            timing: Default::default(),
        },
        upstream: Default::default(),
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        retries: 1,
        nodes: BTreeMap::new(),
        update: Default::default(),
        depends_on: Default::default(),
        sites: None,
    })
}

fn json(it: &impl Serialize) -> Outcome<Vec<u8>> {
    Ok(serde_json::to_vec(it)?)
}
