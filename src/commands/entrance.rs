//! `minato entrance drain|undrain|status|publish|withdraw`: this gateway, and names that lead here, in and out of traffic.

use super::change::who;
use super::terminal::{Tone, paint, print, safe};
use crate::cli::Global;
use crate::client::{Client, Refused, encode};
use crate::clock;
use anyhow::bail;
use minato_control_server::api::{
    ChangeAnswer, DrainRequest, EntranceStatus, NameStatus, PublishAction, PublishRequest,
};
use std::process::ExitCode;
use std::time::Duration;

/// How often it looks how far a word is.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Subcommand)]
pub(crate) enum EntranceCommand {
    /// Say that this gateway wants no new visitors, until undrain; also over restarts and upgrades. It serves those that come.
    Drain,
    /// Say that this gateway is alive again.
    Undrain,
    /// Show what this gateway says of itself, and how each name stands. Exit: 0 alive, 1 not.
    Status,
    /// Make a name lead to this site, and to no other.
    Publish(NameArgs),
    /// Make a name no longer lead to this site.
    Withdraw(NameArgs),
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit: 0 it is so, 1 it was not so in time and is tried on, 3 it is refused: the name is another site's by now."
)]
pub(crate) struct NameArgs {
    /// NAME of [entrance.dns.NAME] or [entrance.hook.NAME] in minato.toml.
    name: String,
    /// Of the decision; refused where the name has a newer one. Default: the next one.
    #[arg(long, value_name = "N")]
    epoch: Option<u64>,
    /// Seconds to wait until it is so; it stays asked for after that.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
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
        EntranceCommand::Publish(args) => {
            publish(args, PublishAction::Publish, client, global).await
        }
        EntranceCommand::Withdraw(args) => {
            publish(args, PublishAction::Withdraw, client, global).await
        }
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

async fn publish(
    args: &NameArgs,
    action: PublishAction,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let request = PublishRequest {
        action,
        epoch: args.epoch,
        who: who(),
    };
    let path = format!("/v1/entrance/names/{}", encode(&args.name));
    let answer: ChangeAnswer = client.post(&path, &request).await?;
    let limit = Duration::from_secs(args.timeout);
    let began = clock::now();
    let done = loop {
        let status: EntranceStatus = client.get("/v1/entrance").await?;
        let name = status.names.into_iter().find(|it| it.name == args.name);
        let Some(name) = name else {
            bail!("{} is gone from minato.toml", args.name);
        };
        if Some(name.number) != answer.number {
            bail!(
                "another word about {} came meanwhile; `minato entrance status` tells how it stands",
                args.name
            );
        }
        match name.state.as_str() {
            "done" => break name,
            "refused" => return Err(Refused(format!("{}: {}", name.what, name.detail)).into()),
            _ if began.elapsed() >= limit => bail!(
                "not so after {}s, and tried on: {}: {}; `minato entrance status` tells more",
                args.timeout,
                name.what,
                name.detail
            ),
            _ => tokio::time::sleep(LOOK).await,
        }
    };
    if global.json {
        print(&format!("{}\n", serde_json::to_string(&done)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&name_line(&done))?;
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
        for name in &status.names {
            print(&name_line(name))?;
        }
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

/// `web: publish done  www.example.org at 192.0.2.53:53`
fn name_line(name: &NameStatus) -> String {
    let tone = match name.state.as_str() {
        "done" => Tone::Good,
        "refused" | "asks" => Tone::Bad,
        "trying" => Tone::Doubtful,
        _ => Tone::Plain,
    };
    let mut out = format!("{}: ", safe(&name.name));
    match name.state.as_str() {
        "idle" => out.push_str("nothing asked"),
        state if name.action.is_empty() => out.push_str(&paint(&safe(state), tone)),
        state => {
            let state = paint(&safe(state), tone);
            out.push_str(&format!("{} {state}", safe(&name.action)));
        }
    }
    out.push_str(&format!("  {}", safe(&name.what)));
    match name.led_by.as_str() {
        "" if name.follows => out.push_str("  follows the gateway"),
        "" => {}
        it => out.push_str(&format!("  follows {}", safe(it))),
    }
    if !name.detail.is_empty() {
        out.push_str(&format!("  {}", safe(&name.detail)));
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processes are upgraded one by one, and `minato store copy` must see the one that runs.
    #[test]
    fn a_process_of_another_version_is_understood() {
        let shown = |fields: &str| {
            let text = format!(
                r#"{{"standing":"alive","names":[{{"name":"web","what":"www at ns",{fields}"number":0,"action":"","state":"idle","since_ms":0}}]}}"#
            );
            let status: EntranceStatus = serde_json::from_str(&text).expect(fields);
            name_line(&status.names[0])
        };
        assert!(shown(r#""follows":true,"#).contains("follows the gateway"));
        assert!(!shown(r#""follows":false,"#).contains("follows"));
        assert!(!shown("").contains("follows"));
        let sites = r#""follows":false,"led_by":"the order of sites","#;
        assert!(shown(sites).contains("follows the order of sites"));
        // And an older one understands this one: the field is the same kind of thing.
        let own = serde_json::to_value(NameStatus {
            follows: true,
            led_by: "the gateway".to_owned(),
            ..NameStatus::default()
        });
        assert_eq!(own.expect("a status")["follows"], true);
    }

    #[test]
    fn a_drained_gateway_is_told_with_the_way_back() {
        let status = EntranceStatus {
            standing: "draining".to_owned(),
            reason: "taken out by al\u{1b}ice since 2026".to_owned(),
            undo: "minato entrance undrain".to_owned(),
            asked_at: vec!["http://127.0.0.1:7071/readyz".to_owned()],
            names: Vec::new(),
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
