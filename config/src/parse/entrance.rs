//! `[entrance]` of `minato.toml`.

use super::document::Report;
use super::field::{Field, Given, Section};
use super::key::{Keys, nearest};
use super::settings::path;
use super::{address, gateway, hooks};
use crate::{
    DnsKey, DnsSettings, EntranceHook, EntranceName, EntranceSettings, Follow, HookTarget,
    KeyAlgorithm, Role, Settings,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Of `[entrance]`.
pub(super) const KEYS: Keys = Keys {
    known: &["listen", "drain", "dns", "hook"],
    later: &[],
    below: &[("dns.NAME", &DNS_KEYS), ("hook.NAME", &HOOK_KEYS)],
};
/// Of `[entrance.dns.NAME]`.
pub(super) const DNS_KEYS: Keys = Keys {
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
pub(super) const KEY_KEYS: Keys = Keys::known(&["name", "algorithm", "secret_file"]);
/// Of `[entrance.hook.NAME]`.
pub(super) const HOOK_KEYS: Keys = Keys::known(&[
    "command",
    "webhook",
    "token_file",
    "ca",
    "timeout",
    "addresses",
    "follow",
]);

/// Before a name, for its claim.
const CLAIMS: &str = "_minato.";
const MOST_LISTENERS: usize = 16;
const MOST_NAMES: usize = 64;
const MOST_SERVERS: usize = 4;
const MOST_ADDRESSES: usize = 32;
const MOST_URL: usize = 2_048;
/// Ten minutes at a stop are enough for every DNS check and too long for every operator.
const DRAIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(600);
const TTL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

/// Fills `to`; what is wrong is left out. Relative paths are taken from `folder`.
pub(super) fn read(
    section: &Section<'_>,
    report: &mut Report<'_>,
    folder: &Path,
    roles: &BTreeSet<Role>,
    to: &mut EntranceSettings,
) {
    section.read(report, "listen", |it, report| {
        listeners(it, report, &mut to.listen)
    });
    let drain = section.read(report, "drain", |it, report| it.duration(report, DRAIN));
    to.drain = drain.or(to.drain);
    let dns = section.read(report, "dns", |it, report| {
        named(it, report, "dns", |it, report| dns(it, report, folder))
    });
    to.dns = dns.or(BTreeMap::new());
    twice(section, report, &to.dns);
    let hook = section.read(report, "hook", |it, report| {
        named(it, report, "hook", |it, report| hook(it, report, folder))
    });
    to.hooks = hook.or(BTreeMap::new());
    if let Some(name) = to.hooks.keys().find(|it| to.dns.contains_key(it))
        && let Some(field) = section.get(report, "hook")
    {
        let message = format!(
            "`{name}` is the name of an [entrance.dns.{name}] as well; commands could not tell the two apart: call one of them otherwise"
        );
        field.problem::<()>(report, message);
    }
    if !roles.contains(&Role::Gateway) {
        for key in ["listen", "dns", "hook"] {
            if let Some(field) = section.get(report, key) {
                let message = format!(
                    "says nothing without the role \"gateway\": it is about the gateway of this process; add the role to `roles`, or leave `{key}` out"
                );
                field.problem::<()>(report, message);
            }
        }
    }
}

/// Two that write the same name at the same server would never be done.
fn twice(
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
pub(super) fn check(root: &Section<'_>, report: &mut Report<'_>, settings: &Settings) {
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

fn listeners(field: &Field<'_>, report: &mut Report<'_>, to: &mut Vec<SocketAddr>) -> Option<()> {
    let wanted = "a list of addresses, like [\"127.0.0.1:7071\"]";
    for item in &field.items(report, wanted, 0..=MOST_LISTENERS)? {
        let Some(address) = address::listener(item, report) else {
            continue;
        };
        match to.iter().find(|it| gateway::overlap(**it, address)) {
            Some(other) => {
                let message = format!("overlaps with {other}, which stands here already");
                item.problem::<()>(report, message);
            }
            None => to.push(address),
        }
    }
    Some(())
}

fn named<T>(
    field: &Field<'_>,
    report: &mut Report<'_>,
    kind: &str,
    read: impl Fn(&Section<'_>, &mut Report<'_>) -> Option<T>,
) -> Option<BTreeMap<EntranceName, T>> {
    let form = format!("tables, written [entrance.{kind}.NAME]");
    let section = field.section(report, &form)?;
    let fields = section.fields(report);
    if fields.len() > MOST_NAMES {
        let message = format!("at most {MOST_NAMES} may stand here, got {}", fields.len());
        return field.problem(report, message);
    }
    let mut all = BTreeMap::new();
    for (name, value) in fields {
        let name = match EntranceName::parse(name) {
            Ok(name) => Some(name),
            Err(error) => value.problem(report, error.to_string()),
        };
        let Some(table) = value.section(report, &form) else {
            continue;
        };
        if let (Some(one), Some(name)) = (read(&table, report), name) {
            all.insert(name, one);
        }
    }
    Some(all)
}

/// Reports that `key` is missing.
fn needed<T>(
    section: &Section<'_>,
    report: &mut Report<'_>,
    key: &str,
    given: Given<T>,
) -> Option<T> {
    if given.is_absent() {
        let message = format!("needs `{key}`");
        report.problem(section.line, &section.path, message);
    }
    given.right()
}

fn dns(section: &Section<'_>, report: &mut Report<'_>, folder: &Path) -> Option<DnsSettings> {
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

fn addresses(field: &Field<'_>, report: &mut Report<'_>, least: usize) -> Option<BTreeSet<IpAddr>> {
    const FORM: &str = "a list of addresses of this site, like [\"192.0.2.10\", \"2001:db8::10\"]";
    let mut all = BTreeSet::new();
    for item in &field.items(report, FORM, least..=MOST_ADDRESSES)? {
        let text = item.text(report, FORM)?;
        match text.parse::<IpAddr>() {
            Ok(it) if !it.is_unspecified() && !it.is_multicast() => {
                if !all.insert(it) {
                    return item.problem(report, "stands here already; leave one of them out");
                }
            }
            _ => {
                return item.wrong(
                    report,
                    "an address that visitors can reach, like \"192.0.2.10\"",
                );
            }
        }
    }
    Some(all)
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

fn follow_of_hook(field: &Field<'_>, report: &mut Report<'_>) -> Option<Follow> {
    const FORM: &str = "\"gateway\" or \"none\"";
    match field.text(report, FORM)? {
        "gateway" => Some(Follow::Gateway),
        "none" => Some(Follow::Nobody),
        "site" => {
            let message = format!(
                "must be {FORM}, got \"site\": two sites that do not hear each other are kept apart by a claim, which only a name of [entrance.dns] has"
            );
            field.problem(report, message)
        }
        other => match nearest(other, &["gateway", "none"]) {
            Some(near) => field.wrong(report, &format!("{FORM} (did you mean \"{near}\"?)")),
            None => field.wrong(report, FORM),
        },
    }
}

fn hook(section: &Section<'_>, report: &mut Report<'_>, folder: &Path) -> Option<EntranceHook> {
    HOOK_KEYS.check(section, report);
    let file = |it: &Field<'_>, to: &mut Report<'_>| path(it, to).map(|it| folder.join(it));
    let command = section.read(report, "command", hooks::command);
    let webhook = section.read(report, "webhook", url);
    let token_file: Given<PathBuf> = section.read(report, "token_file", file);
    let ca: Given<PathBuf> = section.read(report, "ca", file);
    let timeout = section.read(report, "timeout", |it, to| it.duration(to, TIMEOUT));
    let addresses = section.read(report, "addresses", |it, to| addresses(it, to, 0));
    let follow = section.read(report, "follow", follow_of_hook);
    let follow = follow.or(Follow::Nobody);
    for (key, given) in [("token_file", &token_file), ("ca", &ca)] {
        if webhook.is_absent()
            && !given.is_absent()
            && let Some(field) = section.get(report, key)
        {
            field.problem::<()>(report, "does nothing without `webhook`");
        }
    }
    let to = match (command, webhook) {
        (Given::Absent, Given::Absent) => {
            let message = "needs `command` or `webhook`: who is told?";
            report.problem(section.line, &section.path, message);
            return None;
        }
        (Given::Absent, webhook) => HookTarget::Webhook {
            url: webhook.right()?,
            token_file: token_file.right(),
            ca: ca.right(),
        },
        (command, Given::Absent) => HookTarget::Command(command.right()?),
        (_, _) => {
            let message =
                "has both `command` and `webhook`; write one [entrance.hook.NAME] for each";
            report.problem(section.line, &section.path, message);
            return None;
        }
    };
    Some(EntranceHook {
        to,
        timeout: timeout.or(Duration::from_secs(10)),
        addresses: addresses.or(BTreeSet::new()),
        follow,
    })
}

/// Plain HTTP stays on this machine: a token goes with it.
fn url(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str =
        "a URL, like \"https://hooks.example.org/minato\"; plain http only to a loopback address";
    let text = field.text(report, FORM)?;
    // Not shown: a password may stand in it.
    if text.contains('@') {
        return field.problem(
            report,
            format!(
                "must be {FORM}, without a user; a token goes into the file that `token_file` names"
            ),
        );
    }
    let right =
        text.len() <= MOST_URL && text.bytes().all(|it| it.is_ascii_graphic() && it != b'#');
    let authority = |rest: &str| rest.split(['/', '?']).next().unwrap_or_default().to_owned();
    let fine = if let Some(rest) = text.strip_prefix("https://") {
        is_authority(&authority(rest))
    } else if let Some(rest) = text.strip_prefix("http://") {
        let authority = authority(rest);
        let address = authority.parse::<SocketAddr>().map(|it| it.ip());
        let ip = address.or_else(|_| authority.parse::<IpAddr>());
        ip.is_ok_and(|it| it.is_loopback())
    } else {
        false
    };
    if right && fine {
        return Some(text.to_owned());
    }
    field.wrong(report, FORM)
}

/// `hooks.example.org`, `192.0.2.7:8443`, `[2001:db8::1]:8443`
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port = port.is_none_or(|it| it.parse::<u16>().is_ok_and(|it| it > 0));
    let bracketed = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_host = match bracketed {
        Some(it) => it.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let letter = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '.';
            (1..=253).contains(&host.len()) && host.chars().all(letter)
        }
    };
    is_port && is_host
}
