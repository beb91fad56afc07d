//! What runs instances: the trait, and its implementations, processes and containers. Each passes [`contract`].

mod both;
pub mod contract;
mod docker;
mod keeper;
mod process;
mod record;
mod remains;

pub use both::Runtimes;
pub use docker::{DockerOptions, DockerRuntime};
pub use minato_control::RunName;
pub use process::ProcessRuntime;
pub(crate) use record::{Durable, Record, Records, private_folder, write_whole};

use async_trait::async_trait;
use minato_config::{Command, Image, ImageReference, Resources, ServiceName};
use minato_control::ImageState;
use minato_health::Flow;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// One run as it should be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOrder {
    /// Which run.
    pub name: RunName,
    /// What to run.
    pub command: Command,
    /// [`Command::digest`] of the assignment.
    pub digest: String,
    /// The port of this machine at which it is reached.
    pub port: u16,
}

/// A run that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The instance's own process id; 0 where it ended before that could be seen.
    pub pid: u32,
    /// Where it is reached; `None` where that is its port at the node's address.
    pub address: Option<SocketAddr>,
}

/// A run that an earlier agent left, as found at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The order it was started by.
    pub order: RunOrder,
    /// How it stands.
    pub state: FoundState,
}

/// How a found run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundState {
    /// It lives.
    Running {
        /// The instance's process id.
        pid: u32,
        /// How long it has run.
        age: Duration,
        /// As [`Started::address`].
        address: Option<SocketAddr>,
    },
    /// It ended while nobody looked.
    Ended(Ended),
}

/// All that an earlier agent left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// Every run that is known, sorted by name; an ended one keeps its number from being used again.
    pub found: Vec<Found>,
    /// What was out of order and has been put right; one sentence each.
    pub remarks: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How, as far as it is known.
    pub exit: Exit,
    /// From start to end; `None` where it is not known.
    pub lasted_ms: Option<u64>,
    /// The last line of its output, at most 200 bytes; empty where there is none.
    #[serde(default)]
    pub last_output: String,
}

impl Ended {
    /// Nothing but how is known.
    pub(crate) fn by(exit: Exit) -> Self {
        Self {
            exit,
            lasted_ms: None,
            last_output: String::new(),
        }
    }
}

impl fmt::Display for Ended {
    /// `exited with status 3 after 0.1s; last output: "no such table"`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.exit.fmt(f)?;
        if let Some(ms) = self.lasted_ms {
            let tenths = ms.saturating_add(50) / 100;
            write!(f, " after {}.{}s", tenths / 10, tenths % 10)?;
        }
        if !self.last_output.is_empty() {
            write!(f, "; last output: \"{}\"", self.last_output)?;
        }
        Ok(())
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// Its limit of memory, in bytes where it is known, was not enough.
    OutOfMemory(Option<u64>),
    /// It could not be executed; the sentence says why and what to do.
    NotStarted(String),
    /// Nobody saw it end; the sentence says what is known.
    Unseen(String),
    /// It was never begun: the agent ended first.
    Never,
    /// The agent stopped it on purpose.
    Stopped,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exited with status {status}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
            Self::OutOfMemory(Some(limit)) => write!(
                f,
                "ran out of memory and was killed; its limit is {} MiB (`resources.memory`)",
                limit >> 20
            ),
            Self::OutOfMemory(None) => f.write_str("was killed: the machine ran out of memory"),
            Self::NotStarted(why) => write!(f, "could not be started: {why}"),
            Self::Unseen(why) => write!(f, "ended unseen: {why}"),
            Self::Never => f.write_str("was never begun"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// Where an image is that was only looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// On this machine.
    Here {
        /// The registry's digest; `None` where it came from no registry.
        digest: Option<String>,
        /// The engine's id of it.
        id: String,
    },
    /// At its registry, by this digest.
    Registry(String),
    /// It cannot be had: why, and what to do.
    No(String),
    /// This machine runs no containers.
    NoEngine,
}

/// Which way to end a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM to all processes of the run: please.
    Terminate,
    /// SIGKILL to all processes of the run, those that left its group included.
    Kill,
}

/// Why a runtime did not do it.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The command cannot be executed as written; says why and what to do.
    #[error("{0}")]
    Command(String),
    /// A key of the service's file asks for what cannot be had here; says why and what to do.
    #[error("{why}")]
    Field {
        /// Which key.
        field: &'static str,
        /// Why, and what to do.
        why: String,
    },
    /// Another program of this machine has the port.
    #[error("{0}")]
    Port(String),
    /// The engine does not answer: nothing was begun, or what was is found again. Try again.
    #[error("{0}")]
    Away(String),
    /// The machine refused: no processes, memory, descriptors or disk left. Trying later may help.
    #[error("{doing}: {cause}")]
    Machine {
        /// What was being done.
        doing: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The keeper of the run did not answer as it must.
    #[error("the keeper of {run} {what}")]
    Keeper {
        /// Which run.
        run: RunName,
        /// What it did instead.
        what: String,
    },
}

impl RuntimeError {
    /// What the system said while that was being done.
    pub(crate) fn machine(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |cause| Self::Machine { doing, cause }
    }
}

/// Runs instances. Every method may be called at any time, by several tasks, in any order.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Does beforehand what takes long and leaves nothing to undo, such as fetching an image.
    async fn prepare(&self, order: &RunOrder) -> Result<(), RuntimeError> {
        let _ = order;
        Ok(())
    }

    /// Fetches the image of a version to come, and says what it is. May take as long as a fetch takes.
    ///
    /// Unlike [`Runtime::prepare`] it never makes do with an older one where a registry does not answer.
    async fn fetch(
        &self,
        service: &ServiceName,
        image: &Image,
    ) -> Result<ImageState, RuntimeError> {
        let _ = (service, image);
        Ok(ImageState::NoEngine)
    }

    /// Whether the image of a version to come is here, or its registry has it. Fetches nothing.
    ///
    /// [`Sighting::No`] is a no that stays one until somebody does something about it; an error says that it could not be found out.
    async fn find(&self, service: &ServiceName, image: &Image) -> Result<Sighting, RuntimeError> {
        let _ = (service, image);
        Ok(Sighting::NoEngine)
    }

    /// The images that instances of the service run here, by the digest that their registry has for `reference`; by their own id where
    /// the engine would not find them by such a digest. What cannot be found out is left out.
    async fn running_images(
        &self,
        service: &ServiceName,
        reference: &ImageReference,
    ) -> BTreeSet<String> {
        let _ = (service, reference);
        BTreeSet::new()
    }

    /// Starts a run that was never started before. When this returns an error nothing of the run is left.
    async fn start(&self, order: &RunOrder) -> Result<Started, RuntimeError>;

    /// Signals all processes of the run. No error when it has ended already.
    async fn signal(&self, run: &RunName, signal: Signal) -> Result<(), RuntimeError>;

    /// Waits until the run has ended and nothing of it is left; at once when it has. Cancel-safe.
    async fn ended(&self, run: &RunName) -> Ended;

    /// Every run that is known or found: living ones are adopted, leftovers that cannot be are ended first.
    async fn list(&self) -> Result<Inventory, RuntimeError>;

    /// The run's end was wanted: remember its number, not how it ended.
    async fn settle(&self, run: &RunName) -> Result<(), RuntimeError>;

    /// Forgets an ended run. No error when it is not known.
    async fn remove(&self, run: &RunName) -> Result<(), RuntimeError>;

    /// Lets a living run use this much from now on, without a restart.
    async fn adjust(&self, run: &RunName, resources: Resources) -> Result<(), RuntimeError>;

    /// What a living run has used and uses; an error when it does not live.
    async fn usage(&self, run: &RunName) -> Result<Usage, RuntimeError>;

    /// As [`Runtime::usage`] for many: those that live and can be measured now.
    async fn usages(&self, runs: &[RunName]) -> BTreeMap<RunName, Usage> {
        let mut all = BTreeMap::new();
        for run in runs {
            match self.usage(run).await {
                Ok(usage) => drop(all.insert(run.clone(), usage)),
                // The others would wait for the same answer.
                Err(RuntimeError::Away(_)) => break,
                Err(_) => {}
            }
        }
        all
    }

    /// What this runtime once began and nobody knows of any more, those in `known` excepted.
    async fn strays(&self, known: &BTreeSet<RunName>) -> Vec<Stray> {
        let _ = known;
        Vec::new()
    }

    /// Ends a stray and removes all of it.
    async fn reap(&self, run: &RunName) -> Result<(), RuntimeError> {
        let _ = run;
        Ok(())
    }

    /// Looks after what fills up with time, such as old images. Called now and then.
    async fn tidy(&self) {}
}

/// One look at what a run uses, on the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time since its start, of all its processes and of all cores.
    pub cpu: Duration,
    /// Memory in use, without what could be dropped at once.
    pub memory_bytes: u64,
    /// Bytes from and to disks since its start; `None` where that cannot be told.
    pub disk: Option<Flow>,
    /// Bytes from and to networks since its start; `None` where that cannot be told.
    pub network: Option<Flow>,
}

/// Something of ours that the agent does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Which run it was begun as.
    pub run: RunName,
    /// Whether it lives.
    pub lives: bool,
}
