//! `minato rebalance`: instances go to nodes that suit them better, a few at a time.

use super::change::{Told, WaitArgs, make, who};
use super::terminal::print;
use crate::cli::Global;
use crate::client::{Client, encode};
use minato_control_server::api::{ChangeAnswer, RebalanceRequest, RebalanceStatus};
use std::process::ExitCode;

const PATH: &str = "/v1/rebalance";

#[derive(Debug, clap::Args)]
pub(crate) struct RebalanceArgs {
    /// Only this service.
    service: Option<String>,
    /// Show what would move, and change nothing.
    #[arg(long, conflicts_with = "stop")]
    dry_run: bool,
    /// End the one that is under way; what moved stays where it is.
    #[arg(long, conflicts_with = "service")]
    stop: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn run(
    args: &RebalanceArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let request = RebalanceRequest {
        service: args.service.clone(),
        who: who(),
    };
    if args.dry_run {
        return show(args.service.as_deref(), client, global).await;
    }
    if args.stop {
        let answer: ChangeAnswer = client.delete(PATH, &request).await?;
        let text = match global.json {
            true => serde_json::to_string(&answer)?,
            false => answer.message,
        };
        print(&format!("{text}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let told = Told {
        change: PATH.to_owned(),
        settled: format!("{PATH}/settled"),
        more: "minato rebalance --dry-run".to_owned(),
    };
    make(client, global, &told, &request, &args.wait).await
}

async fn show(service: Option<&str>, client: &Client, global: &Global) -> anyhow::Result<ExitCode> {
    let path = match service {
        Some(it) => format!("{PATH}?service={}", encode(it)),
        None => PATH.to_owned(),
    };
    let status: RebalanceStatus = client.get(&path).await?;
    if global.json {
        print(&format!("{}\n", serde_json::to_string(&status)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !status.asked.is_empty() {
        let state = match status.active {
            true => "under way".to_owned(),
            false => format!("over: {}", status.ended),
        };
        print(&format!("the last one, {}: {state}\n", status.asked))?;
    }
    for (word, list) in [("moves now", &status.moving), ("waits", &status.waiting)] {
        for it in list {
            print(&format!("{word}: {it}\n"))?;
        }
    }
    if status.would_move.is_empty() {
        print("nothing would move: no other node suits anything clearly better\n")?;
    }
    for it in &status.would_move {
        print(&format!("would move: {it}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}
