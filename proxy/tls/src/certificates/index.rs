//! Which certificate answers for which host. Pure.

use super::pair::Pair;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// The name that a certificate has which answers where no other does.
const DEFAULT: &str = "default";

/// Certificates by what they hold.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// `example.org`, and `*.example.org` with its star.
    hosts: HashMap<String, Arc<Pair>>,
    /// Suffixes of wildcards, without star and dot.
    wildcards: HashMap<String, Arc<Pair>>,
    fallback: Option<Arc<Pair>>,
    pairs: Vec<Arc<Pair>>,
}

impl Index {
    /// Of two for one host the one that ends last is taken, then the first by name.
    pub(crate) fn of(pairs: &BTreeMap<String, Arc<Pair>>) -> Self {
        let mut index = Self {
            fallback: pairs.get(DEFAULT).or(pairs.values().next()).cloned(),
            pairs: pairs.values().cloned().collect(),
            ..Self::default()
        };
        for pair in pairs.values() {
            for host in &pair.hosts {
                let (map, host) = match host.strip_prefix("*.") {
                    Some(suffix) => (&mut index.wildcards, suffix),
                    None => (&mut index.hosts, host.as_str()),
                };
                match map.get(host) {
                    Some(other) if other.not_after >= pair.not_after => {}
                    _ => drop(map.insert(host.to_owned(), Arc::clone(pair))),
                }
            }
        }
        index
    }

    /// The certificate that holds `host`, in lower case: by its whole name, then by a wildcard for its first label.
    pub(crate) fn find(&self, host: &str) -> Option<&Arc<Pair>> {
        let wildcard = || {
            let (label, suffix) = host.split_once('.')?;
            self.wildcards.get(suffix).filter(|_| !label.is_empty())
        };
        self.hosts.get(host).or_else(wildcard)
    }

    /// What answers where nothing else does.
    pub(crate) fn fallback(&self) -> Option<&Arc<Pair>> {
        self.fallback.as_ref()
    }

    /// Whether a client that asks for `address` gets a certificate that holds it.
    pub(crate) fn covers_address(&self, address: IpAddr) -> bool {
        let fallback = self.fallback.as_ref();
        fallback.is_some_and(|it| it.addresses.contains(&address))
    }

    /// Sorted by name.
    pub(crate) fn pairs(&self) -> &[Arc<Pair>] {
        &self.pairs
    }
}
