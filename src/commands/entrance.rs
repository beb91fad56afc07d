//! `minato entrance drain|undrain|status`: this gateway in and out of traffic, by hand.

use super::change::who;
use super::terminal::{Tone, paint, print, safe};
use crate::cli::Global;
use crate::client::Client;
use minato_control_server::api::{ChangeAnswer, DrainRequest, EntranceStatus};
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum EntranceCommand {
    /// Say that this gateway wants no new visitors, until undrain; also over restarts and upgrades. It serves those that come.
    Drain,
    /// Say that this gateway is alive again.
    Undrain,
    /// Show what this gateway says of itself. Exit: 0 alive, 1 not.
    Status,
}

pub(crate) async fn run(
    command: &EntranceCommand,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    match command {
        EntranceCommand::Drain => change(true, client, global).await,
        EntranceCommand::Undrain => change(false, client, global).await,
        EntranceCommand::Status => status(client, global).await,
    }
}

async fn change(drain: bool, client: &Client, global: &Global) -> anyhow::Result<ExitCode> {
    let request = DrainRequest { drain, who: who() };
    let answer: ChangeAnswer = client.post("/v1/entrance/drain", &request).await?;
    if global.json {
        print(&format!("{}\n", serde_json::to_string(&answer)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!("{}\n", safe(&answer.message)))?;
    if let Some(undo) = &answer.undo {
        print(&format!("undo: {undo}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(client: &Client, global: &Global) -> anyhow::Result<ExitCode> {
    let status: EntranceStatus = client.get("/v1/entrance").await?;
    if global.json {
        print(&format!("{}\n", serde_json::to_string(&status)?))?;
    } else {
        print(&text(&status))?;
    }
    Ok(if status.standing == "alive" {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// One line of what it says, and where.
pub(super) fn text(status: &EntranceStatus) -> String {
    let tone = match status.standing.as_str() {
        "" => return "entrance: this process has no gateway\n".to_owned(),
        "alive" => Tone::Good,
        "draining" => Tone::Doubtful,
        _ => Tone::Bad,
    };
    let mut out = format!("entrance: {}", paint(&safe(&status.standing), tone));
    if !status.reason.is_empty() {
        out.push_str(&format!(", {}", safe(&status.reason)));
    }
    if !status.undo.is_empty() {
        out.push_str(&format!(" (undo: {})", safe(&status.undo)));
    }
    if !status.asked_at.is_empty() {
        out.push_str(&format!("  asked at {}", safe(&status.asked_at.join(", "))));
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drained_gateway_is_told_with_the_way_back() {
        let status = EntranceStatus {
            standing: "draining".to_owned(),
            reason: "taken out by al\u{1b}ice since 2026".to_owned(),
            undo: "minato entrance undrain".to_owned(),
            asked_at: vec!["http://127.0.0.1:7071/readyz".to_owned()],
        };
        let text = text(&status);
        assert!(
            text.contains("(undo: minato entrance undrain)")
                && text.contains("readyz")
                && !text.contains("al\u{1b}"),
            "{text}"
        );
    }
}
