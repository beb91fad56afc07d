//! Waiting for the end of a run, which is heard from the engine, from the kernel, and by looking.

use super::DockerRuntime;
use super::watch::News;
use crate::clock::now;
use crate::runtime::{Ended, Exit, FoundState, RunName, keeper};
use std::time::Duration;
use tokio::time::sleep;

/// A waiting task looks for itself this often, whatever it has heard.
const LOOK: Duration = Duration::from_secs(15);
/// The same, where its process is known to have ended.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long an engine may take to notice that a process has ended.
const NOTICE: Duration = Duration::from_secs(10);

impl DockerRuntime {
    /// See [`crate::runtime::Runtime::ended`].
    pub(super) async fn wait(&self, run: &RunName) -> Ended {
        let mut gone_at = None;
        loop {
            let mut news = self.watch.subscribe();
            let record = self.records.read(run);
            if let Some(ended) = record.as_ref().and_then(|it| it.ended.clone()) {
                return ended;
            }
            let Some(record) = record else {
                return Ended::by(Exit::Unseen("its record is gone".to_owned()));
            };
            if !self.engine.is_away() {
                match self.found(&record.order()).await {
                    Ok(FoundState::Ended(ended)) => return ended,
                    Ok(FoundState::Running { .. }) => {}
                    Err(error) => {
                        tracing::debug!(%run, %error, "a container could not be looked at");
                    }
                }
            }
            let process = self.records.read(run).and_then(|it| it.instance);
            let heard = async {
                loop {
                    match news.recv().await {
                        Ok(News::Run(other)) if other != *run => {}
                        _ => return,
                    }
                }
            };
            let gone = async {
                match process.filter(|_| gone_at.is_none()) {
                    Some(process) => keeper::gone(process).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = heard => {}
                () = sleep(if gone_at.is_some() { LOOK_AGAIN } else { LOOK }) => {}
                // The kernel says it before the engine does, and with the engine away nobody else does.
                () = gone => gone_at = Some(now().instant),
            }
            if let Some(since) = gone_at {
                let noticed = now().instant.saturating_duration_since(since);
                if noticed >= NOTICE && self.engine.is_away() {
                    let why = "its process ended while the container engine was away".to_owned();
                    return self.close(run, Ended::by(Exit::Unseen(why)));
                }
            }
        }
    }
}
