//! `minato run`: composes gateway, agent and control into one process, and lets another take over from it.
//!
//! Order of starting: settings, listeners, store; then the gateway with the table of before; then everything else. A
//! process that takes over accepts last, when its table is in line with the store (see `upgrade`).
//! Order of stopping: the gateway stops accepting and lets requests end, then the agent, then control and the admin API.

use crate::asked::{Asked, Wish};
use crate::clock;
use crate::compose::{self, Parts};
use crate::duties::{Charge, Duties, Failed, open_store};
use crate::gateway::LastGood;
use crate::listeners::{Listeners, Role};
use crate::serving::{DRAIN, Serving};
use crate::supervisor::{self, Supervisor};
use crate::upgrade::{
    Draining, Estate, Handover, Inheritance, Inheritor, Successor, Wanted, own_program,
};
use anyhow::{Context as _, bail};
use minato_config::Settings;
use minato_control::{Event, EventKind};
use minato_control_agent::Stop;
use minato_control_server::api::UpgradeState;
use minato_control_store::Embedded;
use minato_proxy_server::Gateway;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// How long the processes of before may take after their own drain, at a stop.
const LAST: Duration = Duration::from_secs(5);

/// `minato run`
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Settings file. Default: ./minato.toml, then /etc/minato/minato.toml.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stop every instance when minato stops; otherwise they go on and the next `minato run` adopts them.
    #[arg(long)]
    stop_instances: bool,
    /// Stop when standard input closes, as it does when the parent process ends.
    #[arg(long, hide = true)]
    exit_with_parent: bool,
    /// Take over from the process that started this one.
    #[arg(long, hide = true)]
    take_over: bool,
}

/// Runs until told to stop. Exit 1 where it cannot begin or go on, 3 where the settings are refused.
pub(crate) fn main(args: &RunArgs) -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("MINATO_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let settings = match minato_config_files::read_or_default(args.config.as_deref()) {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            eprintln!(
                "minato: {} problem(s) in the settings; nothing was started. `minato check` reports on all files",
                problems.len()
            );
            return ExitCode::from(3);
        }
    };
    match run(args, &settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("minato: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run(args: &RunArgs, settings: &Settings) -> anyhow::Result<()> {
    raise_descriptors();
    let passed = if args.take_over {
        Vec::new()
    } else {
        supervisor::passed(settings)?
    };
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()?;
    let result = control.block_on(async {
        if args.take_over {
            return take_over(args, settings).await;
        }
        let parent = args.exit_with_parent.then(Asked::standard_input);
        let asked = Asked::listen(parent.transpose()?)?;
        let listeners = Listeners::gather(settings, passed)?;
        let process = Process::new(
            args,
            settings,
            asked,
            listeners,
            Draining::default(),
            LastGood::load(&settings.data),
        )?;
        process.begin().await
    });
    control.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Begins with what the process before hands over. What goes wrong is told to it as well: whoever asked hears it there.
async fn take_over(args: &RunArgs, settings: &Settings) -> anyhow::Result<()> {
    let Inheritance {
        listeners,
        parent,
        draining,
        handover,
    } = Inheritance::receive().await?;
    let prepared = Asked::listen(parent).and_then(|asked| {
        let listeners = Listeners::gather(settings, listeners)?;
        // The table of before is read when nobody writes it any more.
        let table = LastGood::default();
        Process::new(args, settings, asked, listeners, draining, table)
    });
    let ready = match prepared {
        Ok(process) => process.ready(&handover).await,
        Err(error) => Err(error),
    };
    match ready {
        Ok((process, duties)) => process.go_on(duties, handover).await,
        Err(error) => {
            handover.failed(&error).await;
            Err(error)
        }
    }
}

/// One process of minato, from the moment that its settings, listeners and table are good.
struct Process<'a> {
    args: &'a RunArgs,
    asked: Asked,
    listeners: Listeners,
    program: PathBuf,
    supervisor: Arc<Supervisor>,
    gateway: Arc<Gateway>,
    charge: Charge,
    draining: Arc<Draining>,
    wishes: mpsc::Receiver<Wanted>,
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

/// What came of an upgrade.
enum Outcome {
    TakenOver(Inheritor),
    /// This process goes on.
    Failed(Duties),
    /// It was to stop before anything was let go of.
    Stop(Duties, &'static str),
}

impl<'a> Process<'a> {
    fn new(
        args: &'a RunArgs,
        settings: &Settings,
        asked: Asked,
        listeners: Listeners,
        draining: Draining,
        table: LastGood,
    ) -> anyhow::Result<Self> {
        let draining = Arc::new(draining);
        let program = own_program()?;
        let Parts {
            gateway,
            charge,
            wishes,
            health,
        } = compose::parts(settings, &listeners, Arc::clone(&draining), table)?;
        let (health_stop, stopped) = watch::channel(false);
        let health = health.map(|it| tokio::spawn(it.run(stopped)));
        Ok(Self {
            args,
            asked,
            listeners,
            program,
            supervisor: Arc::new(Supervisor::from_environment()),
            gateway,
            charge,
            draining,
            wishes,
            health,
            health_stop,
        })
    }

    /// The first process of this node.
    async fn begin(self) -> anyhow::Result<()> {
        let store = open_store(&self.charge.settings.data)?;
        let serving = self.serve()?;
        let duties = self.take_up(store, LastGood::default()).await?;
        self.announce(&duties, "serves");
        self.supervisor.ready(&self.status());
        self.live(duties, serving).await
    }

    /// Says ready to the process before, and takes over its duties.
    async fn ready(self, handover: &Handover) -> anyhow::Result<(Self, Duties)> {
        handover.released().await?;
        let data = &self.charge.settings.data;
        let (store, saved) = (open_store(data)?, LastGood::load(data));
        let duties = self.take_up(store, saved).await?;
        Ok((self, duties))
    }

    /// Accepts, as the process before does still, and lets it go.
    async fn go_on(self, duties: Duties, handover: Handover) -> anyhow::Result<()> {
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

    fn serve(&self) -> anyhow::Result<Serving> {
        Serving::start(Arc::clone(&self.gateway), &self.listeners)
    }

    async fn take_up(&self, store: Embedded, saved: LastGood) -> anyhow::Result<Duties> {
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
        self.draining.stop();
        self.listeners.close();
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
        let _ = tokio::time::timeout(DRAIN + LAST, self.draining.ended(|_| {})).await;
        match end {
            End::Asked(_) | End::TakenOver(_) => laid_down,
            End::Failed(failed) => failed.into_result(),
            End::Health => bail!(
                "the gateway's health loop ended; start minato again, and report this as a bug"
            ),
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
                failed = duties.failed() => return Ok((End::Failed(failed), Some(duties))),
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

    /// A signal asks as the admin API does, with nobody to answer to.
    fn by_signal(&mut self) -> Option<Wanted> {
        let asked = minato_control_server::api::UpgradeRequest {
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
    async fn upgrade(&mut self, duties: Duties, wanted: Wanted) -> anyhow::Result<Outcome> {
        let began = clock::now();
        let program = wanted.binary.unwrap_or_else(|| self.program.clone());
        let who = if wanted.who.is_empty() {
            "someone"
        } else {
            &wanted.who
        };
        let about = format!("{} is to take over (asked by {who})", program.display());
        tell(
            &duties,
            Event::info(clock::wall(), EventKind::Process, about),
        );
        let step = |it: &str| self.charge.upgrade.set(UpgradeState::UnderWay, it);
        step("the new process starts");
        self.supervisor.reloading();
        let estate = Estate {
            listeners: &self.listeners,
            parent: self.asked.parent()?,
            draining: &self.draining,
        };
        let raised = tokio::select! {
            raised = Successor::raise(&program, &estate) => raised,
            // What was started ends with the future that is dropped here.
            why = self.asked.stop_wish() => return Ok(Outcome::Stop(duties, why)),
        };
        let successor = match raised {
            Ok(successor) => successor,
            Err(error) => {
                self.failed(&duties, &error);
                return Ok(Outcome::Failed(duties));
            }
        };
        let pid = successor.pid();
        step(&format!("process {pid} is ready; this one lets go"));
        let about = format!(
            "process {pid} is ready and takes over; this one, {}, serves its connections to their end",
            std::process::id()
        );
        tell(
            &duties,
            Event::info(clock::wall(), EventKind::Process, about),
        );
        if let Err(error) = duties.lay_down(&self.charge, Stop::LeaveInstances).await {
            let error = format!("{error:#}");
            tracing::warn!(error, "the agent did not end well");
        }
        let mut told = None;
        let taken = {
            let mut taken = std::pin::pin!(successor.take_over());
            loop {
                tokio::select! {
                    taken = &mut taken => break taken,
                    why = self.asked.stop_wish(), if told.is_none() => told = Some(why),
                }
            }
        };
        match taken {
            Ok(by) => {
                // It was meant for minato, which is the other process by now.
                if told.is_some() {
                    by.stop();
                }
                tracing::info!(by = by.pid(), took = ?began.elapsed(), "another process has taken over");
                Ok(Outcome::TakenOver(by))
            }
            Err(error) => {
                let store = open_store(&self.charge.settings.data)?;
                let saved = LastGood::load(&self.charge.settings.data);
                let duties = self.take_up(store, saved).await?;
                self.failed(&duties, &error);
                Ok(match told {
                    Some(why) => Outcome::Stop(duties, why),
                    None => Outcome::Failed(duties),
                })
            }
        }
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
    async fn drain(mut self, mut serving: Serving, by: Inheritor) -> anyhow::Result<()> {
        self.listeners.close();
        serving.hand_over();
        let why = tokio::select! {
            () = serving.ended() => None,
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

    async fn end_health(&mut self) {
        self.health_stop.send_replace(true);
        if self.health.is_some() {
            ended(&mut self.health).await;
        }
    }

    /// Events of the ends of processes that drain.
    fn tell_of_the_end_of_others(&self, duties: &Duties) {
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

    /// `http://127.0.0.1:8080; status page http://127.0.0.1:7070/`
    fn status(&self) -> String {
        let urls = |role| {
            let all = self.listeners.addresses(role).into_iter();
            let all: Vec<String> = all.map(|it| format!("http://{it}")).collect();
            all.join(", ")
        };
        format!("{}; status page {}/", urls(Role::Http), urls(Role::Admin))
    }
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

/// Two descriptors for each client connection: as many as the system lets us have.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
}
