//! Reads the settings and the folder of services from disk, and follows the folder as it changes.
//!
//! A file with a problem changes nothing: the last good version of its service stays, and everything else applies.
//! Not here: what the text means (`config`), what becomes of services whose files are gone (`control/server`).

mod folder;
mod listing;
mod loader;
mod settings;
mod settling;
mod sight;
mod text;
mod watcher;

pub use folder::{Folder, Listed, LoadedService};
pub use loader::Loader;
pub use settings::{
    Findings, inspect, inspect_services_of, locate, read, read_or_default, read_sorry_page,
};
pub use watcher::Watcher;
