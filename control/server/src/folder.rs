//! Stands in for `minato_config_files::Folder` until that lands.

use minato_config::{Problem, Service, ServiceName, Timestamp};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A good service and its file.
#[derive(Debug, Clone)]
pub struct LoadedService {
    /// What it says.
    pub service: Service,
    /// Where it stands.
    pub file: PathBuf,
}

/// The folder as last read.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    /// The good ones.
    pub services: BTreeMap<ServiceName, LoadedService>,
    /// The rest.
    pub problems: Vec<Problem>,
    /// How many files.
    pub files: usize,
    /// When.
    pub loaded_at: Timestamp,
}
