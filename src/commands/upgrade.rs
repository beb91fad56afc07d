//! `minato upgrade`: another program in place of the running one, waited for until it serves or is given up.

use super::change::who;
use super::terminal::{Tone, paint, print, safe};
use crate::cli::Global;
use crate::client::Client;
use anyhow::{Context as _, anyhow, bail};
use minato_control_server::api::{UpgradeRequest, UpgradeState, UpgradeStatus};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How often it looks how far it is.
const LOOK: Duration = Duration::from_millis(50);
/// The two silences that are waited for, the time for a store to be copied ahead, and some.
const LIMIT: Duration = Duration::from_secs(135);
/// One look: while nobody answers, the question waits in the listener that both processes have.
const ANSWER: Duration = Duration::from_secs(10);

/// `minato upgrade`
#[derive(Debug, Default, clap::Args)]
#[command(
    after_help = "Connections that are open stay with the old process until they end, for a day at most. \
                  Where the new one does not come up, the old one goes on as if nothing had happened. \
                  Exit: 0 the new one serves, 1 the old one goes on."
)]
pub(crate) struct UpgradeArgs {
    /// The program to go on with. Default: the path that the running one was started from.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// Exit 0 when another process serves, 1 when the old one goes on.
pub(crate) async fn run(
    args: &UpgradeArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    perform(args, client, global).await?;
    Ok(ExitCode::SUCCESS)
}

/// What the process that took over says. The error is that the old one goes on.
pub(super) async fn perform(
    args: &UpgradeArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<UpgradeStatus> {
    let binary = args.binary.as_ref().map(|it| {
        let path = std::path::absolute(it);
        path.with_context(|| format!("{} has no absolute path", it.display()))
    });
    let binary = binary.transpose()?.map(|it| {
        let text = it.to_str().map(str::to_owned);
        text.with_context(|| format!("{} is not UTF-8", it.display()))
    });
    let request = UpgradeRequest {
        binary: binary.transpose()?,
        who: who(),
    };
    let began = crate::clock::now();
    // Whatever the reason, the old one goes on: one exit code.
    let before = client.post::<UpgradeStatus>("/v1/upgrade", &request).await;
    let before = before.map_err(|error| anyhow!("{error:#}"))?;
    let after = wait(client, global, &before).await?;
    if global.json {
        let text = serde_json::json!({ "before": before.pid, "after": after });
        print(&format!("{text}\n"))?;
        return Ok(after);
    }
    print(&format!(
        "{}: minato {} runs as process {}, after {:.2} s\n",
        paint("done", Tone::Good),
        safe(&after.version),
        after.pid,
        began.elapsed().as_secs_f64()
    ))?;
    if !after.draining.is_empty() {
        let pids: Vec<String> = after.draining.iter().map(ToString::to_string).collect();
        print(&format!(
            "process {} serves what was open until it ends\n",
            pids.join(", ")
        ))?;
    }
    Ok(after)
}

/// Until another process answers that it has taken over.
async fn wait(
    client: &Client,
    global: &Global,
    before: &UpgradeStatus,
) -> anyhow::Result<UpgradeStatus> {
    let began = crate::clock::now();
    let mut shown = String::new();
    let mut missed = None;
    loop {
        tokio::time::sleep(LOOK).await;
        if began.elapsed() >= LIMIT {
            let last = missed.map_or_else(String::new, |it: anyhow::Error| format!(": {it:#}"));
            bail!(
                "not done after {}s{last}; `minato events` tells more",
                LIMIT.as_secs()
            );
        }
        let asked = client.get::<UpgradeStatus>("/v1/upgrade");
        let status = match tokio::time::timeout(ANSWER, asked).await {
            Ok(Ok(status)) => status,
            // Neither process answers for the moment in which one lets go and the other takes up.
            Ok(Err(error)) => {
                missed = Some(error);
                continue;
            }
            Err(_) => continue,
        };
        match status.state {
            UpgradeState::Done if status.pid != before.pid => return Ok(status),
            UpgradeState::Failed if status.pid == before.pid => {
                bail!("process {} goes on: {}", status.pid, lines(&status.detail))
            }
            _ if status.detail != shown && !global.json => {
                print(&format!("  {}\n", safe(&status.detail)))?;
                shown = status.detail;
            }
            _ => {}
        }
    }
}

/// Several lines, none of which can steer the terminal.
fn lines(text: &str) -> String {
    text.lines().map(safe).collect::<Vec<String>>().join("\n")
}
