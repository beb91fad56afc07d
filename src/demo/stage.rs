//! What every step needs: the running site, its admin API, its events, the load's tape; and the waiting for conditions.

use crate::demo::admin::{Admin, Follower, Victim, running, service, whole};
use crate::demo::clock::Clock;
use crate::demo::outcome::{PATIENCE, Service};
use crate::demo::screen::Screen;
use crate::demo::tape::{Record, Tape};
use minato_control_server::api::Status;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks at the status: the resolution of what is only seen there.
pub(crate) const LOOK: Duration = Duration::from_millis(25);
/// Load without any fault before and after each one.
pub(crate) const CALM: Duration = Duration::from_secs(1);
/// Anything that does not come true by then has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// Both services.
pub(crate) const SERVICES: [&str; 2] = ["pages", "orders"];

/// Passed to each step.
pub(crate) struct Stage<'a> {
    pub(crate) clock: Clock,
    pub(crate) admin: Admin,
    pub(crate) gateway: SocketAddr,
    pub(crate) events: &'a Follower,
    pub(crate) tape: &'a Arc<Tape>,
    pub(crate) screen: &'a mut Screen,
}

impl Stage<'_> {
    /// The next look at the status that `seen` says yes to; its `Err` is what is missing.
    pub(crate) async fn until<T>(
        &mut self,
        limit: Duration,
        mut seen: impl FnMut(&Status) -> Result<T, String>,
    ) -> anyhow::Result<T> {
        let begin = self.clock.now();
        loop {
            let missing = match self.admin.status().await {
                Ok(status) => match seen(&status) {
                    Ok(value) => return Ok(value),
                    Err(missing) => missing,
                },
                Err(error) => format!("no status: {error:#}"),
            };
            let waited = self.clock.now().saturating_sub(begin);
            anyhow::ensure!(waited < limit, "after {} s: {missing}", limit.as_secs());
            if waited > CALM {
                self.screen.progress(&missing);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Both services have what they want, up, and nothing more.
    pub(crate) async fn whole(&mut self) -> anyhow::Result<Status> {
        self.until(LIMIT, |status| {
            whole(status, &SERVICES).map(|()| status.clone())
        })
        .await
    }

    /// The least restarted instance of a whole service.
    pub(crate) async fn victim(&mut self, of: Service) -> anyhow::Result<Victim> {
        let status = self.whole().await?;
        let name = of.to_string();
        let first = service(&status, &name).and_then(|it| running(it).into_iter().next());
        first.ok_or_else(|| anyhow::anyhow!("{name} has no running instance"))
    }

    /// All requests due until now since the last call, once each of them has ended.
    pub(crate) async fn cut(&self) -> anyhow::Result<Vec<Record>> {
        let until = self.clock.now();
        loop {
            if let Some(records) = self.tape.cut_off(until) {
                return Ok(records);
            }
            let waited = self.clock.now().saturating_sub(until);
            anyhow::ensure!(waited < PATIENCE * 2, "a request of the load does not end");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Lets the load run on without a fault.
    pub(crate) async fn calm(&self) {
        tokio::time::sleep(CALM).await;
    }
}
