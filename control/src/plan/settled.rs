//! Whether a service is what it should be.

use crate::World;
use minato_config::ServiceName;

/// Whether a change has come true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// What is agrees with what should be: `4 of 4 up`.
    Done(String),
    /// Not yet, and what is missing: `3 of 4 up; library/2 down: connect refused`.
    Waiting(String),
}

/// Instances that should run: the operator's number, else the file's. For fixed endpoints the number of addresses.
/// 0 for a service that is removed or not known.
pub fn wanted(world: &World, service: &ServiceName) -> u16 {
    let _ = (world, service);
    0
}

/// Whether all wanted slots are ready as the newest command and restart want them, and nothing else is left.
pub fn settled(world: &World, service: &ServiceName) -> Settled {
    let _ = (world, service);
    Settled::Waiting(String::new())
}
