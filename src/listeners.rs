//! The addresses that this process listens on: bound here, inherited from the process before, or passed by systemd.
//!
//! A listener that somebody else has open is never bound again, so no connection that waits in it is lost. This keeps a
//! copy of each, for the next process. Not here: accepting.

use anyhow::{Context as _, bail};
use minato_config::{Role as ProcessRole, Settings};
use rustix::fd::{AsFd, BorrowedFd};
use serde::{Deserialize, Serialize};
use std::net::{SocketAddr, TcpListener};

/// What is served on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Plain HTTP requests.
    Http,
    /// Requests over TLS.
    Https,
    /// The admin API.
    Admin,
    /// Questions of daemons and checks whether traffic should come.
    Entrance,
    /// Connections that are passed on to a dependency.
    Relay,
    /// Gateways of other sites.
    Link,
    /// Connections that are passed on to another site, to what it offers by name.
    Stream,
    /// Something of a later version. Never served.
    #[serde(other)]
    Unknown,
}

impl Role {
    /// Where it stands in the settings.
    fn field(self) -> &'static str {
        match self {
            Self::Http => "[gateway] http",
            Self::Https => "[gateway] https",
            Self::Admin => "[admin] listen",
            Self::Entrance => "[entrance] listen",
            Self::Relay => "`listen` of [dependencies]",
            Self::Link => "[link] listen",
            Self::Stream => "`streams` of [sites]",
            Self::Unknown => "?",
        }
    }
}

/// Who decides that a listener exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    /// The settings: it ends when they no longer name it.
    Settings,
    /// systemd's socket unit, in place of what the settings say for its role.
    SocketUnit,
}

/// One open listener.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) role: Role,
    /// As the settings have it; its port may be 0.
    pub(crate) asked: SocketAddr,
    pub(crate) origin: Origin,
    socket: TcpListener,
}

impl Held {
    pub(crate) fn new(role: Role, asked: SocketAddr, origin: Origin, socket: TcpListener) -> Self {
        Self {
            role,
            asked,
            origin,
            socket,
        }
    }
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// All of this process's. Dropping it closes what the gateway and the admin API no longer have open themselves.
#[derive(Debug)]
pub(crate) struct Listeners(Vec<Held>);

impl Listeners {
    /// What the settings want: of what is `open` already, the listeners that are still wanted; the rest is bound.
    pub(crate) fn gather(settings: &Settings, open: Vec<Held>) -> anyhow::Result<Self> {
        let notes: Vec<Note> = open.iter().map(Held::note).collect();
        let plan = plan(&wanted(settings), &notes);
        for (role, asked) in &plan.covered {
            let field = role.field();
            tracing::warn!(
                "{field} = {asked} is not bound: the socket unit passes the listeners for it"
            );
        }
        let mut open: Vec<Option<Held>> = open.into_iter().map(Some).collect();
        let kept = plan.keep.iter().filter_map(|it| open[*it].take());
        let mut all: Vec<Held> = kept.collect();
        for gone in open.into_iter().flatten() {
            let (asked, field) = (gone.asked, gone.role.field());
            tracing::info!("{asked} is closed: {field} does not name it");
        }
        for (role, asked) in plan.bind {
            let socket = bind(role, asked)?;
            all.push(Held::new(role, asked, Origin::Settings, socket));
        }
        Ok(Self(all))
    }

    /// Closes this process's copies; what accepts has its own.
    pub(crate) fn close(&mut self) {
        self.0.clear();
    }

    pub(crate) fn held(&self) -> &[Held] {
        &self.0
    }

    /// As [`Listeners::of`], each with the address that the settings have for it.
    pub(crate) fn of_asked(&self, role: Role) -> anyhow::Result<Vec<(SocketAddr, TcpListener)>> {
        let asked = self
            .0
            .iter()
            .filter(|it| it.role == role)
            .map(|it| it.asked);
        Ok(asked.zip(self.of(role)?).collect())
    }

    /// Copies of the listeners of one role, to accept on.
    pub(crate) fn of(&self, role: Role) -> anyhow::Result<Vec<TcpListener>> {
        let of_role = self.0.iter().filter(|it| it.role == role);
        let copies = of_role.map(|it| {
            it.socket.set_nonblocking(true)?;
            it.socket.try_clone()
        });
        copies
            .collect::<std::io::Result<_>>()
            .context("a listener cannot be used")
    }

    /// Where requests of one role arrive.
    pub(crate) fn addresses(&self, role: Role) -> Vec<SocketAddr> {
        let of_role = self.0.iter().filter(|it| it.role == role);
        of_role
            .filter_map(|it| it.socket.local_addr().ok())
            .collect()
    }
}

/// Every address that the settings name.
fn wanted(settings: &Settings) -> Vec<(Role, SocketAddr)> {
    let http = settings.gateway.http.iter().map(|it| (Role::Http, *it));
    let is_gateway = settings.roles.contains(&ProcessRole::Gateway);
    let https = settings.gateway.https.iter();
    let https = https.map(|it| (Role::Https, it.listen));
    let entrance = settings.entrance.listen.iter();
    let entrance = entrance.map(|it| (Role::Entrance, *it));
    let is_agent = settings.roles.contains(&ProcessRole::Agent);
    let relays = settings.dependencies.values();
    let relays = relays.filter_map(|it| it.relay.as_ref());
    let relays = relays.flat_map(|it| it.listen.iter().map(|it| (Role::Relay, *it)));
    let links = settings.link.listen.iter().map(|it| (Role::Link, *it));
    let streams = settings.sites.values();
    let streams = streams.flat_map(|it| it.streams.values().map(|it| (Role::Stream, *it)));
    http.chain(https)
        .chain(links)
        .chain(streams)
        .chain(entrance)
        .filter(|_| is_gateway)
        .chain([(Role::Admin, settings.admin)])
        .chain(relays.filter(|_| is_agent))
        .collect()
}

/// What decides about an open listener.
#[derive(Debug, Clone, Copy)]
struct Note {
    role: Role,
    asked: SocketAddr,
    origin: Origin,
}

impl Held {
    fn note(&self) -> Note {
        Note {
            role: self.role,
            asked: self.asked,
            origin: self.origin,
        }
    }
}

/// What becomes of open listeners and wanted addresses.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Places in the list of open ones, in the order of what is wanted.
    keep: Vec<usize>,
    bind: Vec<(Role, SocketAddr)>,
    /// Wanted, and not bound because the socket unit decides.
    covered: Vec<(Role, SocketAddr)>,
}

fn plan(wanted: &[(Role, SocketAddr)], open: &[Note]) -> Plan {
    let mut plan = Plan::default();
    let passed = |role: Role| {
        let open = open.iter().enumerate();
        open.filter(move |(_, it)| it.role == role && it.origin == Origin::SocketUnit)
    };
    let roles = [
        Role::Http,
        Role::Https,
        Role::Admin,
        Role::Entrance,
        Role::Relay,
        Role::Link,
        Role::Stream,
    ];
    for role in roles {
        // A role that this process does not have takes nothing.
        if wanted.iter().any(|it| it.0 == role) {
            plan.keep.extend(passed(role).map(|(place, _)| place));
        }
    }
    for (role, asked) in wanted {
        if passed(*role).next().is_some() {
            if !passed(*role).any(|(_, it)| it.asked == *asked) {
                plan.covered.push((*role, *asked));
            }
            continue;
        }
        let same = |(place, it): &(usize, &Note)| {
            it.role == *role && it.asked == *asked && !plan.keep.contains(place)
        };
        match open.iter().enumerate().find(same) {
            Some((place, _)) => plan.keep.push(place),
            None => plan.bind.push((*role, *asked)),
        }
    }
    plan
}

fn bind(role: Role, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let field = role.field();
    let bound = match role {
        Role::Relay => minato_control_agent::dependency::listen(address),
        Role::Http
        | Role::Https
        | Role::Admin
        | Role::Entrance
        | Role::Link
        | Role::Stream
        | Role::Unknown => minato_proxy_server::listen(address),
    };
    match bound {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!(
                "{address} is taken by another program (`ss -ltnp 'sport = :{}'` names it): stop that one, or change {field}",
                address.port()
            )
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            bail!(
                "no permission to listen on {address}: ports below 1024 need root or CAP_NET_BIND_SERVICE; or change {field}"
            )
        }
        Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
            bail!(
                "no interface of this machine has {}; change {field}",
                address.ip()
            )
        }
        Err(error) => {
            Err(error).with_context(|| format!("cannot listen on {address}; change {field}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    /// `http 80` is wanted or open by the settings, `http 80 unit` open by the socket unit.
    fn notes(text: &str) -> Vec<Note> {
        let words = text.split(", ").filter(|it| !it.is_empty());
        words
            .map(|it| {
                let words: Vec<&str> = it.split(' ').collect();
                Note {
                    role: match words[0] {
                        "http" => Role::Http,
                        "https" => Role::Https,
                        "admin" => Role::Admin,
                        _ => Role::Unknown,
                    },
                    asked: at(words[1].parse().unwrap()),
                    origin: match words.get(2) {
                        Some(_) => Origin::SocketUnit,
                        None => Origin::Settings,
                    },
                }
            })
            .collect()
    }

    #[track_caller]
    fn check(wanted: &str, open: &str, keep: &[usize], bind: &str, covered: &str) {
        let pairs = |text| -> Vec<_> { notes(text).iter().map(|it| (it.role, it.asked)).collect() };
        let expected = Plan {
            keep: keep.to_vec(),
            bind: pairs(bind),
            covered: pairs(covered),
        };
        assert_eq!(plan(&pairs(wanted), &notes(open)), expected);
    }

    #[test]
    fn what_is_open_and_wanted_is_kept_the_rest_is_bound_or_closed() {
        check("http 80, admin 7", "", &[], "http 80, admin 7", "");
        check("http 80, admin 7", "admin 7, http 80", &[1, 0], "", "");
        check("http 81, admin 7", "http 80, admin 7", &[1], "http 81", "");
        check("admin 7", "http 80, admin 7", &[1], "", "");
        // The same address in another role is another listener.
        check("http 7, admin 8", "admin 7, admin 8", &[1], "http 7", "");
        check("admin 7", "quic 443, admin 7", &[1], "", "");
        check("http 80, https 443", "https 443", &[0], "http 80", "");
    }

    #[test]
    fn a_port_that_the_system_chose_is_kept_for_each_that_asked() {
        check("http 0, http 0", "http 0, http 0", &[0, 1], "", "");
        check("http 0, http 0", "http 0", &[0], "http 0", "");
    }

    #[test]
    fn the_socket_unit_decides_for_its_roles() {
        let open = "http 80 unit, http 443 unit";
        check("http 80, admin 7", open, &[0, 1], "admin 7", "");
        check("http 8080, admin 7", open, &[0, 1], "admin 7", "http 8080");
        // Without the gateway's role nothing is served there.
        check("admin 7", open, &[], "admin 7", "");
        check("admin 7", "admin 9 unit", &[0], "", "admin 7");
        // A listener of the settings ends where the unit passes one.
        check("http 80", "http 80, http 81 unit", &[1], "", "http 80");
    }
}
