//! The runtime's methods, each by the part that does it.

use super::images::{Instead, Purpose};
use super::labels::Labelled;
use super::refusals::failed;
use super::{DockerRuntime, create, output};
use crate::clock::now;
use crate::runtime::{
    Ended, Inventory, RunName, RunOrder, Runtime, RuntimeError, Sighting, Signal, Started, Stray,
    Usage,
};
use async_trait::async_trait;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State};
use minato_config::{Image, ImageReference, Reaping, Resources, ServiceName};
use minato_control::{Event, EventKind, ImageState};
use std::collections::BTreeSet;

#[async_trait]
impl Runtime for DockerRuntime {
    async fn prepare(&self, order: &RunOrder) -> Result<(), RuntimeError> {
        self.fetch_for(order).await
    }

    async fn fetch(
        &self,
        service: &ServiceName,
        image: &Image,
    ) -> Result<ImageState, RuntimeError> {
        let reference = &image.reference;
        self.images.fetch(service, image, Purpose::Update).await?;
        let resolved = self
            .images
            .resolve(&reference.to_string(), reference.name())
            .await?;
        let Some(resolved) = resolved else {
            return Err(RuntimeError::Field {
                field: "image",
                why: format!(
                    "{reference} was fetched, and then the engine does not have it; was it removed meanwhile?"
                ),
            });
        };
        Ok(ImageState::Here {
            digest: (resolved.digest != resolved.id).then_some(resolved.digest),
            id: resolved.id,
        })
    }

    async fn find(&self, _: &ServiceName, image: &Image) -> Result<Sighting, RuntimeError> {
        self.images.find(image).await
    }

    async fn running_images(
        &self,
        service: &ServiceName,
        reference: &ImageReference,
    ) -> BTreeSet<String> {
        let name = reference.name();
        let mut found = BTreeSet::new();
        for (container, labelled) in self.ours(None).await.unwrap_or_default() {
            let runs = container.state == Some(State::RUNNING);
            if labelled.order.name.service != *service || !runs || labelled.image.is_empty() {
                continue;
            }
            let digest = labelled.image;
            let by_digest = self.images.resolve(&format!("{name}@{digest}"), name).await;
            found.insert(match by_digest {
                Ok(Some(_)) => digest,
                _ => format!("id {digest}"),
            });
        }
        found
    }

    async fn start(&self, order: &RunOrder) -> Result<Started, RuntimeError> {
        self.begin(order).await
    }

    async fn signal(&self, run: &RunName, signal: Signal) -> Result<(), RuntimeError> {
        let container = self.owner.container(run);
        let sent = match signal {
            Signal::Terminate => self.terminate(&container).await,
            Signal::Kill => self.kill(&container).await,
        };
        sent.map_err(|it| failed(format!("signalling {run}"), it))
    }

    async fn ended(&self, run: &RunName) -> Ended {
        self.wait(run).await
    }

    async fn list(&self) -> Result<Inventory, RuntimeError> {
        self.take_stock().await
    }

    async fn settle(&self, run: &RunName) -> Result<(), RuntimeError> {
        self.records.settle(run)
    }

    async fn remove(&self, run: &RunName) -> Result<(), RuntimeError> {
        if self.knows(run) {
            // Its log has what it wrote before the engine forgets it.
            self.copies.last_line(run).await;
            self.discard_own(run)
                .await
                .map_err(|it| failed(format!("removing the container of {run}"), it))?;
        }
        self.forget(run)
    }

    async fn adjust(&self, run: &RunName, resources: Resources) -> Result<(), RuntimeError> {
        self.limit(&self.owner.container(run), create::limits(resources))
            .await
            .map_err(|it| failed(format!("changing the resources of {run}"), it))?;
        if let Some(mut record) = self.records.read(run) {
            if let Some(image) = &mut record.command.image {
                image.resources = resources;
            }
            self.write(&record);
        }
        Ok(())
    }

    async fn usage(&self, run: &RunName) -> Result<Usage, RuntimeError> {
        let measured = self.measure(&self.owner.container(run)).await;
        let doing = format!("measuring {run}");
        match measured {
            Ok(Some(usage)) => Ok(usage),
            Ok(None) => Err(RuntimeError::Machine {
                doing,
                cause: std::io::Error::other("it does not run"),
            }),
            Err(error) => Err(failed(doing, error)),
        }
    }

    async fn strays(&self, known: &BTreeSet<RunName>) -> Vec<Stray> {
        let Ok(containers) = self.ours(None).await else {
            return Vec::new();
        };
        let stray = |(summary, labelled): (ContainerSummary, Labelled)| {
            let run = labelled.order.name;
            let lives = lives(&summary);
            (!known.contains(&run)).then_some(Stray { run, lives })
        };
        containers.into_iter().filter_map(stray).collect()
    }

    async fn reap(&self, run: &RunName) -> Result<(), RuntimeError> {
        self.discard(&self.owner.container(run))
            .await
            .map_err(|it| failed(format!("removing the container of {run}"), it))?;
        let _ = self.forget(run);
        Ok(())
    }

    async fn tidy(&self) {
        let instead = match self.options.settings.reap {
            Reaping::On => Instead::Do,
            Reaping::Report => Instead::Tell,
        };
        match self.images.tidy(instead).await {
            Err(RuntimeError::Away(_)) | Ok(()) => {}
            Err(error) => {
                let sentence = format!("old images could not be looked after: {error}");
                self.tell(Event::warn(now().wall, EventKind::Image, sentence));
            }
        }
    }
}

impl DockerRuntime {
    /// Removes what this machine keeps of a run whose container is gone.
    fn forget(&self, run: &RunName) -> Result<(), RuntimeError> {
        self.secrets.take_back(run);
        let _ = std::fs::remove_file(output::position(&self.folder, run));
        self.records.remove(run)
    }
}

fn lives(container: &ContainerSummary) -> bool {
    container.state.is_some_and(|it| {
        !matches!(
            it,
            State::CREATED | State::EXITED | State::DEAD | State::EMPTY
        )
    })
}
