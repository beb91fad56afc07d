//! The node's state and those who serve it: carries decisions out and takes in what comes of them.
//! Not here: when to decide (`run`), what (`minato_control::Node`).

use crate::adopt::adopt;
use crate::clock::now;
use crate::fetch::Fetches;
use crate::port_file::PortFile;
use crate::ports::NoPort;
use crate::runtime::{Ended, RunOrder, Runtime, RuntimeError, Signal, Started, Stray};
use crate::stray;
use crate::{AgentError, AgentOptions};
use minato_config::{Command, Reaping, Resources, RuntimeSettings, ServiceName};
use minato_control::{
    Event, EventKind, ImageReport, Node, NodeAction, PlaceKey, Refusal, RunName, World,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

/// Starts under way at once.
const STARTS: usize = 8;

/// What a task of the agent has to tell.
pub(crate) enum Seen {
    Started {
        name: RunName,
        port: u16,
        result: Result<Started, Refusal>,
    },
    Ended {
        name: RunName,
        ended: Ended,
    },
    Adjusted {
        name: RunName,
        result: Result<(), String>,
    },
    Strays(Vec<Stray>),
    /// What became of the image of a version to come.
    Fetched(ServiceName, ImageReport),
    /// What was said of an image reached the store; `None`: nothing is said of it any more.
    Reported(ServiceName, Option<ImageReport>),
    Nothing,
}

pub(crate) struct Agent {
    pub(crate) options: AgentOptions,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) node: Node,
    ports: PortFile,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) tasks: JoinSet<Seen>,
    starts: Arc<Semaphore>,
    /// Runs that the runtime remembers.
    remembered: BTreeMap<PlaceKey, BTreeSet<RunName>>,
    random: fastrand::Rng,
    told_too_much: bool,
    /// That others do not reach what runs here was told.
    told_address: bool,
    /// Signals on their way.
    signals: JoinSet<()>,
    /// Runs whose images and the like are being made ready; letting go of one calls it off.
    preparing: BTreeMap<RunName, oneshot::Sender<()>>,
    pub(crate) fetches: Fetches,
}

impl Agent {
    pub(crate) fn new(
        options: AgentOptions,
        runtime: Arc<dyn Runtime>,
        ports: PortFile,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            node: Node::new(options.node.clone(), options.address),
            options,
            runtime,
            ports,
            events,
            tasks: JoinSet::new(),
            starts: Arc::new(Semaphore::new(STARTS)),
            remembered: BTreeMap::new(),
            random: fastrand::Rng::new(),
            told_too_much: false,
            told_address: false,
            signals: JoinSet::new(),
            preparing: BTreeMap::new(),
            fetches: Fetches::default(),
        }
    }

    /// Adopts what an earlier agent left.
    pub(crate) async fn take_over(
        &mut self,
        observed: &minato_control_store::Observed,
    ) -> Result<(), AgentError> {
        let inventory = self
            .runtime
            .list()
            .await
            .map_err(|error| AgentError::Data {
                path: self.options.data.join("instances"),
                cause: std::io::Error::other(error.to_string()),
            })?;
        for sentence in &inventory.remarks {
            self.tell(Event::warn(now().wall, EventKind::Alarm, sentence));
        }
        for adoption in adopt(&self.options.node, inventory, &observed.world) {
            for run in &adoption.known {
                self.remember(run);
            }
            for run in &adoption.surplus {
                self.signal(run, Signal::Kill);
            }
            let name = adoption.left.name.clone();
            let place = (name.service.clone(), name.slot);
            self.ports
                .hold(&place, adoption.left.port, now().wall)
                .await;
            if adoption.lives() {
                self.watch_over(name);
            }
            let jitter = self.random.f64();
            let actions = self
                .node
                .adopt(adoption.left, adoption.document.as_ref(), now(), jitter);
            self.act(actions).await;
        }
        Ok(())
    }

    pub(crate) async fn take_in(&mut self, seen: Seen) {
        let jitter = self.random.f64();
        if let Seen::Started { name, .. } = &seen {
            self.preparing.remove(name);
        }
        let actions = match seen {
            Seen::Started {
                name,
                port,
                result: Ok(started),
            } => {
                self.forget_older(&name).await;
                let at = started.address;
                let actions = self.node.started(&name, started.pid, port, at, now());
                self.watch_over(name);
                actions
            }
            Seen::Started {
                name,
                port,
                result: Err(why),
            } => self.node.not_started(&name, port, &why, now(), jitter),
            Seen::Ended { name, ended } => {
                if self.node.is_leaving(&name)
                    && let Err(error) = self.runtime.settle(&name).await
                {
                    tracing::warn!(%error, "the wanted end of a run could not be written down");
                }
                self.node.ended(&name, &ended.to_string(), now(), jitter)
            }
            Seen::Adjusted { name, result } => self.node.adjusted(&name, result, now()),
            Seen::Fetched(service, report) => {
                self.fetches.fetched(service, report, jitter);
                Vec::new()
            }
            Seen::Reported(service, report) => {
                self.fetches.reported(service, report);
                Vec::new()
            }
            // Those are for `reap`, which sees the world.
            Seen::Strays(_) | Seen::Nothing => Vec::new(),
        };
        self.act(actions).await;
    }

    pub(crate) async fn act(&mut self, actions: Vec<NodeAction>) {
        for action in actions {
            match action {
                NodeAction::Start {
                    name,
                    command,
                    digest,
                } => self.start(name, *command, digest).await,
                NodeAction::Adjust { name, resources } => self.adjust(name, resources),
                NodeAction::Terminate(name) => self.signal(&name, Signal::Terminate),
                NodeAction::Kill(name) => self.signal(&name, Signal::Kill),
                NodeAction::Release(place) => self.release(&place).await,
                NodeAction::Tell(event) => self.tell(event),
            }
        }
    }

    async fn start(&mut self, name: RunName, command: Command, digest: String) {
        let place = (name.service.clone(), name.slot);
        let wall = now().wall;
        let picked = match self.ports.pick(&place, command.port, wall).await {
            Ok(picked) => picked,
            Err(refused) => {
                let result = Err(no_port(&refused));
                self.tasks.spawn(async move {
                    Seen::Started {
                        name,
                        port: 0,
                        result,
                    }
                });
                return;
            }
        };
        for port in &picked.passed_over {
            let sentence = format!(
                "another program listens on port {port}; {}/{} gets {} instead",
                place.0, place.1, picked.port
            );
            let event = Event::warn(now().wall, EventKind::Alarm, sentence)
                .of(&place.0)
                .hint(format!("ss -ltnp sport = :{port}"));
            self.tell(event);
        }
        self.remember(&name);
        let order = RunOrder {
            name,
            command,
            digest,
            port: picked.port,
        };
        let (runtime, starts) = (self.runtime.clone(), self.starts.clone());
        let (wanted, is_unwanted) = oneshot::channel();
        self.preparing.insert(order.name.clone(), wanted);
        self.tasks.spawn(async move {
            // Without a permit: what is fetched for long must not hold up what could start at once.
            let prepared = tokio::select! {
                prepared = runtime.prepare(&order) => prepared,
                _ = is_unwanted => Err(RuntimeError::Command(
                    "making it ready was called off, since it is no longer wanted".to_owned(),
                )),
            };
            let result = match prepared {
                Ok(()) => {
                    let _permit = starts.acquire_owned().await;
                    runtime.start(&order).await
                }
                Err(error) => Err(error),
            };
            let result = result.map_err(|it| refusal(&it));
            Seen::Started {
                name: order.name,
                port: order.port,
                result,
            }
        });
    }

    /// Calls off what is being made ready (an image that is fetched for long, say) for slots that were removed or assigned anew.
    pub(crate) fn call_off(&mut self, world: &World) {
        let node = &self.options.node;
        self.preparing.retain(|name, _| {
            let slot = world.slots.get(&(name.service.clone(), name.slot));
            // One that vanished says nothing.
            let Some(slot) = slot.map(|it| &it.value) else {
                return true;
            };
            let is_older = slot.generation < name.generation;
            is_older || (!slot.removed && slot.node == *node && slot.generation == name.generation)
        });
    }

    fn adjust(&mut self, name: RunName, resources: Resources) {
        let runtime = self.runtime.clone();
        self.tasks.spawn(async move {
            let result = runtime.adjust(&name, resources).await;
            let result = result.map_err(|it| it.to_string());
            Seen::Adjusted { name, result }
        });
    }

    /// Says once, until it is over, that other machines are told an address that is not this machine's.
    pub(crate) fn check_address(&mut self, world: &World) {
        let AgentOptions { node, address, .. } = &self.options;
        let trouble = minato_control::out_of_reach(node, *address, world);
        let was = std::mem::replace(&mut self.told_address, trouble.is_some());
        if let Some(trouble) = trouble.filter(|_| !was) {
            self.tell(Event::warn(now().wall, EventKind::Node, trouble));
        }
    }

    /// Looks for what an agent left behind, and after what fills up with time.
    pub(crate) fn look_for_strays(&mut self) {
        let runtime = self.runtime.clone();
        let all = self.remembered.values().flatten();
        let known: BTreeSet<RunName> = all.filter(|it| !self.is_past(it)).cloned().collect();
        self.tasks.spawn(async move {
            runtime.tidy().await;
            Seen::Strays(runtime.strays(&known).await)
        });
    }

    /// Whether a newer run of its place lives: what is left of it, say of one that was made for an agent that ended meanwhile and never ran,
    /// is needed for nothing.
    fn is_past(&self, run: &RunName) -> bool {
        let place = (run.service.clone(), run.slot);
        self.node.living(&place).is_some_and(|it| it > *run)
    }

    /// Ends what some document allows to end; the rest is left alone.
    pub(crate) fn reap(&mut self, strays: Vec<Stray>, world: &World) {
        for stray in strays {
            // It may have become known since it was looked for.
            let place = (stray.run.service.clone(), stray.run.slot);
            let known = self.remembered.get(&place);
            if known.is_some_and(|it| it.contains(&stray.run)) && !self.is_past(&stray.run) {
                continue;
            }
            let lives = self.node.living(&place);
            let Some(reason) = stray::verdict(&stray, lives, &self.options.node, world) else {
                continue;
            };
            let what = format!("what was left of {}: {reason}", stray.run);
            let (sentence, act) = match &self.options.runtime {
                RuntimeSettings::Docker(it) if it.reap == Reaping::Report => {
                    (format!("would remove {what}"), false)
                }
                _ => (format!("removes {what}"), true),
            };
            self.tell(Event::info(now().wall, EventKind::Engine, sentence).of(&place.0));
            if act {
                let runtime = self.runtime.clone();
                self.tasks.spawn(async move {
                    if let Err(error) = runtime.reap(&stray.run).await {
                        tracing::warn!(%error, "what was left of a run could not be removed");
                    }
                    Seen::Nothing
                });
            }
        }
    }

    fn watch_over(&mut self, name: RunName) {
        let runtime = self.runtime.clone();
        self.tasks.spawn(async move {
            let ended = runtime.ended(&name).await;
            Seen::Ended { name, ended }
        });
    }

    /// Without waiting: an engine that hangs must hold up nothing else.
    fn signal(&mut self, name: &RunName, signal: Signal) {
        let (runtime, name) = (self.runtime.clone(), name.clone());
        while self.signals.try_join_next().is_some() {}
        self.signals.spawn(async move {
            if let Err(error) = runtime.signal(&name, signal).await {
                tracing::warn!(%error, ?signal, "a run could not be signalled");
            }
        });
    }

    /// Until what was sent has arrived.
    pub(crate) async fn signalled(&mut self) {
        while self.signals.join_next().await.is_some() {}
    }

    fn remember(&mut self, name: &RunName) {
        let place = (name.service.clone(), name.slot);
        self.remembered
            .entry(place)
            .or_default()
            .insert(name.clone());
    }

    /// Only the newest run's record is needed to go on counting.
    async fn forget_older(&mut self, newest: &RunName) {
        let place = (newest.service.clone(), newest.slot);
        let Some(known) = self.remembered.get_mut(&place) else {
            return;
        };
        let kept = known.split_off(newest);
        for older in std::mem::replace(known, kept) {
            self.remove(&older).await;
        }
    }

    async fn release(&mut self, place: &PlaceKey) {
        self.ports.release(place, now().wall).await;
        for run in self.remembered.remove(place).unwrap_or_default() {
            self.remove(&run).await;
        }
    }

    async fn remove(&mut self, run: &RunName) {
        if let Err(error) = self.runtime.remove(run).await {
            tracing::warn!(%error, "the record of a past run could not be removed");
        }
    }

    /// Never waits: what happens to instances must not hang on who listens.
    pub(crate) fn tell(&mut self, event: Event) {
        let full = self.events.try_send(event).is_err();
        if full && !self.told_too_much {
            tracing::warn!("events of the agent are lost: nobody takes them as fast as they come");
        }
        self.told_too_much = full;
    }
}

fn no_port(refused: &NoPort) -> Refusal {
    let text = refused.to_string();
    match refused {
        NoPort::Held { .. } => Refusal::PortHeld(text),
        NoPort::Taken { .. } => Refusal::Port(text),
        NoPort::AllUsed { .. } => Refusal::Machine(text),
    }
}

fn refusal(error: &RuntimeError) -> Refusal {
    let text = error.to_string();
    match error {
        RuntimeError::Command(_) => Refusal::Command(text),
        RuntimeError::Field { field, .. } => Refusal::Field(field, text),
        RuntimeError::Port(_) => Refusal::Port(text),
        RuntimeError::Away(_) => Refusal::Away(text),
        RuntimeError::Machine { .. } | RuntimeError::Keeper { .. } => Refusal::Machine(text),
    }
}
