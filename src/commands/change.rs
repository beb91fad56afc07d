//! `minato scale`, `restart`, `drain`: change something by hand, wait until it is true, name the undo.

use super::terminal::{Tone, paint, print};
use crate::cli::Global;
use crate::client::{Client, Refused, encode};
use anyhow::bail;
use minato_control_server::api::{
    ChangeAnswer, DrainRequest, RestartRequest, ScaleRequest, Settled, UpdateFailed,
};
use serde::Serialize;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

/// How often it looks whether a change is true.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(crate) struct ScaleArgs {
    /// The service.
    service: String,
    /// Instances wanted.
    #[arg(
        required_unless_present = "reset",
        conflicts_with = "reset",
        value_name = "N"
    )]
    replicas: Option<u16>,
    /// What the file says counts again.
    #[arg(long)]
    reset: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RestartArgs {
    /// The service.
    service: String,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DrainArgs {
    /// The service.
    service: String,
    /// Take requests again.
    #[arg(long)]
    reset: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct WaitArgs {
    /// Return as soon as the change is accepted, not when it is true.
    #[arg(long)]
    no_wait: bool,
    /// Seconds to wait until it is true; the change stays asked for after that.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
}

pub(crate) async fn scale(
    args: &ScaleArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let request = ScaleRequest {
        replicas: args.replicas,
        who: who(),
    };
    change(client, global, &args.service, "scale", &request, &args.wait).await
}

pub(crate) async fn restart(
    args: &RestartArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    change(
        client,
        global,
        &args.service,
        "restart",
        &RestartRequest { who: who() },
        &args.wait,
    )
    .await
}

pub(crate) async fn drain(
    args: &DrainArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let request = DrainRequest {
        drain: !args.reset,
        who: who(),
    };
    change(client, global, &args.service, "drain", &request, &args.wait).await
}

/// Exit 0 when it is true (or accepted, with `--no-wait`), 1 when the wait is over before that or it failed, 3 where a check
/// refused it.
pub(super) async fn change(
    client: &Client,
    global: &Global,
    service: &str,
    verb: &str,
    request: &impl Serialize,
    wait: &WaitArgs,
) -> anyhow::Result<ExitCode> {
    let of = format!("/v1/services/{}", encode(service));
    let told = Told {
        change: format!("{of}/{verb}"),
        settled: format!("{of}/settled?change={verb}"),
        more: format!("minato events --service {service}"),
    };
    make(client, global, &told, request, wait).await
}

/// Where a change goes, where to ask whether it is true, and what tells more.
pub(super) struct Told {
    pub(super) change: String,
    pub(super) settled: String,
    pub(super) more: String,
}

pub(super) async fn make(
    client: &Client,
    global: &Global,
    told: &Told,
    request: &impl Serialize,
    wait: &WaitArgs,
) -> anyhow::Result<ExitCode> {
    let answer: ChangeAnswer = client.post(&told.change, request).await?;
    if !global.json {
        print(&format!("{}\n", answer.message))?;
    }
    let settled = if wait.no_wait {
        None
    } else {
        let limit = Duration::from_secs(wait.timeout);
        let path = match answer.number {
            Some(number) => format!("{}&number={number}", told.settled),
            None => told.settled.clone(),
        };
        Some(settle(client, global, told, &path, limit).await?)
    };
    if global.json {
        print(&format!(
            "{}\n",
            serde_json::to_string(&serde_json::json!({ "change": answer, "settled": settled }))?
        ))?;
    } else {
        match &settled {
            Some(settled) if settled.unchanged => print(&format!("{}\n", settled.detail))?,
            Some(settled) => print(&format!(
                "{}: {}\n",
                paint("done", Tone::Good),
                settled.detail
            ))?,
            None => {}
        }
        if let Some(undo) = &answer.undo {
            print(&format!("undo: {undo}\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn settle(
    client: &Client,
    global: &Global,
    told: &Told,
    path: &str,
    limit: Duration,
) -> anyhow::Result<Settled> {
    let began = crate::clock::now();
    let mut shown = String::new();
    loop {
        let settled: Settled = client.get(path).await?;
        match settled.failed {
            None => {}
            Some(UpdateFailed::Refused) => return Err(Refused(settled.detail).into()),
            Some(UpdateFailed::Reverted) => {
                bail!("{}; `{}` tells more", settled.detail, told.more)
            }
        }
        if settled.done {
            return Ok(settled);
        }
        if crate::clock::now() >= began + limit {
            bail!(
                "not true after {}s: {}; it stays asked for. `{}` tells more",
                limit.as_secs(),
                settled.detail,
                told.more
            );
        }
        if settled.detail != shown
            && !global.json
            && (std::io::stdout().is_terminal() || !shown.is_empty())
        {
            print(&format!(
                "  {:>3}s {}\n",
                began.elapsed().as_secs(),
                settled.detail
            ))?;
        }
        shown = settled.detail;
        tokio::time::sleep(LOOK).await;
    }
}

/// The caller's name, for status and events.
pub(super) fn who() -> String {
    std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .unwrap_or_else(|_| format!("uid {}", rustix::process::getuid().as_raw()))
}
