//! Both runtimes of a node as one: images run in containers where the node has an engine, everything else as processes.

use super::{
    DockerRuntime, Ended, Inventory, ProcessRuntime, RunName, RunOrder, Runtime, RuntimeError,
    Sighting, Signal, Started, Stray, Usage,
};
use async_trait::async_trait;
use minato_config::{Image, ImageReference, Resources, ServiceName};
use minato_control::ImageState;
use std::collections::{BTreeMap, BTreeSet};

/// What a node runs instances with.
#[derive(Debug)]
pub struct Runtimes {
    process: ProcessRuntime,
    docker: Option<DockerRuntime>,
}

impl Runtimes {
    /// Without `docker` images are refused.
    pub fn new(process: ProcessRuntime, docker: Option<DockerRuntime>) -> Self {
        Self { process, docker }
    }

    fn of_order(&self, order: &RunOrder) -> Result<&dyn Runtime, RuntimeError> {
        match (&order.command.image, &self.docker) {
            (None, _) => Ok(&self.process),
            (Some(_), Some(docker)) => Ok(docker),
            (Some(_), None) => Err(RuntimeError::Field {
                field: "image",
                why: "this node runs no containers: set runtime = \"docker\" in [agent] of its minato.toml, or give `command`".to_owned(),
            }),
        }
    }

    fn of_run(&self, run: &RunName) -> &dyn Runtime {
        match &self.docker {
            Some(docker) if docker.knows(run) => docker,
            _ => &self.process,
        }
    }
}

#[async_trait]
impl Runtime for Runtimes {
    async fn prepare(&self, order: &RunOrder) -> Result<(), RuntimeError> {
        self.of_order(order)?.prepare(order).await
    }

    async fn fetch(
        &self,
        service: &ServiceName,
        image: &Image,
    ) -> Result<ImageState, RuntimeError> {
        match &self.docker {
            Some(docker) => docker.fetch(service, image).await,
            None => Ok(ImageState::NoEngine),
        }
    }

    async fn find(&self, service: &ServiceName, image: &Image) -> Result<Sighting, RuntimeError> {
        match &self.docker {
            Some(docker) => docker.find(service, image).await,
            None => Ok(Sighting::NoEngine),
        }
    }

    async fn running_images(
        &self,
        service: &ServiceName,
        reference: &ImageReference,
    ) -> BTreeSet<String> {
        match &self.docker {
            Some(docker) => docker.running_images(service, reference).await,
            None => BTreeSet::new(),
        }
    }

    async fn start(&self, order: &RunOrder) -> Result<Started, RuntimeError> {
        self.of_order(order)?.start(order).await
    }

    async fn signal(&self, run: &RunName, signal: Signal) -> Result<(), RuntimeError> {
        self.of_run(run).signal(run, signal).await
    }

    async fn ended(&self, run: &RunName) -> Ended {
        self.of_run(run).ended(run).await
    }

    async fn list(&self) -> Result<Inventory, RuntimeError> {
        let mut all = self.process.list().await?;
        if let Some(docker) = &self.docker {
            match docker.list().await {
                Ok(inventory) => {
                    all.found.extend(inventory.found);
                    all.found.sort_by(|a, b| a.order.name.cmp(&b.order.name));
                    all.remarks.extend(inventory.remarks);
                }
                // Processes go on without it.
                Err(error) => all
                    .remarks
                    .push(format!("containers cannot be listed: {error}")),
            }
        }
        Ok(all)
    }

    async fn settle(&self, run: &RunName) -> Result<(), RuntimeError> {
        self.of_run(run).settle(run).await
    }

    async fn remove(&self, run: &RunName) -> Result<(), RuntimeError> {
        self.of_run(run).remove(run).await
    }

    async fn adjust(&self, run: &RunName, resources: Resources) -> Result<(), RuntimeError> {
        self.of_run(run).adjust(run, resources).await
    }

    async fn usage(&self, run: &RunName) -> Result<Usage, RuntimeError> {
        self.of_run(run).usage(run).await
    }

    async fn usages(&self, runs: &[RunName]) -> BTreeMap<RunName, Usage> {
        let Some(docker) = &self.docker else {
            return self.process.usages(runs).await;
        };
        let (contained, bare): (Vec<RunName>, Vec<RunName>) =
            runs.iter().cloned().partition(|it| docker.knows(it));
        let mut all = self.process.usages(&bare).await;
        all.extend(docker.usages(&contained).await);
        all
    }

    async fn strays(&self, known: &BTreeSet<RunName>) -> Vec<Stray> {
        match &self.docker {
            Some(docker) => docker.strays(known).await,
            None => Vec::new(),
        }
    }

    async fn reap(&self, run: &RunName) -> Result<(), RuntimeError> {
        match &self.docker {
            Some(docker) => docker.reap(run).await,
            None => Ok(()),
        }
    }

    async fn tidy(&self) {
        if let Some(docker) = &self.docker {
            docker.tidy().await;
        }
    }
}
