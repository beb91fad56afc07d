//! A service in the table: what it should be, what it shares over recompiles, and its endpoints.

use crate::serial::Serial;
use crate::{Budget, Checks, Endpoint, EndpointId, Queue, Reach, Spread, Standing};
use minato_config::{Health, Service};
use minato_health::{Failure, Layer, Verdict};
use std::sync::Arc;

/// State that survives every recompile.
#[derive(Debug)]
pub struct Shared {
    /// Unlike that of any other service.
    pub serial: Serial,
    /// Admission of requests.
    pub queue: Arc<Queue>,
    /// Retries in flight.
    pub budget: Arc<Budget>,
}

impl Shared {
    /// For a service that was not in the table before; else go on with the old one.
    pub fn new(service: &Service) -> Arc<Self> {
        Arc::new(Self {
            serial: Serial::next(),
            queue: Queue::new(&service.limits),
            budget: Arc::default(),
        })
    }
}

/// One service of one table.
#[derive(Debug, Clone)]
pub struct ServiceEntry {
    /// What it should be.
    pub service: Arc<Service>,
    /// Survives.
    pub shared: Arc<Shared>,
    /// Sorted by tier, then slot.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// By an operator's `minato drain`: new requests get the sorry page.
    pub draining: bool,
    /// How visitors are shared out among sites; `None`: the best tier that can takes all.
    pub spread: Option<Arc<Spread>>,
}

/// Whether an operator took a service out (`minato drain`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// New requests are served.
    Open,
    /// New requests get the sorry page; those in flight end.
    Drained,
}

/// The standing of one endpoint as [`ServiceEntry::settle`] changed it.
#[derive(Debug, Clone)]
pub struct StandingChange {
    /// Whose.
    pub endpoint: Arc<Endpoint>,
    /// Before.
    pub from: Standing,
    /// Now.
    pub to: Standing,
}

impl ServiceEntry {
    /// Sorts the endpoints, and gives the shared queue and the endpoints what this version of the service says
    /// of them: limits, and whether they are checked.
    pub fn new(
        service: Arc<Service>,
        shared: Arc<Shared>,
        mut endpoints: Vec<Arc<Endpoint>>,
        intake: Intake,
    ) -> Self {
        endpoints.sort_by(|a, b| (a.tier(), a.id()).cmp(&(b.tier(), b.id())));
        shared.queue.set_limits(&service.limits);
        let entry = Self {
            service,
            shared,
            endpoints,
            draining: intake == Intake::Drained,
            spread: None,
        };
        entry
            .endpoints
            .iter()
            .for_each(|it| it.set_checks(entry.checks_of(it)));
        entry
    }

    /// The same, shared out so.
    #[must_use]
    pub fn spread(mut self, spread: Option<Arc<Spread>>) -> Self {
        self.spread = spread;
        self
    }

    /// Gives every endpoint the standing that its verdict earns it beside all the others; returns those that changed.
    ///
    /// To be called by the one health loop whenever a verdict, a phase or the set of endpoints changed. `verdicts`
    /// tells for each endpoint its verdict and the layer of its last failure.
    ///
    /// - Draining endpoints stay draining until they are known to be stopped.
    /// - A down one is held while no other is up or suspect, if it has been up before and is not known to refuse or to
    ///   be stopped. One at most: the one held already, else the one that served until now, else the first.
    /// - With health off each instance is up.
    /// - Gateways of other sites are never held; one that is up keeps this site's last instance from being held.
    pub fn settle(
        &self,
        verdicts: &dyn Fn(&EndpointId) -> (Verdict, Option<Layer>),
    ) -> Vec<StandingChange> {
        let mut settled: Vec<StandingChange> = Vec::with_capacity(self.endpoints.len());
        for endpoint in &self.endpoints {
            let (verdict, layer) = verdicts(endpoint.id());
            endpoint.set_checks(self.checks_of(endpoint));
            endpoint.set_reach(reach(verdict, layer));
            settled.push(StandingChange {
                endpoint: Arc::clone(endpoint),
                from: endpoint.standing(),
                to: self.alone(endpoint, verdict, layer),
            });
        }
        if !settled.iter().any(|it| it.to <= Standing::Suspect) {
            let may_hold =
                |it: &&mut StandingChange| it.to == Standing::Out && it.endpoint.is_last_resort();
            let rank = |it: &&mut StandingChange| (it.from != Standing::Held, it.from);
            if let Some(last) = settled.iter_mut().filter(may_hold).min_by_key(rank) {
                last.to = Standing::Held;
            }
        }
        settled.retain(|it| it.from != it.to);
        for change in &settled {
            change.endpoint.set_standing(change.to);
        }
        settled
    }

    /// The standing that `verdict` (with its last failure) would give `id`, seen beside all the others as they stand.
    ///
    /// For questions; [`ServiceEntry::settle`] decides. An endpoint that is not of this entry is out.
    pub fn standing_for(
        &self,
        id: &EndpointId,
        verdict: Verdict,
        failure: Option<&Failure>,
    ) -> Standing {
        let Some(endpoint) = self.endpoints.iter().find(|it| it.id() == id) else {
            return Standing::Out;
        };
        let layer = failure.map(|it| it.layer);
        let alone = self.alone(endpoint, verdict, layer);
        let others = self.endpoints.iter().filter(|it| it.id() != id);
        let is_last = others.map(|it| it.standing()).all(|it| it > Standing::Held);
        let could_hold = endpoint.has_been_up() && reach(verdict, layer) == Reach::Open;
        if alone == Standing::Out && is_last && could_hold {
            return Standing::Held;
        }
        alone
    }

    /// A gateway of another site is watched whatever the service says of its instances.
    fn checks_of(&self, endpoint: &Endpoint) -> Checks {
        match self.service.health {
            Health::Off if endpoint.site().is_none() => Checks::Off,
            Health::Off | Health::On { .. } => Checks::On,
        }
    }

    /// What it earns without regard to the others.
    fn alone(&self, endpoint: &Endpoint, verdict: Verdict, layer: Option<Layer>) -> Standing {
        let is_stopped = reach(verdict, layer) == Reach::Stopped;
        match verdict {
            _ if endpoint.is_draining() && !is_stopped => endpoint.standing(),
            _ if self.checks_of(endpoint) == Checks::Off => Standing::Up,
            _ if is_stopped => Standing::Out,
            Verdict::Up => Standing::Up,
            Verdict::Suspect => Standing::Suspect,
            Verdict::Down => Standing::Out,
        }
    }
}

/// The last failure says nothing of one that is up.
fn reach(verdict: Verdict, layer: Option<Layer>) -> Reach {
    match layer {
        _ if verdict == Verdict::Up => Reach::Open,
        Some(Layer::ConnectRefused) => Reach::Refusing,
        Some(Layer::NotRunning) => Reach::Stopped,
        _ => Reach::Open,
    }
}

#[cfg(test)]
mod tests;
