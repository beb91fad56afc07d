//! The etcd backend against real clusters of one and three members.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "what stands around the tests fails as they do; they measure real time"
)]

mod access;
mod chaos;
mod compaction;
mod contract;
mod copy;
#[path = "../copying/mod.rs"]
mod copying;
mod members;
mod restore;
mod rotation;

use members::Members;
use minato_control_store::{Etcd, EtcdOptions};
use std::sync::Arc;
use std::time::Duration;

/// A store with short times.
fn options(members: &Members) -> EtcdOptions {
    EtcdOptions {
        attempt: Duration::from_millis(500),
        patience: Duration::from_secs(5),
        ..EtcdOptions::new(members.endpoints(), "void/")
    }
}

fn store(members: &Members) -> Arc<Etcd> {
    Arc::new(Etcd::new(options(members)).unwrap())
}
