//! What is counted: histograms per service, counters per instance. Never a URL, host or client as a label.
//!
//! Each core counts for itself, without a lock or a locked instruction; whoever reads adds the cores up.

mod counts;
mod exposition;
mod recent;
mod tally;

pub(crate) use counts::{Attempted, Counts, Handshake};

use counts::{Attempts, CoreCounts, Place};
use minato_config::{ServiceName, SlotIndex};
use minato_proxy::EndpointId;
use prometheus::{Encoder, IntGaugeVec, Opts, Registry, TextEncoder};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// All metrics of one gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    cores: Arc<RwLock<Vec<Arc<CoreCounts>>>>,
    in_flight: IntGaugeVec,
    queued: IntGaugeVec,
    began: Instant,
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

impl Metrics {
    /// Registers everything.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| -> Result<IntGaugeVec, prometheus::Error> {
            let vec = IntGaugeVec::new(Opts::new(name, help), &["service"])?;
            registry.register(Box::new(vec.clone()))?;
            Ok(vec)
        };
        let in_flight = gauge("minato_http_requests_in_flight", "Requests in flight now.")?;
        let queued = gauge(
            "minato_http_requests_queued",
            "Requests waiting for a place now.",
        )?;
        let cores = Arc::default();
        registry.register(Box::new(Self::exposition(&cores)?))?;
        Ok(Arc::new(Self {
            registry,
            cores,
            in_flight,
            queued,
            began: crate::clock::now(),
        }))
    }

    /// Where others add their own metrics.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Shows when certificates end: `ends` gives name and Unix seconds of each.
    pub fn watch_certificates(
        &self,
        ends: impl Fn() -> Vec<(String, i64)> + Send + Sync + 'static,
    ) -> Result<(), prometheus::Error> {
        let expiries = exposition::Expiries::new(Box::new(ends))?;
        self.registry.register(Box::new(expiries))
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
        let mut counts = EndpointCounts::default();
        self.each(|core| {
            let runs = core.runs.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(attempts) = runs.get(id) {
                let Attempts { requests, failures } = &**attempts;
                counts.requests += requests.value();
                counts.failures += failures.value();
            }
        });
        counts
    }

    /// Counts of one service.
    pub fn traffic(&self, service: &ServiceName) -> TrafficCounts {
        let now = self.age(crate::clock::now());
        let mut traffic = TrafficCounts::default();
        let mut sums = [0; recent::BUCKETS];
        let name = Some(service.clone());
        self.each(|core| {
            let services = core.services.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(counts) = services.get(&name) {
                traffic.requests += counts.requests();
                traffic.gateway_errors += counts.gateway_errors.value();
                counts.recent.sum_into(&mut sums, now);
            }
        });
        [traffic.p50, traffic.p95, traffic.p99] = recent::percentiles(&sums, [0.50, 0.95, 0.99]);
        traffic
    }

    /// Answers of the gateway's own making with 5xx, of one service: what [`Metrics::traffic`] says, without percentiles.
    pub fn gateway_errors(&self, service: &ServiceName) -> u64 {
        let (mut errors, name) = (0, Some(service.clone()));
        self.each(|core| {
            let services = core.services.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(counts) = services.get(&name) {
                errors += counts.gateway_errors.value();
            }
        });
        errors
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

    /// Forgets a run that left the table.
    pub fn forget_endpoint(&self, id: &EndpointId) {
        self.each(|core| {
            let mut runs = core.runs.write().unwrap_or_else(PoisonError::into_inner);
            runs.remove(id);
        });
    }

    /// Forgets all series of a slot that is gone.
    pub fn forget_slot(&self, service: &ServiceName, slot: SlotIndex) {
        let key = Place::Slot(service.clone(), slot);
        self.each(|core| {
            let mut slots = core.slots.write().unwrap_or_else(PoisonError::into_inner);
            slots.remove(&key);
        });
    }

    /// Counts for one more core.
    pub(crate) fn core(&self) -> Counts {
        let counts = Arc::new(CoreCounts::default());
        let mut cores = self.cores.write().unwrap_or_else(PoisonError::into_inner);
        cores.push(Arc::clone(&counts));
        Counts::new(counts)
    }

    /// How long these metrics have been there.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// Client connections open now.
    pub(crate) fn connections(&self) -> u64 {
        let mut sum = 0;
        self.each(|core| sum += core.connections.value());
        sum
    }

    fn each(&self, mut with: impl FnMut(&CoreCounts)) {
        let cores = self.cores.read().unwrap_or_else(PoisonError::into_inner);
        cores.iter().for_each(|it| with(it));
    }
}
