//! Images: fetched where they are missing, resolved to a digest, and removed when they are old, ours, and used by nobody.
//!
//! *Ours* are those that this agent fetched and the machine did not have before: `images.json` in the data folder keeps them.
//! Not here: which image a service wants (`config`), containers (`mod`).

use super::engine::{Engine, EngineError};
use super::logins;
use super::refusals::{Login, failed, not_fetched};
use crate::clock::now;
use crate::runtime::{Durable, RuntimeError, write_whole};
use bollard::models::{CreateImageInfo, ImageInspect};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptions, RemoveImageOptions,
};
use futures_util::StreamExt as _;
use minato_config::{DockerSettings, Image, ImageReference, Pull, ServiceName, Timestamp};
use minato_control::{Event, EventKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as Lock};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::time::timeout;

/// Fetches under way at once.
const FETCHES: usize = 3;
/// A fetch from which nothing is heard for this long is given up.
const SILENCE: Duration = Duration::from_secs(120);
/// A whole fetch.
const LONGEST_FETCH: Duration = Duration::from_secs(3_600);
/// Between two events about one fetch.
const TELL: Duration = Duration::from_secs(10);
/// Images that are remembered as ours.
const MOST_OURS: usize = 1_000;
/// Of each name this many unused ones stay, so that the way back needs no registry.
const KEPT: usize = 2;
/// A short question to the engine.
const ASK: Duration = Duration::from_secs(30);
/// Removing an image may have to delete many files.
const REMOVE: Duration = Duration::from_secs(110);

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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ours {
    id: String,
    name: String,
    reference: String,
    at: Timestamp,
}

/// Whether a registry is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    No,
    /// What is there serves where it does not answer.
    Try,
    Must,
    Forbidden,
}

/// What an image is fetched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A run that shall start now: an older image of that name is better than none.
    Start,
    /// A version to come: an older image of that name is not it.
    Update,
}

/// What the machine has of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Here {
    Yes,
    No,
}

fn ask(pull: Pull, reference: &ImageReference, here: Here) -> Ask {
    match (pull, here) {
        (Pull::Never, Here::No) => Ask::Forbidden,
        (_, Here::No) => Ask::Must,
        (Pull::Never, Here::Yes) => Ask::No,
        _ if reference.digest().is_some() => Ask::No,
        (Pull::Always, Here::Yes) => Ask::Try,
        (Pull::Missing, Here::Yes) if reference.is_moving() => Ask::Try,
        (Pull::Missing, Here::Yes) => Ask::No,
    }
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

    async fn pull(
        &self,
        service: &ServiceName,
        reference: &ImageReference,
    ) -> Result<(), RuntimeError> {
        let field = |why| RuntimeError::Field {
            field: "image",
            why,
        };
        let _permit = self.permits.acquire().await;
        self.make_room(reference).await?;
        let login = match &self.logins {
            Some(file) => logins::login(file, reference.registry()).map_err(field)?,
            None => None,
        };
        let sent = if login.is_some() {
            Login::Sent
        } else {
            Login::None
        };
        let before = self.ids().await?;
        let began = now();
        self.tell(
            Event::info(
                began.wall,
                EventKind::Image,
                format!("{reference} is being fetched"),
            )
            .of(service),
        );
        let refused = |it| not_fetched(reference, sent, it);
        let client = self.engine.client().await.map_err(refused)?;
        let tag = reference.digest().or(reference.tag()).unwrap_or("latest");
        let options = CreateImageOptionsBuilder::new()
            .from_image(reference.name())
            .tag(tag)
            .build();
        let mut stream = std::pin::pin!(client.create_image(Some(options), None, login));
        let mut progress = Progress::default();
        let mut told = began.instant;
        loop {
            let heard = timeout(SILENCE, stream.next()).await.map_err(|_| {
                field(format!(
                    "{reference} could not be fetched: nothing was heard of it for {} s; is {} reachable from this node?",
                    SILENCE.as_secs(),
                    reference.registry()
                ))
            })?;
            let Some(heard) = heard else { break };
            progress.add(heard.map_err(|it| refused(self.engine.sort(it)))?);
            let at = now();
            if at.instant.saturating_duration_since(began.instant) > LONGEST_FETCH {
                return Err(field(format!(
                    "{reference} could not be fetched within {} minutes",
                    LONGEST_FETCH.as_secs() / 60
                )));
            }
            if at.instant.saturating_duration_since(told) >= TELL {
                told = at.instant;
                let sentence = format!("{reference} is being fetched: {progress}");
                self.tell(Event::info(at.wall, EventKind::Image, sentence).of(service));
            }
        }
        let resolved = self
            .resolve(&reference.to_string(), reference.name())
            .await?;
        let Some(resolved) = resolved else {
            return Err(field(format!(
                "{reference} was fetched, and then the engine does not have it; was it removed meanwhile?"
            )));
        };
        if !before.contains(&resolved.id) {
            self.remember(reference, &resolved);
        }
        let took = now().instant.saturating_duration_since(began.instant);
        let sentence = format!(
            "{reference} is {}, fetched in {:.1}s ({} MiB)",
            resolved.digest,
            took.as_secs_f64(),
            resolved.size >> 20
        );
        self.tell(Event::info(now().wall, EventKind::Image, sentence).of(service));
        Ok(())
    }

    /// Refuses where the engine's disk has less room than is wanted, after old images of ours were removed.
    async fn make_room(&self, reference: &ImageReference) -> Result<(), RuntimeError> {
        let Some((root, free)) = self.room().await? else {
            return Ok(());
        };
        if free >= self.free_bytes {
            return Ok(());
        }
        self.remove_old(0, Instead::Do).await?;
        let free = self.room().await?.map_or(free, |it| it.1);
        if free >= self.free_bytes {
            return Ok(());
        }
        Err(RuntimeError::Field {
            field: "image",
            why: format!(
                "{reference} is not fetched: {} MiB are free at {root}, less than the {} MiB of `free_space` in [agent.docker]; make room (`docker system df` shows what takes it)",
                free >> 20,
                self.free_bytes >> 20
            ),
        })
    }

    /// The engine's folder and the bytes that are free there; `None` where this machine does not see it.
    async fn room(&self) -> Result<Option<(String, u64)>, RuntimeError> {
        let info = self.engine.ask(ASK, async |it| it.info().await).await;
        let info = info.map_err(|it| failed("asking the engine for its folder".to_owned(), it))?;
        let Some(root) = info.docker_root_dir else {
            return Ok(None);
        };
        let free = rustix::fs::statvfs(root.as_str()).ok();
        Ok(free.map(|it| (root, it.f_bavail.saturating_mul(it.f_frsize))))
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

    /// Ours that no container uses, but for the newest `kept` of each name. Those that somebody else has named too stay.
    pub(super) async fn remove_old(
        &self,
        kept: usize,
        instead: Instead,
    ) -> Result<(), RuntimeError> {
        let ours = self
            .ours
            .lock()
            .unwrap_or_else(|it| it.into_inner())
            .clone();
        if ours.is_empty() {
            return Ok(());
        }
        let options = ListContainersOptionsBuilder::new().all(true).build();
        let containers = self
            .engine
            .ask(ASK, async |it| it.list_containers(Some(options)).await)
            .await
            .map_err(|it| failed("listing the engine's containers".to_owned(), it))?;
        let used: BTreeSet<String> = containers
            .into_iter()
            .filter_map(|it| it.image_id)
            .collect();
        let present = self.ids().await?;
        self.forget(|it| present.contains(&it.id));
        for old in surplus(&ours, &used, kept).filter(|it| present.contains(&it.id)) {
            let what = format!(
                "the image {} ({}), which no container uses",
                old.reference, old.id
            );
            if instead == Instead::Tell {
                self.tell(Event::info(
                    now().wall,
                    EventKind::Image,
                    format!("would remove {what}"),
                ));
                continue;
            }
            let removed = self
                .engine
                .ask(REMOVE, async |it| {
                    it.remove_image(&old.id, None::<RemoveImageOptions>, None)
                        .await
                })
                .await;
            match removed {
                Ok(_) => {
                    self.forget(|it| it.id != old.id);
                    self.tell(Event::info(
                        now().wall,
                        EventKind::Image,
                        format!("removed {what}"),
                    ));
                }
                // Somebody else uses or named it: it is theirs from now on.
                Err(EngineError::Conflict(_) | EngineError::Missing(_)) => {
                    self.forget(|it| it.id != old.id);
                }
                Err(error) => return Err(failed(format!("removing {what}"), error)),
            }
        }
        Ok(())
    }

    /// As [`Images::remove_old`], with what stays for the way back.
    pub(super) async fn tidy(&self, instead: Instead) -> Result<(), RuntimeError> {
        self.remove_old(KEPT, instead).await?;
        if let Some((root, free)) = self.room().await?
            && free < self.free_bytes.saturating_mul(2)
        {
            let sentence = format!(
                "{} MiB are free on the engine's disk at {root}; below {} MiB no image is fetched",
                free >> 20,
                self.free_bytes >> 20
            );
            self.tell(Event::warn(now().wall, EventKind::Image, sentence).hint("docker system df"));
        }
        Ok(())
    }

    fn remember(&self, reference: &ImageReference, resolved: &Resolved) {
        let mut ours = self.ours.lock().unwrap_or_else(|it| it.into_inner());
        ours.retain(|it| it.id != resolved.id);
        ours.push(Ours {
            id: resolved.id.clone(),
            name: reference.name().to_owned(),
            reference: reference.to_string(),
            at: now().wall,
        });
        let surplus = ours.len().saturating_sub(MOST_OURS);
        ours.drain(..surplus);
        self.write(&ours);
    }

    fn forget(&self, kept: impl Fn(&Ours) -> bool) {
        let mut ours = self.ours.lock().unwrap_or_else(|it| it.into_inner());
        let before = ours.len();
        ours.retain(kept);
        if ours.len() != before {
            self.write(&ours);
        }
    }

    fn write(&self, ours: &[Ours]) {
        let written = serde_json::to_vec(ours)
            .map_err(io::Error::from)
            .and_then(|it| write_whole(&self.path, &it, Durable::WhileUp));
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "the list of fetched images could not be written");
        }
    }

    fn tell(&self, event: Event) {
        let _ = self.events.try_send(event);
    }
}

/// Whether something is done or told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instead {
    Do,
    Tell,
}

/// Those that nobody uses, oldest first, but for the newest `kept` of each name, used or not.
fn surplus<'a>(
    ours: &'a [Ours],
    used: &BTreeSet<String>,
    kept: usize,
) -> impl Iterator<Item = &'a Ours> {
    let mut newest: BTreeMap<&str, Vec<&Ours>> = BTreeMap::new();
    for it in ours {
        newest.entry(&it.name).or_default().push(it);
    }
    let mut old: Vec<&Ours> = Vec::new();
    for mut of_name in newest.into_values() {
        of_name.sort_by_key(|it| std::cmp::Reverse(it.at));
        old.extend(
            of_name
                .into_iter()
                .skip(kept)
                .filter(|it| !used.contains(&it.id)),
        );
    }
    old.sort_by_key(|it| it.at);
    old.into_iter()
}

/// Bytes of each layer, as far as they are told.
#[derive(Debug, Default)]
struct Progress {
    layers: BTreeMap<String, (u64, u64)>,
}

impl Progress {
    fn add(&mut self, heard: CreateImageInfo) {
        let downloading = heard.status.as_deref() == Some("Downloading");
        let (Some(id), Some(detail)) = (heard.id, heard.progress_detail) else {
            return;
        };
        let bytes = |it: Option<i64>| it.and_then(|it| u64::try_from(it).ok()).unwrap_or(0);
        if downloading && (self.layers.len() < 1_000 || self.layers.contains_key(&id)) {
            self.layers
                .insert(id, (bytes(detail.current), bytes(detail.total)));
        } else if let Some((current, total)) = self.layers.get_mut(&id) {
            // It is being unpacked.
            *current = *total;
        }
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sum = |pick: fn(&(u64, u64)) -> u64| {
            self.layers.values().map(pick).fold(0, u64::saturating_add)
        };
        write!(
            f,
            "{} of {} MiB so far",
            sum(|it| it.0) >> 20,
            sum(|it| it.1) >> 20
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_a_registry_is_asked() {
        let digest = format!("a@sha256:{}", "0".repeat(64));
        for (pull, reference, here, expected) in [
            (Pull::Missing, "a:1", Here::Yes, Ask::No),
            (Pull::Missing, "a:1", Here::No, Ask::Must),
            (Pull::Missing, "a", Here::Yes, Ask::Try),
            (Pull::Missing, "a:latest", Here::Yes, Ask::Try),
            (Pull::Always, "a:1", Here::Yes, Ask::Try),
            (Pull::Always, &digest, Here::Yes, Ask::No),
            (Pull::Always, &digest, Here::No, Ask::Must),
            (Pull::Never, "a:1", Here::Yes, Ask::No),
            (Pull::Never, "a", Here::No, Ask::Forbidden),
        ] {
            let it = ImageReference::parse(reference).unwrap();
            assert_eq!(
                ask(pull, &it, here),
                expected,
                "{pull:?} {reference} {here:?}"
            );
        }
    }

    #[test]
    fn only_old_and_unused_ones_go() {
        let ours = |id: &str, name: &str, at: u64| Ours {
            id: id.to_owned(),
            name: name.to_owned(),
            reference: format!("{name}:{at}"),
            at: Timestamp(at),
        };
        let all = [
            ours("1", "a", 1),
            ours("2", "a", 2),
            ours("3", "a", 3),
            ours("4", "a", 4),
            ours("5", "b", 1),
        ];
        let gone = |used: &[&str], kept| {
            let used = used.iter().map(|it| (*it).to_owned()).collect();
            surplus(&all, &used, kept)
                .map(|it| it.id.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(gone(&[], 2), "1 2");
        assert_eq!(gone(&["1"], 2), "2");
        assert_eq!(gone(&["4"], 0), "1 5 2 3");
        assert_eq!(gone(&["1", "2", "3", "4", "5"], 0), "");
    }
}
