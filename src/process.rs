//! One process of minato from its first request to its end.
//!
//! Order of stopping: the gateway stops accepting and lets requests end, then the agent, then control and the admin API.
//! Not here: how the parts are made (`compose`), and how another process takes over (`replaced`).

mod replaced;

use crate::asked::{Asked, Wish};
use crate::clock;
use crate::compose::{self, Parts};
use crate::copying::{Copy, Order, Patience};
use crate::duties::{Charge, Duties, Failed};
use crate::gateway::LastGood;
use crate::listeners::{Listeners, Role};
use crate::run::RunArgs;
use crate::secure::Secure;
use crate::serving::{DRAIN, Serving};
use crate::site_store::{self, SiteStore};
use crate::supervisor::Supervisor;
use crate::upgrade::{Draining, Handover, Inheritor, Wanted, own_program};
use anyhow::{Context as _, bail};
use minato_config::{NodeId, Settings};
use minato_control::{Event, EventKind};
use minato_control_agent::Stop;
use minato_control_entrance::Answering;
use minato_control_server::api::UpgradeState;
use minato_proxy_server::Gateway;
use replaced::Outcome;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// How long it is waited for the first word of other sites.
const FIRST_WORD: Duration = Duration::from_millis(2_500);

/// How long processes that drain may take beyond their own [`DRAIN`], at a stop.
const LAST: Duration = Duration::from_secs(5);

/// One process of minato, from the moment that its settings, listeners and table are good.
pub(crate) struct Process<'a> {
    args: &'a RunArgs,
    asked: Asked,
    listeners: Listeners,
    secure: Option<Secure>,
    program: PathBuf,
    supervisor: Arc<Supervisor>,
    gateway: Arc<Gateway>,
    charge: Charge,
    draining: Arc<Draining>,
    wishes: mpsc::Receiver<Wanted>,
    /// From when requests are served, where anybody can ask.
    answering: Option<Answering>,
    /// The health loop, where there is one.
    health: Option<JoinHandle<()>>,
    health_stop: watch::Sender<bool>,
}

/// Why minato ends.
enum End {
    Asked(&'static str),
    Failed(Failed),
    Health,
    /// Another process has taken over.
    TakenOver(Inheritor),
}

impl<'a> Process<'a> {
    pub(crate) fn new(
        args: &'a RunArgs,
        settings: &Settings,
        asked: Asked,
        listeners: Listeners,
        tickets: &[u8],
        draining: Draining,
        table: LastGood,
    ) -> anyhow::Result<Self> {
        let draining = Arc::new(draining);
        let program = own_program()?;
        let secure = Secure::open(settings, tickets)?;
        let Parts {
            gateway,
            charge,
            wishes,
            health,
        } = compose::parts(
            settings,
            &listeners,
            secure.as_ref(),
            Arc::clone(&draining),
            table,
        )?;
        let (health_stop, stopped) = watch::channel(false);
        let health = health.map(|it| tokio::spawn(it.run(stopped)));
        Ok(Self {
            args,
            asked,
            listeners,
            secure,
            program,
            supervisor: Arc::new(Supervisor::from_environment()),
            gateway,
            charge,
            draining,
            wishes,
            answering: None,
            health,
            health_stop,
        })
    }

    /// The first process of this node.
    pub(crate) async fn begin(mut self) -> anyhow::Result<()> {
        let (settings, node) = (self.charge.settings.clone(), self.charge.node.clone());
        let order = Order::read(&settings.data)?;
        self.hear_of_other_sites().await;
        // A store that is away, or has to be filled first, keeps no request waiting. One that another process holds does.
        let (store, serving, copied) = if settings.etcd.is_some() || order.is_some() {
            let serving = self.serve()?;
            let opened = tokio::select! {
                opened = open(&settings, &node, Patience::Endless) => opened?,
                why = self.asked.stop_wish() => {
                    tracing::info!(why, "stopping before the store was copied");
                    serving.stop().await;
                    self.end_health().await;
                    return Ok(());
                }
            };
            (opened.0, serving, opened.1)
        } else {
            (SiteStore::open(&settings)?, self.serve()?, None)
        };
        let duties = self.take_up(store, LastGood::default()).await?;
        self.announce(&duties, "serves");
        self.announce_copy(&duties, copied);
        self.supervisor.ready(&self.status());
        self.live(duties, serving).await
    }

    /// This site may have been away while another one was made first for its services: it hears of it before it serves. Connections wait
    /// at the listeners meanwhile, for as long as one question to each site takes; nobody waits for a site that is not there.
    async fn hear_of_other_sites(&self) {
        if self.health.is_none() || self.charge.settings.sites.is_empty() {
            return;
        }
        let tried = self.charge.gateway.links.all_tried();
        let _ = tokio::time::timeout(FIRST_WORD, tried).await;
    }

    /// Says ready to the process before, and takes over its duties.
    pub(crate) async fn ready(self, handover: &Handover) -> anyhow::Result<(Self, Duties)> {
        handover.released().await?;
        let data = &self.charge.settings.data;
        let saved = LastGood::load(data);
        let (settings, node) = (&self.charge.settings, &self.charge.node);
        let (store, copied) = open(settings, node, Patience::Short).await?;
        let duties = self.take_up(store, saved).await?;
        self.announce_copy(&duties, copied);
        Ok((self, duties))
    }

    /// Accepts, as the process before does still, and lets it go.
    pub(crate) async fn go_on(mut self, duties: Duties, handover: Handover) -> anyhow::Result<()> {
        let serving = self.serve()?;
        let from = handover.from;
        self.announce(
            &duties,
            &format!("took over from process {from} and serves"),
        );
        let progress = &self.charge.upgrade;
        progress.set(UpgradeState::Done, format!("took over from process {from}"));
        self.supervisor.taken_over(&self.status());
        handover.running().await?;
        self.tell_of_the_end_of_others(&duties);
        self.live(duties, serving).await
    }

    fn serve(&mut self) -> anyhow::Result<Serving> {
        if let Some(dependencies) = &self.charge.dependencies {
            dependencies.serve();
        }
        let serving = Serving::start(
            Arc::clone(&self.gateway),
            &self.listeners,
            self.secure.as_ref(),
        )?;
        self.answering = self.charge.entrance.serve(&self.listeners, &self.gateway)?;
        Ok(serving)
    }

    async fn take_up(&self, store: SiteStore, saved: LastGood) -> anyhow::Result<Duties> {
        Duties::take_up(&self.charge, store, self.admin()?, saved).await
    }

    fn admin(&self) -> anyhow::Result<TcpListener> {
        let mut all = self.listeners.of(Role::Admin)?;
        all.pop().context("there is no listener for the admin API")
    }

    /// Serves until there is a reason to end, and ends.
    async fn live(mut self, duties: Duties, serving: Serving) -> anyhow::Result<()> {
        let watchdog = tokio::spawn(Arc::clone(&self.supervisor).watch());
        let (end, duties) = self.until_the_end(duties).await?;
        if let End::TakenOver(by) = end {
            watchdog.abort();
            return self.drain(serving, by).await;
        }
        if let End::Asked(why) = end {
            tracing::info!(why, "stopping");
        }
        self.supervisor.stopping();
        self.leave(duties.as_ref()).await;
        // Both have the same time, from now on.
        let deadline = clock::now() + DRAIN + LAST;
        self.draining.stop();
        self.listeners.close();
        self.answering = None;
        serving.stop().await;
        let how = match end {
            End::Asked(_) if self.args.stop_instances => Stop::StopInstances,
            _ => Stop::LeaveInstances,
        };
        let laid_down = match duties {
            Some(duties) => duties.lay_down(&self.charge, how).await,
            None => Ok(()),
        };
        self.end_health().await;
        let others = self.draining.ended(|_| {});
        let _ = tokio::time::timeout_at(deadline.into(), others).await;
        match end {
            End::Asked(_) | End::TakenOver(_) => laid_down,
            End::Failed(failed) => failed.into_result(),
            End::Health => bail!(
                "the gateway's health loop ended; start minato again, and report this as a bug"
            ),
        }
    }

    /// Says at the entrance that this gateway is about to stop, and serves on for as long as that may take to be heard. Who
    /// asks for the stop once more does not wait.
    async fn leave(&mut self, duties: Option<&Duties>) {
        let left = self.charge.entrance.leave();
        if left.is_zero() {
            return;
        }
        let message = format!(
            "the entrance says that this gateway is draining; it stops in {:.1}s ([entrance] drain)",
            left.as_secs_f64()
        );
        if let Some(duties) = duties {
            let event = Event::info(clock::wall(), EventKind::Entrance, message);
            tell(duties, event);
        }
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            why = self.asked.stop_wish() => tracing::info!(why, "asked again: stopping at once"),
        }
    }

    async fn until_the_end(&mut self, mut duties: Duties) -> anyhow::Result<(End, Option<Duties>)> {
        loop {
            let wanted = tokio::select! {
                wish = self.asked.next() => match wish {
                    Wish::Stop(why) => return Ok((End::Asked(why), Some(duties))),
                    Wish::Upgrade => self.by_signal(),
                },
                wanted = self.wishes.recv() => wanted,
                failed = duties.failed() => match failed {
                    Failed::Renewed => {
                        duties = self.begin_anew(duties).await?;
                        continue;
                    }
                    failed => return Ok((End::Failed(failed), Some(duties))),
                },
                () = ended(&mut self.health) => return Ok((End::Health, Some(duties))),
            };
            let Some(wanted) = wanted else { continue };
            duties = match self.upgrade(duties, wanted).await? {
                Outcome::TakenOver(by) => return Ok((End::TakenOver(by), None)),
                Outcome::Stop(duties, why) => return Ok((End::Asked(why), Some(duties))),
                Outcome::Failed(duties) => duties,
            };
        }
    }

    /// The store was restored and is confirmed: what these duties believe of it is worth nothing, and others are taken up. Instances and
    /// requests do not notice.
    async fn begin_anew(&self, duties: Duties) -> anyhow::Result<Duties> {
        let text = "the store is not the one that this process began with, and is good: the process begins anew with it, instances go on";
        tell(&duties, Event::info(clock::wall(), EventKind::Store, text));
        if let Err(error) = duties.lay_down(&self.charge, Stop::LeaveInstances).await {
            let error = format!("{error:#}");
            tracing::warn!(error, "the agent did not end well");
        }
        let settings = &self.charge.settings;
        let saved = LastGood::load(&settings.data);
        self.take_up(SiteStore::open(settings)?, saved).await
    }

    async fn end_health(&mut self) {
        self.health_stop.send_replace(true);
        if self.health.is_some() {
            ended(&mut self.health).await;
        }
    }

    fn announce(&self, duties: &Duties, does: &str) {
        let message = format!(
            "minato {} {does} {}",
            env!("CARGO_PKG_VERSION"),
            self.status()
        );
        tell(
            duties,
            Event::info(clock::wall(), EventKind::Process, message),
        );
    }

    fn announce_copy(&self, duties: &Duties, copied: Option<Copy>) {
        let Some(copied) = copied.map(Copy::in_use) else {
            return;
        };
        let to = site_store::name(&self.charge.settings);
        let message =
            format!("the store was copied to {to}, which is in use from now on: {copied}");
        tell(
            duties,
            Event::info(clock::wall(), EventKind::Store, message),
        );
        self.charge.upgrade.tell_copied(copied);
    }

    /// `http://127.0.0.1:8080, https://127.0.0.1:8443; status page http://127.0.0.1:7070/`
    fn status(&self) -> String {
        let urls = |scheme: &str, role| -> Vec<String> {
            let all = self.listeners.addresses(role).into_iter();
            all.map(|it| format!("{scheme}://{it}")).collect()
        };
        let mut served = urls("http", Role::Http);
        served.extend(urls("https", Role::Https));
        let admin = urls("http", Role::Admin).join(", ");
        format!("{}; status page {admin}/", served.join(", "))
    }
}

/// Opens the store; where another is to be copied into it, that is done first.
async fn open(
    settings: &Settings,
    node: &NodeId,
    patience: Patience,
) -> anyhow::Result<(SiteStore, Option<Copy>)> {
    let store = SiteStore::open(settings)?;
    let copied = match Order::read(&settings.data)? {
        Some(order) => order.carry_out(settings, node, &store, patience).await?,
        None => None,
    };
    Ok((store, copied))
}

fn tell(duties: &Duties, event: Event) {
    let _ = duties.events().try_send(event);
}

/// Waits for a task's end; for ever where there is none.
async fn ended(task: &mut Option<JoinHandle<()>>) {
    match task {
        Some(running) => {
            if running.await.is_err() {
                tracing::error!("the gateway's health loop ended with a panic");
            }
            *task = None;
        }
        None => std::future::pending().await,
    }
}
