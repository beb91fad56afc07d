//! `minato.toml` as a whole.

use super::document::Report;
use super::field::{Field, Given, Section};
use super::key::{Keys, nearest};
use super::{
    address, control, dependency, docker, entrance, gateway, hooks, label, link, relay, store,
};
use crate::{
    AgentSettings, DockerSettings, NodeId, PortRange, Role, RuntimeSettings, Settings, SiteId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Of `minato.toml`.
pub(super) const KEYS: Keys = Keys {
    known: &[
        "site",
        "node",
        "roles",
        "services",
        "store",
        "gateway",
        "agent",
        "control",
        "entrance",
        "hooks",
        "admin",
        "dependencies",
        "sites",
        "link",
    ],
    later: &[],
    below: &[
        ("store", &store::KEYS),
        ("gateway", &gateway::KEYS),
        ("agent", &AGENT_KEYS),
        ("control", &control::KEYS),
        ("entrance", &entrance::KEYS),
        ("hooks", &hooks::KEYS),
        ("admin", &ADMIN_KEYS),
        ("link", &link::KEYS),
    ],
};
/// Of `[agent]`.
pub(super) const AGENT_KEYS: Keys = Keys {
    known: &[
        "runtime",
        "ports",
        "log_size",
        "advertise",
        "labels",
        "overcommit",
        "docker",
    ],
    later: &[],
    below: &[
        ("overcommit", &label::OVERCOMMIT_KEYS),
        ("docker", &docker::KEYS),
    ],
};
/// Of `[admin]`.
pub(super) const ADMIN_KEYS: Keys = Keys::known(&["listen"]);

/// The smallest and largest `log_size`.
const LOG_SIZES: std::ops::RangeInclusive<u64> = 64 * 1024..=1 << 40;

/// No port lies within.
const NO_PORTS: PortRange = PortRange { first: 1, last: 0 };
/// The system chooses, so that nothing can clash.
const NO_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What could be read. Relative paths are taken from the file's folder.
///
/// Where a problem was reported stands what clashes with nothing, else the default: what the operator meant is not known.
pub(super) fn read(file: &Path, root: &Section<'_>, report: &mut Report<'_>) -> Settings {
    KEYS.check(root, report);
    let mut settings = Settings::beside(file);
    let folder = file.parent().unwrap_or(Path::new(""));
    let path = |it: &Field<'_>, to: &mut Report<'_>| path(it, to).map(|it| folder.join(it));
    let id = |it: &Field<'_>, to: &mut Report<'_>| {
        let text = it.text(to, "a name")?;
        SiteId::parse(text).map_or_else(|error| it.problem(to, error.to_string()), Some)
    };
    settings.site = root.read(report, "site", id).or(settings.site);
    settings.node = root.read(report, "node", node).right();
    settings.roles = root.read(report, "roles", roles).or(settings.roles);
    match root.read(report, "services", path) {
        Given::Absent => {}
        services => settings.services = services.or(PathBuf::new()),
    }
    if let Some(it) = part(root, report, "store", &store::KEYS) {
        settings.data = it.read(report, "path", path).or(settings.data);
        settings.etcd = store::read(&it, report, folder);
        let lease = it.read(report, "lease", |it, to| it.duration(to, control::LEASES));
        settings.lease = lease.or(settings.lease);
    }
    if let Some(it) = part(root, report, "gateway", &gateway::KEYS) {
        gateway::read(&it, report, folder, &mut settings.gateway);
    }
    if let Some(it) = part(root, report, "agent", &AGENT_KEYS) {
        agent(&it, report, folder, &mut settings.agent);
    }
    if let Some(it) = part(root, report, "control", &control::KEYS) {
        settings.control = control::read(&it, report);
    }
    if let Some(it) = part(root, report, "entrance", &entrance::KEYS) {
        entrance::read(&it, report, folder, &settings.roles, &mut settings.entrance);
    }
    if let Some(it) = part(root, report, "hooks", &hooks::KEYS) {
        hooks::read(&it, report, &mut settings.hooks);
    }
    if let Some(it) = part(root, report, "admin", &ADMIN_KEYS) {
        let mut listen = NO_ADDRESS;
        match it.read(report, "listen", |it, to| admin(it, to, &mut listen)) {
            Given::Absent => {}
            Given::Right(()) | Given::Wrong => settings.admin = listen,
        }
    }
    let dependencies = root.read(report, "dependencies", |it, to| {
        dependency::read(it, to, folder)
    });
    settings.dependencies = dependencies.or(BTreeMap::new());
    let sites = root.read(report, "sites", link::sites);
    settings.sites = sites.or(BTreeMap::new());
    if let Some(it) = part(root, report, "link", &link::KEYS) {
        settings.link = link::read(&it, report, folder);
    }
    check_listeners(root, report, &settings);
    link::check(root, report, &settings);
    entrance::check(root, report, &settings);
    relay::check_listeners(root, report, &settings);
    settings
}

fn part<'t>(
    root: &Section<'t>,
    report: &mut Report<'_>,
    key: &str,
    keys: &Keys,
) -> Option<Section<'t>> {
    let wanted = format!("a table, written [{key}]");
    let section = root
        .read(report, key, |it, to| it.section(to, &wanted))
        .right()?;
    keys.check(&section, report);
    Some(section)
}

fn node(field: &Field<'_>, report: &mut Report<'_>) -> Option<NodeId> {
    let text = field.text(report, "a name")?;
    NodeId::parse(text).map_or_else(|error| field.problem(report, error.to_string()), Some)
}

pub(super) fn path(field: &Field<'_>, report: &mut Report<'_>) -> Option<PathBuf> {
    const FORM: &str = "a path";
    let text = field.text(report, FORM)?;
    if text.is_empty() || text.contains('\0') || text.len() > 4_096 {
        return field.wrong(report, FORM);
    }
    Some(PathBuf::from(text))
}

fn roles(field: &Field<'_>, report: &mut Report<'_>) -> Option<BTreeSet<Role>> {
    const FORM: &str = "a list of \"gateway\", \"control\" and \"agent\"";
    let items = field.items(report, FORM, 1..=16)?;
    let mut all = Some(BTreeSet::new());
    for item in &items {
        match (role(item, report), all.as_mut()) {
            (Some(role), Some(roles)) => {
                if !roles.insert(role) {
                    item.problem::<()>(report, "stands here already; leave one of them out");
                    all = None;
                }
            }
            _ => all = None,
        }
    }
    all
}

fn role(field: &Field<'_>, report: &mut Report<'_>) -> Option<Role> {
    const FORM: &str = "\"gateway\", \"control\" or \"agent\"";
    match field.text(report, FORM)? {
        "gateway" => Some(Role::Gateway),
        "control" => Some(Role::Control),
        "agent" => Some(Role::Agent),
        other => match nearest(other, &["gateway", "control", "agent"]) {
            Some(near) => field.wrong(report, &format!("{FORM} (did you mean \"{near}\"?)")),
            None => field.wrong(report, FORM),
        },
    }
}

fn agent(section: &Section<'_>, report: &mut Report<'_>, folder: &Path, to: &mut AgentSettings) {
    let docker = section.read(report, "docker", |it, report| {
        docker::read(
            &it.section(report, "a table, written [agent.docker]")?,
            report,
            folder,
        )
    });
    let runtime = section.read(report, "runtime", runtime);
    to.runtime = match runtime.or(Runtime::Process) {
        Runtime::Docker => RuntimeSettings::Docker(Box::new(docker.or(DockerSettings::default()))),
        Runtime::Process => {
            if runtime != Given::Wrong
                && let Some(field) = section.get(report, "docker")
            {
                let message = "says nothing without runtime = \"docker\" in [agent]";
                field.problem::<()>(report, message);
            }
            RuntimeSettings::Process
        }
    };
    match section.read(report, "ports", address::ports) {
        Given::Absent => {}
        ports => to.ports = ports.or(NO_PORTS),
    }
    let size = section.read(report, "log_size", |it, report| it.size(report, LOG_SIZES));
    to.log_bytes = size.or(to.log_bytes);
    let advertise = section.read(report, "advertise", advertise);
    to.advertise = advertise.or(to.advertise);
    let labels = section.read(report, "labels", label::read);
    to.labels = labels.or(std::mem::take(&mut to.labels));
    let overcommit = section.read(report, "overcommit", label::overcommit);
    to.overcommit = overcommit.or(to.overcommit);
}

/// Where others reach this machine.
fn advertise(field: &Field<'_>, report: &mut Report<'_>) -> Option<IpAddr> {
    const FORM: &str = "the address at which the gateways reach this machine, like \"10.0.0.2\"";
    let text = field.text(report, FORM)?;
    match text.parse::<IpAddr>() {
        Ok(it) if !it.is_unspecified() && !it.is_multicast() => Some(it),
        _ => field.wrong(report, FORM),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runtime {
    Process,
    Docker,
}

fn runtime(field: &Field<'_>, report: &mut Report<'_>) -> Option<Runtime> {
    const FORM: &str = "\"process\" or \"docker\"";
    match field.text(report, FORM)? {
        "process" => Some(Runtime::Process),
        "docker" => Some(Runtime::Docker),
        _ => field.wrong(report, FORM),
    }
}

/// Fills `to` even with an address that others can reach, so that clashes with it show.
fn admin(field: &Field<'_>, report: &mut Report<'_>, to: &mut SocketAddr) -> Option<()> {
    let address = address::listener(field, report)?;
    *to = address;
    if address.ip().to_canonical().is_loopback() {
        return Some(());
    }
    let hint = format!("write \"127.0.0.1:{}\"", address.port());
    let message = format!(
        "must be on loopback, since this version asks for no password, got \"{address}\"; {hint}, and reach it from elsewhere through ssh -L"
    );
    field.problem(report, message)
}

/// What the parts say of each other.
fn check_listeners(root: &Section<'_>, report: &mut Report<'_>, settings: &Settings) {
    let PortRange { first, last } = settings.agent.ports;
    let place = |report: &Report<'_>, section: &str, key: &str| {
        let below = root.get(report, section)?;
        let toml::de::DeValue::Table(table) = below.value else {
            return None;
        };
        let path = below.path;
        Section {
            path,
            line: below.line,
            table,
        }
        .get(report, key)
    };
    let http = place(report, "gateway", "http");
    let https = place(report, "gateway", "https");
    let listen = place(report, "admin", "listen");
    let gateway = &settings.gateway;
    let plain = gateway.http.iter().map(|it| (*it, &http));
    let tls = gateway.https.iter().map(|it| (it.listen, &https));
    let of_gateway: Vec<_> = plain.chain(tls).collect();
    let listens = place(report, "entrance", "listen");
    let of_entrance = settings.entrance.listen.to_vec();
    for address in &of_entrance {
        let gateway = of_gateway
            .iter()
            .map(|it| (it.0, "a listener of the gateway"));
        let mut others = gateway.chain([(settings.admin, "the admin's")]);
        if let Some((other, whose)) = others.find(|it| gateway::overlap(it.0, *address)) {
            let message = format!("{address} is {whose} as well ({other}); change one of them");
            let _: Option<()> = listens.as_ref().and_then(|it| it.problem(report, message));
        }
    }
    for (address, own) in &of_gateway {
        if gateway::overlap(*address, settings.admin) {
            let admin = settings.admin;
            let message = format!(
                "{admin} is both the admin's and a listener of the gateway ({address}); change one of them"
            );
            let field = listen.as_ref().or(own.as_ref());
            let _: Option<()> = field.and_then(|it| it.problem(report, message));
        }
    }
    let of_entrance = of_entrance.into_iter().map(|it| (it, &listens));
    let all = of_gateway.into_iter().chain(of_entrance);
    for (address, field) in all.chain([(settings.admin, &listen)]) {
        if (first..=last).contains(&address.port()) {
            let message = format!(
                "{address} lies in [agent] ports ({first}-{last}), from which instances get theirs; change one of them"
            );
            let ports = place(report, "agent", "ports");
            let field = field.as_ref().or(ports.as_ref());
            let _: Option<()> = field.and_then(|it| it.problem(report, message));
        }
    }
}
