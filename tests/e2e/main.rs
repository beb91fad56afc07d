//! The real binary from end to end: a process with a folder and ports of its own, driven by real clients.
//!
//! Conditions are waited for, through the admin API where it shows them; every guard stops what it started.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what stands around the tests fails as they do, by a panic"
)]

mod access_log;
mod changes;
mod commands;
mod config_edits;
mod containers;
mod crash;
mod decisions;
mod disk;
mod entrance;
mod etcd;
mod faults;
mod fixed;
mod hooks;
mod links;
mod metrics;
mod mirrors;
mod mounts;
mod overload;
mod protocol;
mod refusals;
mod relay;
mod retries;
mod rollouts;
mod scale;
mod stop;
mod store_copy;
mod support;
mod switches;
mod tls;
mod upgrade;
mod waves;
