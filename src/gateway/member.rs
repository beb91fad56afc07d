//! One endpoint and everything about it that is not for the request path.

use crate::clock;
use minato_config::{Health, HostPattern, Service, Timestamp};
use minato_health::{Ejection, Failure, Verdict};
use minato_health_probe::{Ask, Monitor, MonitorHandle, Report, Target};
use minato_proxy::{Endpoint, EndpointId};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// Names one watch of one endpoint: what an ended one still had to say is not heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WatchKey {
    pub(super) id: EndpointId,
    pub(super) serial: u64,
}

/// One endpoint and everything about it that is not for the request path.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) verdict: Verdict,
    pub(super) failure: Option<Failure>,
    /// When the verdict began.
    pub(super) since: Timestamp,
    /// It stops, and no request of this gateway is left on it.
    pub(super) drained: bool,
    pub(super) ejection: Ejection,
    pub(super) draining_ticks: u32,
    /// It was said that it has not come up.
    pub(super) told_overdue: bool,
    /// Makes room when one that stays is up.
    pub(super) leaving: bool,
    /// `None` with health off, or while it drains.
    pub(super) monitor: Option<MonitorHandle>,
    pub(super) watch: u64,
}

/// Starts watches; all share the permits for probes.
#[derive(Debug)]
pub(super) struct Observers {
    permits: Arc<Semaphore>,
    changes: mpsc::Sender<Report<WatchKey>>,
    serial: u64,
}

impl Observers {
    /// `probes`: in flight at once over all targets.
    pub(super) fn new(probes: usize, changes: mpsc::Sender<Report<WatchKey>>) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(probes)),
            changes,
            serial: 0,
        }
    }

    /// Watches a member as `service` wants, from its verdict on; not with health off.
    pub(super) fn watch(&mut self, service: &Service, member: &mut Member) {
        self.serial += 1;
        member.watch = self.serial;
        let Health::On { probe, timing } = &service.health else {
            member.monitor = None;
            return;
        };
        let monitor = Monitor {
            key: WatchKey {
                id: member.endpoint.id().clone(),
                serial: member.watch,
            },
            ask: Ask::Probe(
                Target {
                    address: member.endpoint.address(),
                    host: probe_host(service),
                    tls: service.upstream.tls.clone(),
                },
                probe.clone(),
            ),
            timing: timing.clone(),
            start: member.verdict,
        };
        member.monitor = Some(monitor.spawn(Arc::clone(&self.permits), self.changes.clone()));
    }
}

/// What was known of an endpoint before this process or this watch of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Past {
    pub(super) verdict: Option<Verdict>,
    /// It has taken requests: it may be held as the last of its service.
    pub(super) been_up: bool,
}

impl Member {
    /// A member that nobody watches yet.
    pub(super) fn new(service: &Service, id: EndpointId, address: SocketAddr, past: Past) -> Self {
        let verdict = first_verdict(service, past.verdict);
        let endpoint = Endpoint::new(id, address, 0, verdict);
        if past.been_up {
            endpoint.remember_up();
        }
        Self {
            endpoint,
            verdict,
            failure: None,
            since: clock::wall(),
            drained: false,
            ejection: Ejection::default(),
            draining_ticks: 0,
            told_overdue: false,
            leaving: false,
            monitor: None,
            watch: 0,
        }
    }

    /// What a fresh endpoint in its place should know.
    pub(super) fn past(&self) -> Past {
        Past {
            verdict: Some(self.verdict),
            been_up: self.endpoint.has_been_up(),
        }
    }

    /// Whether a report speaks of the watch that is on now.
    pub(super) fn is_watched_by(&self, key: &WatchKey) -> bool {
        self.watch == key.serial
    }

    /// No new requests, no probes; those in flight end.
    pub(super) fn start_draining(&mut self) {
        self.endpoint.drain();
        self.monitor = None;
    }
}

/// The first exact host among the routes: applications that serve by name answer it.
pub(super) fn probe_host(service: &Service) -> Option<String> {
    service
        .routes
        .iter()
        .find_map(|route| match &route.pattern.host {
            HostPattern::Exact(host) => Some(host.clone()),
            HostPattern::Wildcard(_) | HostPattern::Any => None,
        })
}

/// The verdict a new endpoint starts with: up with health off, else `earlier` (from disk), else down.
pub(super) fn first_verdict(service: &Service, earlier: Option<Verdict>) -> Verdict {
    match service.health {
        Health::Off => Verdict::Up,
        Health::On { .. } => earlier.unwrap_or(Verdict::Down),
    }
}
