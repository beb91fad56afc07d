//! The agent's own probes of its own instances: the second witness where there is one gateway only.

use minato_config::{Health, HealthProbe, HealthTiming, HostPattern, Service};
use minato_control::{RunName, World};
use minato_health::{Layer, Verdict};
use minato_health_probe::{Ask, Monitor, MonitorHandle, Report, Target};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// Probes in flight at once.
const PROBES: usize = 64;

/// What one monitor does; another of these is another monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    target: Target,
    probe: HealthProbe,
    timing: HealthTiming,
}

/// One monitor for each run that lives.
pub(crate) struct LocalProbes {
    permits: Arc<Semaphore>,
    changes: mpsc::Sender<Report<RunName>>,
    monitors: BTreeMap<RunName, (Check, MonitorHandle)>,
}

impl LocalProbes {
    /// The receiver tells when some verdict has changed; [`LocalProbes::verdicts`] tells them all.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Report<RunName>>) {
        let (changes, receiver) = mpsc::channel(256);
        let probes = Self {
            permits: Arc::new(Semaphore::new(PROBES)),
            changes,
            monitors: BTreeMap::new(),
        };
        (probes, receiver)
    }

    /// Watches these runs and no others, as their services say now. A verdict of before holds until the first answer.
    pub(crate) fn follow(
        &mut self,
        running: &BTreeMap<RunName, (SocketAddr, Option<Verdict>)>,
        world: &World,
    ) {
        self.monitors.retain(|run, _| running.contains_key(run));
        for (run, (address, verdict)) in running {
            let service = world.services.get(&run.service).map(|it| &it.value.service);
            let Some(check) = service.and_then(|it| check(it, *address)) else {
                self.monitors.remove(run);
                continue;
            };
            if self.monitors.get(run).is_some_and(|(now, _)| *now == check) {
                continue;
            }
            let monitor = Monitor {
                key: run.clone(),
                ask: Ask::Probe(check.target.clone(), check.probe.clone()),
                timing: check.timing.clone(),
                start: verdict.unwrap_or(Verdict::Down),
            };
            let handle = monitor.spawn(self.permits.clone(), self.changes.clone());
            self.monitors.insert(run.clone(), (check, handle));
        }
    }

    /// What is known of each run, and where its probe failed last. Down is known only once a probe has failed.
    pub(crate) fn verdicts(
        &self,
    ) -> impl Iterator<Item = (&RunName, (Option<Verdict>, Option<Layer>))> {
        self.monitors.iter().map(|(run, (_, handle))| {
            let layer = handle.last_failure().map(|it| it.layer);
            let known = match handle.verdict() {
                Verdict::Down => layer.map(|_| Verdict::Down),
                verdict => Some(verdict),
            };
            (run, (known, layer))
        })
    }
}

fn check(service: &Service, address: SocketAddr) -> Option<Check> {
    let Health::On { probe, timing } = &service.health else {
        return None;
    };
    let host = service.routes.iter().find_map(|it| match &it.pattern.host {
        HostPattern::Exact(host) => Some(host.clone()),
        HostPattern::Wildcard(_) | HostPattern::Any => None,
    });
    Some(Check {
        target: Target {
            address,
            host,
            tls: service.upstream.tls.clone(),
        },
        probe: probe.clone(),
        timing: timing.clone(),
    })
}
