//! One immutable table of all routes. A change to one service makes a new table that shares the rest.

use crate::ServiceEntry;
use minato_config::{RouteAction, RoutePattern, ServiceName};
use std::sync::Arc;

/// Routes by host and path prefix; services by name.
#[derive(Debug, Clone, Default)]
pub struct Table {}

/// One route of one service.
#[derive(Debug)]
pub struct TableRoute {
    /// What it takes.
    pub pattern: RoutePattern,
    /// What it does.
    pub action: RouteAction,
    /// Whose it is.
    pub service: Arc<ServiceEntry>,
}

/// A match. Holds only the route, so that a long request pins no table.
#[derive(Debug, Clone)]
pub struct Found {
    /// The route.
    pub route: Arc<TableRoute>,
}

impl Table {
    /// The route for a normalized host (lower case, no port) and path: exact host, then the longest wildcard suffix,
    /// then `*`; within a host the longest prefix. A host without a matching prefix falls through to the next.
    pub fn find(&self, _host: &str, _path: &str) -> Option<Found> {
        None
    }
    /// A table in which this service stands as given; work is in proportion to this service.
    #[must_use]
    pub fn with(&self, _entry: ServiceEntry) -> Self {
        self.clone()
    }
    /// A table without it.
    #[must_use]
    pub fn without(&self, _service: &ServiceName) -> Self {
        self.clone()
    }
    /// One service.
    pub fn service(&self, _name: &ServiceName) -> Option<&Arc<ServiceEntry>> {
        None
    }
    /// All services, sorted by name.
    pub fn services(&self) -> Vec<Arc<ServiceEntry>> {
        Vec::new()
    }
}
