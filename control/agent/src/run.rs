//! The node loop: waits for what happens and has it taken in, decided on, and said.

use crate::agent::{Agent, Seen};
use crate::alive::{Liveness, about_this_machine};
use crate::clock::now;
use crate::load::tell_load;
use crate::local::LocalProbes;
use crate::port_file::PortFile;
use crate::publish::{Publication, publish};
use crate::reach::tell_reach;
use crate::runtime::{DockerOptions, DockerRuntime, ProcessRuntime, Runtimes};
use crate::usage::tell_usage;
use crate::{AgentError, AgentOptions, Stop};
use minato_config::RuntimeSettings;
use minato_control::{Event, EventKind, InstanceKey, Standings, Stored, World};
use minato_control_store::{Follower, SharedStore, StoreError, follow};
use minato_health::Instance;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until, timeout};

/// How long the last documents may take to reach the store when the agent ends.
const FLUSH: Duration = Duration::from_secs(1);
/// Beyond the longest grace, for SIGKILL to do its work.
const AFTER_GRACE: Duration = Duration::from_millis(1500);
/// Between looks at a store that cannot be listed yet.
const RETRY: Duration = Duration::from_millis(500);
/// When what an agent left behind is looked for: first after a start, then again and again.
const FIRST_TIDY: Duration = Duration::from_secs(20);
const TIDY: Duration = Duration::from_secs(600);
/// Who is told to stop with its instances before it has seen the store waits so long for it.
const BEFORE_STOP: Duration = Duration::from_secs(5);
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
    let runtime = open(&options, &events)?;
    let ports = PortFile::open(&options.data, options.ports)?;
    let follower = tokio::select! {
        follower = first_world(&store, &options, &events) => follower,
        () = given_up(&mut stop, &events) => return Ok(()),
    };
    let Some(follower) = follower else {
        return Ok(());
    };
    let mut agent = Agent::new(options, Arc::new(runtime), ports, events);
    agent.take_over(follower.observed()).await?;
    agent.work(store, follower, stop).await;
    Ok(())
}

fn open(options: &AgentOptions, events: &mpsc::Sender<Event>) -> Result<Runtimes, AgentError> {
    let process = ProcessRuntime::open(&options.data, options.shim.clone(), options.log_bytes)?;
    let docker = match &options.runtime {
        RuntimeSettings::Process => None,
        RuntimeSettings::Docker(settings) => {
            let docker = DockerOptions {
                settings: (**settings).clone(),
                site: options.site.clone(),
                node: options.node.clone(),
                data: options.data.clone(),
                address: options.address,
                log_bytes: options.log_bytes,
            };
            Some(DockerRuntime::open(docker, events.clone())?)
        }
    };
    Ok(Runtimes::new(process, docker))
}

/// Until it is no use any more to wait for the store. Who is to end the instances has to know them, so it waits for a while.
async fn given_up(stop: &mut watch::Receiver<Stop>, events: &mpsc::Sender<Event>) {
    if wished(stop).await != Stop::StopInstances {
        return;
    }
    sleep(BEFORE_STOP).await;
    let sentence = format!(
        "instances go on, though they were to end: the store did not answer in {} s; `minato run --stop-instances` once it does, and stop that",
        BEFORE_STOP.as_secs()
    );
    let _ = events.try_send(Event::error(now().wall, EventKind::Store, sentence));
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

impl Agent {
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
        let load = tokio::spawn(tell_load(
            store.clone(),
            keys.clone(),
            self.options.node.clone(),
            self.options.data.clone(),
            self.options.figures.clone(),
        ));
        let reach = tokio::spawn(tell_reach(
            store.clone(),
            keys.clone(),
            self.options.node.clone(),
            self.options.dependencies.clone(),
        ));
        let (living, runs) = watch::channel(Vec::new());
        let usage = tokio::spawn(tell_usage(
            store.clone(),
            (keys.clone(), self.options.node.clone()),
            self.runtime.clone(),
            runs,
            self.options.figures.clone(),
        ));
        let liveness = Liveness {
            store: store.clone(),
            keys,
            node: self.options.node.clone(),
            info: about_this_machine(&self.options),
            lease: self.options.lease,
        };
        let alive = tokio::spawn(liveness.keep());
        let (mut probes, mut changes) = LocalProbes::new();
        let (mut following, mut deadline) = (true, None);
        let mut tidy_at = now().instant + FIRST_TIDY;
        let mut dependencies = self.options.dependencies.take();
        loop {
            if let Some(standings) = &mut dependencies {
                self.node.depend(standings.borrow_and_update().clone());
            }
            let decided = self.turn(&follower, &mut probes, &publications).await;
            self.fetch_images(&store, &follower.observed().world);
            if deadline.is_some_and(|it| self.node.is_idle() || it <= now().instant) {
                break;
            }
            living.send_if_modified(|it| {
                let now: Vec<_> = self.node.running().into_keys().collect();
                let differs = *it != now;
                *it = now;
                differs
            });
            let wake = self.wake(decided, deadline).min(tidy_at);
            if tidy_at <= now().instant {
                tidy_at = now().instant + TIDY;
                self.look_for_strays();
            }
            tokio::select! {
                touched = follower.next(), if following => if let Err(error) = touched {
                    following = false;
                    self.tell(Event::error(now().wall, EventKind::Store, format!("the store is lost to this agent, which goes on with what it knows: {error}")));
                },
                Some(seen) = self.tasks.join_next() => match seen {
                    Ok(Seen::Strays(strays)) => self.reap(strays, &follower.observed().world),
                    Ok(seen) => self.take_in(seen).await,
                    // A fetch that was called off.
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => tracing::error!(%error, "a task of the agent failed"),
                },
                _ = changes.recv() => {}
                gone = changed(&mut dependencies) => if gone {
                    dependencies = None;
                },
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
        if timeout(FLUSH, self.signalled()).await.is_err() {
            tracing::warn!(
                "signals to instances are still on their way; the engine does not answer"
            );
        }
        alive.abort();
        load.abort();
        reach.abort();
        usage.abort();
        // Another agent may measure them from now on, or nobody.
        self.options.figures.show(BTreeMap::new());
        drop(publications);
        if timeout(FLUSH, &mut publisher).await.is_err() {
            publisher.abort();
            tracing::warn!("the last state of this node's instances did not reach the store");
        }
    }

    /// Decides, acts, and says how things stand. Answers when it decided.
    async fn turn(
        &mut self,
        follower: &Follower,
        probes: &mut LocalProbes,
        publications: &watch::Sender<Publication>,
    ) -> Instant {
        let observed = follower.observed();
        let verdicts: Vec<_> = probes
            .verdicts()
            .map(|(run, it)| (run.clone(), it))
            .collect();
        for (run, (verdict, layer)) in verdicts {
            self.node.local(&run, verdict, layer, now());
        }
        let decided = now();
        let actions = self.node.reconcile(&observed.world, decided);
        self.act(actions).await;
        self.check_address(&observed.world);
        self.call_off(&observed.world);
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
        decided.instant
    }

    fn wake(&self, decided: Instant, deadline: Option<Instant>) -> Instant {
        let idle = now().instant + IDLE;
        [
            self.node.next_wake(decided),
            deadline,
            self.fetches.next_look(),
        ]
        .into_iter()
        .flatten()
        .fold(idle, Instant::min)
    }
}

/// Waits for another standing of a dependency; whether nobody watches them any more.
async fn changed(standings: &mut Option<watch::Receiver<Standings>>) -> bool {
    match standings {
        Some(standings) => standings.changed().await.is_err(),
        None => std::future::pending().await,
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
fn own(world: &World, options: &AgentOptions) -> BTreeMap<InstanceKey, Stored<Instance>> {
    world
        .instances
        .iter()
        .filter(|(key, _)| key.node == options.node)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
