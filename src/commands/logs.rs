//! `minato logs`: what instances wrote to standard output and error; or which requests gateways answered.

use super::terminal::{print, safe};
use crate::cli::Global;
use crate::client::{Client, encode};
use anyhow::bail;
use minato_control_server::api::{AccessLines, LogLines, ServiceStatus};
use std::process::ExitCode;
use std::time::Duration;

/// How often `-f` looks.
const LOOK: Duration = Duration::from_millis(500);
/// How often `-f` has another site asked.
const FETCH: Duration = Duration::from_secs(5);
/// Lines that `-f` asks for at a time; more than this between two looks are shown as a gap.
const WINDOW: usize = 2000;

#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// The service.
    service: String,
    /// Only of this slot; all of them otherwise.
    #[arg(long, value_name = "N")]
    slot: Option<u16>,
    /// Which requests this gateway answered, instead of what instances wrote.
    #[arg(long, conflicts_with = "slot")]
    access: bool,
    /// Which requests that site's gateways answered: fetched from there as far as they are not here yet; how complete that is goes to
    /// standard error.
    #[arg(long, value_name = "SITE", conflicts_with = "slot")]
    site: Option<String>,
    /// How many lines of the past, of each instance.
    #[arg(short = 'n', long, default_value_t = 50, value_name = "N")]
    lines: usize,
    /// Go on as lines are written.
    #[arg(short, long)]
    follow: bool,
}

pub(crate) async fn run(
    args: &LogsArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    if args.access || args.site.is_some() {
        return access(args, client, global).await;
    }
    let service: ServiceStatus = client
        .get(&format!("/v1/services/{}", encode(&args.service)))
        .await?;
    if service
        .instances
        .iter()
        .all(|it| it.pid.is_none() && it.node.is_empty())
        && !service.instances.is_empty()
    {
        bail!(
            "{} has fixed endpoints: minato does not run them and has no output of theirs",
            args.service
        );
    }
    let mut slots: Vec<u16> = service
        .instances
        .iter()
        .map(|it| it.slot)
        .filter(|it| args.slot.is_none_or(|slot| slot == *it))
        .collect();
    slots.sort_unstable();
    slots.dedup();
    if slots.is_empty() {
        slots.extend(args.slot);
    }
    let mut shown: Vec<(u16, Vec<String>)> = Vec::new();
    for slot in slots {
        let lines = fetch(client, &args.service, slot, args.lines.max(1)).await?;
        let past = &lines[lines.len() - lines.len().min(args.lines)..];
        show(&args.service, slot, past, global)?;
        shown.push((slot, lines));
    }
    if args.follow {
        follow(args, client, global, &mut shown).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn access(args: &LogsArgs, client: &Client, global: &Global) -> anyhow::Result<ExitCode> {
    let site = args.site.as_ref();
    let site = site.map(|it| format!("&site={}", encode(it)));
    let path = format!("/v1/access/{}", encode(&args.service));
    let mut told = String::new();
    let mut asked = async |lines: usize| {
        let site = site.as_deref().unwrap_or_default();
        let path = format!("{path}?lines={lines}{site}&gather=true");
        let answer: AccessLines = client.get(&path).await?;
        // Beside the lines, so that they can be piped as they are. What stays the same is said once.
        let text = answer.gathered.map(|it| (it.is_complete(), it.text()));
        if let Some((is_complete, text)) = text
            && !(text == told || is_complete && args.follow)
        {
            eprintln!("{}", safe(&text));
            told = text;
        }
        anyhow::Ok(answer.lines)
    };
    let mut shown = asked(args.lines.max(1)).await?;
    show_access(
        args,
        &shown[shown.len() - shown.len().min(args.lines)..],
        global,
    )?;
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        tokio::time::sleep(if args.site.is_some() { FETCH } else { LOOK }).await;
        let now = asked(WINDOW).await?;
        show_access(args, fresh(&shown, &now), global)?;
        shown = now;
    }
}

fn show_access(args: &LogsArgs, lines: &[String], global: &Global) -> anyhow::Result<()> {
    for line in lines {
        if global.json {
            let line =
                serde_json::json!({ "service": args.service, "site": args.site, "line": line });
            print(&format!("{}\n", serde_json::to_string(&line)?))?;
        } else {
            print(&format!("{}\n", safe(line)))?;
        }
    }
    Ok(())
}

async fn follow(
    args: &LogsArgs,
    client: &Client,
    global: &Global,
    shown: &mut [(u16, Vec<String>)],
) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(LOOK).await;
        for (slot, before) in shown.iter_mut() {
            let now = fetch(client, &args.service, *slot, WINDOW).await?;
            let fresh = fresh(before, &now);
            show(&args.service, *slot, fresh, global)?;
            *before = now;
        }
    }
}

async fn fetch(
    client: &Client,
    service: &str,
    slot: u16,
    lines: usize,
) -> anyhow::Result<Vec<String>> {
    let answer: LogLines = client
        .get(&format!(
            "/v1/logs/{}?slot={slot}&lines={lines}",
            encode(service)
        ))
        .await?;
    Ok(answer.lines)
}

/// What follows the longest end of `before` that stands in `now`.
fn fresh<'a>(before: &[String], now: &'a [String]) -> &'a [String] {
    for end in (1..=now.len()).rev() {
        let overlap = end.min(before.len());
        if overlap > 0 && now[end - overlap..end] == before[before.len() - overlap..] {
            return &now[end..];
        }
    }
    now
}

fn show(service: &str, slot: u16, lines: &[String], global: &Global) -> anyhow::Result<()> {
    for line in lines {
        if global.json {
            print(&format!(
                "{}\n",
                serde_json::to_string(
                    &serde_json::json!({ "service": service, "slot": slot, "line": line })
                )?
            ))?;
        } else {
            print(&format!("{service}/{slot} | {}\n", safe(line)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::fresh;

    #[track_caller]
    fn check(before: &str, now: &str, expected: &str) {
        let lines = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        assert_eq!(fresh(&lines(before), &lines(now)).concat(), expected);
    }

    #[test]
    fn only_new_lines_are_shown() {
        check("", "abc", "abc");
        check("abc", "abc", "");
        check("abc", "abcde", "de");
        check("bc", "abcd", "d");
        check("abc", "bcd", "d");
        check("abc", "xyz", "xyz");
    }
}
