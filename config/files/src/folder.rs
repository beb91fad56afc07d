//! The folder of service files as it was last read.

use minato_config::{Problem, Service, ServiceName, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A good service and its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedService {
    /// What it should be: as the file says, or as it said when it was last good.
    pub service: Service,
    /// As the operator would type it.
    pub file: PathBuf,
}

/// Every service of the folder, and everything wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folder {
    /// What applies. A broken file is here with its last good version, or absent if it never had one.
    pub services: BTreeMap<ServiceName, LoadedService>,
    /// Sorted by file and line. Every file that does not apply as it stands has at least one.
    pub problems: Vec<Problem>,
    /// Service files in the folder, good and bad.
    pub files: usize,
    /// When this state was first seen.
    pub loaded_at: Timestamp,
    /// Which services have a file.
    pub listed: Listed,
}

/// Which services have a file, good or bad.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Listed {
    /// The folder could not be read, so nobody knows.
    #[default]
    Unknown,
    /// These.
    Names(BTreeSet<ServiceName>),
}

impl Folder {
    /// Whether the folder was read and holds no file of this service, not even a broken one. Only then may it end.
    pub fn is_gone(&self, service: &ServiceName) -> bool {
        match &self.listed {
            Listed::Unknown => false,
            Listed::Names(names) => !names.contains(service),
        }
    }

    /// Whether the two say the same, whenever they were read.
    pub(crate) fn says_what(&self, other: &Self) -> bool {
        let Self {
            services,
            problems,
            files,
            loaded_at: _,
            listed,
        } = self;
        *services == other.services
            && *problems == other.problems
            && *files == other.files
            && *listed == other.listed
    }
}
