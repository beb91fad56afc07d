//! A service in the table: what it should be, what it shares over recompiles, and its endpoints.

use crate::{Budget, Endpoint, EndpointId, Queue, Standing};
use minato_config::Service;
use minato_health::{Failure, Verdict};
use std::sync::Arc;

/// State that survives every recompile.
#[derive(Debug)]
pub struct Shared {
    /// Admission of requests.
    pub queue: Arc<Queue>,
    /// Retries in flight.
    pub budget: Arc<Budget>,
}

/// One service of one table.
#[derive(Debug, Clone)]
pub struct ServiceEntry {
    /// What it should be.
    pub service: Arc<Service>,
    /// Survives.
    pub shared: Arc<Shared>,
    /// Sorted by tier, then slot.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// By an operator's `minato drain`: new requests get the sorry page.
    pub draining: bool,
}

/// Decides standings of all endpoints of one service from their verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastInstance {
    /// The last one that would go out is held instead.
    Kept,
}

impl ServiceEntry {
    /// The standing that `verdict` (with its last failure) gives `id`, seen beside all the others.
    ///
    /// A down one is held when no other is up, suspect or held, it has been up before, and its failure is not
    /// connect refused or not running. Call it for each change, then again for all others: one that was held is
    /// released (out) as soon as another is up.
    pub fn standing_for(
        &self,
        _id: &EndpointId,
        _verdict: Verdict,
        _failure: Option<&Failure>,
    ) -> Standing {
        Standing::Out
    }
}
