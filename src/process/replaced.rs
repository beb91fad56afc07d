//! Another process takes over from this one: the old process's side of an upgrade.

use super::{Process, tell};
use crate::clock;
use crate::copying::{self, Order};
use crate::duties::Duties;
use crate::gateway::LastGood;
use crate::secure::Secure;
use crate::serving::{HAND_OVER, Serving};
use crate::site_store::{self, SiteStore};
use crate::upgrade::{Estate, Inheritor, Successor, Wanted};
use minato_config::Settings;
use minato_control::{Event, EventKind};
use minato_control_agent::Stop;
use minato_control_server::api::{UpgradeRequest, UpgradeState};
use minato_control_store::InUse;
use std::path::Path;
use std::sync::Arc;

/// What came of an upgrade.
pub(super) enum Outcome {
    TakenOver(Inheritor),
    /// This process goes on.
    Failed(Duties),
    /// It was to stop before anything was let go of.
    Stop(Duties, &'static str),
}

/// What came of starting the new process.
enum Raised {
    Ready(Box<Successor>),
    /// This one is to stop.
    Stop(&'static str),
}

impl Process<'_> {
    /// A signal asks as the admin API does, with nobody to answer to.
    pub(super) fn by_signal(&mut self) -> Option<Wanted> {
        let asked = UpgradeRequest {
            binary: None,
            who: "SIGUSR2".to_owned(),
        };
        match self.charge.upgrade.begin(asked) {
            Ok(_) => self.wishes.try_recv().ok(),
            Err(why) => {
                tracing::warn!(why, "no upgrade");
                None
            }
        }
    }

    /// Lets another process take over. The error is that nobody has the duties any more.
    pub(super) async fn upgrade(
        &mut self,
        duties: Duties,
        wanted: Wanted,
    ) -> anyhow::Result<Outcome> {
        let began = clock::now();
        let program = wanted.binary.unwrap_or_else(|| self.program.clone());
        let who = match wanted.who.as_str() {
            "" => "someone",
            who => who,
        };
        let about = format!("{} is to take over (asked by {who})", program.display());
        note(&duties, about);
        let order = tokio::select! {
            ahead = copy_ahead(self.args.config(), &self.charge.settings, &duties) => ahead,
            why = self.asked.stop_wish() => return Ok(Outcome::Stop(duties, why)),
        };
        let (order, new) = match order {
            Ok(found) => found.unzip(),
            Err(error) => {
                self.failed(&duties, &error);
                return Ok(Outcome::Failed(duties));
            }
        };
        self.step("the new process starts".to_owned());
        self.supervisor.reloading();
        let successor = match self.raise(&program).await {
            Ok(Raised::Ready(successor)) => successor,
            Ok(Raised::Stop(why)) => return Ok(Outcome::Stop(duties, why)),
            Err(error) => {
                self.failed(&duties, &error);
                return Ok(Outcome::Failed(duties));
            }
        };
        let (pid, own) = (successor.pid(), std::process::id());
        self.step(format!("process {pid} is ready; this one, {own}, lets go"));
        let about = format!(
            "process {pid} is ready and takes over; this one, {own}, serves its connections to their end"
        );
        note(&duties, about);
        if let Some(Err(error)) = order.map(|it| it.pause(&self.charge.settings.data)) {
            let error = format!("{error:#}");
            tracing::warn!(error, "how long the store is not in use will not be told");
        }
        if let Err(error) = duties.lay_down(&self.charge, Stop::LeaveInstances).await {
            let error = format!("{error:#}");
            tracing::warn!(error, "the agent did not end well");
        }
        let (taken, told) = self.give(*successor).await;
        match (taken, told) {
            (Ok(by), told) => {
                // It was meant for minato, which is the other process by now.
                if told.is_some() {
                    by.stop();
                }
                tracing::info!(by = by.pid(), took = ?began.elapsed(), "another process has taken over");
                Ok(Outcome::TakenOver(by))
            }
            (Err(error), told) => {
                let saved = LastGood::load(&self.charge.settings.data);
                let store = self.store_again(new).await?;
                let duties = self.take_up(store, saved).await?;
                self.failed(&duties, &error);
                Ok(match told {
                    Some(why) => Outcome::Stop(duties, why),
                    None => Outcome::Failed(duties),
                })
            }
        }
    }

    /// The store to go on with, after the new process has failed. `new`: the settings of the store that it was to copy to.
    async fn store_again(&mut self, new: Option<Settings>) -> anyhow::Result<SiteStore> {
        let Some(new) = new else {
            return SiteStore::open(&self.charge.settings);
        };
        let (store, which) = copying::settle(&self.charge.settings, &new).await?;
        if which == InUse::Target {
            tracing::warn!(
                store = site_store::name(&new),
                "The store was copied before the new process failed: this one goes on with the copy"
            );
            self.charge.settings.etcd = new.etcd;
        }
        Ok(store)
    }

    /// Starts the new process. What was started ends where this one is to stop meanwhile.
    async fn raise(&mut self, program: &Path) -> anyhow::Result<Raised> {
        let estate = Estate {
            listeners: &self.listeners,
            parent: self.asked.parent()?,
            draining: &self.draining,
            tickets: self.secure.as_ref().map(Secure::export_tickets),
        };
        tokio::select! {
            raised = Successor::raise(program, &estate) => raised.map(|it| Raised::Ready(Box::new(it))),
            why = self.asked.stop_wish() => Ok(Raised::Stop(why)),
        }
    }

    /// Waits until the new process serves, or does not; and whether this one was told to stop meanwhile.
    async fn give(
        &mut self,
        successor: Successor,
    ) -> (anyhow::Result<Inheritor>, Option<&'static str>) {
        let mut told = None;
        let mut taken = std::pin::pin!(successor.take_over());
        loop {
            tokio::select! {
                taken = &mut taken => return (taken, told),
                why = self.asked.stop_wish(), if told.is_none() => told = Some(why),
            }
        }
    }

    fn step(&self, step: String) {
        self.charge.upgrade.set(UpgradeState::UnderWay, step);
    }

    /// Nothing has changed; who asked is told why.
    fn failed(&self, duties: &Duties, error: &anyhow::Error) {
        let why = format!("{error:#}");
        let event = Event::warn(
            clock::wall(),
            EventKind::Process,
            format!("the upgrade failed, and this process goes on: {why}"),
        );
        tell(duties, event);
        self.charge.upgrade.set(UpgradeState::Failed, why);
        self.supervisor.ready(&self.status());
    }

    /// Serves what is still open, for a day at most; told to stop, as long as at any stop.
    pub(super) async fn drain(mut self, mut serving: Serving, by: Inheritor) -> anyhow::Result<()> {
        self.listeners.close();
        self.answering = None;
        serving.hand_over();
        let relays = self.charge.dependencies.clone();
        if let Some(relays) = &relays {
            relays.hand_over();
        }
        let ended = async {
            serving.ended().await;
            if let Some(relays) = &relays {
                // Those of a database last for days; a day is enough for anybody to have connected anew.
                let _ = tokio::time::timeout(HAND_OVER, relays.ended()).await;
            }
        };
        let why = tokio::select! {
            () = ended => None,
            why = self.asked.stop_wish() => Some(why),
        };
        if let Some(why) = why {
            tracing::info!(
                why,
                by = by.pid(),
                "stopping while connections are left from before the upgrade"
            );
            serving.stop().await;
        }
        self.end_health().await;
        tracing::info!("the last connection of before the upgrade has ended");
        Ok(())
    }

    /// Events of the ends of processes that drain.
    pub(super) fn tell_of_the_end_of_others(&self, duties: &Duties) {
        let draining = Arc::clone(&self.draining);
        // Not kept from being dropped: the journal ends with its last sender.
        let events = duties.events().downgrade();
        tokio::spawn(async move {
            draining
                .ended(|pid| {
                    let text = format!("process {pid} of before the upgrade has served its last connection and ended");
                    let event = Event::info(clock::wall(), EventKind::Process, text);
                    if let Some(events) = events.upgrade() {
                        let _ = events.try_send(event);
                    }
                })
                .await;
        });
    }
}

/// Where the store is to change, copies what there is while everything goes on; what is left to do, and the settings that name the
/// other store. `config`: the settings file of both processes.
async fn copy_ahead(
    config: Option<&Path>,
    old: &Settings,
    duties: &Duties,
) -> anyhow::Result<Option<(Order, Settings)>> {
    let Some(order) = Order::read(&old.data)? else {
        return Ok(None);
    };
    let new = copying::read_for(config)?;
    let order = order.ahead((old, &duties.shared()), &new).await?;
    Ok(order.map(|it| (it, new)))
}

fn note(duties: &Duties, text: String) {
    tell(duties, Event::info(clock::wall(), EventKind::Process, text));
}
