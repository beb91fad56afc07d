//! `minato site list|release|report`: other sites as this one sees them, the end of a hold, and how long visitors would be without a
//! service.

use super::change::who;
use super::status::duration;
use super::terminal::{Tone, paint, print, safe, table};
use crate::cli::Global;
use crate::client::{Client, encode};
use minato_config::NEVER_COPIED;
use minato_control_server::api::{
    ChangeAnswer, RecoveryFigures, RecoveryReports, ReleaseRequest, SitesStatus,
};
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum SiteCommand {
    /// Show other sites as each gateway of this one sees them, and how far visitors go there.
    List,
    /// Let visitors of this entrance go to a site again: ends a hold after three swings, and the wait of a minute.
    Release(ReleaseArgs),
    /// Show how long visitors were without each service when a site failed, and would be, against what is asked. Exit: 0 met, 1 not.
    Report,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReleaseArgs {
    /// The site that they may go to.
    site: String,
    /// Only visitors of this service.
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
}

pub(crate) async fn run(
    command: &SiteCommand,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    match command {
        SiteCommand::List => list(client, global).await,
        SiteCommand::Release(args) => release(args, client, global).await,
        SiteCommand::Report => report(client, global).await,
    }
}

async fn release(args: &ReleaseArgs, client: &Client, global: &Global) -> anyhow::Result<ExitCode> {
    let request = ReleaseRequest {
        service: args.service.clone(),
        who: who(),
    };
    let path = format!("/v1/sites/{}/release", encode(&args.site));
    let answer: ChangeAnswer = client.post(&path, &request).await?;
    let text = match global.json {
        true => serde_json::to_string(&answer)?,
        false => safe(&answer.message),
    };
    print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

async fn report(client: &Client, global: &Global) -> anyhow::Result<ExitCode> {
    let reports: RecoveryReports = client.get("/v1/sites/report").await?;
    if global.json {
        print(&format!("{}\n", serde_json::to_string(&reports)?))?;
    } else {
        print(&report_text(&reports))?;
    }
    let is_met = reports.services.iter().all(|it| it.missed.is_empty());
    Ok(if is_met {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn report_text(reports: &RecoveryReports) -> String {
    if reports.services.is_empty() {
        return "no service is served by several sites: `sites` of a service file names them\n"
            .to_owned();
    }
    let heads = [
        "SERVICE", "TARGET", "EXPECTED", "MEASURED", "KIND", "AGO", "FROM", "TO", "DETECT",
        "DECIDE", "START", "FIRST", "ERRORS", "DATA", "MAX DATA", "MET",
    ];
    let plain = |it: String| (it, Tone::Plain);
    let mut rows = vec![
        heads
            .iter()
            .map(|it| plain((*it).to_owned()))
            .collect::<Vec<_>>(),
    ];
    for it in &reports.services {
        let first = [
            it.service.clone(),
            seconds(Some(it.rto_ms)),
            it.predicted_ms
                .map_or_else(|| "a person".to_owned(), |it| seconds(Some(it))),
        ];
        let last = it.last.as_ref();
        let measured = last.and_then(|it| it.first_ms.or(it.decide_ms));
        let of_last = |figure: fn(&RecoveryFigures) -> Option<u64>| seconds(last.and_then(figure));
        let text = |text: fn(&RecoveryFigures) -> String| last.map_or_else(none, text);
        let ago = last.map(|it| duration(reports.now_ms.saturating_sub(it.at_ms)));
        let mut row: Vec<_> = first.into_iter().map(plain).collect();
        row.extend(
            [
                seconds(measured),
                text(|it| it.kind.clone()),
                ago.unwrap_or_else(|| "never".to_owned()),
                text(|it| it.from.clone()),
                text(|it| it.to.clone().unwrap_or_else(none)),
                of_last(|it| Some(it.detect_ms)),
                of_last(|it| it.decide_ms),
                of_last(|it| it.start_ms),
                of_last(|it| it.first_ms),
                text(|it| it.errors.to_string()),
                match last.and_then(|it| it.data_age_ms) {
                    Some(NEVER_COPIED) => "no copy".to_owned(),
                    age => seconds(age),
                },
                duration(it.rpo_ms),
            ]
            .map(plain),
        );
        row.push(if it.missed.is_empty() {
            ("yes".to_owned(), Tone::Good)
        } else {
            ("no".to_owned(), Tone::Bad)
        });
        rows.push(row);
    }
    let mut out = table(&rows);
    for it in &reports.services {
        for why in &it.missed {
            out.push_str(&format!("{}: {}\n", it.service, safe(why)));
        }
        if it.last.is_none() {
            let since = it
                .unproven_since_ms
                .map_or_else(none, |since| duration(reports.now_ms.saturating_sub(since)));
            out.push_str(&format!(
                "{}: no site has failed or been tried since it is looked at, for {since}\n",
                it.service
            ));
        }
        if let Some(back) = &it.returned {
            out.push_str(&format!(
                "{}: visitors came back to {} {} ago, over {}, requests that failed: {}\n",
                it.service,
                back.to.as_deref().unwrap_or("-"),
                duration(reports.now_ms.saturating_sub(back.at_ms)),
                seconds(back.first_ms),
                back.errors
            ));
        }
    }
    out
}

/// `3.7s`
fn seconds(ms: Option<u64>) -> String {
    ms.map_or_else(none, |ms| format!("{}.{}s", ms / 1_000, ms % 1_000 / 100))
}

async fn list(client: &Client, global: &Global) -> anyhow::Result<ExitCode> {
    let status: SitesStatus = client.get("/v1/sites").await?;
    if global.json {
        print(&format!("{}\n", serde_json::to_string(&status)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&text(&status))?;
    Ok(ExitCode::SUCCESS)
}

fn text(status: &SitesStatus) -> String {
    if status.links.is_empty() && status.observers.is_empty() {
        return "no other site is known: [sites.NAME] in minato.toml makes one\n".to_owned();
    }
    let heads = [
        "SITE",
        "SEEN BY",
        "LINK",
        "SINCE",
        "DELAY",
        "LOSS",
        "BANDWIDTH",
        "DETAIL",
    ];
    let plain = |it: &str| (it.to_owned(), Tone::Plain);
    let mut rows = vec![heads.iter().map(|it| plain(it)).collect::<Vec<_>>()];
    for it in &status.observers {
        let (state, tone) = if it.up {
            ("up", Tone::Good)
        } else {
            ("down", Tone::Bad)
        };
        let detail = if it.up {
            let clock = match it.clock_off_ms / 1_000 {
                0 => String::new(),
                off => format!(", its clock is {off} s off"),
            };
            format!("runs {}{clock}", it.version)
        } else {
            it.reason.clone()
        };
        rows.push(vec![
            plain(&it.site),
            plain(&it.gateway),
            (state.to_owned(), tone),
            plain(&duration(status.now_ms.saturating_sub(it.since_ms))),
            plain(&it.delay_us.map_or_else(none, milliseconds)),
            plain(&format!("{:.1} %", f64::from(it.loss_permille) / 10.0)),
            plain(&it.bandwidth.map_or_else(none, bandwidth)),
            plain(&safe(&detail)),
        ]);
    }
    let mut out = table(&rows);
    for it in &status.courses {
        let state = match (it.is_held, it.percent) {
            (true, _) => paint("held", Tone::Bad),
            (false, 0) => paint("left", Tone::Doubtful),
            (false, 100) => "open".to_owned(),
            (false, percent) => format!("{percent} % are back"),
        };
        out.push_str(&format!(
            "{} at {}: {state}, left {} times within an hour{}\n",
            it.service,
            it.site,
            it.left,
            if it.percent < 100 {
                format!(
                    " (end it: minato site release {} --service {})",
                    it.site, it.service
                )
            } else {
                String::new()
            }
        ));
    }
    out
}

fn none() -> String {
    "-".to_owned()
}

fn milliseconds(micros: u64) -> String {
    format!("{}.{}ms", micros / 1_000, micros % 1_000 / 100)
}

/// `12.3 MB/s`
fn bandwidth(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B/s"),
        1_000..1_000_000 => format!("{}.{} kB/s", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{} MB/s", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_their_units() {
        assert_eq!(milliseconds(30_912), "30.9ms");
        assert_eq!(bandwidth(999), "999 B/s");
        assert_eq!(bandwidth(1_250), "1.2 kB/s");
        assert_eq!(bandwidth(112_350_000), "112.3 MB/s");
    }
}
