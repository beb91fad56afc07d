//! `minato operation list|show|abort|resume`: what people started that outlives commands and processes.

use super::change::who;
use super::terminal::{Tone, paint, print, safe, table};
use crate::cli::Global;
use crate::client::{Client, encode};
use anyhow::bail;
use minato_control_server::api::{OperationAnswer, OperationRequest, OperationStatus, Operations};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(300);
/// So long no answer is borne with: a minato that is upgraded or restarted comes back.
const AWAY: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Subcommand)]
pub(crate) enum OperationCommand {
    /// Show every operation, the newest first.
    List(ListArgs),
    /// Show one, with its steps.
    Show(ShowArgs),
    /// End one: nothing more begins, and what is under way comes to its end.
    Abort(WordArgs),
    /// Let one that is held after failures go on with what is left.
    Resume(WordArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Those of another site, over the link.
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// Its number.
    id: u64,
    /// It is one of another site, over the link.
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Stay until it has ended. Exit 1 where it did not come true whole.
    #[arg(long, short)]
    follow: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WordArgs {
    /// Its number.
    id: u64,
    /// It is one of another site, over the link.
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Return at once.
    #[arg(long)]
    no_wait: bool,
}

pub(crate) async fn run(
    command: &OperationCommand,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    match command {
        OperationCommand::List(args) => list(args, client, global).await,
        OperationCommand::Show(args) if args.follow => {
            follow(args.id, args.site.as_deref(), client, global).await
        }
        OperationCommand::Show(args) => {
            let it: OperationStatus = client.get(&path(args.id, args.site.as_deref())).await?;
            show(&it, global)?;
            Ok(ExitCode::SUCCESS)
        }
        OperationCommand::Abort(args) => word(args, "abort", client, global).await,
        OperationCommand::Resume(args) => word(args, "resume", client, global).await,
    }
}

fn path(id: u64, site: Option<&str>) -> String {
    format!("{}/{}", all(site), encode(&id.to_string()))
}

fn all(site: Option<&str>) -> String {
    match site {
        None => "/v1/operations".to_owned(),
        Some(site) => format!("/v1/sites/{}/operations", encode(site)),
    }
}

async fn list(args: &ListArgs, client: &Client, global: &Global) -> anyhow::Result<ExitCode> {
    let found: Operations = client.get(&all(args.site.as_deref())).await?;
    if global.json {
        print(&format!("{}\n", serde_json::to_string(&found)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let plain = |it: &str| (safe(it), Tone::Plain);
    let mut rows = vec![
        ["ID", "STATE", "WHAT", "PROGRESS", "WHO", "DETAIL"]
            .map(plain)
            .to_vec(),
    ];
    for it in &found.operations {
        rows.push(vec![
            plain(&it.id.to_string()),
            (it.state.clone(), tone(&it.state)),
            plain(&it.title),
            plain(&it.progress),
            plain(&it.who),
            plain(&it.reason),
        ]);
    }
    print(&table(&rows))?;
    Ok(ExitCode::SUCCESS)
}

async fn word(
    args: &WordArgs,
    verb: &str,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let request = OperationRequest { who: who() };
    let answer: OperationAnswer = client
        .post(
            &format!("{}/{verb}", path(args.id, args.site.as_deref())),
            &request,
        )
        .await?;
    let it = &answer.operation;
    if args.no_wait || it.ended {
        if global.json {
            print(&format!("{}\n", serde_json::to_string(&answer)?))?;
        } else {
            print(&format!(
                "operation {} is {}: {}; {}\n",
                it.id,
                it.state,
                safe(&it.reason),
                it.progress
            ))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let it = watch(args.id, args.site.as_deref(), client, global).await?;
    if it.state != "aborted" {
        return end(&it, global);
    }
    // What was asked for here is that it ends.
    told(&it, global)?;
    Ok(ExitCode::SUCCESS)
}

/// Shows how it goes until it rests. Exit 0 where all came true.
pub(super) async fn follow(
    id: u64,
    site: Option<&str>,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let it = watch(id, site, client, global).await?;
    end(&it, global)
}

/// Shows how it goes until it has ended, is held or waits for a later window.
async fn watch(
    id: u64,
    site: Option<&str>,
    client: &Client,
    global: &Global,
) -> anyhow::Result<OperationStatus> {
    let began = crate::clock::now();
    let mut shown: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut heard = began;
    loop {
        let it: OperationStatus = match client.get(&path(id, site)).await {
            Ok(it) => it,
            Err(error) if crate::clock::now() < heard + AWAY => {
                tracing::debug!(%error, "no answer, tried again");
                tokio::time::sleep(LOOK).await;
                continue;
            }
            Err(error) => return Err(error.context(format!(
                "operation {id} goes on without this command; `minato operation show {id} --follow` looks again"
            ))),
        };
        heard = crate::clock::now();
        if !global.json {
            changes(&it, began.elapsed(), &mut shown)?;
        }
        let rests = it.ended || matches!(it.state.as_str(), "held" | "paused" | "scheduled");
        let first_look = it.state == "scheduled" && it.schedule.is_empty();
        if rests && !first_look {
            return Ok(it);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// One line for each step that is otherwise than it was shown last.
fn changes(
    it: &OperationStatus,
    after: Duration,
    shown: &mut BTreeMap<String, (String, String)>,
) -> anyhow::Result<()> {
    for step in &it.steps {
        let now = (step.state.clone(), step.detail.clone());
        let before = shown.insert(step.service.clone(), now.clone());
        let is_news = match &before {
            Some(before) => *before != now,
            None => step.state != "waiting" || !step.detail.is_empty(),
        };
        if !is_news {
            continue;
        }
        let wave = match it.kind.as_str() {
            "wave" => format!(" wave {}/{}", step.wave, it.waves),
            _ => String::new(),
        };
        print(&format!(
            "{:>4}s{wave}  {} {} {}\n",
            after.as_secs(),
            step.service,
            paint(&step.state, tone(&step.state)),
            safe(&step.detail)
        ))?;
    }
    Ok(())
}

fn told(it: &OperationStatus, global: &Global) -> anyhow::Result<()> {
    if global.json {
        print(&format!("{}\n", serde_json::to_string(it)?))?;
    } else {
        let state = paint(&it.state, tone(&it.state));
        print(&format!(
            "operation {} is {state}: {}\n",
            it.id,
            outcome(it)
        ))?;
    }
    Ok(())
}

/// What came of it; the sentence of one that moved services has its progress in it.
fn outcome(it: &OperationStatus) -> String {
    if it.ended && it.kind != "wave" && !it.reason.is_empty() {
        return safe(&it.reason);
    }
    it.progress.clone()
}

fn end(it: &OperationStatus, global: &Global) -> anyhow::Result<ExitCode> {
    told(it, global)?;
    if it.ended && it.succeeded {
        return Ok(ExitCode::SUCCESS);
    }
    let failed = it.steps.iter().find(|it| it.state == "failed");
    let why = failed.map(|it| format!("; {}: {}", it.service, safe(&it.detail)));
    let hint = if it.hint.is_empty() {
        format!("minato operation show {}", it.id)
    } else {
        it.hint.clone()
    };
    bail!(
        "operation {} ({}) is {}, {}{}; type: {hint}",
        it.id,
        it.title,
        it.state,
        it.progress,
        why.unwrap_or_default()
    )
}

fn show(it: &OperationStatus, global: &Global) -> anyhow::Result<()> {
    if global.json {
        print(&format!("{}\n", serde_json::to_string(it)?))?;
        return Ok(());
    }
    let why = if it.why.is_empty() {
        String::new()
    } else {
        format!(" ({})", safe(&it.why))
    };
    print(&format!(
        "operation {}: {}, by {}{why}\n{}: {}\n",
        it.id,
        it.title,
        safe(&it.who),
        paint(&it.state, tone(&it.state)),
        it.progress
    ))?;
    for (name, text) in [
        ("schedule", &it.schedule),
        ("why", &it.reason),
        ("type", &it.hint),
    ] {
        if !text.is_empty() {
            print(&format!("{name}: {}\n", safe(text)))?;
        }
    }
    print(&steps(it))?;
    Ok(())
}

/// The steps as a table.
pub(super) fn steps(it: &OperationStatus) -> String {
    let plain = |it: &str| (safe(it), Tone::Plain);
    let mut rows = vec![
        ["WAVE", "SERVICE", "STEP", "STATE", "DETAIL"]
            .map(plain)
            .to_vec(),
    ];
    for step in &it.steps {
        rows.push(vec![
            plain(&step.wave.to_string()),
            plain(&step.service),
            plain(&step.name),
            (step.state.clone(), tone(&step.state)),
            plain(&step.detail),
        ]);
    }
    table(&rows)
}

fn tone(state: &str) -> Tone {
    match state {
        "done" => Tone::Good,
        "failed" | "held" | "missed" => Tone::Bad,
        "running" | "paused" | "aborting" | "aborted" | "closed" | "skipped" => Tone::Doubtful,
        _ => Tone::Plain,
    }
}
