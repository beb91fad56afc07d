//! What queue, endpoints and retry budgets are synchronised with: std's own, or loom's, which tries every order of every step.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p minato-proxy --lib -- queue::model endpoint::model`

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
};
