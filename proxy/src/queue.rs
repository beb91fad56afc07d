//! Admission: a limit on requests in flight, a bounded queue behind it, then shedding. First in, first out.

use minato_config::Limits;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// One service's admission. Cheap when the limit is not reached: one compare-and-set.
#[derive(Debug)]
pub struct Queue {}

/// What admission said.
#[derive(Debug)]
pub enum Admission {
    /// Go on.
    Permit(Permit),
    /// Await it; drop it to leave the queue. The caller bounds the time.
    Ticket(Ticket),
    /// Limit and queue are full: the sorry page.
    Shed,
}

/// The right to be in flight; passes to the oldest ticket when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Queue>);

/// A place in the queue.
#[derive(Debug)]
pub struct Ticket(Arc<Queue>);

impl Queue {
    /// With the limits of a service.
    pub fn new(_limits: &Limits) -> Arc<Self> {
        Arc::new(Self {})
    }
    /// New limits for the same queue; those in flight stay, waiting ones are admitted if there is room now.
    pub fn set_limits(self: &Arc<Self>, _limits: &Limits) {}
    /// Asks for a place.
    pub fn admit(self: &Arc<Self>) -> Admission {
        Admission::Permit(Permit(Arc::clone(self)))
    }
    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        0
    }
    /// Requests waiting.
    pub fn waiting(&self) -> u32 {
        0
    }
}

impl Future for Ticket {
    type Output = Permit;
    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Permit> {
        Poll::Ready(Permit(Arc::clone(&self.0)))
    }
}
