//! Several machines in one: network namespaces with real etcd, the real binary in each role, real instances and clients.
//!
//! Each test breaks one thing, prints what it measured, and holds the recorded history against the invariants. The fast form, with
//! short timers and one run, is part of `make test`; `make test-faults` repeats each ten times, and once with default timers.
//! Not here: faults of one machine (`tests/e2e`), of the store alone (`control/store/tests`), of clients (`proxy/server/tests`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what stands around the tests fails as they do, by a panic"
)]

mod bird;
mod census;
mod engine;
mod figures;
mod history;
mod kept;
mod line;
mod machine;
mod network;
mod pair;
mod resolver;
mod rows;
mod stage;
mod store;
#[path = "../e2e/support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the tests of one machine, which need all of it"
)]
mod support;
mod visitors;
