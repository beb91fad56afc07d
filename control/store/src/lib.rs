//! The shared key-value store: the trait, the key layout, and the embedded backend.
//!
//! Keys are text, values are bytes (JSON documents with a version `v`). Every commit has a revision; watches replay
//! from one. Backends pass one contract suite, [`contract`].
//! Not here: what the documents mean (`config`, `health`, `control`), who may write which (`control/server`, `control/agent`).

pub mod contract;
mod embedded;
mod error;
pub mod keys;
mod store;
mod world;

pub use embedded::{Embedded, Options};
pub use error::StoreError;
pub use store::{
    Commit, Compare, Entry, Event, LeaseId, Listing, Revision, SharedStore, Store, Watch, Write,
};
pub use world::{Observed, read_world};
