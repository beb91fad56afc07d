//! What a container uses, from the engine's one-shot figures.

use super::engine::EngineError;
use super::{ASK, DockerRuntime};
use crate::runtime::Usage;
use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt as _;
use std::time::Duration;

impl DockerRuntime {
    /// `None` where it does not run.
    pub(super) async fn measure(&self, container: &str) -> Result<Option<Usage>, EngineError> {
        let options = StatsOptionsBuilder::new()
            .stream(false)
            .one_shot(true)
            .build();
        let stats = self
            .engine
            .ask(ASK, async |it| {
                let mut stream = std::pin::pin!(it.stats(container, Some(options)));
                stream.next().await.transpose()
            })
            .await?;
        Ok(stats.and_then(usage))
    }
}

fn usage(stats: ContainerStatsResponse) -> Option<Usage> {
    let cpu = stats.cpu_stats.and_then(|it| it.cpu_usage?.total_usage);
    let memory = stats.memory_stats.unwrap_or_default();
    // What can be dropped at once is not counted, as the engine's own client has it.
    let idle = memory.stats.as_ref().and_then(|it| {
        it.get("total_inactive_file")
            .or_else(|| it.get("inactive_file"))
            .copied()
    });
    Some(Usage {
        cpu: Duration::from_nanos(cpu.unwrap_or(0)),
        memory_bytes: memory.usage?.saturating_sub(idle.unwrap_or(0)),
    })
}
