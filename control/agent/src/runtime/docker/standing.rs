//! How runs stand: what the engine, the records and /proc say of them, and what is written down of that.

use super::DockerRuntime;
use super::engine::EngineError;
use super::refusals::failed;
use super::state::{self, Look};
use crate::clock::now;
use crate::proc::Process;
use crate::runtime::{
    Ended, Exit, Found, FoundState, Inventory, Record, RunName, RunOrder, RuntimeError,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

impl DockerRuntime {
    /// Every run that records or labels know of. With the engine away, what records and /proc tell.
    pub(super) async fn take_stock(&self) -> Result<Inventory, RuntimeError> {
        let (records, remarks) = self
            .records
            .take_stock("labels of containers say what it said")?;
        let mut inventory = Inventory {
            found: Vec::new(),
            remarks,
        };
        let mut orders: BTreeMap<RunName, RunOrder> = BTreeMap::new();
        let reached = match self.ours(None).await {
            Ok(containers) => {
                for (_, labelled) in containers {
                    orders.insert(labelled.order.name.clone(), labelled.order);
                }
                true
            }
            Err(EngineError::Away(why)) => {
                self.engine.set_away(true);
                inventory.remarks.push(format!(
                    "{why}; of its containers only what records and /proc show is known until it answers"
                ));
                false
            }
            Err(error) => return Err(failed("listing containers".to_owned(), error)),
        };
        for record in &records {
            // It knows of changed resources, which no label can.
            orders.insert(record.name.clone(), record.order());
        }
        for (name, order) in orders {
            let record = records.iter().find(|it| it.name == name);
            let state = match (reached, record) {
                (true, _) => {
                    if record.is_none() {
                        self.write(&Record::new(&order, &self.boot));
                    }
                    self.found(&order)
                        .await
                        .map_err(|it| failed(format!("looking at {name}"), it))?
                }
                (false, Some(record)) => self.remembered(record),
                (false, None) => continue,
            };
            inventory.found.push(Found { order, state });
        }
        Ok(inventory)
    }

    /// How a container that was found stands; a run that ended is written down as such.
    pub(super) async fn found(&self, order: &RunOrder) -> Result<FoundState, EngineError> {
        let name = &order.name;
        if let Some(ended) = self.records.read(name).and_then(|it| it.ended) {
            return Ok(FoundState::Ended(ended));
        }
        let container = self.inspect(&self.owner.container(name)).await?;
        let Some(container) = container else {
            let why = "its container was removed by someone else".to_owned();
            return Ok(FoundState::Ended(
                self.close(name, Ended::by(Exit::Unseen(why))),
            ));
        };
        Ok(match state::look(&container) {
            Look::Running { pid } => {
                let process = self.process(pid, &container);
                let address = self.direct(order, &container);
                self.keep(order, process, address);
                self.copies.begin(name);
                let started = container
                    .state
                    .as_ref()
                    .and_then(|it| it.started_at.as_deref());
                let started = started.and_then(state::milliseconds);
                let age = started.map(|it| Duration::from_millis(now().wall.0.saturating_sub(it)));
                FoundState::Running {
                    pid,
                    age: process.map(Process::age).or(age).unwrap_or_default(),
                    address,
                }
            }
            Look::Created => FoundState::Ended(self.close(name, Ended::by(Exit::Never))),
            Look::Ended { exit, lasted_ms } => {
                let last_output = self.copies.last_line(name).await;
                let ended = Ended {
                    exit,
                    lasted_ms,
                    last_output,
                };
                FoundState::Ended(self.close(name, ended))
            }
        })
    }

    /// What records say, without an engine to ask: what /proc shows alive lives.
    pub(super) fn remembered(&self, record: &Record) -> FoundState {
        if let Some(ended) = &record.ended {
            return FoundState::Ended(ended.clone());
        }
        let lives = record
            .instance
            .filter(|it| record.boot == self.boot && it.is_alive());
        match lives {
            Some(process) => FoundState::Running {
                pid: process.pid,
                age: process.age(),
                address: record.address,
            },
            None => FoundState::Ended(Ended::by(Exit::Unseen(
                "the container engine does not answer, and its process is gone".to_owned(),
            ))),
        }
    }

    /// Writes down a run that lives.
    pub(super) fn keep(
        &self,
        order: &RunOrder,
        process: Option<Process>,
        address: Option<SocketAddr>,
    ) {
        let mut record = Record::new(order, &self.boot);
        (record.instance, record.address) = (process, address);
        self.write(&record);
    }

    /// Writes down how it ended; an end that is written down already stays.
    pub(super) fn close(&self, run: &RunName, ended: Ended) -> Ended {
        self.secrets.take_back(run);
        self.records.close(run, ended)
    }

    pub(super) fn write(&self, record: &Record) {
        if let Err(error) = self.records.write(record) {
            tracing::warn!(run = %record.name, %error, "the record of a run could not be written");
        }
    }
}
