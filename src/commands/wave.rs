//! `minato wave`: another version of many services, a few at a time, now or on schedule.

use super::change::who;
use super::operation::{follow, steps};
use super::terminal::{Tone, paint, print, safe};
use crate::cli::Global;
use crate::client::Client;
use minato_control_server::api::{OperationAnswer, WaveRequest};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  minato wave --services 'repo-*' --restart --dry-run\n  minato wave --services 'repo-test,repo-*' --image registry.example/repo:3.2 --size 10\n  minato wave --services 'repo-*' --restart --at \"2026-12-20 02:00 Asia/Tokyo\" --until \"2026-12-20 05:00 Asia/Tokyo\" --daily\n\nExit: 0 all came true (or accepted, with --no-wait or --at), 1 something failed or was not done, 3 refused by a check."
)]
pub(crate) struct WaveArgs {
    /// Names or patterns of services (`*` stands for any letters), in the order in which they shall be done: the first one is tried alone.
    #[arg(long, value_name = "NAMES", required = true, value_delimiter = ',')]
    services: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
    /// Begin then: "2026-12-20 08:00 Asia/Tokyo". A time zone is needed.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Begin nothing from then on; what is under way comes to its end.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// What is not done by `--until` goes on at the same time on the next day, until all is done.
    #[arg(long, requires = "at", requires = "until")]
    daily: bool,
    /// Services of the largest wave; the first has one, and each further one twice as many up to this.
    #[arg(long, value_name = "N", default_value_t = 5)]
    size: u16,
    /// Begin nothing more once so many services have failed, until a person says how it goes on.
    #[arg(long, value_name = "N", default_value_t = 1)]
    stop_after: u16,
    /// Why, for those who read it later.
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    /// Check everything and show the waves; change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Return as soon as it is begun; `minato operation show` tells how it goes.
    #[arg(long)]
    no_wait: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct ChangeArgs {
    /// Run this image, all of them.
    #[arg(long, value_name = "REF")]
    image: Option<String>,
    /// Run what each one's image means to its registry now; what has it already is skipped.
    #[arg(long)]
    pull: bool,
    /// Start every instance anew.
    #[arg(long)]
    restart: bool,
    /// Run again what each ran before.
    #[arg(long)]
    rollback: bool,
}

impl ChangeArgs {
    fn word(&self) -> &'static str {
        match self {
            Self { image: Some(_), .. } => "image",
            Self { rollback: true, .. } => "rollback",
            Self { pull: true, .. } => "pull",
            Self { .. } => "restart",
        }
    }
}

pub(crate) async fn run(
    args: &WaveArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let request = WaveRequest {
        services: args.services.clone(),
        change: args.change.word().to_owned(),
        image: args.change.image.clone(),
        at: args.at.clone(),
        until: args.until.clone(),
        daily: args.daily,
        size: Some(args.size),
        stop_after: Some(args.stop_after),
        why: args.why.clone(),
        who: who(),
        dry_run: args.dry_run,
    };
    let answer: OperationAnswer = client.post("/v1/operations", &request).await?;
    let begun = &answer.operation;
    if global.json && (args.dry_run || args.no_wait || args.at.is_some()) {
        print(&format!("{}\n", serde_json::to_string(&answer)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !global.json {
        let name = if args.dry_run {
            format!("dry run: {}", begun.title)
        } else {
            format!("operation {}: {}", begun.id, begun.title)
        };
        print(&format!(
            "{name}, in {} waves {}\n",
            begun.waves, begun.schedule
        ))?;
        for it in &answer.left_out {
            let word = paint("left out:", Tone::Doubtful);
            print(&format!("{word} {} {}\n", it.service, safe(&it.why)))?;
        }
    }
    if args.dry_run {
        print(&steps(begun))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !global.json
        && let Some(undo) = &answer.undo
    {
        print(&format!("end it: {undo}\n"))?;
    }
    if args.no_wait || args.at.is_some() {
        print(&format!("look at it: minato operation show {}\n", begun.id))?;
        return Ok(ExitCode::SUCCESS);
    }
    follow(begun.id, client, global).await
}
