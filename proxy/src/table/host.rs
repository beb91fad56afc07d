//! The routes of one host pattern, by path prefix.

use crate::TableRoute;
use minato_config::ServiceName;
use rpds::HashTrieMapSync;
use std::sync::Arc;

/// Prefixes and who claims them. A clone shares the map.
#[derive(Debug, Clone, Default)]
pub(super) struct HostRoutes {
    /// Who claims `/`; it takes every path.
    root: Option<Claims>,
    prefixes: HashTrieMapSync<String, Claims>,
    /// How many prefixes have n + 1 segments: a path is looked up at these lengths only, so a long path from
    /// outside costs no more than the operator's own prefixes are deep.
    depths: Vec<u32>,
}

/// Everyone who claims one pattern, in the order of arrival.
#[derive(Debug, Clone)]
struct Claims {
    owner: Arc<TableRoute>,
    /// Mostly empty, then without memory of its own.
    waiting: Vec<Arc<TableRoute>>,
}

impl HostRoutes {
    pub(super) fn is_empty(&self) -> bool {
        self.root.is_none() && self.prefixes.is_empty()
    }

    /// The longest prefix of whole segments.
    pub(super) fn find(&self, path: &str) -> Option<&Arc<TableRoute>> {
        let mut best = self.root.as_ref();
        let mut end = 0;
        for count in &self.depths {
            let Some(rest) = path.get(end..).and_then(|it| it.strip_prefix('/')) else {
                break;
            };
            end += 1 + rest.find('/').unwrap_or(rest.len());
            if *count > 0 {
                best = path
                    .get(..end)
                    .and_then(|it| self.prefixes.get(it))
                    .or(best);
            }
        }
        best.map(|it| &it.owner)
    }

    /// Who holds exactly this prefix.
    pub(super) fn owner(&self, prefix: &str) -> Option<&Arc<TableRoute>> {
        self.claims(prefix).map(|it| &it.owner)
    }

    /// The first to come owns it; a service that claims it already keeps its place with the new route.
    pub(super) fn claim(&mut self, route: &Arc<TableRoute>) {
        let prefix = &route.pattern.path.0;
        let claims = match self.claims(prefix) {
            Some(claims) => claims.clone().with(route),
            None => {
                self.count(prefix, |it| it.saturating_add(1));
                Claims {
                    owner: Arc::clone(route),
                    waiting: Vec::new(),
                }
            }
        };
        self.set(prefix, claims);
    }

    pub(super) fn release(&mut self, prefix: &str, service: &ServiceName) {
        let Some(claims) = self.claims(prefix) else {
            return;
        };
        if let Some(claims) = claims.clone().without(service) {
            self.set(prefix, claims);
        } else if is_root(prefix) {
            self.root = None;
        } else {
            self.prefixes.remove_mut(prefix);
            self.count(prefix, |it| it.saturating_sub(1));
        }
    }

    fn claims(&self, prefix: &str) -> Option<&Claims> {
        if is_root(prefix) {
            self.root.as_ref()
        } else {
            self.prefixes.get(prefix)
        }
    }

    fn set(&mut self, prefix: &str, claims: Claims) {
        if is_root(prefix) {
            self.root = Some(claims);
        } else {
            self.prefixes.insert_mut(prefix.to_owned(), claims);
        }
    }

    fn count(&mut self, prefix: &str, change: impl FnOnce(u32) -> u32) {
        let Some(index) = prefix
            .matches('/')
            .count()
            .checked_sub(1)
            .filter(|_| !is_root(prefix))
        else {
            return;
        };
        if self.depths.len() <= index {
            self.depths.resize(index + 1, 0);
        }
        if let Some(count) = self.depths.get_mut(index) {
            *count = change(*count);
        }
        while self.depths.last() == Some(&0) {
            self.depths.pop();
        }
    }
}

fn is_root(prefix: &str) -> bool {
    prefix == "/"
}

impl Claims {
    fn with(mut self, route: &Arc<TableRoute>) -> Self {
        let service = &route.service.service.name;
        let mut all = std::iter::once(&mut self.owner).chain(&mut self.waiting);
        if let Some(mine) = all.find(|it| it.service.service.name == *service) {
            *mine = Arc::clone(route);
        } else {
            self.waiting.push(Arc::clone(route));
        }
        self
    }

    fn without(mut self, service: &ServiceName) -> Option<Self> {
        self.waiting
            .retain(|it| it.service.service.name != *service);
        if self.owner.service.service.name != *service {
            return Some(self);
        }
        if self.waiting.is_empty() {
            return None;
        }
        self.owner = self.waiting.remove(0);
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{entry, name, pattern, service};
    use minato_config::RouteAction;

    /// A deep prefix that has gone costs later lookups nothing.
    #[test]
    fn lengths_are_looked_at_only_while_a_prefix_has_them() {
        let mut routes = HostRoutes::default();
        let mut claim = |prefix: &str, of: &str| {
            let route = TableRoute {
                pattern: pattern(&format!("a{prefix}")),
                action: RouteAction::Forward { strip: false },
                service: Arc::new(entry(service(of, &[]), Vec::new())),
            };
            routes.claim(&Arc::new(route));
            routes.depths.clone()
        };
        assert_eq!(claim("/", "one"), []);
        assert_eq!(claim("/x/y/z", "one"), [0, 0, 1]);
        assert_eq!(claim("/x/y/z", "two"), [0, 0, 1]);
        assert_eq!(claim("/x", "one"), [1, 0, 1]);
        assert_eq!(claim("/y", "one"), [2, 0, 1]);
        let mut release = |prefix: &str, of: &str| {
            routes.release(prefix, &name(of));
            routes.depths.clone()
        };
        assert_eq!(release("/x/y/z", "one"), [2, 0, 1]);
        assert_eq!(release("/x/y/z", "one"), [2, 0, 1]);
        assert_eq!(release("/x/y/z", "two"), [2]);
        assert_eq!(release("/x", "one"), [1]);
        assert_eq!(release("/x", "one"), [1]);
        assert_eq!(release("/y", "one"), []);
        assert!(!routes.is_empty());
    }
}
