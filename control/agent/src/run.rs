//! The node loop: one task that owns the node's state, takes in what happens, and has decisions carried out.

use crate::adopt::adopt;
use crate::alive::stay_alive;
use crate::clock::now;
use crate::local::LocalProbes;
use crate::port_file::PortFile;
use crate::publish::{Publication, publish};
use crate::runtime::{Ended, ProcessRuntime, RunOrder, Runtime, RuntimeError, Signal, Started};
use crate::{AgentError, AgentOptions, Stop};
use minato_config::Command;
use minato_control::{Event, EventKind, Node, NodeAction, PlaceKey, RunName, World};
use minato_control_store::{Follower, SharedStore, StoreError, follow};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

/// Starts under way at once.
const STARTS: usize = 8;
/// How long the last documents may take to reach the store when the agent ends.
const FLUSH: Duration = Duration::from_secs(1);
/// Beyond the longest grace, for SIGKILL to do its work.
const AFTER_GRACE: Duration = Duration::from_millis(1500);
/// Between looks at a store that cannot be listed yet.
const RETRY: Duration = Duration::from_millis(500);
/// Without any deadline the state is looked at again this often.
const IDLE: Duration = Duration::from_secs(5);

/// Runs this node until `stop` says otherwise, or its sender is gone (as [`Stop::LeaveInstances`]).
///
/// Errors only where it cannot begin; later trouble becomes events and is tried again.
pub async fn run(
    options: AgentOptions,
    store: SharedStore,
    events: mpsc::Sender<Event>,
    mut stop: watch::Receiver<Stop>,
) -> Result<(), AgentError> {
    let runtime = ProcessRuntime::open(&options.data, options.shim.clone(), options.log_bytes)?;
    let ports = PortFile::open(&options.data, options.ports)?;
    let follower = tokio::select! {
        follower = first_world(&store, &options, &events) => follower,
        _ = stop.wait_for(|it| *it != Stop::Run) => return Ok(()),
    };
    let Some(follower) = follower else {
        return Ok(());
    };
    let mut agent = Agent::new(options, Arc::new(runtime), ports, events);
    agent.take_over(follower.observed()).await?;
    agent.work(store, follower, stop).await;
    Ok(())
}

/// `None` when the store is closed.
async fn first_world(
    store: &SharedStore,
    options: &AgentOptions,
    events: &mpsc::Sender<Event>,
) -> Option<Follower> {
    let mut said = false;
    loop {
        match follow(store.clone(), options.keys.clone()).await {
            Ok(follower) => return Some(follower),
            Err(StoreError::Closed) => return None,
            Err(error) => {
                if !std::mem::replace(&mut said, true) {
                    let sentence = format!(
                        "this agent waits for the store, instances go on meanwhile: {error}"
                    );
                    let _ = events.try_send(Event::error(now().wall, EventKind::Store, sentence));
                }
                sleep(RETRY).await;
            }
        }
    }
}

/// What a task of the agent has to tell.
enum Seen {
    Started {
        name: RunName,
        port: u16,
        result: Result<Started, RuntimeError>,
    },
    Ended {
        name: RunName,
        ended: Ended,
    },
}

pub(crate) struct Agent {
    pub(crate) options: AgentOptions,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) node: Node,
    pub(crate) ports: PortFile,
    events: mpsc::Sender<Event>,
    tasks: JoinSet<Seen>,
    starts: Arc<Semaphore>,
    /// Runs that the runtime remembers.
    pub(crate) remembered: BTreeMap<PlaceKey, BTreeSet<RunName>>,
    random: fastrand::Rng,
    told_too_much: bool,
}

impl Agent {
    fn new(
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
        }
    }

    /// Adopts what an earlier agent left.
    async fn take_over(
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
                self.signal(run, Signal::Kill).await;
            }
            let name = adoption.left.name.clone();
            self.ports.hold(
                &(name.service.clone(), name.slot),
                adoption.left.port,
                now().wall,
            );
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

    async fn work(
        &mut self,
        store: SharedStore,
        mut follower: Follower,
        mut stop: watch::Receiver<Stop>,
    ) {
        let (publications, receiver) = watch::channel(Publication::default());
        let keys = self.options.keys.clone();
        let mut publisher = tokio::spawn(publish(
            store.clone(),
            keys.clone(),
            receiver,
            self.events.clone(),
        ));
        let alive = tokio::spawn(stay_alive(store, keys, self.options.node.clone()));
        let (mut probes, mut changes) = LocalProbes::new();
        let (mut following, mut deadline) = (true, None);
        loop {
            self.turn(&follower, &mut probes, &publications).await;
            if deadline.is_some_and(|it| self.node.is_idle() || it <= now().instant) {
                break;
            }
            let wake = self.wake(deadline);
            tokio::select! {
                touched = follower.next(), if following => if let Err(error) = touched {
                    following = false;
                    self.tell(Event::error(now().wall, EventKind::Store, format!("the store is lost to this agent, which goes on with what it knows: {error}")));
                },
                Some(seen) = self.tasks.join_next() => match seen {
                    Ok(seen) => self.take_in(seen).await,
                    Err(error) => tracing::error!(%error, "a task of the agent failed"),
                },
                _ = changes.recv() => {}
                () = sleep_until(wake.into()) => {}
                wish = wished(&mut stop), if deadline.is_none() => match wish {
                    Stop::StopInstances => {
                        self.node.close();
                        let grace = self.node.longest_grace(&follower.observed().world);
                        deadline = Some(now().instant + grace + AFTER_GRACE);
                    }
                    Stop::LeaveInstances | Stop::Run => break,
                },
            }
        }
        alive.abort();
        drop(publications);
        if timeout(FLUSH, &mut publisher).await.is_err() {
            publisher.abort();
            tracing::warn!("the last state of this node's instances did not reach the store");
        }
    }

    /// Decides, acts, and says how things stand.
    async fn turn(
        &mut self,
        follower: &Follower,
        probes: &mut LocalProbes,
        publications: &watch::Sender<Publication>,
    ) {
        let observed = follower.observed();
        let verdicts: Vec<_> = probes
            .verdicts()
            .map(|(run, it)| (run.clone(), it))
            .collect();
        for (run, verdict) in verdicts {
            self.node.local(&run, verdict, now());
        }
        let actions = self.node.reconcile(&observed.world, now());
        self.act(actions).await;
        probes.follow(&self.node.running(), &observed.world);
        let publication = Publication {
            wanted: self.node.documents(),
            stored: own(&observed.world, &self.options),
            revision: observed.revision,
        };
        publications.send_if_modified(|it| {
            let differs = *it != publication;
            *it = publication;
            differs
        });
    }

    fn wake(&self, deadline: Option<Instant>) -> Instant {
        let idle = now().instant + IDLE;
        [self.node.next_wake(), deadline]
            .into_iter()
            .flatten()
            .fold(idle, Instant::min)
    }

    async fn take_in(&mut self, seen: Seen) {
        let jitter = self.random.f64();
        let actions = match seen {
            Seen::Started {
                name,
                port,
                result: Ok(started),
            } => {
                self.forget_older(&name).await;
                let actions = self.node.started(&name, started.pid, port, now());
                self.watch_over(name);
                actions
            }
            Seen::Started {
                name,
                port,
                result: Err(error),
            } => self
                .node
                .not_started(&name, port, &error.to_string(), now(), jitter),
            Seen::Ended { name, ended } => {
                if self.node.is_leaving(&name)
                    && let Err(error) = self.runtime.settle(&name).await
                {
                    tracing::warn!(%error, "the wanted end of a run could not be written down");
                }
                self.node.ended(&name, &ended.to_string(), now(), jitter)
            }
        };
        self.act(actions).await;
    }

    async fn act(&mut self, actions: Vec<NodeAction>) {
        for action in actions {
            match action {
                NodeAction::Start {
                    name,
                    command,
                    digest,
                } => self.start(name, *command, digest),
                NodeAction::Terminate(name) => self.signal(&name, Signal::Terminate).await,
                NodeAction::Kill(name) => self.signal(&name, Signal::Kill).await,
                NodeAction::Release(place) => self.release(&place).await,
                NodeAction::Tell(event) => self.tell(event),
            }
        }
    }

    fn start(&mut self, name: RunName, command: Command, digest: String) {
        let place = (name.service.clone(), name.slot);
        let picked = match self.ports.pick(&place, command.port, now().wall) {
            Ok(picked) => picked,
            Err(refused) => {
                let result = Err(RuntimeError::Command(refused.to_string()));
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
        self.tasks.spawn(async move {
            let _permit = starts.acquire_owned().await;
            let result = runtime.start(&order).await;
            Seen::Started {
                name: order.name,
                port: order.port,
                result,
            }
        });
    }

    fn watch_over(&mut self, name: RunName) {
        let runtime = self.runtime.clone();
        self.tasks.spawn(async move {
            let ended = runtime.ended(&name).await;
            Seen::Ended { name, ended }
        });
    }

    async fn signal(&mut self, name: &RunName, signal: Signal) {
        if let Err(error) = self.runtime.signal(name, signal).await {
            tracing::warn!(%error, ?signal, "a run could not be signalled");
        }
    }

    pub(crate) fn remember(&mut self, name: &RunName) {
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
        self.ports.release(place, now().wall);
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
    fn tell(&mut self, event: Event) {
        let full = self.events.try_send(event).is_err();
        if full && !self.told_too_much {
            tracing::warn!("events of the agent are lost: nobody takes them as fast as they come");
        }
        self.told_too_much = full;
    }
}

/// What the owner wants, once it is something else than going on.
async fn wished(stop: &mut watch::Receiver<Stop>) -> Stop {
    match stop.wait_for(|it| *it != Stop::Run).await {
        Ok(wish) => *wish,
        Err(_) => Stop::LeaveInstances,
    }
}

/// This node's documents in the store.
fn own(
    world: &World,
    options: &AgentOptions,
) -> BTreeMap<minato_control::InstanceKey, minato_control::Stored<minato_health::Instance>> {
    world
        .instances
        .iter()
        .filter(|(key, _)| key.node == options.node)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
