//! Starting a container: look before acting, then make, then start; what fails leaves nothing.

use super::create::{self, Parts};
use super::engine::EngineError;
use super::images::{Purpose, Resolved};
use super::labels::Labelled;
use super::refusals::{failed, not_started};
use super::state::{self, Look};
use super::{ACT, DockerRuntime};
use crate::clock::now;
use crate::runtime::{Record, RunOrder, RuntimeError, Started};
use bollard::models::ContainerSummary;
use bollard::query_parameters::{CreateContainerOptionsBuilder, StartContainerOptions};
use minato_config::{Access, Image};
use minato_control::{Event, EventKind};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

impl DockerRuntime {
    /// Sees to it that the image is here, unless a run of the same assignment left it.
    pub(super) async fn fetch_for(&self, order: &RunOrder) -> Result<(), RuntimeError> {
        let image = image(order)?;
        self.may_join(image)?;
        let before = self.ours(Some(&order.name)).await;
        let before =
            before.map_err(|it| failed(format!("looking for runs of {}", order.name), it))?;
        if self.pinned(order, &before).await?.is_some() {
            return Ok(());
        }
        self.images
            .fetch(&order.name.service, image, Purpose::Start)
            .await
    }

    pub(super) async fn begin(&self, order: &RunOrder) -> Result<Started, RuntimeError> {
        let (name, image) = (&order.name, image(order)?);
        let refused = |it| not_started(name, order.port, it);
        self.may_join(image)?;
        let before = self.ours(Some(name)).await.map_err(refused)?;
        if let Some(started) = self.make_way(order, &before).await? {
            return Ok(started);
        }
        let resolved = match self.pinned(order, &before).await? {
            Some(pinned) => pinned,
            None => self.resolve(image).await?,
        };
        let written = self.records.write(&Record::new(order, &self.boot));
        written.map_err(RuntimeError::machine(format!(
            "writing the record of {name}"
        )))?;
        let result = self.make(order, image, &resolved).await;
        if result.is_err() {
            // With the engine away this fails as well: the next start, or the reaper, finds what is left by its labels.
            let _ = self.discard_own(name).await;
            self.secrets.take_back(name);
            let _ = self.records.remove(name);
        }
        result
    }

    async fn make(
        &self,
        order: &RunOrder,
        image: &Image,
        resolved: &Resolved,
    ) -> Result<Started, RuntimeError> {
        let name = &order.name;
        let refused = |it| not_started(name, order.port, it);
        let mut mounts = Vec::new();
        for (path, mount) in &image.volumes {
            let source = volume(&self.options.settings.volumes, &mount.volume)?;
            let source = source.to_string_lossy().into_owned();
            mounts.push((source, path.clone(), mount.access == Access::ReadOnly));
        }
        let given = self.secrets.give(name, image)?;
        if let Some(folder) = &given.folder {
            let source = folder.to_string_lossy().into_owned();
            mounts.push((source, super::secrets::INSIDE.to_owned(), true));
        }
        let parts = Parts {
            image_id: &resolved.id,
            labels: self.owner.labels(order, &resolved.digest),
            mounts,
            variables: given.variables,
            address: self.options.address,
            log_bytes: self.options.log_bytes,
        };
        let container = self.owner.container(name);
        let options = CreateContainerOptionsBuilder::new()
            .name(&container)
            .build();
        let body = create::body(order, image, parts);
        let made = self
            .engine
            .ask(ACT, async |it| {
                it.create_container(Some(options), body).await
            })
            .await;
        match made {
            Ok(_) => {}
            // Ours were looked at before: this one is somebody else's, and is not touched.
            Err(EngineError::Conflict(why)) if why.contains("already in use") => {
                return Err(RuntimeError::Machine {
                    doing: format!("making the container {container}"),
                    cause: std::io::Error::other(format!(
                        "a container of that name exists and is not this minato's; remove it (`docker rm {container}`) or rename it"
                    )),
                });
            }
            Err(error) => return Err(refused(error)),
        }
        self.engine
            .ask(ACT, async |it| {
                it.start_container(&container, None::<StartContainerOptions>)
                    .await
            })
            .await
            .map_err(refused)?;
        let looked = self.inspect(&container).await.map_err(refused)?;
        let pid = looked.as_ref().map_or(0, |it| match state::look(it) {
            Look::Running { pid } => pid,
            // It has ended already, which whoever waits for that will hear.
            Look::Created | Look::Ended { .. } => 0,
        });
        let process = looked.as_ref().and_then(|it| self.process(pid, it));
        let address = looked.as_ref().and_then(|it| self.direct(order, it));
        self.keep(order, process, address);
        self.copies.begin(name);
        Ok(Started { pid, address })
    }

    /// Removes what an agent that died left of this run or of older ones; answers the run itself where it lives.
    async fn make_way(
        &self,
        order: &RunOrder,
        before: &[(ContainerSummary, Labelled)],
    ) -> Result<Option<Started>, RuntimeError> {
        let refused = |it| not_started(&order.name, order.port, it);
        for (_, labelled) in before {
            let found = &labelled.order.name;
            let container = self.owner.container(found);
            let looked = self.inspect(&container).await.map_err(refused)?;
            let Some(looked) = looked else { continue };
            let lives = match state::look(&looked) {
                Look::Running { pid } => Some(pid),
                Look::Created | Look::Ended { .. } => None,
            };
            match (found.cmp(&order.name), lives) {
                (std::cmp::Ordering::Equal, Some(pid)) if labelled.order == *order => {
                    let address = self.direct(order, &looked);
                    self.keep(order, self.process(pid, &looked), address);
                    self.copies.begin(found);
                    return Ok(Some(Started { pid, address }));
                }
                (std::cmp::Ordering::Greater, Some(_)) => {
                    return Err(RuntimeError::Machine {
                        doing: format!("starting {}", order.name),
                        cause: std::io::Error::other(format!(
                            "the newer run {found} lives; `docker inspect {container}` tells since when"
                        )),
                    });
                }
                (std::cmp::Ordering::Equal, _) => {
                    self.discard(&container).await.map_err(refused)?;
                }
                (_, Some(_)) => {
                    let sentence = format!(
                        "the older run {found} still lived as {} was to start, and was ended",
                        order.name
                    );
                    self.discard(&container).await.map_err(refused)?;
                    self.tell(
                        Event::warn(now().wall, EventKind::Alarm, sentence).of(&found.service),
                    );
                }
                (_, None) => {}
            }
        }
        Ok(None)
    }

    /// The very image that an earlier run of the same assignment had: starting again changes no version.
    async fn pinned(
        &self,
        order: &RunOrder,
        before: &[(ContainerSummary, Labelled)],
    ) -> Result<Option<Resolved>, RuntimeError> {
        let image = image(order)?;
        let same = before.iter().filter(|(_, it)| {
            it.order.name.generation == order.name.generation
                && it
                    .order
                    .command
                    .image
                    .as_ref()
                    .is_some_and(|it| it.reference == image.reference)
        });
        let Some((id, digest)) = same
            .max_by_key(|(_, it)| it.order.name.run)
            .and_then(|(summary, it)| Some((summary.image_id.clone()?, it.image.clone())))
        else {
            return Ok(None);
        };
        let there = self.images.resolve(&id, image.reference.name()).await?;
        Ok(there.map(|it| Resolved { digest, ..it }))
    }

    async fn resolve(&self, image: &Image) -> Result<Resolved, RuntimeError> {
        let reference = &image.reference;
        let there = self
            .images
            .resolve(&reference.to_string(), reference.name())
            .await?;
        there.ok_or_else(|| RuntimeError::Field {
            field: "image",
            why: format!("{reference} is not on this node; was it removed since it was fetched?"),
        })
    }

    fn may_join(&self, image: &Image) -> Result<(), RuntimeError> {
        let allowed = &self.options.settings.networks;
        if allowed.contains(&image.network) {
            return Ok(());
        }
        Err(RuntimeError::Field {
            field: "network",
            why: format!(
                "this node lets no container join `{}`: add it to `networks` in [agent.docker], or choose another",
                image.network
            ),
        })
    }
}

fn image(order: &RunOrder) -> Result<&Image, RuntimeError> {
    order
        .command
        .image
        .as_deref()
        .ok_or_else(|| RuntimeError::Machine {
            doing: format!("starting {}", order.name),
            cause: std::io::Error::other("it has no image; please report this"),
        })
}

/// A folder of this machine by the name that service files use.
fn volume<'a>(
    volumes: &'a BTreeMap<String, PathBuf>,
    name: &str,
) -> Result<&'a Path, RuntimeError> {
    volumes.get(name).map(PathBuf::as_path).ok_or_else(|| RuntimeError::Field {
        field: "volumes",
        why: format!(
            "this node has no volume `{name}`: add it below [agent.docker.volumes], like {name} = \"/srv/{name}\""
        ),
    })
}
