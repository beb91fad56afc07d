//! The counts as Prometheus reads them.

use super::Metrics;
use super::counts::{BUCKETS_US, CLASSES, CoreCounts, HANDSHAKES, Place, ServiceCounts};
use super::tally::Tally;
use crate::note::Note;
use minato_config::ServiceName;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, Weak};

/// Reads all cores whenever somebody asks.
#[derive(Debug)]
pub(super) struct Exposition {
    pub(super) cores: Weak<RwLock<Vec<Arc<CoreCounts>>>>,
    pub(super) desc: Desc,
}

impl Collector for Exposition {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(cores) = self.cores.upgrade() else {
            return Vec::new();
        };
        let cores = cores.read().unwrap_or_else(PoisonError::into_inner);
        let mut families = by_service(&cores);
        families.extend(by_slot(&cores));
        families.extend(totals(&cores));
        families.retain(|it| !it.get_metric().is_empty());
        families
    }
}

/// When certificates end.
pub(super) struct Expiries {
    desc: Desc,
    ends: Box<dyn Fn() -> Vec<(String, i64)> + Send + Sync>,
}

impl Expiries {
    pub(super) fn new(
        ends: Box<dyn Fn() -> Vec<(String, i64)> + Send + Sync>,
    ) -> Result<Self, prometheus::Error> {
        let desc = Desc::new(
            "minato_certificate".to_owned(),
            "Certificates that listeners serve.".to_owned(),
            Vec::new(),
            HashMap::new(),
        )?;
        Ok(Self { desc, ends })
    }
}

impl Collector for Expiries {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    #[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floats")]
    fn collect(&self) -> Vec<MetricFamily> {
        let mut family = family(
            "minato_certificate_expiry_seconds",
            "When each certificate ends, in seconds since the Unix epoch.",
            MetricType::GAUGE,
        );
        for (name, end) in (self.ends)() {
            let mut gauge = Gauge::default();
            gauge.set_value(end as f64);
            let mut metric = metric(&[("name", &name)]);
            metric.set_gauge(gauge);
            push(&mut family, metric);
        }
        if family.get_metric().is_empty() {
            return Vec::new();
        }
        vec![family]
    }
}

impl Metrics {
    pub(super) fn exposition(
        cores: &Arc<RwLock<Vec<Arc<CoreCounts>>>>,
    ) -> Result<Exposition, prometheus::Error> {
        let desc = Desc::new(
            "minato_http".to_owned(),
            "What the gateway counts.".to_owned(),
            Vec::new(),
            HashMap::new(),
        )?;
        Ok(Exposition {
            cores: Arc::downgrade(cores),
            desc,
        })
    }
}

fn by_service(cores: &[Arc<CoreCounts>]) -> Vec<MetricFamily> {
    let mut all: BTreeMap<String, Vec<Arc<ServiceCounts>>> = BTreeMap::new();
    for core in cores {
        let services = core.services.read().unwrap_or_else(PoisonError::into_inner);
        for (name, counts) in services.iter() {
            let name = name.as_ref().map_or("", ServiceName::as_str);
            all.entry(name.to_owned())
                .or_default()
                .push(Arc::clone(counts));
        }
    }
    let mut requests = family(
        "minato_http_requests_total",
        "Requests by service and class of status.",
        MetricType::COUNTER,
    );
    let mut refused = family(
        "minato_http_refused_total",
        "Requests that minato answered itself or cut, by reason.",
        MetricType::COUNTER,
    );
    let mut retries = family(
        "minato_http_retries_total",
        "Attempts made again at another instance.",
        MetricType::COUNTER,
    );
    let mut duration = family(
        "minato_http_request_duration_seconds",
        "Whole requests, from the head to the last byte of the answer.",
        MetricType::HISTOGRAM,
    );
    for (name, counts) in &all {
        let service = ("service", name.as_str());
        let total = |of: &dyn Fn(&ServiceCounts) -> &Tally| -> u64 {
            counts.iter().map(|it| of(it).value()).sum()
        };
        for (index, class) in CLASSES.iter().enumerate() {
            let value = total(&|it| &it.classes[index]);
            if value > 0 {
                push(&mut requests, counter(value, &[("code", class), service]));
            }
        }
        for (index, note) in Note::ALL.iter().enumerate() {
            let value = total(&|it| &it.notes[index]);
            if value > 0 {
                let labels = [("reason", note.label()), service];
                push(&mut refused, counter(value, &labels));
            }
        }
        let value = total(&|it| &it.retries);
        if value > 0 {
            push(&mut retries, counter(value, &[service]));
        }
        let buckets = std::array::from_fn(|index| total(&|it| &it.buckets[index]));
        let sum_us = total(&|it| &it.sum_us);
        push(&mut duration, histogram(&buckets, sum_us, &[service]));
    }
    vec![requests, refused, retries, duration]
}

fn by_slot(cores: &[Arc<CoreCounts>]) -> Vec<MetricFamily> {
    let mut all: BTreeMap<Place, (u64, u64)> = BTreeMap::new();
    for core in cores {
        let slots = core.slots.read().unwrap_or_else(PoisonError::into_inner);
        for (slot, counts) in slots.iter() {
            let sums = all.entry(slot.clone()).or_default();
            sums.0 += counts.requests.value();
            sums.1 += counts.failures.value();
        }
    }
    let mut requests = family(
        "minato_upstream_requests_total",
        "Attempts by instance.",
        MetricType::COUNTER,
    );
    let mut failures = family(
        "minato_upstream_failures_total",
        "Gateway-class failures of attempts by instance.",
        MetricType::COUNTER,
    );
    let mut sent = family(
        "minato_peer_requests_total",
        "Attempts by other site.",
        MetricType::COUNTER,
    );
    let mut lost = family(
        "minato_peer_failures_total",
        "Gateway-class failures of attempts by other site.",
        MetricType::COUNTER,
    );
    for (place, (made, failed)) in all {
        let (service, label, value, requests, failures) = match place {
            Place::Slot(service, slot) => {
                let slot = slot.to_string();
                (service, "instance", slot, &mut requests, &mut failures)
            }
            Place::Site(service, site) => (service, "site", site.to_string(), &mut sent, &mut lost),
        };
        // Sorted by name, as they are shown.
        let mut labels = [(label, value.as_str()), ("service", service.as_str())];
        labels.sort_unstable();
        push(requests, counter(made, &labels));
        if failed > 0 {
            push(failures, counter(failed, &labels));
        }
    }
    vec![requests, failures, sent, lost]
}

fn totals(cores: &[Arc<CoreCounts>]) -> Vec<MetricFamily> {
    let total =
        |of: &dyn Fn(&CoreCounts) -> &Tally| -> u64 { cores.iter().map(|it| of(it).value()).sum() };
    let mut connections = family(
        "minato_http_connections",
        "Client connections open now.",
        MetricType::GAUGE,
    );
    push(&mut connections, gauge(total(&|it| &it.connections)));
    let mut accepted = family(
        "minato_http_connections_accepted_total",
        "Client connections accepted.",
        MetricType::COUNTER,
    );
    push(&mut accepted, counter(total(&|it| &it.accepted), &[]));
    let mut pool_idle = family(
        "minato_upstream_idle_connections",
        "Idle connections to instances.",
        MetricType::GAUGE,
    );
    push(&mut pool_idle, gauge(total(&|it| &it.pool_idle)));
    let mut log_dropped = family(
        "minato_access_log_dropped_total",
        "Lines that could not be written in time.",
        MetricType::COUNTER,
    );
    push(&mut log_dropped, counter(total(&|it| &it.log_dropped), &[]));
    let mut handshakes = family(
        "minato_tls_handshakes_total",
        "TLS handshakes with clients by how they ended.",
        MetricType::COUNTER,
    );
    for (index, result) in HANDSHAKES.iter().enumerate() {
        let value = total(&|it| &it.handshakes[index]);
        if value > 0 {
            push(&mut handshakes, counter(value, &[("result", result)]));
        }
    }
    vec![connections, accepted, pool_idle, log_dropped, handshakes]
}

fn family(name: &str, help: &str, kind: MetricType) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family
}

fn push(family: &mut MetricFamily, metric: Metric) {
    family.mut_metric().push(metric);
}

fn metric(labels: &[(&str, &str)]) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    let mut metric = Metric::default();
    metric.set_label(labels.iter().map(pair).collect());
    metric
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floats")]
fn counter(value: u64, labels: &[(&str, &str)]) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = metric(labels);
    metric.set_counter(counter);
    metric
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floats")]
fn gauge(value: u64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value as f64);
    let mut metric = metric(&[]);
    metric.set_gauge(gauge);
    metric
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floats")]
fn histogram(
    buckets: &[u64; BUCKETS_US.len() + 1],
    sum_us: u64,
    labels: &[(&str, &str)],
) -> Metric {
    let mut histogram = Histogram::default();
    let mut so_far = 0;
    let bounds = BUCKETS_US.iter().zip(buckets).map(|(bound, count)| {
        so_far += count;
        let mut bucket = Bucket::default();
        bucket.set_cumulative_count(so_far);
        bucket.set_upper_bound(*bound as f64 / 1e6);
        bucket
    });
    histogram.set_bucket(bounds.collect());
    histogram.set_sample_count(buckets.iter().sum());
    histogram.set_sample_sum(sum_us as f64 / 1e6);
    let mut metric = metric(labels);
    metric.set_histogram(histogram);
    metric
}
