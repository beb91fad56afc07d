//! The shared key-value store: the trait, the key layout, and its backends: embedded for one machine, etcd for many.
//!
//! Keys are text, values are bytes (JSON documents with a version `v`). Every commit has a revision; watches replay
//! from one. Backends pass one contract suite, [`contract`].
//! Not here: what the documents mean (`config`, `health`, `control`), who may write which (`control/server`, `control/agent`).

mod bounds;
pub mod contract;
mod copy;
mod decision;
mod embedded;
mod error;
mod etcd;
mod follow;
mod guard;
pub mod keys;
mod meta;
mod store;
mod world;

pub use bounds::{
    MAX_COMMIT_BYTES, MAX_COMPARES, MAX_KEY_BYTES, MAX_STORE_BYTES, MAX_VALUE_BYTES, MAX_WRITES,
};
pub use copy::{Ahead, Copied, CopyError, Copying, InUse, reclaim};
pub use decision::{Decision, ReplayError};
pub use embedded::{Embedded, Options};
pub use error::StoreError;
pub use etcd::{Etcd, EtcdIdentity, EtcdOptions, EtcdTls, EtcdUser};
pub use follow::{Follower, follow};
pub use guard::{Guard, Restored};
pub use meta::{is_fit, make_fit};
pub use store::{
    Commit, Compare, Entry, Event, LeaseId, Listing, Revision, SharedStore, Store, Watch, Write,
};
pub use world::{Observed, Touched, TouchedSet, read_world};
