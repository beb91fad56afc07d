//! `minato dependencies`: what services of this node depend on, and where its relays lead.

use super::status::duration;
use super::terminal::{Tone, paint, print, safe, table};
use crate::cli::Global;
use crate::client::Client;
use crate::clock;
use minato_control_server::api::{Dependencies, DependencyStatus};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit: 0 all can be used, 1 something is down or has two primaries.")]
pub(crate) struct DependenciesArgs {
    /// Only this one.
    name: Option<String>,
}

/// Exit 0 where everything shown can be used; 1 otherwise.
pub(crate) async fn run(
    args: &DependenciesArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let mut all: Dependencies = client.get("/v1/dependencies").await?;
    if let Some(name) = &args.name {
        all.dependencies.retain(|it| it.name == *name);
        if all.dependencies.is_empty() {
            anyhow::bail!(
                "node {} knows no dependency `{}`; `minato dependencies` lists them",
                all.node,
                safe(name)
            );
        }
    }
    if global.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&all)?))?;
    } else {
        print(&text(&all, clock::wall().0))?;
    }
    let fine = |it: &DependencyStatus| it.state != "down" && it.alarm.is_empty();
    Ok(if all.dependencies.iter().all(fine) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn text(all: &Dependencies, now_ms: u64) -> String {
    if all.dependencies.is_empty() {
        return format!(
            "the settings of node {} name no dependencies; docs/configuration.md tells how\n",
            all.node
        );
    }
    let plain = |it: &str| (safe(it), Tone::Plain);
    let mut rows = vec![
        [
            "DEPENDENCY",
            "WANTS",
            "STATE",
            "SINCE",
            "MEMBER",
            "IS",
            "WHY",
        ]
        .map(plain)
        .to_vec(),
    ];
    for it in &all.dependencies {
        for (n, member) in it.members.iter().enumerate() {
            let used = it.relay.is_some() && member.in_use;
            let mut row = if n == 0 {
                vec![
                    plain(&it.name),
                    plain(&it.wants),
                    (it.state.clone(), tone(&it.state)),
                    plain(&duration(now_ms.saturating_sub(it.since_ms))),
                ]
            } else {
                ["", "", "", ""].map(plain).to_vec()
            };
            let is = match member.connections {
                0 if used => "in use".to_owned(),
                _ if used => format!("in use ({})", member.connections),
                _ => member.verdict.clone(),
            };
            let colour = tone(if used { "in use" } else { &member.verdict });
            row.extend([plain(&member.name), (is, colour), plain(&member.reason)]);
            rows.push(row);
        }
    }
    let mut out = table(&rows);
    for it in &all.dependencies {
        if let Some(relay) = &it.relay {
            out.push_str(&format!(
                "relay {} on {}: {} of {} connections open; {} so far, {} refused, {} cut; {} switches; {} bytes in, {} out\n",
                safe(&it.name),
                relay.listen.join(", "),
                relay.open,
                relay.most,
                relay.connections,
                relay.refused,
                relay.cut,
                relay.switches,
                relay.bytes_in,
                relay.bytes_out,
            ));
        }
        if !it.alarm.is_empty() {
            let alarm = safe(&it.alarm);
            out.push_str(&format!("{} {alarm}\n", paint("alarm:", Tone::Bad)));
        }
    }
    out
}

fn tone(word: &str) -> Tone {
    match word {
        "up" | "in use" => Tone::Good,
        "down" => Tone::Bad,
        "suspect" | "unknown" => Tone::Doubtful,
        _ => Tone::Plain,
    }
}
