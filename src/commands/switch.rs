//! `minato switch`, `minato failover` and `minato drill`: services that another site shall serve.
//!
//! Typed at either site: the one that shall serve runs it, and who asks elsewhere follows it over the link.

use super::change::who;
use super::operation::{follow, steps};
use super::terminal::{Tone, paint, print, safe, table};
use crate::cli::Global;
use crate::client::{Client, Refused};
use minato_control_server::api::{Status, SwitchAnswer, SwitchRequest};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  minato switch --to osaka --dry-run\n  minato switch --to osaka --at \"2026-12-20 08:00 Asia/Tokyo\" --until \"2026-12-20 18:00 Asia/Tokyo\"\n  minato switch --to osaka library\n  minato switch --to tokyo                 the way back\n\nType it at either site. It goes on without this command, and any machine that leads there goes on with it.\nExit: 0 all of it is served there and the old site is quiet (or accepted, with --no-wait or --at), 1 something failed, 3 refused by a check."
)]
pub(crate) struct SwitchArgs {
    #[command(flatten)]
    what: What,
    /// Begin then: "2026-12-20 08:00 Asia/Tokyo". A time zone is needed.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Go back by itself then, to the sites that serve now.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "For a site that is not heard: refused while it is. When it is back it hears of it before it serves.\nExit: 0 done, 1 something failed, 3 refused by a check."
)]
pub(crate) struct FailoverArgs {
    #[command(flatten)]
    what: What,
    /// What was written last at the site that is not heard, and copied nowhere, is given up.
    #[arg(long)]
    accept_data_loss: bool,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A switch that ends by itself: it goes back after its time, whatever became of this command.\nExit: 0 done, 1 something failed, 3 refused by a check."
)]
pub(crate) struct DrillArgs {
    #[command(flatten)]
    what: What,
    /// Go back after so long: 90s, 30m, 2h.
    #[arg(long = "for", value_name = "TIME", default_value = "30m", value_parser = length)]
    length: Duration,
    /// Begin then: "2026-12-20 08:00 Asia/Tokyo". A time zone is needed.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// What all three have.
#[derive(Debug, clap::Args)]
struct What {
    /// The site that shall serve.
    #[arg(long, value_name = "SITE")]
    to: String,
    /// Only this service. Without a name: everything that the site could serve and does not.
    #[arg(value_name = "SERVICE")]
    service: Option<String>,
    /// Only these: names or patterns (`*` stands for any letters).
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        conflicts_with = "service"
    )]
    services: Vec<String>,
    /// Services between their begin and their move at once.
    #[arg(long, value_name = "N", default_value_t = 10)]
    size: u16,
    /// Begin nothing more once so many services have failed, until a person says how it goes on.
    #[arg(long, value_name = "N", default_value_t = 1)]
    stop_after: u16,
    /// How long the old site must be quiet before it is said to be safe to power off. Default: twice what the names' DNS answers live, 2m without
    /// one.
    #[arg(long, value_name = "TIME", value_parser = length)]
    quiet: Option<Duration>,
    /// How long that is waited for. Then it ends, and says who still comes to the old site; at most 168h.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = length)]
    watch: Duration,
    /// Go on though the site carries only a part of the work: the rest gets the sorry page.
    #[arg(long)]
    accept_overload: bool,
    /// Why, for those who read it later.
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    /// Check everything and show it; change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Return as soon as it is begun; `minato operation show` tells how it goes.
    #[arg(long)]
    no_wait: bool,
}

impl What {
    fn request(&self, kind: &str) -> SwitchRequest {
        SwitchRequest {
            to: self.to.clone(),
            services: self.service.iter().chain(&self.services).cloned().collect(),
            kind: kind.to_owned(),
            size: Some(self.size),
            stop_after: Some(self.stop_after),
            quiet_ms: self.quiet.map(milliseconds),
            watch_ms: Some(milliseconds(self.watch)),
            accept_overload: self.accept_overload,
            why: self.why.clone(),
            who: who(),
            dry_run: self.dry_run,
            ..SwitchRequest::default()
        }
    }
}

fn milliseconds(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}

/// `90s`, `30m`, `2h`.
fn length(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no length of time: write it like 90s, 30m or 2h");
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

pub(crate) async fn switch(
    args: &SwitchArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let request = SwitchRequest {
        at: args.at.clone(),
        until: args.until.clone(),
        ..args.what.request("switch")
    };
    begin(&args.what, request, client, global).await
}

pub(crate) async fn failover(
    args: &FailoverArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let request = SwitchRequest {
        accept_data_loss: args.accept_data_loss,
        ..args.what.request("failover")
    };
    begin(&args.what, request, client, global).await
}

pub(crate) async fn drill(
    args: &DrillArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let request = SwitchRequest {
        at: args.at.clone(),
        for_ms: Some(milliseconds(args.length)),
        ..args.what.request("drill")
    };
    begin(&args.what, request, client, global).await
}

async fn begin(
    what: &What,
    request: SwitchRequest,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let answer: SwitchAnswer = client.post("/v1/switches", &request).await?;
    let begun = &answer.operation;
    let returns_at_once = what.no_wait || request.at.is_some();
    if global.json && (what.dry_run || returns_at_once) {
        print(&format!("{}\n", serde_json::to_string(&answer)?))?;
        return checked(&answer, what);
    }
    let here: Status = client.get("/v1/status").await?;
    // Where it lives, as it is named to other commands.
    let there = (here.site != answer.site).then(|| answer.site.clone());
    let site = there
        .as_ref()
        .map(|it| format!(" --site {it}"))
        .unwrap_or_default();
    if !global.json {
        let name = if what.dry_run {
            format!("dry run: {}", begun.title)
        } else {
            format!("operation {} of {}: {}", begun.id, answer.site, begun.title)
        };
        print(&format!("{} {}\n", safe(&name), begun.schedule))?;
        if let Some(back) = &answer.back {
            let number = if back.id == 0 {
                String::new()
            } else {
                format!("operation {}: ", back.id)
            };
            print(&format!(
                "and {number}{} {}\n",
                safe(&back.title),
                back.schedule
            ))?;
        }
        for it in &answer.left_out {
            let word = paint("left out:", Tone::Doubtful);
            print(&format!("{word} {} {}\n", it.service, safe(&it.why)))?;
        }
    }
    if what.dry_run {
        print(&lines(&answer))?;
        print(&steps(begun))?;
        return checked(&answer, what);
    }
    if !global.json && answer.undo.is_some() {
        print(&format!(
            "end it: minato operation abort {}{site}\n",
            begun.id
        ))?;
    }
    if returns_at_once {
        print(&format!(
            "look at it: minato operation show {}{site}\n",
            begun.id
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    follow(begun.id, there.as_deref(), client, global).await
}

/// A dry run that would be refused ends as the real one.
fn checked(answer: &SwitchAnswer, what: &What) -> anyhow::Result<ExitCode> {
    let failing = answer.checks.iter().filter(|it| !it.met).count();
    if what.dry_run && failing > 0 {
        let all = answer.checks.len();
        return Err(Refused(format!(
            "{failing} of {all} checks fail: it would be refused"
        ))
        .into());
    }
    Ok(ExitCode::SUCCESS)
}

/// What was looked at; what fails comes first.
fn lines(answer: &SwitchAnswer) -> String {
    let plain = |it: &str| (safe(it), Tone::Plain);
    let mut rows = vec![["SERVICE", "CHECK", "", "FIGURE"].map(plain).to_vec()];
    let mut checks: Vec<_> = answer.checks.iter().collect();
    checks.sort_by_key(|it| it.met);
    for it in checks {
        let (word, tone) = match it.met {
            true => ("ok", Tone::Good),
            false => ("fails", Tone::Bad),
        };
        rows.push(vec![
            plain(&it.service),
            plain(&it.name),
            (word.to_owned(), tone),
            plain(&it.figure),
        ]);
    }
    table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_a_unit() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("2h", 7200), ("0s", 0)] {
            assert_eq!(length(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "30", "m", "-1s", "1d", "1.5h", "30分"] {
            assert!(length(text).is_err(), "{text}");
        }
    }
}
