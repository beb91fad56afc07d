//! Images of versions to come: fetched when a rollout asks this node for it, and answered in `images/<node>/<service>`.
//!
//! Not here: how an image is fetched (`runtime`), when a rollout asks (`minato_control::Rollouts`).

use crate::agent::{Agent, Seen};
use crate::clock::now;
use crate::runtime::{Runtime, RuntimeError};
use minato_config::{Image, Pull, ServiceName};
use minato_control::{Freshness, ImageReport, ImageState, RolloutStage, World};
use minato_control_store::keys::Key;
use minato_control_store::{Commit, SharedStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// An engine that does not answer is asked again this often, and this many times.
const AGAIN: Duration = Duration::from_secs(3);
const TRIES: usize = 10;
/// Between tries to reach the store.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What this node says of images.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    /// What should be said.
    wanted: BTreeMap<ServiceName, ImageReport>,
    /// What the store was told last.
    said: BTreeMap<ServiceName, ImageReport>,
    /// Under way, by the number that asked for it.
    under_way: BTreeMap<ServiceName, (u64, AbortHandle)>,
    /// Being written.
    writing: BTreeSet<ServiceName>,
}

impl Fetches {
    /// Unless something else is asked for by now.
    pub(crate) fn fetched(&mut self, service: ServiceName, report: ImageReport) {
        let asked = self.wanted.get(&service).map(|it| it.fetch);
        if asked == Some(report.fetch) {
            self.wanted.insert(service, report);
        }
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
        for (service, wish) in &asked {
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

    fn report_images(&mut self, store: &SharedStore, world: &World) {
        let node = &self.options.node;
        let stored = world.images.keys().filter(|(it, _)| it == node);
        let stored = stored.map(|(_, service)| service);
        let all: BTreeSet<&ServiceName> = self.fetches.wanted.keys().chain(stored).collect();
        let mut changes: Vec<(ServiceName, Option<ImageReport>)> = Vec::new();
        for service in all {
            let wanted = self.fetches.wanted.get(service);
            let is_said = wanted.is_some() && wanted == self.fetches.said.get(service);
            if !is_said && !self.fetches.writing.contains(service) {
                changes.push((service.clone(), wanted.cloned()));
            }
        }
        for (service, report) in changes {
            self.fetches.writing.insert(service.clone());
            let key = Key::Image(node.clone(), service.clone());
            let (key, store) = (self.options.keys.text(&key), store.clone());
            self.tasks.spawn(async move {
                // A refusal is tried again with the next change.
                if let Err(error) = write(&store, key, report.as_ref()).await {
                    tracing::warn!(%error, "what this node says of an image did not reach the store");
                    sleep(STORE_PAUSE).await;
                    return Seen::Reported(service, None);
                }
                Seen::Reported(service, report)
            });
        }
    }
}

/// What a rollout wants of this node.
struct Wish<'a> {
    fetch: u64,
    freshness: Freshness,
    image: &'a Image,
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

/// Rollouts that want an image from this node.
fn asked<'a>(
    world: &'a World,
    node: &minato_config::NodeId,
) -> BTreeMap<&'a ServiceName, Wish<'a>> {
    let rollouts = world.rollouts.iter();
    rollouts
        .filter_map(|(service, stored)| {
            let going = stored.value.going.as_ref()?;
            let is_asked = going.step == RolloutStage::Fetching && going.nodes.contains(node);
            let image = going.to.command.image.as_deref()?;
            let wish = Wish {
                fetch: going.fetch,
                freshness: going.freshness,
                image,
            };
            is_asked.then_some((service, wish))
        })
        .collect()
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
