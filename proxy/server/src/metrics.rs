//! What is counted: histograms per service, counters per instance. Never a URL, host or client as a label.

mod recent;

use minato_config::{ServiceName, SlotIndex};
use minato_proxy::{Endpoint, EndpointId};
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use recent::ServiceCounts;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Upper bounds of the latency histogram, in seconds.
const BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// All metrics of one gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub(crate) duration: HistogramVec,
    pub(crate) requests: IntCounterVec,
    pub(crate) refused: IntCounterVec,
    pub(crate) retries: IntCounterVec,
    pub(crate) upstream_requests: IntCounterVec,
    pub(crate) upstream_failures: IntCounterVec,
    pub(crate) connections: IntGauge,
    pub(crate) accepted: IntCounter,
    pub(crate) pool_idle: IntGauge,
    pub(crate) log_dropped: IntCounter,
    in_flight: IntGaugeVec,
    queued: IntGaugeVec,
    services: RwLock<HashMap<ServiceName, Arc<ServiceCounts>>>,
    endpoints: RwLock<HashMap<EndpointId, Counts>>,
}

/// Requests and gateway-class failures of one run of an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndpointCounts {
    /// Attempts that ended.
    pub requests: u64,
    /// Those that failed by the gateway's judgement.
    pub failures: u64,
}

/// What status shows of one service.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TrafficCounts {
    /// Requests since the start.
    pub requests: u64,
    /// Answers of the gateway's own making with 5xx.
    pub gateway_errors: u64,
    /// Of the last 30 to 60 s; `None` without requests.
    pub p50: Option<Duration>,
    /// As above.
    pub p95: Option<Duration>,
    /// As above.
    pub p99: Option<Duration>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    failures: AtomicU64,
}

/// Whether an attempt counts against the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempted {
    Well,
    Failed,
}

impl Counts {
    fn add(&self, attempted: Attempted) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if attempted == Attempted::Failed {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Metrics {
    /// Registers everything.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let counter =
            |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
                let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
                registry.register(Box::new(vec.clone()))?;
                Ok(vec)
            };
        let gauge = |name: &str, help: &str| -> Result<IntGaugeVec, prometheus::Error> {
            let vec = IntGaugeVec::new(Opts::new(name, help), &["service"])?;
            registry.register(Box::new(vec.clone()))?;
            Ok(vec)
        };
        let duration = HistogramVec::new(
            HistogramOpts::new(
                "minato_http_request_duration_seconds",
                "Whole requests, from the head to the last byte of the answer.",
            )
            .buckets(BUCKETS.to_vec()),
            &["service"],
        )?;
        registry.register(Box::new(duration.clone()))?;
        let requests = counter(
            "minato_http_requests_total",
            "Requests by service and class of status.",
            &["service", "code"],
        )?;
        let refused = counter(
            "minato_http_refused_total",
            "Requests that minato answered itself, by reason.",
            &["service", "reason"],
        )?;
        let retries = counter(
            "minato_http_retries_total",
            "Attempts made again at another instance.",
            &["service"],
        )?;
        let upstream_requests = counter(
            "minato_upstream_requests_total",
            "Attempts by instance.",
            &["service", "instance"],
        )?;
        let upstream_failures = counter(
            "minato_upstream_failures_total",
            "Gateway-class failures of attempts by instance.",
            &["service", "instance"],
        )?;
        let connections = IntGauge::new("minato_http_connections", "Client connections open now.")?;
        registry.register(Box::new(connections.clone()))?;
        let accepted = IntCounter::new(
            "minato_http_connections_accepted_total",
            "Client connections accepted.",
        )?;
        registry.register(Box::new(accepted.clone()))?;
        let pool_idle = IntGauge::new(
            "minato_upstream_idle_connections",
            "Idle connections to instances.",
        )?;
        registry.register(Box::new(pool_idle.clone()))?;
        let log_dropped = IntCounter::new(
            "minato_access_log_dropped_total",
            "Lines that could not be written in time.",
        )?;
        registry.register(Box::new(log_dropped.clone()))?;
        let in_flight = gauge("minato_http_requests_in_flight", "Requests in flight now.")?;
        let queued = gauge(
            "minato_http_requests_queued",
            "Requests waiting for a place now.",
        )?;
        Ok(Arc::new(Self {
            registry,
            duration,
            requests,
            refused,
            retries,
            upstream_requests,
            upstream_failures,
            connections,
            accepted,
            pool_idle,
            log_dropped,
            in_flight,
            queued,
            services: RwLock::default(),
            endpoints: RwLock::default(),
        }))
    }

    /// Where others add their own metrics.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// All of it as text, format 0.0.4.
    pub fn text(&self) -> String {
        let mut out = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut out) {
            tracing::error!(%error, "the metrics do not encode");
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Counts of one run; zero where nothing ended yet.
    pub fn endpoint(&self, id: &EndpointId) -> EndpointCounts {
        let endpoints = self
            .endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        endpoints
            .get(id)
            .map_or_else(EndpointCounts::default, |counts| EndpointCounts {
                requests: counts.requests.load(Ordering::Relaxed),
                failures: counts.failures.load(Ordering::Relaxed),
            })
    }

    /// Counts of one service.
    pub fn traffic(&self, service: &ServiceName) -> TrafficCounts {
        let counts = self.service(service);
        let [p50, p95, p99] = counts.percentiles([0.50, 0.95, 0.99]);
        TrafficCounts {
            requests: counts.requests.load(Ordering::Relaxed),
            gateway_errors: counts.gateway_errors.load(Ordering::Relaxed),
            p50,
            p95,
            p99,
        }
    }

    /// Shows what a service is busy with now.
    pub fn set_load(&self, service: &ServiceName, in_flight: u32, queued: u32) {
        self.in_flight
            .with_label_values(&[service.as_str()])
            .set(in_flight.into());
        self.queued
            .with_label_values(&[service.as_str()])
            .set(queued.into());
    }

    /// Forgets a run that left the table, and its slot's counters when no other run of it is left.
    pub fn forget_endpoint(&self, id: &EndpointId) {
        self.endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }

    /// Forgets all series of a slot that is gone.
    pub fn forget_slot(&self, service: &ServiceName, slot: SlotIndex) {
        let labels = [service.as_str(), &slot.to_string()];
        let _ = self.upstream_requests.remove_label_values(&labels);
        let _ = self.upstream_failures.remove_label_values(&labels);
    }

    /// Counts one attempt, under its run and under its slot.
    pub(crate) fn count_attempt(&self, endpoint: &Endpoint, attempted: Attempted) {
        let id = endpoint.id();
        let slot = id.slot.to_string();
        let labels = [id.service.as_str(), slot.as_str()];
        self.upstream_requests.with_label_values(&labels).inc();
        if attempted == Attempted::Failed {
            self.upstream_failures.with_label_values(&labels).inc();
        }
        if let Some(counts) = self
            .endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
        {
            counts.add(attempted);
            return;
        }
        // One that is out may have been forgotten already; the last of its requests must not bring it back for good.
        if !endpoint.is_out() {
            let mut endpoints = self
                .endpoints
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            endpoints.entry(id.clone()).or_default().add(attempted);
        }
    }

    pub(crate) fn service(&self, name: &ServiceName) -> Arc<ServiceCounts> {
        if let Some(counts) = self
            .services
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
        {
            return Arc::clone(counts);
        }
        let mut services = self
            .services
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            services
                .entry(name.clone())
                .or_insert_with(|| Arc::new(ServiceCounts::new())),
        )
    }
}
