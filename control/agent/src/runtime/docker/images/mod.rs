//! Images: fetched where they are missing, resolved to a digest, and removed when they are old, ours, and used by nobody.
//!
//! *Ours* (`ours`) are those that this agent fetched and the machine did not have before: `images.json` in the data folder
//! keeps them.
//! Not here: which image a service wants (`config`), containers (`super`).

mod ask;
mod disk;
mod find;
mod ours;
mod progress;
mod pull;

pub(super) use ours::Instead;

use super::engine::{Engine, EngineError};
use super::logins;
use super::refusals::failed;
use crate::clock::now;
use crate::runtime::RuntimeError;
use ask::{Ask, Here, ask};
use bollard::models::ImageInspect;
use bollard::query_parameters::ListImagesOptions;
use minato_config::{DockerSettings, Image, ServiceName};
use minato_control::{Event, EventKind};
use ours::Ours;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as Lock};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, mpsc};

/// Fetches under way at once.
const FETCHES: usize = 3;
/// A short question to the engine.
const ASK: Duration = Duration::from_secs(30);

/// What an image is fetched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A run that shall start now: an older image of that name is better than none.
    Start,
    /// A version to come: an older image of that name is not it.
    Update,
}

/// What a reference means now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    /// The engine's own id of it: what is run.
    pub(super) id: String,
    /// The registry's digest of it; its id where it came from no registry.
    pub(super) digest: String,
    /// Bytes on disk.
    pub(super) size: u64,
}

#[derive(Debug)]
pub(super) struct Images {
    engine: Arc<Engine>,
    logins: Option<PathBuf>,
    free_bytes: u64,
    path: PathBuf,
    ours: Lock<Vec<Ours>>,
    /// One fetch of one reference at a time.
    busy: Lock<BTreeMap<String, Arc<Mutex<()>>>>,
    permits: Semaphore,
    events: mpsc::Sender<Event>,
}

impl Images {
    pub(super) fn open(
        engine: Arc<Engine>,
        settings: &DockerSettings,
        data: &Path,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let path = data.join("images.json");
        let ours = std::fs::read(&path).ok();
        let ours = ours.and_then(|it| serde_json::from_slice(&it).ok());
        Self {
            engine,
            logins: settings.logins.clone(),
            free_bytes: settings.free_bytes,
            path,
            ours: Lock::new(ours.unwrap_or_default()),
            busy: Lock::default(),
            permits: Semaphore::new(FETCHES),
            events,
        }
    }

    /// Sees to it that the machine has the image. May take as long as a fetch takes.
    pub(super) async fn fetch(
        &self,
        service: &ServiceName,
        image: &Image,
        purpose: Purpose,
    ) -> Result<(), RuntimeError> {
        let reference = &image.reference;
        let one = {
            let mut busy = self.busy.lock().unwrap_or_else(|it| it.into_inner());
            busy.retain(|_, it| Arc::strong_count(it) > 1);
            busy.entry(reference.to_string()).or_default().clone()
        };
        let _one = one.lock().await;
        let here = match self.inspect(&reference.to_string()).await? {
            Some(_) => Here::Yes,
            None => Here::No,
        };
        match ask(image.pull, reference, here) {
            Ask::No => Ok(()),
            Ask::Forbidden => Err(RuntimeError::Field {
                field: "image",
                why: format!(
                    "{reference} is not on this node and pull = \"never\"; put it there with `docker load`, or take `pull` out"
                ),
            }),
            Ask::Must => self.pull(service, reference).await,
            Ask::Try if purpose == Purpose::Update => self.pull(service, reference).await,
            Ask::Try => match self.pull(service, reference).await {
                Err(RuntimeError::Field { why, .. }) => {
                    let sentence = format!("{why}; the one that this node has is used");
                    self.tell(Event::warn(now().wall, EventKind::Image, sentence).of(service));
                    Ok(())
                }
                other => other,
            },
        }
    }

    /// What a reference or an id means; `None` where the machine has no such image.
    pub(super) async fn resolve(
        &self,
        reference: &str,
        name: &str,
    ) -> Result<Option<Resolved>, RuntimeError> {
        let image = self.inspect(reference).await?;
        Ok(image.and_then(|it| {
            let id = it.id?;
            let digests = it.repo_digests.unwrap_or_default();
            let own = digests.iter().find_map(|it| {
                let (of, digest) = it.split_once('@')?;
                (of == name).then(|| digest.to_owned())
            });
            Some(Resolved {
                digest: own.unwrap_or_else(|| id.clone()),
                id,
                size: it.size.and_then(|it| u64::try_from(it).ok()).unwrap_or(0),
            })
        }))
    }

    async fn inspect(&self, reference: &str) -> Result<Option<ImageInspect>, RuntimeError> {
        match self
            .engine
            .ask(ASK, async |it| it.inspect_image(reference).await)
            .await
        {
            Ok(image) => Ok(Some(image)),
            Err(EngineError::Missing(_)) => Ok(None),
            Err(error) => Err(failed(format!("looking for the image {reference}"), error)),
        }
    }

    async fn ids(&self) -> Result<BTreeSet<String>, RuntimeError> {
        let listed = self
            .engine
            .ask(ASK, async |it| {
                it.list_images(None::<ListImagesOptions>).await
            })
            .await;
        let listed = listed.map_err(|it| failed("listing the engine's images".to_owned(), it))?;
        Ok(listed.into_iter().map(|it| it.id).collect())
    }

    fn tell(&self, event: Event) {
        let _ = self.events.try_send(event);
    }
}
