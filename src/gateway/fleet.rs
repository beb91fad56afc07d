//! All services and endpoints that this gateway knows, with what it thinks of each.

use minato_config::{Health, HealthProbe, HealthTiming, HostPattern, Service, Timestamp};
use minato_health::{Ejection, Failure, Verdict};
use minato_health_probe::{Monitor, MonitorHandle, Report, Target};
use minato_proxy::{Endpoint, EndpointId, Shared};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// One endpoint and everything about it that is not for the request path.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) verdict: Verdict,
    pub(crate) failure: Option<Failure>,
    pub(crate) since: Timestamp,
    pub(crate) ejection: Ejection,
    /// Ticks since it was told to drain; it is drained only after one has passed with nothing in flight.
    pub(crate) draining_ticks: u32,
    pub(crate) drained: bool,
    /// `None` with health off, or while it drains.
    pub(crate) monitor: Option<MonitorHandle>,
}

/// One service.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) service: Arc<Service>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) members: BTreeMap<EndpointId, Member>,
    /// By an operator's word.
    pub(crate) draining: bool,
}

/// What starts monitors.
#[derive(Debug, Clone)]
pub(crate) struct Observers {
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) changes: mpsc::Sender<Report<EndpointId>>,
}

impl Observers {
    /// Watches `endpoint` as `service` wants, from `start` on; nothing with health off.
    pub(crate) fn watch(&self, service: &Service, endpoint: &Endpoint, start: Verdict) -> Option<MonitorHandle> {
        let Health::On { probe, timing } = &service.health else { return None };
        let monitor = Monitor {
            key: endpoint.id().clone(),
            target: Target { address: endpoint.address(), host: probe_host(service) },
            probe: HealthProbe::clone(probe),
            timing: HealthTiming::clone(timing),
            start,
        };
        Some(monitor.spawn(Arc::clone(&self.permits), self.changes.clone()))
    }
}

/// The first exact host among the routes: applications that serve by name answer it.
fn probe_host(service: &Service) -> Option<String> {
    service.routes.iter().find_map(|route| match &route.pattern.host {
        HostPattern::Exact(host) => Some(host.clone()),
        HostPattern::Wildcard(_) | HostPattern::Any => None,
    })
}

/// The verdict a new endpoint starts with: up with health off, else `earlier` (from disk), else down.
pub(crate) fn first_verdict(service: &Service, earlier: Option<Verdict>) -> Verdict {
    match service.health {
        Health::Off => Verdict::Up,
        Health::On { .. } => earlier.unwrap_or(Verdict::Down),
    }
}
