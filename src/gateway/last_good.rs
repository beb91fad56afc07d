//! The last good table and verdicts on disk, so that a gateway serves again at once after a restart.

use super::member::Past;
use super::wanted::{Use, Wanted};
use anyhow::Context as _;
use minato_config::{Generation, OrderRecord, Run, ServiceName, ServiceRecord, SiteId, SlotIndex};
use minato_health::Verdict;
use minato_health::site::Memory;
use minato_proxy::{Endpoint, EndpointId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The file in the data folder.
const FILE: &str = "gateway.json";

/// What the file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastGood {
    v: u32,
    pub(crate) services: Vec<ServiceRecord>,
    pub(crate) endpoints: Vec<LastEndpoint>,
    /// Services that an operator had drained.
    #[serde(default)]
    pub(crate) drained: Vec<ServiceName>,
    /// Which sites come first, where that was decided.
    #[serde(default)]
    pub(crate) orders: BTreeMap<ServiceName, OrderRecord>,
    /// Which sites were left, and how often, by service.
    #[serde(default)]
    pub(crate) courses: Vec<LastCourse>,
}

/// How far one site may be used for one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastCourse {
    pub(crate) service: ServiceName,
    pub(crate) site: SiteId,
    pub(crate) memory: Memory,
    /// The commit of the last release by a person that was carried out.
    #[serde(default)]
    pub(crate) released: u64,
}

/// One endpoint with the verdict it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastEndpoint {
    pub(crate) service: ServiceName,
    pub(crate) slot: SlotIndex,
    pub(crate) generation: Generation,
    pub(crate) run: Run,
    pub(crate) address: SocketAddr,
    pub(crate) verdict: Verdict,
    /// It has taken requests before: it may be held as the last of its service.
    #[serde(default)]
    pub(crate) been_up: bool,
}

impl LastEndpoint {
    pub(crate) fn new(endpoint: &Endpoint, verdict: Verdict) -> Self {
        let id = endpoint.id();
        Self {
            service: id.service.clone(),
            slot: id.slot,
            generation: id.generation,
            run: id.run,
            address: endpoint.address(),
            verdict,
            been_up: endpoint.has_been_up(),
        }
    }

    pub(crate) fn id(&self) -> EndpointId {
        EndpointId {
            service: self.service.clone(),
            slot: self.slot,
            generation: self.generation,
            run: self.run,
            site: None,
        }
    }

    pub(super) fn past(&self) -> Past {
        Past {
            verdict: Some(self.verdict),
            been_up: self.been_up,
        }
    }

    /// As the store would want it.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            slot: self.slot,
            generation: self.generation,
            run: self.run,
            address: self.address,
            usage: Use::Serve,
        }
    }
}

impl LastGood {
    pub(crate) fn new(
        services: Vec<ServiceRecord>,
        endpoints: Vec<LastEndpoint>,
        drained: Vec<ServiceName>,
        courses: Vec<LastCourse>,
    ) -> Self {
        Self {
            v: 1,
            services,
            endpoints,
            drained,
            orders: BTreeMap::new(),
            courses,
        }
    }

    pub(super) fn led(mut self, orders: BTreeMap<ServiceName, OrderRecord>) -> Self {
        self.orders = orders;
        self
    }

    /// Where it is kept.
    pub(crate) fn file(data: &Path) -> PathBuf {
        data.join(FILE)
    }

    /// What was saved; empty where there is none. A damaged file is said and passed over: the store knows the rest.
    pub(crate) fn load(data: &Path) -> Self {
        let path = Self::file(data);
        let Ok(bytes) = std::fs::read(&path) else {
            return Self::default();
        };
        match serde_json::from_slice::<Self>(&bytes) {
            Ok(it) if it.v == 1 => it,
            Ok(it) => {
                tracing::warn!(file = %path.display(), version = it.v, "the saved table is of another version; starting without it");
                Self::default()
            }
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "the saved table cannot be read; starting without it");
                Self::default()
            }
        }
    }

    /// Replaces the file in one step.
    pub(crate) fn save(&self, data: &Path) -> anyhow::Result<()> {
        let (path, new): (PathBuf, PathBuf) = (Self::file(data), data.join(format!("{FILE}.new")));
        let write = || -> anyhow::Result<()> {
            let mut file = std::fs::File::create(&new)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_data()?;
            std::fs::rename(&new, &path)?;
            Ok(())
        };
        write().with_context(|| format!("cannot save the table to {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_damage_is_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(LastGood::load(folder.path()), LastGood::default());
        let endpoint = LastEndpoint {
            service: ServiceName::parse("library").expect("a name"),
            slot: SlotIndex(1),
            generation: Generation { era: 0, counter: 3 },
            run: Run(2),
            address: ([127, 0, 0, 1], 20_001).into(),
            verdict: Verdict::Suspect,
            been_up: true,
        };
        let saved = LastGood::new(Vec::new(), vec![endpoint], Vec::new(), Vec::new());
        saved.save(folder.path()).expect("saved");
        assert_eq!(LastGood::load(folder.path()), saved);
        std::fs::write(folder.path().join(FILE), b"{\"v\":1,\"services\":[").expect("written");
        assert_eq!(LastGood::load(folder.path()), LastGood::default());
    }
}
