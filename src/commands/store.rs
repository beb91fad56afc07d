//! `minato store copy` and `minato store check`.

use super::change::who;
use super::terminal::{Tone, paint, print, safe};
use super::upgrade::{self, UpgradeArgs};
use crate::cli::Global;
use crate::client::Client;
use crate::compose::node_id;
use crate::copying::{self, Copy, Order, Patience};
use crate::site_store::{self, SiteStore};
use anyhow::{Context as _, bail};
use minato_config::{Role, Settings};
use minato_control::{Meta, StoreState, out_of_reach};
use minato_control_server::LeaderRecord;
use minato_control_server::api::{
    ChangeAnswer, ConfirmRequest, CopiedStatus, RestoredStatus, Status,
};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Etcd, EtcdOptions, Observed, Store as _, is_fit};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long each member of a cluster is given by `check`.
const MEMBER: Duration = Duration::from_secs(3);

/// `minato store`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum StoreCommand {
    /// Move the site to another store, with nothing interrupted: from the embedded one to etcd, or back.
    Copy(CopyArgs),
    /// Say of a restored store that it is right: until then nothing is stopped, and nothing follows from it.
    Confirm(ConfirmArgs),
    /// Look whether the store answers, who uses it, and what in it is not understood.
    Check(CheckArgs),
}

/// `minato store copy`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
In order: (1) keep the settings file as OLD, and name the new store in minato.toml itself; (2) `minato check`; \
(3) this command. A minato that runs here is upgraded for it: the old process copies while everything runs, then lets its \
store go; the new one copies what changed since and takes up. For that pause, which is printed, nothing is ordered; requests \
are served. Where anything fails, the old one goes on with the old store. The old store stays as it was, marked as left. \
Exit: 0 copied and in use, 1 failed, 3 refused.")]
pub(crate) struct CopyArgs {
    /// Settings file that names the store of before.
    #[arg(long, value_name = "OLD")]
    from: PathBuf,
    /// Settings file that names the new store; that of the running minato. Default: ./minato.toml, then
    /// /etc/minato/minato.toml.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// `minato store confirm`
#[derive(Debug, clap::Args)]
pub(crate) struct ConfirmArgs {
    /// Show who noticed what, and what would follow; change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// `minato store check`
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Settings file. Default: ./minato.toml, then /etc/minato/minato.toml.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) async fn run(
    command: &StoreCommand,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    match command {
        StoreCommand::Copy(args) => copy(args, client, global).await,
        StoreCommand::Check(args) => check(args, client, global).await,
        StoreCommand::Confirm(args) => confirm(args, client, global).await,
    }
}

async fn copy(args: &CopyArgs, client: &Client, global: &Global) -> anyhow::Result<ExitCode> {
    let refuse = |error: anyhow::Error| {
        eprintln!("minato: {error:#}; nothing was changed");
        Ok(ExitCode::from(3))
    };
    let prepared = prepare(args);
    let (old, new, from) = match prepared {
        Ok(it) => it,
        Err(error) => return refuse(error),
    };
    let (old_name, new_name) = (site_store::name(&old), site_store::name(&new));
    let node = node_id(&new)?;
    let keys = Keys::new(&new.site);
    let running = client.get::<Status>("/v1/status").await.ok();
    if let Some(status) = &running
        && (status.store.path != old_name || status.node != node.as_str())
    {
        return refuse(anyhow::anyhow!(
            "the minato that answers at {} is {} and uses {}, not {node} and {old_name}",
            client.address(),
            safe(&status.node),
            safe(&status.store.path)
        ));
    }
    if old.etcd.is_some() {
        let source = SiteStore::open(&old)?;
        if let Err(error) = copying::others(&source, &keys, &node).await {
            return refuse(error.into());
        }
    } else {
        // Better now than while nobody holds a store.
        let target = SiteStore::open(&new)?;
        if let Err(error) = target.shared().list(keys.root()).await {
            return refuse(error.into());
        }
        target.close().await;
    }
    let order = Order::new(from, &new);
    order.write(&new.data)?;
    let done = match running {
        Some(_) => upgrade::perform(&UpgradeArgs::default(), client, global)
            .await
            .and_then(|after| match Order::read(&new.data)? {
                None => Ok(after.copied),
                Some(_) => bail!(
                    "the process that took over has not copied; is {} its settings file?",
                    args_file(args)
                ),
            }),
        None => offline(&order, &new, global).await,
    };
    let copied = match done {
        Ok(copied) => copied,
        Err(error) => {
            Order::remove(&new.data);
            let now = client.get::<Status>("/v1/status").await;
            return Err(match now.is_ok_and(|it| it.store.path == new_name) {
                true => error.context(format!(
                    "{new_name} is the store in use, by the process of before: `minato upgrade` when that is mended"
                )),
                false => error.context(format!("{old_name} is still the store in use")),
            });
        }
    };
    if !global.json {
        if let Some(copied) = copied {
            print(&format!("copied {copied}\n"))?;
        }
        print(&format!(
            "{}: {new_name} is the store in use; {old_name} stays as it was and says so\n",
            paint("done", Tone::Good)
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn confirm(args: &ConfirmArgs, client: &Client, global: &Global) -> anyhow::Result<ExitCode> {
    const PATH: &str = "/v1/store/confirm";
    let status: RestoredStatus = client.get(PATH).await?;
    if global.json && args.dry_run {
        print(&format!("{}\n", serde_json::to_string(&status)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !global.json {
        match status.waits {
            true => print(&format!("restored: {}\n", safe(&status.doubt)))?,
            false => print("no restored store waits for a word\n")?,
        }
        for it in &status.would {
            print(&format!("  {}\n", safe(it)))?;
        }
        if status.waits && status.would.is_empty() {
            print("  as far as this machine knows, it holds what was there before\n")?;
        }
    }
    if args.dry_run || !status.waits {
        return Ok(ExitCode::SUCCESS);
    }
    let answer: ChangeAnswer = client.post(PATH, &ConfirmRequest { who: who() }).await?;
    let text = match global.json {
        true => serde_json::to_string(&answer)?,
        false => answer.message,
    };
    print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn args_file(args: &CopyArgs) -> String {
    minato_config_files::locate(args.config.as_deref())
        .map_or_else(|| "minato.toml".to_owned(), |it| it.display().to_string())
}

fn prepare(args: &CopyArgs) -> anyhow::Result<(Settings, Settings, PathBuf)> {
    let from = std::path::absolute(&args.from)
        .with_context(|| format!("{} has no absolute path", args.from.display()))?;
    let new = minato_config_files::locate(args.config.as_deref())
        .context("there is no minato.toml here or in /etc/minato; name the file with --config")?;
    let (old, new) = (copying::read(&from)?, copying::read(&new)?);
    copying::check(&old, &new)?;
    Ok((old, new, from))
}

/// Without a running minato.
async fn offline(
    order: &Order,
    new: &Settings,
    global: &Global,
) -> anyhow::Result<Option<CopiedStatus>> {
    let target = SiteStore::open(new)?;
    let copied = order
        .carry_out(new, &node_id(new)?, &target, Patience::Short)
        .await;
    target.close().await;
    let Some(copied) = copied?.map(Copy::in_use) else {
        bail!("nothing was copied");
    };
    if global.json {
        print(&format!("{}\n", serde_json::to_string(&copied)?))?;
    }
    Ok(Some(copied))
}

async fn check(args: &CheckArgs, client: &Client, global: &Global) -> anyhow::Result<ExitCode> {
    let settings = match minato_config_files::locate(args.config.as_deref()) {
        Some(path) => copying::read(&path)?,
        None => Settings::default(),
    };
    let mut report = Report::default();
    report.line("store", site_store::name(&settings));
    if let Some(etcd) = &settings.etcd {
        members(&site_store::options(etcd, &settings), &mut report).await;
    }
    match SiteStore::open(&settings) {
        Ok(store) => {
            contents(&store, &settings, &mut report).await;
            store.close().await;
        }
        // The embedded one is held by the minato that runs: it knows.
        Err(error) => match client.get::<Status>("/v1/status").await {
            Ok(status) if status.store.path == site_store::name(&settings) => {
                report.line("in use by", format!("process {}", status.pid));
                report.line("revision", status.store.revision.to_string());
                if !status.store.healthy {
                    report.problem(status.store.detail);
                }
                status.alarms.into_iter().for_each(|it| report.problem(it));
            }
            _ => report.problem(format!("{error:#}")),
        },
    }
    report.print(global)
}

/// Each member for itself: one that is down shows even where the cluster serves.
async fn members(options: &EtcdOptions, report: &mut Report) {
    for endpoint in &options.endpoints {
        let alone = EtcdOptions {
            endpoints: vec![endpoint.clone()],
            attempt: MEMBER,
            patience: Duration::ZERO,
            ..options.clone()
        };
        let began = crate::clock::now();
        let asked = match Etcd::new(alone) {
            Ok(etcd) => etcd.get(&options.voids).await.map(drop),
            Err(error) => Err(error),
        };
        match asked {
            Ok(()) => report.line(
                "member",
                format!("{endpoint} answers in {:.0?}", began.elapsed()),
            ),
            Err(error) => report.problem(error.to_string()),
        }
    }
}

async fn contents(store: &SiteStore, settings: &Settings, report: &mut Report) {
    let keys = &Keys::new(&settings.site);
    let listing = match store.shared().list(keys.root()).await {
        Ok(listing) => listing,
        Err(error) => return report.problem(error.to_string()),
    };
    let mut observed = Observed::new(keys.clone());
    observed.relist(&listing);
    let world = &observed.world;
    let bytes: usize = listing
        .entries
        .iter()
        .map(|it| it.key.len() + it.value.len())
        .sum();
    report.line("revision", listing.revision.0.to_string());
    report.line(
        "keys",
        format!(
            "{} ({bytes} bytes) under {}",
            listing.entries.len(),
            keys.root()
        ),
    );
    match world.meta.as_ref().map(|it| &it.value) {
        Some(meta) => about(meta, keys, report),
        None => report.line("id", "none yet: nobody has led here".to_owned()),
    }
    let leader = listing
        .entries
        .iter()
        .find(|it| it.key == keys.text(&Key::Leader));
    let leader = leader.and_then(|it| serde_json::from_slice::<LeaderRecord>(&it.value).ok());
    report.line(
        "leader",
        leader.map_or_else(|| "nobody".to_owned(), |it| it.node.to_string()),
    );
    let names = |all: Vec<String>| {
        if all.is_empty() {
            "none".to_owned()
        } else {
            all.join(", ")
        }
    };
    report.line(
        "nodes",
        names(world.nodes.keys().map(ToString::to_string).collect()),
    );
    report.line(
        "gateways",
        names(world.gateways.keys().map(ToString::to_string).collect()),
    );
    report.line("services", world.services.len().to_string());
    observed.oddities().for_each(|it| report.problem(it));
    let own = node_id(settings).ok();
    let own = own.filter(|_| settings.roles.contains(&Role::Agent));
    let address = settings.agent.advertise;
    if let Some(trouble) = own.and_then(|it| out_of_reach(&it, address, world)) {
        report.problem(trouble);
    }
}

fn about(meta: &Meta, keys: &Keys, report: &mut Report) {
    report.line("id", meta.store_id.clone());
    report.line("era", meta.era.to_string());
    report.line("format", meta.format.to_string());
    if meta.state == StoreState::Serving {
        report.line("state", "in use".to_owned());
    }
    if let Err(error) = is_fit(keys, meta) {
        report.problem(error.to_string());
    }
}

/// What is found: facts, and what a person should see to.
#[derive(Debug, Default)]
struct Report {
    lines: Vec<(&'static str, String)>,
    problems: Vec<String>,
}

impl Report {
    fn line(&mut self, name: &'static str, value: String) {
        self.lines.push((name, value));
    }

    fn problem(&mut self, text: String) {
        self.problems.push(text);
    }

    fn print(&self, global: &Global) -> anyhow::Result<ExitCode> {
        if global.json {
            let facts: Vec<_> = self
                .lines
                .iter()
                .map(|(name, value)| serde_json::json!({ "name": name, "value": value }))
                .collect();
            let text = serde_json::json!({ "facts": facts, "problems": self.problems });
            print(&format!("{text}\n"))?;
        } else {
            for (name, value) in &self.lines {
                print(&format!("{name:<10}{}\n", safe(value)))?;
            }
            for problem in &self.problems {
                print(&format!(
                    "{} {}\n",
                    paint("problem:", Tone::Bad),
                    safe(problem)
                ))?;
            }
        }
        Ok(ExitCode::from(u8::from(!self.problems.is_empty())))
    }
}
