//! `listen` of a dependency, and what its relay says of other listeners.

use super::dependency::distinct;
use super::document::Report;
use super::field::{Field, Given, Section};
use super::{address, gateway};
use crate::{Balance, DatabaseRole, DependencyCheck, MemberProbe, PortRange, Relay, Settings};
use std::net::SocketAddr;
use std::time::Duration;

/// Keys that say nothing without `listen`.
const OF_RELAY: [&str; 5] = ["drain", "wait", "idle", "connections", "balance"];

const MOST_LISTENERS: usize = 8;
/// Two descriptors each.
const MOST_CONNECTIONS: u64 = 4_000;

const SHORTEST: Duration = Duration::ZERO;
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// `Err` where something of it is wrong; `Ok(None)` without `listen`.
pub(super) fn read(section: &Section<'_>, report: &mut Report<'_>) -> Result<Option<Relay>, ()> {
    let time = |it: &Field<'_>, to: &mut Report<'_>| it.duration(to, SHORTEST..=LONGEST);
    let listen = section.read(report, "listen", listen);
    let drain = section.read(report, "drain", time);
    let wait = section.read(report, "wait", |it, to| {
        it.duration(to, SHORTEST..=Duration::from_secs(600))
    });
    let idle = section.read(report, "idle", |it, to| {
        it.duration(to, Duration::from_secs(1)..=LONGEST * 7)
    });
    let connections = section.read(report, "connections", |it, to| {
        it.number::<usize>(to, 1..=MOST_CONNECTIONS)
    });
    if listen.is_absent() {
        for key in OF_RELAY {
            if let Some(field) = section.get(report, key) {
                let message = "says nothing without `listen`, like listen = \"127.0.0.1:3306\"";
                field.problem::<()>(report, message);
            }
        }
        return Ok(None);
    }
    let relay = || {
        Some(Relay {
            listen: listen.right()?,
            drain: drain.in_force(Duration::from_secs(5))?,
            wait: wait.in_force(Duration::from_secs(10))?,
            idle: idle.in_force(Duration::from_secs(8 * 3_600))?,
            connections: connections.in_force(500)?,
            balance: Balance::First,
        })
    };
    relay().map(Some).ok_or(())
}

/// `balance`
pub(super) fn balance(field: &Field<'_>, report: &mut Report<'_>) -> Option<Balance> {
    const FORM: &str = "\"first\" or \"least\"";
    match field.text(report, FORM)? {
        "first" => Some(Balance::First),
        "least" => Some(Balance::Least),
        _ => field.wrong(report, FORM),
    }
}

/// What is in force: replicas share their connections, anything else is used one at a time unless it says otherwise.
pub(super) fn balance_of(
    section: &Section<'_>,
    report: &mut Report<'_>,
    check: &DependencyCheck,
    said: Given<Balance>,
) -> Option<Balance> {
    let role = match check {
        DependencyCheck::Members {
            probe: MemberProbe::Database(database),
            ..
        } => Some(database.role),
        _ => None,
    };
    let usual = match role {
        Some(DatabaseRole::Replica) => Balance::Least,
        Some(DatabaseRole::Primary) | None => Balance::First,
    };
    let balance = said.in_force(usual)?;
    if balance == Balance::Least && role == Some(DatabaseRole::Primary) {
        const MESSAGE: &str = "of primaries there is one: balance = \"least\" belongs to role = \"replica\", or to kind = \"tcp\" and \"http\"";
        return match section.get(report, "balance") {
            Some(field) => field.problem(report, MESSAGE),
            None => None,
        };
    }
    Some(balance)
}

/// One address or a list of them.
fn listen(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<SocketAddr>> {
    const FORM: &str = "an address to listen on or a list of 1 to 8, like \"127.0.0.1:3306\"";
    if matches!(field.value, toml::de::DeValue::String(_)) {
        return address::listener(field, report).map(|it| vec![it]);
    }
    let items = field.items(report, FORM, 1..=MOST_LISTENERS)?;
    distinct(&items, report, address::listener)
}

/// What relays say of each other and of minato's own listeners.
pub(super) fn check_listeners(root: &Section<'_>, report: &mut Report<'_>, settings: &Settings) {
    let Some(field) = root.get(report, "dependencies") else {
        return;
    };
    let toml::de::DeValue::Table(table) = field.value else {
        return;
    };
    let all = Section {
        path: field.path,
        line: field.line,
        table,
    };
    let mut own: Vec<(SocketAddr, String)> = settings
        .gateway
        .listeners()
        .map(|it| (it, "a listener of the gateway".to_owned()))
        .collect();
    own.push((settings.admin, "the admin's".to_owned()));
    let entrance = settings.entrance.listen.iter();
    own.extend(entrance.map(|it| (*it, "a listener of the entrance".to_owned())));
    let PortRange { first, last } = settings.agent.ports;
    for (name, dependency) in &settings.dependencies {
        let Some(relay) = &dependency.relay else {
            continue;
        };
        let Some(place) = all.get(report, name.as_str()) else {
            continue;
        };
        let place = match place.section(report, "a table") {
            Some(it) => it.get(report, "listen").unwrap_or(place),
            None => place,
        };
        for address in &relay.listen {
            let overlaps = |it: &&(SocketAddr, String)| gateway::overlap(it.0, *address);
            if let Some((other, whose)) = own.iter().find(overlaps) {
                let message = format!("{address} is {whose} already ({other}); change one of them");
                place.problem::<()>(report, message);
            }
            if (first..=last).contains(&address.port()) {
                let message = format!(
                    "{address} lies in [agent] ports ({first}-{last}), from which instances get theirs; change one of them"
                );
                place.problem::<()>(report, message);
            }
            if let DependencyCheck::Members { members, .. } = &dependency.check
                && members.contains(address)
            {
                let message = format!(
                    "{address} is one of its members as well: connections would go in a circle"
                );
                place.problem::<()>(report, message);
            }
            own.push((*address, format!("the relay {name}'s")));
        }
    }
}
