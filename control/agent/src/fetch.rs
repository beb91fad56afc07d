//! Images of versions to come: fetched when a rollout asks this node for it, and answered in `images/<node>/<service>`. Those of services
//! that may move here from another site are looked for now and then, and answered there as well.
//!
//! Not here: how an image is fetched (`runtime`), when a rollout asks (`minato_control::Rollouts`).

use crate::agent::{Agent, Seen};
use crate::clock::now;
use crate::looks::{Answer, Looks};
use crate::runtime::{Runtime, RuntimeError, Sighting};
use minato_config::{Image, Pull, ServiceName};
use minato_control::{
    Freshness, ImageReport, ImageState, RolloutStage, World, images_ahead, is_ahead,
};
use minato_control_store::keys::Key;
use minato_control_store::{Commit, SharedStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// An engine that does not answer is asked again this often, and this many times.
const AGAIN: Duration = Duration::from_secs(3);
const TRIES: usize = 10;
/// Looks under way at once.
const MOST_LOOKS: usize = 4;
/// Between tries to reach the store, and between looks at what is due.
const PAUSE: Duration = Duration::from_secs(1);

/// What this node says of images.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    /// What should be said.
    wanted: BTreeMap<ServiceName, ImageReport>,
    /// What the store was told last.
    said: BTreeMap<ServiceName, ImageReport>,
    /// What stood there at the last turn.
    there: BTreeSet<ServiceName>,
    /// Under way, by the number that asked for it.
    under_way: BTreeMap<ServiceName, (u64, AbortHandle)>,
    /// Being written.
    writing: BTreeSet<ServiceName>,
    /// When what is looked for ahead is due again.
    looks: Looks,
}

impl Fetches {
    /// Unless something else is asked for by now. `jitter`: 0 to 1.
    pub(crate) fn fetched(&mut self, service: ServiceName, report: ImageReport, jitter: f64) {
        let known = self.wanted.get(&service);
        if known.is_none_or(|it| it.fetch != report.fetch) {
            return;
        }
        self.under_way.remove(&service);
        (self.looks).found(&service, answer(&report), now().instant, jitter);
        // What is found again is not told again.
        if !known.is_some_and(|it| is_same(it, &report)) {
            self.wanted.insert(service, report);
        }
    }

    /// Takes up what is to be looked for, and says for which of it that begins now.
    ///
    /// All of it is taken up, however many looks are under way: what stands in the store of a service that was not taken up is deleted as
    /// what nobody asks for.
    fn take_up<'a>(
        &mut self,
        wishes: &[(&&'a ServiceName, &Wish<'_>)],
        stored: impl Fn(&ServiceName) -> Option<&'a ImageReport>,
        at: Instant,
    ) -> Vec<ServiceName> {
        for (service, wish) in wishes {
            let known = self.wanted.get(**service);
            if known.is_some_and(|it| it.fetch == wish.fetch) {
                continue;
            }
            // What was found before this process began holds until it is found again.
            let found = stored(service).filter(|it| it.fetch == wish.fetch).cloned();
            let begun = || {
                let state = ImageState::Fetching;
                report(wish.fetch, wish.freshness, state, BTreeSet::new())
            };
            let known = found.unwrap_or_else(begun);
            self.wanted.insert((**service).clone(), known);
            self.looks.add((**service).clone(), at);
        }
        let looks = self.under_way.values().filter(|it| is_ahead(it.0));
        let free = MOST_LOOKS.saturating_sub(looks.count());
        let numbers: BTreeMap<&ServiceName, u64> =
            wishes.iter().map(|(it, wish)| (**it, wish.fetch)).collect();
        let due = self.looks.due(at).into_iter().filter(|service| {
            let under_way = self.under_way.get(*service).map(|it| it.0);
            let wish = numbers.get(*service);
            wish.is_some() && wish != under_way.as_ref()
        });
        let due: Vec<ServiceName> = due.take(free).cloned().collect();
        for service in &due {
            self.looks.begun(service, at);
        }
        due
    }

    /// What the store is to be told, of what stands there and what should: `None` where it is to be deleted.
    fn changes<'a>(
        &mut self,
        stored: impl Iterator<Item = &'a ServiceName>,
    ) -> Vec<(ServiceName, Option<ImageReport>)> {
        let stored: BTreeSet<ServiceName> = stored.cloned().collect();
        // A leader took it for what a node left that is gone for good: it is said again.
        let there = std::mem::replace(&mut self.there, stored);
        (self.said).retain(|it, _| self.there.contains(it) || !there.contains(it));
        let all: BTreeSet<&ServiceName> = self.wanted.keys().chain(&self.there).collect();
        let mut changes = Vec::new();
        for service in all {
            let wanted = self.wanted.get(service);
            let is_said = wanted.is_some() && wanted == self.said.get(service);
            if !is_said && !self.writing.contains(service) {
                changes.push((service.clone(), wanted.cloned()));
            }
        }
        changes
    }

    /// When the first of what is looked for ahead is due; a moment from now where it is due and others have to end before.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        let soonest = now().instant + PAUSE;
        self.looks.next().map(|it| it.max(soonest))
    }

    pub(crate) fn reported(&mut self, service: ServiceName, report: Option<ImageReport>) {
        self.writing.remove(&service);
        match report {
            Some(report) => drop(self.said.insert(service, report)),
            None => drop(self.said.remove(&service)),
        }
    }
}

impl Agent {
    /// Begins what rollouts ask for, and says what became of it.
    pub(crate) fn fetch_images(&mut self, store: &SharedStore, world: &World) {
        let asked = asked(world, &self.options.node);
        self.fetches
            .looks
            .retain(|it| asked.get(it).is_some_and(|it| it.kind == Kind::Look));
        let (looks, fetches): (Vec<_>, Vec<_>) =
            asked.iter().partition(|(_, wish)| wish.kind == Kind::Look);
        let stored = |service: &ServiceName| {
            let key = (self.options.node.clone(), service.clone());
            world.images.get(&key).map(|it| &it.value)
        };
        for service in self.fetches.take_up(&looks, stored, now().instant) {
            if let Some(wish) = asked.get(&service) {
                self.look(&service, wish);
            }
        }
        for (service, wish) in fetches {
            let known = self.fetches.wanted.get(*service);
            if known.is_some_and(|it| it.fetch == wish.fetch) {
                continue;
            }
            let (fetch, freshness) = (wish.fetch, wish.freshness);
            let begun = report(fetch, freshness, ImageState::Fetching, BTreeSet::new());
            self.fetches.wanted.insert((*service).clone(), begun);
            let (runtime, service, image) =
                (self.runtime.clone(), (*service).clone(), wish.image());
            let name = service.clone();
            let task = self.tasks.spawn(async move {
                let state = get(&runtime, &service, &image).await;
                let runs = runtime.running_images(&service, &image.reference).await;
                Seen::Fetched(service, report(fetch, freshness, state, runs))
            });
            if let Some((_, before)) = self.fetches.under_way.insert(name, (fetch, task)) {
                before.abort();
            }
        }
        // What nobody asks for any more is not fetched to its end.
        self.fetches.under_way.retain(|service, (fetch, task)| {
            let is_asked = asked.get(service).is_some_and(|it| it.fetch == *fetch);
            if !is_asked {
                task.abort();
            }
            is_asked
        });
        self.fetches.wanted.retain(|it, _| asked.contains_key(it));
        self.report_images(store, world);
    }

    /// Looks whether an image could be had.
    fn look(&mut self, service: &ServiceName, wish: &Wish<'_>) {
        let fetches = &mut self.fetches;
        let (runtime, name, image) = (self.runtime.clone(), service.clone(), wish.image.clone());
        let (fetch, freshness) = (wish.fetch, wish.freshness);
        let task = self.tasks.spawn(async move {
            let found = runtime.find(&name, &image).await;
            Seen::Fetched(name, found_ahead(fetch, freshness, found))
        });
        if let Some((_, before)) = fetches.under_way.insert(service.clone(), (fetch, task)) {
            before.abort();
        }
    }

    fn report_images(&mut self, store: &SharedStore, world: &World) {
        let node = &self.options.node;
        let stored = world.images.keys().filter(|(it, _)| it == node);
        let changes = self.fetches.changes(stored.map(|(_, service)| service));
        for (service, report) in changes {
            self.fetches.writing.insert(service.clone());
            let key = Key::Image(node.clone(), service.clone());
            let (key, store) = (self.options.keys.text(&key), store.clone());
            self.tasks.spawn(async move {
                // A refusal is tried again with the next change.
                if let Err(error) = write(&store, key, report.as_ref()).await {
                    tracing::warn!(%error, "what this node says of an image did not reach the store");
                    sleep(PAUSE).await;
                    return Seen::Reported(service, None);
                }
                Seen::Reported(service, report)
            });
        }
    }
}

/// What is said of what was looked for. Only what the runtime says of the image is a word on it: an engine or a registry that is away is not.
fn found_ahead(
    fetch: u64,
    freshness: Freshness,
    found: Result<Sighting, RuntimeError>,
) -> ImageReport {
    let (mut registry, mut unknown) = (None, String::new());
    let state = match found {
        Ok(Sighting::Here { digest, id }) => ImageState::Here { digest, id },
        Ok(Sighting::No(why)) => ImageState::Failed(why),
        Ok(Sighting::NoEngine) => ImageState::NoEngine,
        Ok(Sighting::Registry(digest)) => {
            registry = Some(digest);
            ImageState::Fetching
        }
        Err(error) => {
            unknown = error.to_string();
            ImageState::Fetching
        }
    };
    ImageReport {
        registry,
        unknown,
        ..report(fetch, freshness, state, BTreeSet::new())
    }
}

/// What it is for when it is looked for again.
fn answer(report: &ImageReport) -> Answer {
    match &report.state {
        _ if !report.unknown.is_empty() => Answer::Unknown,
        _ if report.registry.is_some() => Answer::There,
        ImageState::Failed(_) => Answer::No,
        ImageState::Here { .. } | ImageState::NoEngine | ImageState::Fetching => Answer::Here,
    }
}

/// Whether both say the same. Reasons are compared without their numbers: the engine's own words name the port that it asked from, which
/// is another one each time, and nobody needs to be told of that.
fn is_same(a: &ImageReport, b: &ImageReport) -> bool {
    let words = |it: &str| it.replace(|c: char| c.is_ascii_digit(), "");
    let state = match (&a.state, &b.state) {
        (ImageState::Failed(a), ImageState::Failed(b)) => words(a) == words(b),
        (a, b) => a == b,
    };
    let unknown = words(&a.unknown) == words(&b.unknown);
    state && unknown && a.registry == b.registry && a.runs == b.runs
}

/// What is wanted of this node.
struct Wish<'a> {
    kind: Kind,
    fetch: u64,
    freshness: Freshness,
    image: &'a Image,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A rollout wants it.
    Fetch,
    /// It may be wanted.
    Look,
}

impl Wish<'_> {
    /// The image, with the word of when its registry is asked.
    fn image(&self) -> Image {
        let mut image = self.image.clone();
        if self.freshness == Freshness::Newest && image.pull != Pull::Never {
            image.pull = Pull::Always;
        }
        image
    }
}

/// What rollouts want from this node, and what they may want.
fn asked<'a>(
    world: &'a World,
    node: &minato_config::NodeId,
) -> BTreeMap<&'a ServiceName, Wish<'a>> {
    let ahead = images_ahead(world).into_iter();
    let ahead = ahead.map(|(service, (fetch, image))| {
        let wish = Wish {
            kind: Kind::Look,
            fetch,
            freshness: Freshness::Any,
            image,
        };
        (service, wish)
    });
    let rollouts = world.rollouts.iter();
    let rollouts = rollouts.filter_map(|(service, stored)| {
        let going = stored.value.going.as_ref()?;
        let is_asked = going.step == RolloutStage::Fetching && going.nodes.contains(node);
        let image = going.to.command.image.as_deref()?;
        let wish = Wish {
            kind: Kind::Fetch,
            fetch: going.fetch,
            freshness: going.freshness,
            image,
        };
        is_asked.then_some((service, wish))
    });
    ahead.chain(rollouts).collect()
}

async fn get(runtime: &Arc<dyn Runtime>, service: &ServiceName, image: &Image) -> ImageState {
    let mut tries = 0;
    loop {
        tries += 1;
        match runtime.fetch(service, image).await {
            Ok(state) => return state,
            Err(RuntimeError::Away(_)) if tries < TRIES => sleep(AGAIN).await,
            Err(error) => return ImageState::Failed(error.to_string()),
        }
    }
}

fn report(
    fetch: u64,
    freshness: Freshness,
    state: ImageState,
    runs: BTreeSet<String>,
) -> ImageReport {
    ImageReport {
        v: 1,
        fetch,
        state,
        freshness,
        runs,
        registry: None,
        unknown: String::new(),
        since: now().wall,
    }
}

async fn write(
    store: &SharedStore,
    key: String,
    report: Option<&ImageReport>,
) -> Result<(), StoreError> {
    let commit = match report {
        Some(report) => {
            let value = serde_json::to_vec(report).map_err(|error| StoreError::Invalid {
                detail: format!("what is said of an image cannot be written as JSON: {error}"),
            })?;
            Commit::default().and_put(key, value, None)
        }
        None => Commit::default().and_delete(key),
    };
    store.commit(commit).await.map(|_| ())
}

#[cfg(test)]
mod tests;
