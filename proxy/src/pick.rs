//! Two random choices, fewer in flight.

use crate::{Endpoint, ServiceEntry};
use std::sync::Arc;
use std::time::Instant;

/// The instance for a request, or `None` when nothing may take it.
///
/// The best tier with anything usable, then the best standing in it; among those two random ones, the less loaded.
/// `avoid`: the one that just failed this request; taken again only when nothing else is left.
/// `random(n)` returns a number below n.
pub fn pick(
    _service: &ServiceEntry,
    _avoid: Option<&Arc<Endpoint>>,
    _now: Instant,
    _random: &mut dyn FnMut(usize) -> usize,
) -> Option<Arc<Endpoint>> {
    None
}
