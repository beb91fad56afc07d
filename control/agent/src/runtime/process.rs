//! Instances as processes of this machine, each below a keeper (see [`crate::shim`]).
//!
//! Before a keeper exists its record is written, and every process of a run carries the run's name in its environment:
//! whatever moment this process dies at, the next one finds what there is.

use super::keeper;
use super::remains::unseen;
use super::{
    Ended, Exit, Found, FoundState, Inventory, Record, Records, RunName, RunOrder, Runtime,
    RuntimeError, Signal, Started, Usage, private_folder,
};
use crate::AgentError;
use crate::proc::{self, Process};
use crate::shim::{Answer, INSTANCE_VARIABLE, LONGEST_ORDER, Order, marker};
use async_trait::async_trait;
use minato_config::Resources;
use rustix::process::kill_process_group;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::{sleep, timeout};

/// How long a keeper may take to answer its order, or to get from its birth to its instance's.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// How long a keeper may take to go after it has written down the end of its run.
const PARTING: Duration = Duration::from_millis(500);
/// How long a keeper may take to write down the end of its instance; it takes far less unless it is frozen.
const BURIAL: Duration = Duration::from_secs(3);
/// Between looks where the kernel does not tell.
pub(super) const LOOK: Duration = Duration::from_millis(10);

/// The process runtime of one data folder. One at a time: the store's lock on the folder sees to that.
#[derive(Debug)]
pub struct ProcessRuntime {
    shim: Vec<OsString>,
    data: PathBuf,
    pub(super) records: Records,
    log_bytes: u64,
    pub(super) boot: String,
}

impl ProcessRuntime {
    /// `shim`: program and leading arguments that end up in [`crate::shim::run`]. `log_bytes`: output kept for a slot.
    /// `data` is created where it is missing.
    pub fn open(data: &Path, shim: Vec<OsString>, log_bytes: u64) -> Result<Self, AgentError> {
        let failed = |cause| AgentError::Data {
            path: data.to_owned(),
            cause,
        };
        if shim.is_empty() {
            return Err(AgentError::NoShim);
        }
        private_folder(data).map_err(failed)?;
        // The folder's one name: it is part of what marks our processes.
        let data = data.canonicalize().map_err(failed)?;
        let records = Records::open(&data).map_err(failed)?;
        Ok(Self {
            shim,
            records,
            data,
            log_bytes,
            boot: proc::boot_id(),
        })
    }

    pub(super) fn mark(&self, run: &RunName) -> String {
        marker(&run.to_string(), &self.data)
    }

    /// Makes the keeper and hands it the order.
    async fn spawn(&self, order: &Order) -> Result<Answer, RuntimeError> {
        let run = &order.record.name;
        let machine = |doing: &str| RuntimeError::machine(format!("{doing} {run}"));
        let text =
            serde_json::to_vec(order).map_err(|it| machine("writing the order for")(it.into()))?;
        if u64::try_from(text.len()).unwrap_or(u64::MAX) >= LONGEST_ORDER {
            return Err(RuntimeError::Command(format!(
                "command: its arguments and variables take {} bytes; at most {LONGEST_ORDER} can be handed over",
                text.len()
            )));
        }
        let (program, arguments) = self.shim.split_first().ok_or_else(|| {
            machine("starting the keeper of")(io::Error::other("its program is not known"))
        })?;
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .arg(run.to_string())
            .env(INSTANCE_VARIABLE, self.mark(run))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(machine("starting the keeper of"))?;
        if let Some(mut input) = child.stdin.take() {
            // A keeper that does not read says so by not answering.
            let _ = input.write_all(&text).await;
        }
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            let _ = BufReader::new(output.take(64 * 1024))
                .read_line(&mut line)
                .await;
        }
        serde_json::from_str(&line).map_err(|_| RuntimeError::Keeper {
            run: run.clone(),
            what: "ended without an answer; is the program that minato was started from still there and the same?".to_owned(),
        })
    }
}

#[async_trait]
impl Runtime for ProcessRuntime {
    async fn start(&self, order: &RunOrder) -> Result<Started, RuntimeError> {
        let name = &order.name;
        let order = Order {
            record: Record::new(order, &self.boot),
            data: self.data.clone(),
            log_bytes: self.log_bytes,
        };
        let written = self.records.write(&order.record);
        written.map_err(RuntimeError::machine(format!(
            "writing the record of {name}"
        )))?;
        let answer = timeout(ANSWER, self.spawn(&order))
            .await
            .unwrap_or_else(|_| {
                Err(RuntimeError::Keeper {
                    run: name.clone(),
                    what: format!("did not answer within {ANSWER:?}"),
                })
            });
        let error = match answer {
            Ok(Answer::Started { pid }) => return Ok(Started { pid, address: None }),
            Ok(Answer::Command(why)) => RuntimeError::Command(why),
            Ok(Answer::Machine(why)) => RuntimeError::Machine {
                doing: format!("starting {name}"),
                cause: io::Error::other(why),
            },
            Err(error) => error,
        };
        self.sweep(name).await;
        self.close(name, Exit::NotStarted(error.to_string()));
        Err(error)
    }

    async fn signal(&self, run: &RunName, signal: Signal) -> Result<(), RuntimeError> {
        let Some(record) = self
            .records
            .read(run)
            .filter(|it| it.boot == self.boot && it.ended.is_none())
        else {
            return Ok(());
        };
        // The keeper buries the instance last of all, so the id is the instance's as long as it is seen alive.
        let Some(group) = record
            .instance
            .filter(|it| it.is_alive())
            .and_then(Process::id)
        else {
            return Ok(());
        };
        let result = match signal {
            Signal::Terminate => kill_process_group(group, rustix::process::Signal::TERM),
            Signal::Kill => kill_process_group(group, rustix::process::Signal::KILL),
        };
        match result {
            Err(cause) if cause != rustix::io::Errno::SRCH => Err(RuntimeError::Machine {
                doing: format!("signalling {run}"),
                cause: cause.into(),
            }),
            _ => Ok(()),
        }
    }

    async fn ended(&self, run: &RunName) -> Ended {
        let Some(record) = self.records.read(run) else {
            self.sweep(run).await;
            return self.close(run, Exit::Unseen("its record is gone".to_owned()));
        };
        if let Some(keeper) = record.keeper.filter(|_| record.boot == self.boot) {
            tokio::select! {
                () = keeper::gone(keeper) => {}
                () = unburied(keeper, record.instance) => keeper::gone(keeper).await,
            }
        }
        if let Some(ended) = self.records.read(run).and_then(|it| it.ended) {
            return ended;
        }
        self.sweep(run).await;
        self.close(run, unseen(record.keeper, record.instance))
    }

    async fn list(&self) -> Result<Inventory, RuntimeError> {
        let (records, remarks) = self
            .records
            .take_stock("what it spoke of is ended and started anew")?;
        let mut inventory = Inventory {
            found: Vec::new(),
            remarks,
        };
        for record in &records {
            let state = self.look(record).await;
            inventory.found.push(Found {
                order: record.order(),
                state,
            });
        }
        let alive = |run: &RunName| {
            inventory
                .found
                .iter()
                .any(|it| it.order.name == *run && matches!(it.state, FoundState::Running { .. }))
        };
        let ours = format!("@{}", self.data.display());
        let mut strangers: Vec<RunName> = proc::with_variable(INSTANCE_VARIABLE)
            .iter()
            .filter_map(|(_, mark)| RunName::parse(mark.strip_suffix(&ours)?))
            .filter(|it| !alive(it))
            .collect();
        strangers.sort();
        strangers.dedup();
        for run in strangers {
            // The keeper of a run that has just ended is on its way out by itself.
            let leaves = async {
                while !self.processes(&run).is_empty() {
                    sleep(LOOK).await;
                }
            };
            if timeout(PARTING, leaves).await.is_ok() {
                continue;
            }
            self.sweep(&run).await;
            inventory.remarks.push(format!(
                "processes of {run} that no record spoke of were ended"
            ));
        }
        Ok(inventory)
    }

    async fn settle(&self, run: &RunName) -> Result<(), RuntimeError> {
        self.records.settle(run)
    }

    async fn remove(&self, run: &RunName) -> Result<(), RuntimeError> {
        self.records.remove(run)
    }

    async fn adjust(&self, run: &RunName, _resources: Resources) -> Result<(), RuntimeError> {
        Err(RuntimeError::Field {
            field: "resources",
            why: format!(
                "{run} is a process, whose resources are its user's; give `image` to limit them"
            ),
        })
    }

    async fn usage(&self, run: &RunName) -> Result<Usage, RuntimeError> {
        let processes = self.processes(run);
        if processes.is_empty() {
            return Err(RuntimeError::Machine {
                doing: format!("measuring {run}"),
                cause: io::Error::other("it does not run"),
            });
        }
        let mut usage = Usage {
            cpu: Duration::ZERO,
            memory_bytes: 0,
        };
        for (cpu, memory) in processes.into_iter().filter_map(Process::usage) {
            usage.cpu += cpu;
            usage.memory_bytes = usage.memory_bytes.saturating_add(memory);
        }
        Ok(usage)
    }
}

/// Ends when a keeper whose instance has ended does not say so: it is frozen, and is killed.
async fn unburied(keeper: Process, instance: Option<Process>) {
    let Some(instance) = instance else {
        return std::future::pending().await;
    };
    keeper::gone(instance).await;
    sleep(BURIAL).await;
    if keeper.is_alive()
        && let Some(id) = keeper.id()
    {
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
    }
}
