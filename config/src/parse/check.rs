//! What only shows when all services are seen together: duplicate routes, redirects in a circle, ports used twice.

use super::{address, document, pattern, route};
use crate::{
    HostPattern, PathPrefix, Problem, RouteAction, RoutePattern, ServiceName, Settings, Wants,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Redirects followed before giving up on finding a circle.
const MOST_HOPS: usize = 10;

/// A problem between services, or between a service and the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// As the operator sees it; it names both places.
    pub problem: Problem,
    /// Whose files are involved; the one that the problem points to comes first.
    pub services: Vec<ServiceName>,
}

/// What only shows when all files are seen together: duplicate routes, redirects in a circle, ports used twice; with
/// `settings` also ports and addresses that are minato's own.
///
/// Of two that want the same, the later in `files` gets the problem.
pub fn find_conflicts(files: &[Wants<'_>], settings: Option<&Settings>) -> Vec<Conflict> {
    let mut routes = BTreeMap::new();
    let mut ports = BTreeMap::new();
    let mut found = Vec::new();
    let mut places = Places::default();
    for (n, file) in files.iter().enumerate() {
        let here = Folder { files, n };
        for route in file.routes {
            match routes.get(&route.pattern) {
                Some((first, _)) => {
                    found.push(here.duplicate(*first, &route.pattern, &mut places));
                }
                None => {
                    routes.insert(route.pattern.clone(), (n, &route.action));
                }
            }
        }
        if let Some(port) = file.port {
            match ports.get(&port) {
                Some(first) => found.push(here.port_twice(*first, port)),
                None => {
                    ports.insert(port, n);
                }
            }
        }
        found.extend(settings.and_then(|it| here.port_taken(it)));
        found.extend(settings.into_iter().flat_map(|it| here.own_listener(it)));
    }
    found.extend(circles(files, &routes, settings, &mut places));
    found
}

/// One file among all.
#[derive(Clone, Copy)]
struct Folder<'a> {
    files: &'a [Wants<'a>],
    n: usize,
}

/// Where something stands in a file.
#[derive(Clone)]
struct Place {
    line: usize,
    path: String,
}

/// Where the routes of each service stand; a text is read again only once, and only where there is something to tell.
#[derive(Default)]
struct Places(BTreeMap<usize, BTreeMap<RoutePattern, Place>>);

impl Places {
    fn of(&mut self, at: Folder<'_>, pattern: &RoutePattern) -> Place {
        let places = self.0.entry(at.n).or_insert_with(|| at.route_places());
        let place = places.get(pattern).cloned();
        place.unwrap_or_else(|| at.place("routes"))
    }
}

impl<'a> Folder<'a> {
    fn wants(self) -> Wants<'a> {
        self.files[self.n]
    }

    fn at(self, n: usize) -> Self {
        Self { n, ..self }
    }

    fn name(self) -> ServiceName {
        self.wants().name.clone()
    }

    /// `services/library.toml:3`
    fn file_line(self, place: &Place) -> String {
        format!("{}:{}", self.wants().file.display(), place.line)
    }

    fn conflict(self, place: Place, message: String, others: Vec<ServiceName>) -> Conflict {
        Conflict {
            problem: Problem {
                file: self.wants().file.to_owned(),
                line: place.line,
                field: place.path,
                message,
            },
            services: std::iter::once(self.name()).chain(others).collect(),
        }
    }

    fn duplicate(self, first: usize, pattern: &RoutePattern, places: &mut Places) -> Conflict {
        let other = self.at(first);
        let (name, place) = (other.name(), other.file_line(&places.of(other, pattern)));
        let message = format!(
            "`{pattern}` is a route of service {name} already ({place}); a route leads to one service: leave one of them out"
        );
        self.conflict(places.of(self, pattern), message, vec![name])
    }

    fn port_twice(self, first: usize, port: u16) -> Conflict {
        let other = self.at(first);
        let (name, place) = (other.name(), other.file_line(&other.place("port")));
        let message = format!(
            "{port} is the port of service {name} already ({place}); choose another, or leave it out"
        );
        self.conflict(self.place("port"), message, vec![name])
    }

    /// The fixed port is minato's own, or one that the agent may give to another instance.
    fn port_taken(self, settings: &Settings) -> Option<Conflict> {
        let port = self.wants().port?;
        let range = settings.agent.ports;
        let message = if let Some(it) = settings.gateway.listeners().find(|it| it.port() == port) {
            format!(
                "{port} is taken by the gateway, which listens on {it}; choose another, or leave it out"
            )
        } else if settings.admin.port() == port {
            format!(
                "{port} is taken by the admin's {}; choose another, or leave it out",
                settings.admin
            )
        } else if let Some(it) = settings.entrance.listen.iter().find(|it| it.port() == port) {
            format!("{port} is taken by the entrance's {it}; choose another, or leave it out")
        } else if (range.first..=range.last).contains(&port) {
            let (first, last) = (range.first, range.last);
            format!(
                "{port} lies in [agent] ports ({first}-{last}), from which other instances get theirs; choose one outside, or leave it out"
            )
        } else {
            return None;
        };
        Some(self.conflict(self.place("port"), message, Vec::new()))
    }

    /// Endpoints that are the gateway itself: its requests would go in a circle.
    fn own_listener(self, settings: &Settings) -> Vec<Conflict> {
        let own = |endpoint: SocketAddr, listener: SocketAddr| {
            let any = listener.ip().is_unspecified() && endpoint.ip().is_loopback();
            endpoint.port() == listener.port() && (any || endpoint.ip() == listener.ip())
        };
        let hits = self.wants().endpoints.iter().filter_map(|endpoint| {
            let listener = settings
                .gateway
                .listeners()
                .find(|it| own(*endpoint, *it))?;
            let message = format!("{endpoint} is this gateway itself, which listens on {listener}: requests would go in a circle; name the server behind it");
            Some(self.conflict(self.endpoint_place(*endpoint), message, Vec::new()))
        });
        hits.collect()
    }

    fn route_places(self) -> BTreeMap<RoutePattern, Place> {
        let Wants {
            file, text, name, ..
        } = self.wants();
        let (mut report, table) = document::open(file, text);
        let root = report.root(&format!("service.{name}"), &table);
        let placed = route::read(&root, &mut report).into_iter();
        placed
            .map(|it| {
                let (line, path) = (it.line, it.path);
                (it.route.pattern, Place { line, path })
            })
            .collect()
    }

    fn place(self, key: &str) -> Place {
        let Wants {
            file, text, name, ..
        } = self.wants();
        let (report, table) = document::open(file, text);
        let root = report.root(&format!("service.{name}"), &table);
        let field = root.get(&report, key);
        Place {
            line: field.map_or(0, |it| it.line),
            path: root.path_of(key),
        }
    }

    fn endpoint_place(self, endpoint: SocketAddr) -> Place {
        let Wants {
            file, text, name, ..
        } = self.wants();
        let (mut report, table) = document::open(file, text);
        let root = report.root(&format!("service.{name}"), &table);
        let items = root.get(&report, "endpoints");
        let items = items.and_then(|it| it.items(&mut report, "", 0..=usize::MAX));
        let mut items = items.unwrap_or_default().into_iter();
        match items.find(|it| address::endpoint(it, &mut report) == Some(endpoint)) {
            Some(field) => Place {
                line: field.line,
                path: field.path,
            },
            None => self.place("endpoints"),
        }
    }
}

type Routes<'a> = BTreeMap<RoutePattern, (usize, &'a RouteAction)>;

/// Redirects that lead back to themselves.
fn circles(
    files: &[Wants<'_>],
    routes: &Routes<'_>,
    settings: Option<&Settings>,
    places: &mut Places,
) -> Vec<Conflict> {
    let mut found = Vec::new();
    let mut told: Vec<&RoutePattern> = Vec::new();
    for (start, (n, action)) in routes {
        let mut way = vec![start];
        let mut involved = Vec::new();
        let mut action: &RouteAction = action;
        while let RouteAction::Redirect { to } = action
            && way.len() <= MOST_HOPS
        {
            let Some((next, (owner, then))) = target(to, routes, settings) else {
                break;
            };
            if way.contains(&next) {
                if next == start && !told.iter().any(|it| way.contains(it)) {
                    told.push(start);
                    found.push(circle(Folder { files, n: *n }, &way, involved, places));
                }
                break;
            }
            let owner = files[*owner].name;
            if !involved.contains(owner) && owner != files[*n].name {
                involved.push(owner.clone());
            }
            way.push(next);
            action = then;
        }
    }
    found
}

fn circle(
    at: Folder<'_>,
    way: &[&RoutePattern],
    others: Vec<ServiceName>,
    places: &mut Places,
) -> Conflict {
    let names = way.iter().chain(way.first());
    let names: Vec<_> = names.map(|it| format!("`{it}`")).collect();
    let names = names.join(" to ");
    let message = format!("redirects in a circle: {names}; lead it to a route that answers");
    let start = way.first().map(|it| places.of(at, it));
    let place = start.unwrap_or_else(|| at.place("route"));
    at.conflict(place, message, others)
}

/// The route that a redirect's target arrives at, if it comes back to this gateway.
fn target<'a, 'r>(
    to: &str,
    routes: &'a Routes<'r>,
    settings: Option<&Settings>,
) -> Option<(&'a RoutePattern, &'a (usize, &'r RouteAction))> {
    let (_, rest) = to.split_once("://")?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let (host, port) = pattern::split_port(authority);
    let port: Option<u16> = port.and_then(|it| it.parse().ok());
    let mut listeners = settings.into_iter().flat_map(|it| it.gateway.listeners());
    let ours = port.is_none_or(|it| it == 80 || it == 443 || listeners.any(|on| on.port() == it));
    if !ours {
        return None;
    }
    let exact = std::iter::once(HostPattern::Exact(host.to_owned()));
    let suffixes = host.match_indices('.').map(|(at, _)| &host[at + 1..]);
    let wildcards = suffixes.map(|it| HostPattern::Wildcard(it.to_owned()));
    let hosts = exact.chain(wildcards).chain([HostPattern::Any]);
    for host in hosts {
        for path in prefixes(path) {
            let wanted = RoutePattern {
                host: host.clone(),
                path: PathPrefix(path.to_owned()),
            };
            if let Some(found) = routes.get_key_value(&wanted) {
                return Some(found);
            }
        }
    }
    None
}

/// The path and all its whole-segment prefixes, longest first.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    let cuts = path
        .match_indices('/')
        .map(|(at, _)| at)
        .filter(|at| *at > 0);
    let cuts: Vec<_> = cuts.collect();
    let shorter = cuts.into_iter().rev().map(move |at| &path[..at]);
    let whole = (path != "/").then_some(path);
    whole.into_iter().chain(shorter).chain(["/"])
}
