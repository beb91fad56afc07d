//! What status and `route test` show of the gateway.

use super::courses::Courses;
use crate::clock;
use crate::link::{Gatherer, LinkView};
use arc_swap::ArcSwap;
use minato_config::{RouteAction, Timestamp};
use minato_control_server::api::{RouteCandidate, RouteTest, ShareStatus};
use minato_control_server::{EndpointView, ServiceTraffic};
use minato_health::Verdict;
use minato_http1::{normalize_host, normalize_path};
use minato_proxy::{ALL, Endpoint, EndpointId, Scope, Standing, Table, pick};
use minato_proxy_server::Metrics;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the health loop thinks of one endpoint, for people.
#[derive(Debug, Clone)]
pub(crate) struct Thought {
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
    pub(crate) since: Timestamp,
}

/// The health loop's thoughts by endpoint.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<BTreeMap<EndpointId, Thought>>>);

impl Seen {
    pub(crate) fn set(&self, id: &EndpointId, thought: Thought) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone(), thought);
    }

    pub(crate) fn remove(&self, id: &EndpointId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }

    fn thought(&self, id: &EndpointId) -> Option<Thought> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }
}

/// The gateway of this process, for the admin API.
#[derive(Debug, Clone)]
pub(crate) struct GatewayView {
    pub(crate) table: Arc<ArcSwap<Table>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) seen: Seen,
    pub(crate) links: LinkView,
    pub(crate) courses: Courses,
    /// Who fetches access logs of other sites; `None` without links.
    pub(crate) gatherer: Option<Gatherer>,
}

impl GatewayView {
    pub(crate) fn traffic(&self) -> Vec<ServiceTraffic> {
        let milliseconds = |it: Option<Duration>| it.map(|it| it.as_secs_f64() * 1000.0);
        let services = self.table.load().services();
        services
            .iter()
            .map(|entry| {
                let counts = self.metrics.traffic(&entry.service.name);
                ServiceTraffic {
                    service: entry.service.name.clone(),
                    draining: entry.draining,
                    in_flight: entry.shared.queue.in_flight().into(),
                    queued: entry.shared.queue.waiting().into(),
                    requests: counts.requests,
                    gateway_errors: counts.gateway_errors,
                    p50_ms: milliseconds(counts.p50),
                    p95_ms: milliseconds(counts.p95),
                    p99_ms: milliseconds(counts.p99),
                }
            })
            .collect()
    }

    /// Services whose visitors do not all go to their first site.
    pub(crate) fn shares(&self) -> Vec<ShareStatus> {
        let percent = |share: u16| f64::from(share) / f64::from(ALL / 100);
        let services = self.table.load().services();
        let shared = services.iter().filter_map(|entry| {
            let spread = entry.spread.as_ref()?;
            let name = |tier: u8| {
                let of_tier = entry.endpoints.iter().find(|it| it.tier() == tier);
                let site = of_tier.and_then(|it| it.site());
                site.map_or_else(|| "here".to_owned(), ToString::to_string)
            };
            let sites = spread.shares();
            Some(ShareStatus {
                service: entry.service.name.to_string(),
                sites: sites.map(|(tier, it)| (name(tier), percent(it))).collect(),
                excess: percent(spread.excess()),
            })
        });
        shared.collect()
    }

    pub(crate) fn endpoints(&self) -> Vec<EndpointView> {
        let services = self.table.load().services();
        services
            .iter()
            .flat_map(|entry| entry.endpoints.iter())
            .filter(|it| it.site().is_none())
            .map(|it| self.endpoint(it))
            .collect()
    }

    fn endpoint(&self, endpoint: &Endpoint) -> EndpointView {
        let id = endpoint.id();
        let counts = self.metrics.endpoint(id);
        let thought = self.seen.thought(id);
        EndpointView {
            service: id.service.clone(),
            slot: id.slot,
            generation: id.generation,
            run: id.run,
            address: endpoint.address(),
            verdict: thought.as_ref().map_or(Verdict::Down, |it| it.verdict),
            standing: standing_text(endpoint.standing()).to_owned(),
            reason: thought
                .as_ref()
                .map_or_else(String::new, |it| it.reason.clone()),
            since: thought.map_or(Timestamp(0), |it| it.since),
            in_flight: endpoint.in_flight().into(),
            requests: counts.requests,
            failures: counts.failures,
        }
    }

    pub(crate) fn route_test(&self, url: &str) -> Result<RouteTest, String> {
        let rest = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"))
            .unwrap_or(url);
        let (authority, target) = rest
            .find(['/', '?'])
            .map_or((rest, "/"), |at| rest.split_at(at));
        let raw_path = target
            .split('?')
            .next()
            .filter(|it| !it.is_empty())
            .unwrap_or("/");
        let host = normalize_host(authority).map_err(|error| format!("`{url}`: {error}"))?;
        let path = normalize_path(raw_path).map_err(|error| format!("`{url}`: {error}"))?;
        let mut test = RouteTest {
            url: format!("{host}{path}"),
            service: None,
            pattern: None,
            action: "404".to_owned(),
            candidates: Vec::new(),
            chosen: None,
            why: vec![format!("host `{host}`, path `{path}`")],
        };
        let Some(found) = self.table.load().find(&host, &path) else {
            test.why
                .push("no route takes it: add one to a service's `routes`".to_owned());
            return Ok(test);
        };
        let entry = &found.route.service;
        test.service = Some(entry.service.name.to_string());
        test.pattern = Some(found.route.pattern.to_string());
        test.why.push(format!(
            "`{}` of {} takes it: the most exact host, then the longest prefix",
            found.route.pattern, entry.service.name
        ));
        match &found.route.action {
            RouteAction::Redirect { to } => {
                test.action = format!("redirect to {to}");
                return Ok(test);
            }
            RouteAction::Forward { strip: true } => {
                test.action = "forward, prefix stripped".to_owned();
            }
            RouteAction::Forward { strip: false } => test.action = "forward".to_owned(),
        }
        test.candidates = entry
            .endpoints
            .iter()
            .map(|it| self.candidate(it))
            .collect();
        if entry.draining {
            test.action = "503".to_owned();
            test.why.push(format!(
                "{} is drained by hand: `minato drain {} --reset` ends it",
                entry.service.name, entry.service.name
            ));
            return Ok(test);
        }
        let chosen = pick(entry, Scope::Everywhere, None, clock::now(), &mut |n| {
            fastrand::usize(..n)
        });
        test.chosen = chosen.as_ref().map(|it| it.id().slot.0);
        match chosen {
            Some(it) => test.why.push(format!(
                "two random choices among the best, the less loaded: {} at {}",
                it.site().map_or_else(
                    || format!("slot {}", it.id().slot),
                    |site| format!("the gateway of {site}")
                ),
                it.address()
            )),
            None => {
                test.action = "503".to_owned();
                test.why
                    .push("no instance may take it now: the sorry page".to_owned());
            }
        }
        Ok(test)
    }

    /// All metrics as text, gauges of this moment included.
    pub(crate) fn metrics_text(&self) -> String {
        for entry in self.table.load().services() {
            self.metrics.set_load(
                &entry.service.name,
                entry.shared.queue.in_flight(),
                entry.shared.queue.waiting(),
            );
        }
        let mut text = self.metrics.text();
        text.push_str(&instance_gauges(&self.endpoints()));
        text
    }

    fn candidate(&self, endpoint: &Endpoint) -> RouteCandidate {
        let view = self.endpoint(endpoint);
        let standing = if view.reason.is_empty() {
            view.standing
        } else {
            format!("{}: {}", view.standing, view.reason)
        };
        RouteCandidate {
            slot: view.slot.0,
            address: view.address.to_string(),
            standing,
            in_flight: view.in_flight,
        }
    }
}

/// What the gateway does with each instance, for alert rules. One series a slot: the run that serves, else the newest.
fn instance_gauges(endpoints: &[EndpointView]) -> String {
    let mut slots = BTreeMap::new();
    for it in endpoints {
        let serving = it.standing == standing_text(Standing::Up);
        let rank = (serving, it.generation, it.run);
        let best = slots.entry((&it.service, it.slot)).or_insert(rank);
        *best = (*best).max(rank);
    }
    let mut text = String::from(
        "# HELP minato_instance_up 1 while the gateway routes to the instance without doubt.\n\
         # TYPE minato_instance_up gauge\n",
    );
    for ((service, slot), (serving, _, _)) in &slots {
        let up = u8::from(*serving);
        text.push_str(&format!(
            "minato_instance_up{{service=\"{service}\",instance=\"{slot}\"}} {up}\n"
        ));
    }
    text.push_str(
        "# HELP minato_instance_run Which start of its assignment the instance is; each rise is a restart.\n\
         # TYPE minato_instance_run gauge\n",
    );
    for ((service, slot), (_, _, run)) in &slots {
        text.push_str(&format!(
            "minato_instance_run{{service=\"{service}\",instance=\"{slot}\"}} {run}\n"
        ));
    }
    text
}

fn standing_text(standing: Standing) -> &'static str {
    match standing {
        Standing::Up => "serving",
        Standing::Suspect => "suspect",
        Standing::Held => "held",
        Standing::Draining => "draining",
        Standing::Out => "out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::{Generation, Run, ServiceName, SlotIndex};

    #[test]
    fn one_series_for_each_slot_and_the_serving_run_speaks() {
        let view = |run: u64, standing: Standing| EndpointView {
            service: ServiceName::parse("library").expect("a name"),
            slot: SlotIndex(1),
            generation: Generation::default(),
            run: Run(run),
            address: ([127, 0, 0, 1], 1).into(),
            verdict: Verdict::Up,
            standing: standing_text(standing).to_owned(),
            reason: String::new(),
            since: Timestamp(0),
            in_flight: 0,
            requests: 0,
            failures: 0,
        };
        let text = instance_gauges(&[view(1, Standing::Draining), view(2, Standing::Up)]);
        let lines: Vec<&str> = text.lines().filter(|it| !it.starts_with('#')).collect();
        let labels = "{service=\"library\",instance=\"1\"}";
        assert_eq!(
            lines,
            [
                format!("minato_instance_up{labels} 1"),
                format!("minato_instance_run{labels} 2")
            ]
        );
    }
}
