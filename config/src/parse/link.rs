//! `[sites.X]` and `[link]` of `minato.toml`.

use super::document::Report;
use super::field::{Field, Given, Section};
use super::key::Keys;
use super::settings::path;
use super::{address, gateway, pattern};
use crate::{
    DependencyName, GatewayAddress, LinkFiles, LinkSettings, Mirroring, PeerSettings, PortRange,
    Settings, SiteId, StreamOffer,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Of `[link]`.
pub(super) const KEYS: Keys = Keys::known(&[
    "listen",
    "identity",
    "authority",
    "certificate",
    "key",
    "streams",
]);
/// Those that say who this site is.
const FILES: [&str; 4] = ["identity", "authority", "certificate", "key"];
/// Of `[link.streams.NAME]`.
pub(super) const STREAM_KEYS: Keys = Keys::known(&["to", "sites", "connections"]);
/// Of `[sites.X]`.
pub(super) const SITE_KEYS: Keys = Keys::known(&["gateways", "streams", "mirror"]);

/// Peers of one site.
const MOST_SITES: usize = 7;
const MOST_GATEWAYS: usize = 16;
const MOST_LISTENERS: usize = 16;
const MOST_STREAMS: usize = 64;
const CONNECTIONS: (u64, u64, u16) = (1, 10_000, 100);

/// `[sites]`
pub(super) fn sites(
    field: &Field<'_>,
    report: &mut Report<'_>,
) -> Option<BTreeMap<SiteId, PeerSettings>> {
    const FORM: &str = "tables, one for each other site, like [sites.osaka]";
    let all = field.table(report, FORM, MOST_SITES, |name, it, report| {
        let site = SiteId::parse(name);
        let site = site.map_or_else(|error| it.problem(report, error.to_string()), Some);
        let section = it.section(report, &format!("a table, written [sites.{name}]"))?;
        SITE_KEYS.check(&section, report);
        let found = section.read(report, "gateways", gateways);
        if found.is_absent() {
            let message = format!(
                "needs `gateways`, where its gateways accept links, like gateways = [\"gw.{name}.example:8443\"]"
            );
            return it.problem(report, message);
        }
        let streams = section.read(report, "streams", outlets);
        let mirror = section.read(report, "mirror", |it, to| {
            let is_on = it.boolean(to)?;
            Some(if is_on { Mirroring::On } else { Mirroring::Off })
        });
        Some((
            site?,
            PeerSettings {
                gateways: found.right()?,
                streams: streams.in_force(BTreeMap::new())?,
                mirror: mirror.in_force(Mirroring::default())?,
            },
        ))
    })?;
    Some(all.into_values().collect())
}

/// `[sites.X.streams]`: name and where it is found here.
fn outlets(
    field: &Field<'_>,
    report: &mut Report<'_>,
) -> Option<BTreeMap<DependencyName, SocketAddr>> {
    const FORM: &str =
        "a table of names and addresses of this machine, like { library-db = \"127.0.0.1:15432\" }";
    let all = field.table(report, FORM, MOST_STREAMS, |name, it, report| {
        let name = stream_name(name, it, report);
        let address = address::listener(it, report);
        Some((name?, address?))
    })?;
    Some(all.into_values().collect())
}

fn stream_name(name: &str, field: &Field<'_>, report: &mut Report<'_>) -> Option<DependencyName> {
    let parsed = DependencyName::parse(name);
    parsed.map_or_else(|error| field.problem(report, error.to_string()), Some)
}

/// `[link.streams]`
fn offers(
    field: &Field<'_>,
    report: &mut Report<'_>,
) -> Option<BTreeMap<DependencyName, StreamOffer>> {
    const FORM: &str = "tables, one for each stream, like [link.streams.library-db]";
    const SITES: &str = "a list of the sites that may, like [\"osaka\"]";
    let all = field.table(report, FORM, MOST_STREAMS, |name, it, report| {
        let section = it.section(report, &format!("a table, written [link.streams.{name}]"))?;
        STREAM_KEYS.check(&section, report);
        let name = stream_name(name, it, report);
        let to = section.read(report, "to", address::listener);
        let sites = section.read(report, "sites", |it, to| {
            let items = it.items(to, SITES, 1..=MOST_SITES)?;
            let mut all = Vec::new();
            for item in &items {
                let text = item.text(to, SITES)?;
                match SiteId::parse(text) {
                    Ok(site) => all.push(site),
                    Err(error) => return item.problem(to, error.to_string()),
                }
            }
            Some(all)
        });
        for (key, is_absent) in [("to", to.is_absent()), ("sites", sites.is_absent())] {
            if is_absent {
                let message = format!(
                    "needs `{key}`: `to` is the address that it leads to, `sites` who may open it"
                );
                it.problem::<()>(report, message);
            }
        }
        let (least, most, usual) = CONNECTIONS;
        let connections = section.read(report, "connections", |it, to| it.number(to, least..=most));
        Some((
            name?,
            StreamOffer {
                to: to.right()?,
                sites: sites.right()?,
                connections: connections.in_force(usual)?,
            },
        ))
    })?;
    Some(all.into_values().collect())
}

fn gateways(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<GatewayAddress>> {
    const FORM: &str =
        "a list of 1 to 16 HOST:PORT, like [\"gw.osaka.example:8443\", \"192.0.2.7:8443\"]";
    let items = field.items(report, FORM, 1..=MOST_GATEWAYS)?;
    let mut all = Vec::new();
    for item in &items {
        match gateway_address(item, report) {
            Some(it) if all.contains(&it) => {
                item.problem::<()>(report, "stands here already; leave one of them out");
            }
            Some(it) => all.push(it),
            None => {}
        }
    }
    (all.len() == items.len()).then_some(all)
}

fn gateway_address(field: &Field<'_>, report: &mut Report<'_>) -> Option<GatewayAddress> {
    const FORM: &str = "HOST:PORT, like \"gw.osaka.example:8443\" or \"192.0.2.7:8443\"";
    let text = field.text(report, FORM)?;
    let Some((host, port)) = text.rsplit_once(':') else {
        return field.wrong(report, FORM);
    };
    let port = port.parse::<u16>().ok().filter(|it| *it > 0);
    let bracketed = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let host = match bracketed {
        Some(it) => it.parse::<Ipv6Addr>().ok().map(|it| it.to_string()),
        None => match host.parse::<IpAddr>() {
            Ok(IpAddr::V4(it)) => Some(it.to_string()),
            Ok(IpAddr::V6(_)) => None,
            Err(_) => pattern::dns_name(&host.to_ascii_lowercase()).ok(),
        },
    };
    match (host, port) {
        (Some(host), Some(port)) => Some(GatewayAddress { host, port }),
        _ => field.wrong(report, FORM),
    }
}

/// `[link]`. Relative paths are taken from `folder`.
pub(super) fn read(section: &Section<'_>, report: &mut Report<'_>, folder: &Path) -> LinkSettings {
    let mut listen = Vec::new();
    let _ = section.read(report, "listen", |it, to| listeners(it, to, &mut listen));
    let file = |it: &Field<'_>, to: &mut Report<'_>| path(it, to).map(|it| folder.join(it));
    let identity = section.read(report, "identity", file);
    let given = ["authority", "certificate", "key"].map(|it| section.read(report, it, file));
    let streams = section.read(report, "streams", offers);
    LinkSettings {
        listen,
        identity: files(section, report, identity, given),
        streams: streams.right().unwrap_or_default(),
    }
}

fn files(
    section: &Section<'_>,
    report: &mut Report<'_>,
    identity: Given<PathBuf>,
    given: [Given<PathBuf>; 3],
) -> Option<LinkFiles> {
    let some = given.iter().any(|it| !it.is_absent());
    if !identity.is_absent() {
        if some && let Some(field) = section.get(report, "identity") {
            let message = "stands beside `authority`, `certificate` or `key`; leave the folder or the files out";
            field.problem::<()>(report, message);
        }
        return identity.right().map(LinkFiles::Folder);
    }
    if some && given.iter().any(Given::is_absent) {
        let field = ["authority", "certificate", "key"];
        if let Some(field) = field.iter().find_map(|it| section.get(report, it)) {
            let message = "needs all of `authority`, `certificate` and `key`, or in their place `identity`, a folder that `minato ca issue` made";
            field.problem::<()>(report, message);
        }
        return None;
    }
    let [authority, certificate, key] = given;
    Some(LinkFiles::Given {
        authority: authority.right()?,
        certificate: certificate.right()?,
        key: key.right()?,
    })
}

fn listeners(field: &Field<'_>, report: &mut Report<'_>, all: &mut Vec<SocketAddr>) -> Option<()> {
    let items = field.items(
        report,
        "a list of addresses, like [\"[::]:8443\"]",
        1..=MOST_LISTENERS,
    )?;
    for item in &items {
        let Some(address) = address::listener(item, report) else {
            continue;
        };
        if let Some(other) = all.iter().find(|it| gateway::overlap(**it, address)) {
            let message = format!("{address} is taken by {other} already; leave one of them out");
            item.problem::<()>(report, message);
            continue;
        }
        all.push(address);
    }
    Some(())
}

/// What links say of the other parts of the settings.
pub(super) fn check(root: &Section<'_>, report: &mut Report<'_>, settings: &Settings) {
    let own = &settings.site;
    let link = root.get(report, "link");
    if let Some(sites) = root.get(report, "sites") {
        if settings.sites.contains_key(own) {
            let message = format!(
                "[sites.{own}] is this site itself; name the others only, or change `site`"
            );
            sites.problem::<()>(report, message);
        }
        if !settings.sites.is_empty() && link.is_none() {
            let message = "needs [link] with `identity` or certificates: gateways of other sites are told who calls";
            sites.problem::<()>(report, message);
        }
    }
    let Some(link) = link else {
        return;
    };
    let toml::de::DeValue::Table(table) = link.value else {
        return;
    };
    let section = Section {
        path: link.path.clone(),
        line: link.line,
        table,
    };
    let no_files = FILES.iter().all(|it| section.get(report, it).is_none());
    if no_files {
        let message = "needs `identity`, the folder that `minato ca issue` made, like identity = \"/etc/minato/link\"";
        link.problem::<()>(report, message);
    }
    check_streams(root, &section, report, settings);
    let others = settings
        .gateway
        .listeners()
        .map(|it| (it, "a listener of the gateway"));
    let others: Vec<_> = others.chain([(settings.admin, "the admin's")]).collect();
    let PortRange { first, last } = settings.agent.ports;
    let place = section.get(report, "listen").unwrap_or(link);
    for address in &settings.link.listen {
        if let Some((other, whose)) = others.iter().find(|it| gateway::overlap(it.0, *address)) {
            let message = format!("{address} is {whose} already ({other}); change one of them");
            place.problem::<()>(report, message);
        }
        if (first..=last).contains(&address.port()) {
            let message = format!(
                "{address} lies in [agent] ports ({first}-{last}), from which instances get theirs; change one of them"
            );
            place.problem::<()>(report, message);
        }
    }
}

/// Offers that nobody could take, and listeners of streams that are taken.
fn check_streams(
    root: &Section<'_>,
    link: &Section<'_>,
    report: &mut Report<'_>,
    settings: &Settings,
) {
    if let Some(field) = link.get(report, "streams") {
        if settings.link.listen.is_empty() && !settings.link.streams.is_empty() {
            field.problem::<()>(
                report,
                "needs `listen` of [link]: other sites come in there",
            );
        }
        for (name, offer) in &settings.link.streams {
            for site in offer
                .sites
                .iter()
                .filter(|it| !settings.sites.contains_key(*it))
            {
                let message = format!(
                    "{name} is offered to {site}, which is no peer; add [sites.{site}], or leave it out"
                );
                field.problem::<()>(report, message);
            }
        }
    }
    let Some(sites) = root.get(report, "sites") else {
        return;
    };
    let gateway = settings.gateway.listeners();
    let mut taken: Vec<(SocketAddr, String)> = gateway
        .map(|it| (it, "a listener of the gateway".to_owned()))
        .chain([(settings.admin, "the admin's".to_owned())])
        .chain(
            settings
                .link
                .listen
                .iter()
                .map(|it| (*it, "`listen` of [link]".to_owned())),
        )
        .collect();
    let PortRange { first, last } = settings.agent.ports;
    for (site, peer) in &settings.sites {
        for (name, address) in &peer.streams {
            if let Some((other, whose)) = taken.iter().find(|it| gateway::overlap(it.0, *address)) {
                let message = format!(
                    "{address} of the stream {name} is {whose} already ({other}); change one of them"
                );
                sites.problem::<()>(report, message);
            }
            if (first..=last).contains(&address.port()) {
                let message = format!(
                    "{address} of the stream {name} lies in [agent] ports ({first}-{last}), from which instances get theirs; change one of them"
                );
                sites.problem::<()>(report, message);
            }
            taken.push((*address, format!("the stream {name} of {site}'s")));
        }
    }
}
