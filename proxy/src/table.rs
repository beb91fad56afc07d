//! One immutable table of all routes. A change to one service makes a new table that shares the rest.
//!
//! Hosts, the prefixes of a host and services are persistent maps (rpds: hash array mapped tries, and a red-black tree
//! where order matters), so that `with` copies a few nodes and not the map; and so that ten thousand services
//! on one host cost no more than on ten thousand hosts. Sharded plain maps would copy a whole shard each time.
//!
//! Not here: making host and path normal (`target`), choosing an instance (`pick`), swapping tables (`proxy/server`).

mod host;

use crate::ServiceEntry;
use archery::ArcTK;
use host::HostRoutes;
use minato_config::{HostPattern, RouteAction, RoutePattern, ServiceName};
use rpds::{HashTrieMap, RedBlackTreeMapSync};
use rustc_hash::FxHasher;
use std::collections::BTreeSet;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

/// By host. What stands in it is the operator's; who only looks things up cannot make keys collide, so the hash may be a
/// simple one.
type Hosts = HashTrieMap<String, HostRoutes, ArcTK, BuildHasherDefault<FxHasher>>;

/// Routes by host and path prefix; services by name. A clone is a handful of counters.
///
/// Where two services claim one pattern, the one that came first keeps it, through all its changes, and the other takes it
/// over when the first gives it up. Equal sequences of `with` and `without` make equal tables.
#[derive(Debug, Clone, Default)]
pub struct Table {
    services: RedBlackTreeMapSync<ServiceName, Arc<ServiceEntry>>,
    exact: Hosts,
    /// By suffix.
    wildcard: Hosts,
    any: HostRoutes,
}

/// One route of one service.
#[derive(Debug)]
pub struct TableRoute {
    /// What it takes.
    pub pattern: RoutePattern,
    /// What it does.
    pub action: RouteAction,
    /// Whose it is.
    pub service: Arc<ServiceEntry>,
}

/// A match. Holds only the route, so that a long request pins no table.
#[derive(Debug, Clone)]
pub struct Found {
    /// The route.
    pub route: Arc<TableRoute>,
}

impl Table {
    /// The route for a normalized host (lower case, no port) and path: exact host, then the longest wildcard suffix,
    /// then `*`; within a host the longest prefix. A host without a matching prefix falls through to the next.
    ///
    /// A wildcard takes one or more labels in front of its suffix, never the suffix itself. Prefixes match whole
    /// segments; an empty segment (`//`) is one: `/a` does not take `//a`.
    pub fn find(&self, host: &str, path: &str) -> Option<Found> {
        let exact = self.exact.get(host).and_then(|it| it.find(path));
        exact
            .or_else(|| self.find_wildcard(host, path))
            .or_else(|| self.any.find(path))
            .map(|route| Found {
                route: Arc::clone(route),
            })
    }

    fn find_wildcard(&self, host: &str, path: &str) -> Option<&Arc<TableRoute>> {
        if self.wildcard.is_empty() {
            return None;
        }
        let mut rest = host;
        while let Some((label, suffix)) = rest.split_once('.') {
            if !label.is_empty()
                && let Some(route) = self.wildcard.get(suffix).and_then(|it| it.find(path))
            {
                return Some(route);
            }
            rest = suffix;
        }
        None
    }

    /// A table in which this service stands as given; work is in proportion to this service's routes.
    #[must_use]
    pub fn with(&self, entry: ServiceEntry) -> Self {
        let entry = Arc::new(entry);
        let name = &entry.service.name;
        let mut next = self.clone();
        let mut wanted = BTreeSet::new();
        for route in &entry.service.routes {
            // The first of two equal patterns within one service counts.
            if wanted.insert(&route.pattern) {
                next.claim(TableRoute {
                    pattern: route.pattern.clone(),
                    action: route.action.clone(),
                    service: Arc::clone(&entry),
                });
            }
        }
        if let Some(before) = self.services.get(name) {
            for route in &before.service.routes {
                if !wanted.contains(&route.pattern) {
                    next.release(&route.pattern, name);
                }
            }
        }
        next.services.insert_mut(name.clone(), Arc::clone(&entry));
        next
    }

    /// A table without it.
    #[must_use]
    pub fn without(&self, service: &ServiceName) -> Self {
        let mut next = self.clone();
        if let Some(entry) = self.services.get(service) {
            for route in &entry.service.routes {
                next.release(&route.pattern, service);
            }
            next.services.remove_mut(service);
        }
        next
    }

    /// One service.
    pub fn service(&self, name: &ServiceName) -> Option<&Arc<ServiceEntry>> {
        self.services.get(name)
    }

    /// All services, sorted by name.
    pub fn services(&self) -> Vec<Arc<ServiceEntry>> {
        self.services.values().map(Arc::clone).collect()
    }

    /// How many services.
    pub fn len(&self) -> usize {
        self.services.size()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// The route that holds exactly this pattern; of another service where several claim it.
    pub fn owner(&self, pattern: &RoutePattern) -> Option<&Arc<TableRoute>> {
        let routes = match &pattern.host {
            HostPattern::Exact(host) => self.exact.get(host)?,
            HostPattern::Wildcard(suffix) => self.wildcard.get(suffix)?,
            HostPattern::Any => &self.any,
        };
        routes.owner(&pattern.path.0)
    }

    fn claim(&mut self, route: TableRoute) {
        let route = Arc::new(route);
        self.change(&route.pattern.host, |routes| routes.claim(&route));
    }

    fn release(&mut self, pattern: &RoutePattern, service: &ServiceName) {
        self.change(&pattern.host, |routes| {
            routes.release(&pattern.path.0, service);
        });
    }

    fn change(&mut self, host: &HostPattern, change: impl FnOnce(&mut HostRoutes)) {
        let (map, key) = match host {
            HostPattern::Exact(host) => (&mut self.exact, host),
            HostPattern::Wildcard(suffix) => (&mut self.wildcard, suffix),
            HostPattern::Any => return change(&mut self.any),
        };
        let mut routes = map.get(key).cloned().unwrap_or_default();
        change(&mut routes);
        if routes.is_empty() {
            map.remove_mut(key);
        } else {
            map.insert_mut(key.clone(), routes);
        }
    }
}

#[cfg(test)]
mod tests;
