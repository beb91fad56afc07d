//! `[entrance.dns.NAME]`.

use super::{addresses, needed};
use crate::parse::address;
use crate::parse::document::Report;
use crate::parse::field::{Field, Section};
use crate::parse::key::{Keys, nearest};
use crate::parse::settings::path;
use crate::{DnsKey, DnsSettings, EntranceName, Follow, KeyAlgorithm, Settings};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

/// Of `[entrance.dns.NAME]`.
pub(in crate::parse) const DNS_KEYS: Keys = Keys {
    known: &[
        "server",
        "zone",
        "name",
        "ttl",
        "key",
        "addresses",
        "follow",
    ],
    later: &[],
    below: &[("key", &KEY_KEYS)],
};
/// Of its `key`.
pub(in crate::parse) const KEY_KEYS: Keys = Keys::known(&["name", "algorithm", "secret_file"]);

/// Before a name, for its claim.
const CLAIMS: &str = "_minato.";
const MOST_SERVERS: usize = 4;
const TTL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Two that write the same name at the same server would never be done.
pub(super) fn twice(
    section: &Section<'_>,
    report: &mut Report<'_>,
    all: &BTreeMap<EntranceName, DnsSettings>,
) {
    for (place, (name, one)) in all.iter().enumerate() {
        let same = |(_, it): &(&EntranceName, &DnsSettings)| {
            it.name == one.name && it.servers.iter().any(|it| one.servers.contains(it))
        };
        let Some((other, _)) = all.iter().take(place).find(same) else {
            continue;
        };
        let message = format!(
            "{} is written by [entrance.dns.{other}] at the same server already; leave one of them out, with all `addresses` in the other",
            one.name
        );
        let found = below(section.get(report, "dns"), &[name.as_str(), "name"], report);
        let _: Option<()> = found.and_then(|it| it.problem(report, message));
    }
}

/// The field at the end of `keys`, below `field`.
fn below<'a>(
    field: Option<Field<'a>>,
    keys: &[&str],
    report: &mut Report<'_>,
) -> Option<Field<'a>> {
    keys.iter().fold(field, |field, key| {
        let table = field.and_then(|it| it.section(report, "a table"));
        table.and_then(|it| it.get(report, key))
    })
}

/// What names say of other parts of the settings.
pub(in crate::parse) fn check(root: &Section<'_>, report: &mut Report<'_>, settings: &Settings) {
    let sites = root.get(report, "sites");
    let is_empty =
        |it: &Field<'_>| matches!(it.value, toml::de::DeValue::Table(it) if it.is_empty());
    // Those that are wrong are told of themselves.
    if sites.is_some_and(|it| !is_empty(&it)) {
        return;
    }
    let follows = |it: &&EntranceName| settings.entrance.dns[*it].follow == Follow::Site;
    for name in settings.entrance.dns.keys().filter(follows) {
        let entrance = root.get(report, "entrance");
        let found = below(entrance, &["dns", name.as_str(), "follow"], report);
        let message = "\"site\" follows the order of sites, and this one knows no other: add [sites.NAME] and [link] (docs/sites.md), or write \"gateway\"";
        let _: Option<()> = found.and_then(|it| it.problem(report, message));
    }
}

pub(super) fn dns(
    section: &Section<'_>,
    report: &mut Report<'_>,
    folder: &Path,
) -> Option<DnsSettings> {
    DNS_KEYS.check(section, report);
    let servers = section.read(report, "server", servers);
    let servers = needed(section, report, "server", servers);
    let zone = section.read(report, "zone", domain);
    let zone = needed(section, report, "zone", zone);
    let name = section.read(report, "name", |it, report| {
        let name = domain(it, report)?;
        let within = zone.as_deref().is_none_or(|zone| {
            let rest = name.strip_suffix(zone);
            rest.is_some_and(|it| it.is_empty() || it.ends_with('.'))
        });
        if !within {
            let message = format!(
                "must lie in `zone`, like \"www.{}\", got \"{name}\"",
                zone.as_deref().unwrap_or("")
            );
            return it.problem(report, message);
        }
        if name.starts_with(CLAIMS) {
            let message = format!(
                "must not begin with `{CLAIMS}`, where the claims of other names stand, got \"{name}\""
            );
            return it.problem(report, message);
        }
        Some(name)
    });
    let name = needed(section, report, "name", name);
    let ttl = section.read(report, "ttl", |it, report| it.duration(report, TTL));
    let key = section.read(report, "key", |it, report| key(it, report, folder));
    let key = needed(section, report, "key", key);
    let addresses = section.read(report, "addresses", |it, report| addresses(it, report, 1));
    let addresses = needed(section, report, "addresses", addresses);
    let follow = section.read(report, "follow", follow_of_name);
    let follow = follow.or(Follow::Nobody);
    Some(DnsSettings {
        servers: servers?,
        zone: zone?,
        name: name?,
        ttl: ttl.or(Duration::from_secs(5)),
        key: key?,
        addresses: addresses?,
        follow,
    })
}

fn servers(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<SocketAddr>> {
    const FORM: &str = "the primary's address, like \"192.0.2.53:53\", or a list of up to 4";
    if matches!(field.value, toml::de::DeValue::String(_)) {
        return address::endpoint(field, report).map(|it| vec![it]);
    }
    let mut all = Vec::new();
    for item in &field.items(report, FORM, 1..=MOST_SERVERS)? {
        let address = address::endpoint(item, report)?;
        if all.contains(&address) {
            return item.problem(report, "stands here already; leave one of them out");
        }
        all.push(address);
    }
    Some(all)
}

/// A name of the DNS in lower case without the last dot.
fn domain(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str = "a name of the DNS, like \"www.example.org\"";
    let text = field.text(report, FORM)?;
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        let letter = |it: u8| it.is_ascii_alphanumeric() || it == b'-' || it == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(letter)
    };
    // Some is left for `_minato.`
    if name.len() <= 240 && name.split('.').all(is_label) {
        return Some(name);
    }
    field.wrong(report, FORM)
}

fn key(field: &Field<'_>, report: &mut Report<'_>, folder: &Path) -> Option<DnsKey> {
    const FORM: &str = "a table, like { name = \"tokyo\", secret_file = \"/etc/minato/dns.key\" }";
    let section = field.section(report, FORM)?;
    KEY_KEYS.check(&section, report);
    let name = section.read(report, "name", domain);
    let name = needed(&section, report, "name", name);
    let algorithm = section.read(report, "algorithm", algorithm);
    let file = section.read(report, "secret_file", |it, to| {
        path(it, to).map(|it| folder.join(it))
    });
    let file = needed(&section, report, "secret_file", file);
    Some(DnsKey {
        name: name?,
        algorithm: algorithm.or(KeyAlgorithm::HmacSha256),
        secret_file: file?,
    })
}

fn algorithm(field: &Field<'_>, report: &mut Report<'_>) -> Option<KeyAlgorithm> {
    const FORM: &str = "\"hmac-sha256\", \"hmac-sha384\" or \"hmac-sha512\"";
    match field.text(report, FORM)? {
        "hmac-sha256" => Some(KeyAlgorithm::HmacSha256),
        "hmac-sha384" => Some(KeyAlgorithm::HmacSha384),
        "hmac-sha512" => Some(KeyAlgorithm::HmacSha512),
        _ => field.wrong(report, FORM),
    }
}

fn follow_of_name(field: &Field<'_>, report: &mut Report<'_>) -> Option<Follow> {
    const FORM: &str = "\"site\", \"gateway\" or \"none\"";
    match field.text(report, FORM)? {
        "site" => Some(Follow::Site),
        "gateway" => Some(Follow::Gateway),
        "none" => Some(Follow::Nobody),
        other => match nearest(other, &["site", "gateway", "none"]) {
            Some(near) => field.wrong(report, &format!("{FORM} (did you mean \"{near}\"?)")),
            None => field.wrong(report, FORM),
        },
    }
}
