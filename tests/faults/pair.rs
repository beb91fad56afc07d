//! Two whole sites and those who come: tokyo on one machine, osaka on two, each site with a store of its own, a witness and a client.
//! Between them frames take their time and get lost; a site is cut off with everything that it has.
//!
//! Tokyo is the home of the service `app`; osaka has it over the link.

use crate::machine::Machine;
use crate::network::{Host, Network};
use crate::store::Cluster;
use crate::support::clock::within;
use crate::support::http::get;
use crate::support::site::python_service;
use crate::support::tls::{Authority, Time};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// One way.
const DELAY: Duration = Duration::from_millis(15);
const LOSS: f64 = 0.01;
/// Where links are let in.
const DOOR: u16 = 8443;
/// Instances of each site.
const REPLICAS: u64 = 2;

/// One site.
pub(crate) struct Side {
    /// The first has every role and the store beside it, another one is gateway and control.
    pub(crate) machines: Vec<Machine>,
    _store: Cluster,
}

/// See the module. Fields end in this order.
pub(crate) struct Pair {
    pub(crate) tokyo: Side,
    pub(crate) osaka: Side,
    pub(crate) client: Host,
    folder: TempDir,
    _network: Network,
}

/// Machines that are joined, before anything runs on them.
pub(crate) struct Ground {
    pub(crate) tokyo: Vec<Host>,
    pub(crate) osaka: Vec<Host>,
    /// Of neither site.
    pub(crate) witness: Host,
    pub(crate) client: Host,
    folder: TempDir,
    network: Network,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let mut network = Network::new();
        let mut named = tempfile::Builder::new();
        let folder = named.prefix("minato-faults-").tempdir().unwrap();
        let mut site = |name: &str, count: usize| -> Vec<Host> {
            let names = (1..=count).map(|it| format!("{name}-{it}"));
            names.map(|it| network.host_at(name, &it)).collect()
        };
        let (tokyo, osaka) = (site("tokyo", 1), site("osaka", 2));
        let (witness, client) = (network.far_host("witness"), network.far_host("client"));
        network.join(DELAY, LOSS);
        Self {
            tokyo,
            osaka,
            witness,
            client,
            folder,
            network,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts both sites. `host`: what visitors ask for; `more`: further settings of a machine of such a site, whole tables; `listen`:
    /// where gateways listen, the machine's address by default.
    pub(crate) fn open(
        self,
        host: &str,
        listen: Option<&str>,
        more: impl Fn(&str) -> String,
    ) -> Pair {
        let authority = Authority::new("sites");
        let Self {
            tokyo,
            osaka,
            client,
            folder,
            network,
            ..
        } = self;
        let side = |name: &str, own: &[Host], other: (&str, &[Host])| {
            let store = Cluster::start(own[..1].to_vec());
            let machines = own.iter().enumerate().map(|(place, host)| {
                let roles: &[&str] = match place {
                    0 => &["gateway", "control", "agent"],
                    _ => &["gateway", "control"],
                };
                let settings = format!("{}lease = \"2s\"\n", store.endpoints());
                let more = format!(
                    "[control]\nlease = \"2s\"\nnode_grace = \"1s\"\nelection_grace = \"3s\"\n{}{}",
                    links(host, other),
                    more(name)
                );
                let machine = Machine::new(folder.path(), host.clone(), roles, &settings, &more);
                machine.set("node =", &format!("site = \"{name}\"\nnode ="));
                if let Some(address) = listen {
                    machine.listen_on(address);
                }
                let own = folder.path().join(&host.name);
                authority.write(&own.join("authority.crt"));
                let certified = format!("{}.{name}.minato.internal", host.name);
                authority.sign(&[&certified], Time::Now).write(&own, "link");
                machine
            });
            Side {
                machines: machines.collect(),
                _store: store,
            }
        };
        let mut pair = Pair {
            tokyo: side("tokyo", &tokyo, ("osaka", &osaka)),
            osaka: side("osaka", &osaka, ("tokyo", &tokyo)),
            client,
            folder,
            _network: network,
        };
        let service = format!(
            "routes = [\"{host}\"]\nenv = {{ BIND = \"0.0.0.0\" }}\nsites = [\"tokyo\", \"osaka\"]\n\
             health = {{ path = \"/healthz\", interval = \"1s\", fast = \"200ms\", timeout = \"800ms\" }}\n"
        );
        let ledger = pair.folder.path().join("ledger");
        let file = python_service(&ledger, 2, &service);
        pair.tokyo.machines[0].write("app", &file);
        let Pair { tokyo, osaka, .. } = &mut pair;
        let all = tokyo.machines.iter_mut().chain(&mut osaka.machines);
        all.for_each(Machine::start);
        for machine in pair.machines() {
            machine.wait();
            // Over the link, for osaka.
            within(Duration::from_secs(60), "the service to be there", || {
                let service = machine.service("app");
                (service["state"] == "ok" && service["up"] == REPLICAS).then_some(())
            });
        }
        let of_tokyo = pair.tokyo.pids();
        for machine in &pair.osaka.machines {
            let address = machine.gateway();
            pair.client.inside(|| {
                let what = "visitors of osaka to be served by tokyo";
                within(Duration::from_secs(90), what, || {
                    let answer = get(address, host, "/").ok()?;
                    of_tokyo.contains(&answer.text()).then_some(())
                });
            });
        }
        pair
    }
}

/// `[sites]` and `[link]` of a machine.
fn links(own: &Host, (site, gateways): (&str, &[Host])) -> String {
    let all: Vec<String> = gateways
        .iter()
        .map(|it| format!("\"{}:{DOOR}\"", it.address))
        .collect();
    format!(
        "[sites.{site}]\ngateways = [{}]\n[link]\nlisten = [\"{}:{DOOR}\"]\nauthority = \"authority.crt\"\n\
         certificate = \"link.crt\"\nkey = \"link.key\"\n",
        all.join(", "),
        own.address
    )
}

impl Side {
    /// The pids of its instances, as the service answers them.
    pub(crate) fn pids(&self) -> Vec<String> {
        let all = self.machines[0].instances("app").into_iter();
        all.filter_map(|it| Some(it["pid"].as_u64()?.to_string()))
            .collect()
    }

    /// Gateways, control, store and instances, all at once.
    pub(crate) fn cut_off(&self) {
        self.machines.iter().for_each(|it| it.host.cut_off());
    }

    pub(crate) fn heal(&self) {
        self.machines.iter().for_each(|it| it.host.heal());
    }
}

impl Pair {
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.tokyo.machines.iter().chain(&self.osaka.machines)
    }
}
