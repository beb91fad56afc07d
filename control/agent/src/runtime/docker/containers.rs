//! What the engine is asked and told of the containers of runs.

use super::engine::EngineError;
use super::labels::Labelled;
use super::{ACT, ASK, DockerRuntime};
use crate::proc::Process;
use crate::runtime::RunName;
use bollard::models::{ContainerInspectResponse, ContainerSummary, ContainerUpdateBody};
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use std::collections::HashMap;

impl DockerRuntime {
    pub(super) async fn inspect(
        &self,
        container: &str,
    ) -> Result<Option<ContainerInspectResponse>, EngineError> {
        let options = None::<InspectContainerOptions>;
        let looked = self
            .engine
            .ask(ASK, async |it| {
                it.inspect_container(container, options).await
            })
            .await;
        match looked {
            Ok(container) => Ok(Some(container)),
            Err(EngineError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Our containers, those of one slot or all.
    pub(super) async fn ours(
        &self,
        of: Option<&RunName>,
    ) -> Result<Vec<(ContainerSummary, Labelled)>, EngineError> {
        let mut labels = self.owner.filter();
        if let Some(run) = of {
            labels.push(format!("minato.service={}", run.service));
            labels.push(format!("minato.slot={}", run.slot));
        }
        let filters: HashMap<String, Vec<String>> = [("label".to_owned(), labels)].into();
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let listed = self
            .engine
            .ask(ASK, async |it| it.list_containers(Some(options)).await)
            .await?;
        let read = |it: ContainerSummary| {
            let labelled = self.owner.read(it.labels.as_ref()?)?;
            Some((it, labelled))
        };
        Ok(listed.into_iter().filter_map(read).collect())
    }

    /// Ends and removes a container whatever it does. No error when it is gone.
    pub(super) async fn discard(&self, container: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        let removed = self
            .engine
            .ask(ACT, async |it| {
                it.remove_container(container, Some(options)).await
            })
            .await;
        match removed {
            Ok(()) | Err(EngineError::Missing(_)) => Ok(()),
            // Somebody else is removing it.
            Err(EngineError::Conflict(why)) if why.contains("already in progress") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// As [`Self::discard`], where the container of that name is this agent's.
    pub(super) async fn discard_own(&self, run: &RunName) -> Result<(), EngineError> {
        let container = self.owner.container(run);
        let looked = self.inspect(&container).await?;
        let labels = looked.and_then(|it| it.config?.labels);
        if labels.is_some_and(|it| self.owner.owns(&it)) {
            self.discard(&container).await?;
        }
        Ok(())
    }

    /// Asks it to stop, by the signal that its image names. No error when it has ended or is gone.
    pub(super) async fn terminate(&self, container: &str) -> Result<(), EngineError> {
        let Some(looked) = self.inspect(container).await? else {
            return Ok(());
        };
        let own = looked.config.and_then(|it| it.stop_signal);
        let own = own.filter(|it| !it.is_empty());
        self.send(container, own.as_deref().unwrap_or("SIGTERM"))
            .await
    }

    /// Ends it. No error when it has ended or is gone.
    pub(super) async fn kill(&self, container: &str) -> Result<(), EngineError> {
        self.send(container, "SIGKILL").await
    }

    async fn send(&self, container: &str, signal: &str) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        let sent = self
            .engine
            .ask(ASK, async |it| {
                it.kill_container(container, Some(options)).await
            })
            .await;
        match sent {
            Ok(()) | Err(EngineError::Missing(_) | EngineError::Conflict(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Lets it use this much from now on.
    pub(super) async fn limit(
        &self,
        container: &str,
        limits: ContainerUpdateBody,
    ) -> Result<(), EngineError> {
        self.engine
            .ask(ASK, async |it| it.update_container(container, limits).await)
            .await
    }

    /// The first process of a container, where this machine's /proc shows it as that.
    pub(super) fn process(
        &self,
        pid: u32,
        container: &ContainerInspectResponse,
    ) -> Option<Process> {
        let process = Process::find(pid)?;
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        groups.contains(container.id.as_deref()?).then_some(process)
    }
}
