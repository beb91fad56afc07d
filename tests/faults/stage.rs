//! A site of many machines: three members of the store, control, gateways, nodes, and a client.

use crate::census::{self, Census};
use crate::figures::{Figures, Timers};
use crate::history::{self, Look, Recorder};
use crate::machine::Machine;
use crate::network::{Host, Network};
use crate::store::Cluster;
use crate::support::clock::{pause, until};
use crate::support::load::{Ask, Load};
use crate::support::orders::{Carried, Orders};
use crate::support::site::python_service;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The folder of the ledger, which containers see, too.
const ORDERS: &str = "orders";
/// By its name the processes of `app` are known.
pub(crate) const LEDGER: &str = "orders-of-app";

/// Everything, in the order in which it ends.
pub(crate) struct Stage {
    pub(crate) control: Vec<Machine>,
    pub(crate) gateways: Vec<Machine>,
    pub(crate) nodes: Vec<Machine>,
    pub(crate) store: Cluster,
    pub(crate) client: Host,
    pub(crate) timers: Timers,
    folder: TempDir,
    _network: Network,
}

/// What is recorded while something breaks.
pub(crate) struct Record {
    tables: Vec<Recorder>,
    census: Census,
    orders: Orders,
}

/// What was recorded, and is as it must be.
pub(crate) struct Judged {
    /// Of each gateway.
    pub(crate) looks: Vec<Vec<Look>>,
    orders: Carried,
}

impl Judged {
    /// Those of the row, and those of the orders.
    pub(crate) fn beside(&self, mut figures: Figures) -> Figures {
        figures.extend(self.orders.figures());
        figures
    }
}

/// How many machines of each kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cast {
    pub(crate) members: usize,
    pub(crate) control: usize,
    pub(crate) gateways: usize,
    pub(crate) nodes: usize,
}

impl Stage {
    /// Builds and starts it; returns when every API answers. The service `app` is written by `open`.
    pub(crate) fn build(cast: Cast, timers: Timers) -> Self {
        let mut stage = Self::make(cast, timers);
        stage.begin();
        stage
    }

    /// Builds it, with the store running and nothing else: settings may still be changed.
    pub(crate) fn make(cast: Cast, timers: Timers) -> Self {
        let mut network = Network::new();
        let mut named = tempfile::Builder::new();
        let folder = named.prefix("minato-faults-").tempdir().unwrap();
        fs::create_dir(folder.path().join(ORDERS)).unwrap();
        let mut hosts = |kind: &str, count: usize| -> Vec<Host> {
            (1..=count)
                .map(|it| network.host(&format!("{kind}-{it}")))
                .collect()
        };
        let store = Cluster::start(hosts("store", cast.members));
        let (lease, control) = match timers {
            Timers::Short => (
                "lease = \"2s\"\n",
                "[control]\nlease = \"2s\"\nnode_grace = \"1s\"\nelection_grace = \"3s\"\n",
            ),
            Timers::Default => ("", ""),
        };
        let settings = format!("{}{lease}", store.endpoints());
        let mut machines = |kind: &str, count: usize, role: &str| -> Vec<Machine> {
            let machine = |host| Machine::new(folder.path(), host, &[role], &settings, control);
            hosts(kind, count).into_iter().map(machine).collect()
        };
        let control = machines("control", cast.control, "control");
        let gateways = machines("gateway", cast.gateways, "gateway");
        let nodes = machines("node", cast.nodes, "agent");
        let client = network.host("client");
        Self {
            control,
            gateways,
            nodes,
            store,
            client,
            timers,
            folder,
            _network: network,
        }
    }

    /// Starts every machine; returns when every API answers and all have joined.
    pub(crate) fn begin(&mut self) {
        self.machines().for_each(Machine::start);
        self.machines().for_each(|it| it.wait());
        // Instances go to the nodes that are there.
        until("every machine to have joined", || {
            let alive = |prefix| {
                let all = self.store.list(prefix);
                all.iter()
                    .filter(|(key, _)| key.ends_with("/alive"))
                    .count()
            };
            let joined =
                alive("nodes/") == self.nodes.len() && alive("gateways/") == self.gateways.len();
            joined.then_some(())
        });
    }

    fn machines(&mut self) -> impl Iterator<Item = &mut Machine> {
        let Self {
            control,
            gateways,
            nodes,
            ..
        } = self;
        control.iter_mut().chain(gateways).chain(nodes)
    }

    /// Writes the service `app` and waits until every gateway serves all of it.
    pub(crate) fn open(&self, replicas: u16) {
        self.control[0].write("app", &self.app(replicas));
        self.wait_ok(replicas);
    }

    /// A service file, with instances that gateways of other machines reach.
    pub(crate) fn app(&self, replicas: u16) -> String {
        let ledger = self.ledger();
        let more = format!("env = {{ BIND = \"0.0.0.0\" }}\n{}", self.checks());
        python_service(&ledger, replicas, &more)
    }

    /// The file of another service, on a host of its own, which no record counts.
    pub(crate) fn other(&self, host: &str) -> String {
        let file = self.app(1).replace("\"*\"", &format!("\"{host}\""));
        file.replace(LEDGER, "other")
    }

    /// What every instance writes orders to.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.folder.path().join(ORDERS).join(LEDGER)
    }

    /// `health = ..` of a service file.
    pub(crate) fn checks(&self) -> String {
        let health = match self.timers {
            Timers::Short => "interval = \"1s\", fast = \"200ms\", timeout = \"800ms\"",
            Timers::Default => "interval = \"2s\"",
        };
        format!("health = {{ path = \"/healthz\", {health} }}\n")
    }

    pub(crate) fn wait_ok(&self, replicas: u16) {
        for gateway in &self.gateways {
            gateway.wait_ok("app", u64::from(replicas));
        }
    }

    /// GETs from the client's machine at gateway `index`.
    pub(crate) fn load(&self, index: usize) -> Load {
        let ask = Ask::Get {
            path: "/page".to_owned(),
            body: "the page".to_owned(),
        };
        let gateway = self.gateways[index].gateway();
        self.client
            .inside(|| Load::start(gateway, "faults.test", &ask))
    }

    /// Looks at the table of every gateway, counts the processes on every node, and places orders at gateway 0.
    pub(crate) fn record(&self) -> Record {
        let hosts: Vec<Host> = self.nodes.iter().map(|it| it.host.clone()).collect();
        self.record_by(move || census::processes(&hosts))
    }

    /// The same where a count of another kind tells what runs on each node.
    pub(crate) fn record_by(&self, count: impl FnMut() -> Vec<usize> + Send + 'static) -> Record {
        let record = |it: &Machine| Recorder::start(&it.host, "app");
        let gateway = self.gateways[0].gateway();
        let orders = self
            .client
            .inside(|| Orders::start(gateway, "faults.test", self.ledger()));
        Record {
            tables: self.gateways.iter().map(record).collect(),
            census: Census::start(count),
            orders,
        }
    }

    /// Ends it, and holds what was seen against the invariants.
    #[track_caller]
    pub(crate) fn judge(&self, record: Record, surge: u64) -> Judged {
        self.judge_beside(&[], record, surge)
    }

    /// The same where these nodes were out of everybody's reach for a while.
    #[track_caller]
    pub(crate) fn judge_beside(&self, cut: &[usize], record: Record, surge: u64) -> Judged {
        let counts = record.census.stop();
        let looks: Vec<Vec<Look>> = record.tables.into_iter().map(Recorder::stop).collect();
        for (gateway, looks) in self.gateways.iter().zip(&looks) {
            let name = gateway.host.name.as_str();
            history::one_generation_of_each_slot(name, looks);
            history::never_too_many(name, looks, surge);
            history::never_none(name, looks);
        }
        census::never_too_many(&counts, &looks[0], surge, cut);
        self.control.iter().for_each(Machine::decided_as_saved);
        let orders = record.orders.judge(history::gone(&looks));
        Judged { looks, orders }
    }

    /// The pids of the service's instances, sorted, as gateway 0 knows them.
    pub(crate) fn pids(&self) -> Vec<u64> {
        let instances = self.gateways[0].instances("app");
        let mut pids: Vec<u64> = instances
            .iter()
            .filter_map(|it| it["pid"].as_u64())
            .collect();
        pids.sort_unstable();
        pids
    }

    /// Living processes of the service on one node.
    pub(crate) fn processes(&self, node: usize) -> usize {
        let host = std::slice::from_ref(&self.nodes[node].host);
        census::processes(host)[0]
    }

    /// What a node that is gone is waited for.
    pub(crate) fn grace(&self) -> Duration {
        match self.timers {
            Timers::Short => Duration::from_secs(1),
            Timers::Default => Duration::from_secs(10),
        }
    }

    /// Lets this much time pass since `began`, while whatever was begun goes on.
    pub(crate) fn let_pass(began: Instant, length: Duration) {
        pause(length.saturating_sub(began.elapsed()));
    }

    /// Until a lease that nobody keeps alive has ended for everybody, and a little more.
    pub(crate) fn lease(&self) -> Duration {
        match self.timers {
            Timers::Short => Duration::from_secs(2),
            Timers::Default => Duration::from_secs(20),
        }
    }
}
