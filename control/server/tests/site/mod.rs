//! A site for tests: an embedded store, a journal, documents, and a client of the admin API.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on ends"
)]

pub mod api;
pub mod client;
pub mod view;

use minato_config::{
    Backend, Command, GatewayId, Generation, Health, HealthProbe, HealthTiming, Limits, NodeId,
    Run, Service, ServiceName, ServiceRecord, SiteId, SlotIndex, Source, StopPolicy, Timeouts,
    Timestamp,
};
use minato_config_files::{Folder, Listed, LoadedService};
use minato_control::Event;
use minato_control_server::{Journal, JournalOptions};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{
    Commit, Embedded, Observed, Options, SharedStore, StoreError, follow, read_world,
};
use minato_health::{GatewayAlive, Instance, NodeAlive, Phase, Verdict, VerdictReport};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Nothing here takes this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

pub fn node() -> NodeId {
    NodeId::parse("one").unwrap()
}

pub fn command(text: &str, replicas: u16) -> Service {
    let command = Command {
        argv: vec!["serve".to_owned(), "{port}".to_owned()],
        env: BTreeMap::new(),
        directory: None,
        port: None,
        stop: StopPolicy::default(),
        image: None,
    };
    Service {
        name: name(text),
        backend: Backend::Command(command),
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
    }
}

/// A folder with one file for each.
pub fn folder(services: &[Service]) -> Arc<Folder> {
    let loaded = |it: &Service| {
        let file = PathBuf::from(format!("services/{}.toml", it.name));
        let service = it.clone();
        (it.name.clone(), LoadedService { service, file })
    };
    let names = services.iter().map(|it| it.name.clone()).collect();
    Arc::new(Folder {
        services: services.iter().map(loaded).collect(),
        files: services.len(),
        listed: Listed::Names(names),
        loaded_at: Timestamp(1),
        ..Folder::default()
    })
}

pub struct Site {
    pub store: SharedStore,
    pub embedded: Arc<Embedded>,
    pub keys: Keys,
    pub journal: Arc<Journal>,
    pub events: mpsc::Sender<Event>,
    pub stop: watch::Sender<bool>,
    pub data: tempfile::TempDir,
}

impl Site {
    pub fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let embedded = Embedded::open(&data.path().join("store"), Options::default()).unwrap();
        let embedded = Arc::new(embedded);
        let options = JournalOptions::default();
        let (journal, events) = Journal::open(data.path(), options).unwrap();
        Self {
            store: embedded.clone(),
            embedded,
            keys: Keys::new(&SiteId::parse("tokyo").unwrap()),
            journal,
            events,
            stop: watch::Sender::new(false),
            data,
        }
    }

    pub fn key(&self, key: &Key) -> String {
        self.keys.text(key)
    }

    pub async fn put<T: Serialize>(&self, key: &Key, document: &T) {
        let value = serde_json::to_vec(document).unwrap();
        let commit = Commit::put(self.key(key), value);
        self.store.commit(commit).await.unwrap();
    }

    pub async fn put_service(&self, service: &Service) {
        let record = ServiceRecord {
            v: 1,
            source: Source::File {
                path: format!("services/{}.toml", service.name),
            },
            service: service.clone(),
            removed: false,
        };
        self.put(&Key::Service(service.name.clone()), &record).await;
    }

    /// A live agent and a live gateway.
    pub async fn put_node(&self) {
        let since = Timestamp(1);
        self.put(&Key::NodeAlive(node()), &NodeAlive { v: 1, since })
            .await;
        let gateway = GatewayId::parse("g").unwrap();
        self.put(&Key::GatewayAlive(gateway), &GatewayAlive { v: 1, since })
            .await;
    }

    /// What an agent and a gateway write of an instance.
    pub async fn put_instance(
        &self,
        service: &ServiceName,
        n: u16,
        generation: Generation,
        verdict: Verdict,
        reason: &str,
    ) {
        let n = SlotIndex(n);
        let instance = Instance {
            v: 1,
            run: Run(1),
            phase: Phase::Running,
            address: ([127, 0, 0, 1], 20_000 + n.0).into(),
            since: Timestamp(1),
            pid: Some(1),
            restarts: 0,
            local: None,
            reason: String::new(),
            retry_at: None,
        };
        let key = Key::Instance(node(), service.clone(), n, generation);
        self.put(&key, &instance).await;
        let report = VerdictReport {
            v: 1,
            generation,
            run: Run(1),
            verdict,
            reason: reason.to_owned(),
            since: Timestamp(1),
            drained: false,
        };
        let gateway = GatewayId::parse("g").unwrap();
        self.put(&Key::Verdict(gateway, service.clone(), n), &report)
            .await;
    }

    pub async fn world(&self) -> Observed {
        read_world(self.store.as_ref(), &self.keys).await.unwrap()
    }

    /// Waits until the store shows what is asked for.
    #[track_caller]
    pub fn until(
        &self,
        what: &str,
        holds: impl Fn(&Observed) -> bool,
    ) -> impl Future<Output = Observed> {
        let (store, keys, what) = (self.store.clone(), self.keys.clone(), what.to_owned());
        async move {
            let mut follower = follow(store, keys).await.unwrap();
            let wait = async {
                while !holds(follower.observed()) {
                    follower.next().await?;
                }
                Ok::<_, StoreError>(())
            };
            if tokio::time::timeout(PATIENCE, wait).await.is_err() {
                panic!(
                    "waited in vain for: {what}; {:#?}",
                    follower.observed().world
                );
            }
            follower.observed().clone()
        }
    }

    /// Waits for an event whose message contains `text`.
    pub async fn told(&self, text: &str) -> Event {
        let mut latest = self.journal.latest();
        let wait = async {
            loop {
                latest.mark_unchanged();
                let lines = self.journal.last(usize::MAX);
                if let Some(it) = lines.iter().find(|it| it.event.message.contains(text)) {
                    return it.event.clone();
                }
                latest.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(event) => event,
            Err(_) => panic!("nobody said `{text}`: {:#?}", self.messages()),
        }
    }

    pub fn messages(&self) -> Vec<String> {
        let lines = self.journal.last(usize::MAX);
        lines.iter().map(|it| it.event.message.clone()).collect()
    }
}

/// Slots of a service that are not on their way out.
pub fn slots(observed: &Observed, service: &str) -> usize {
    let slots = observed.world.slots.iter();
    slots
        .filter(|((of, _), slot)| of.as_str() == service && !slot.value.removed)
        .count()
}
