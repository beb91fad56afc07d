//! `minato route test URL`: which service, which instance, and why.

use super::terminal::{Tone, print, safe, table};
use crate::cli::Global;
use crate::client::{Client, encode};
use minato_control_server::api::RouteTest;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct RouteArgs {
    #[command(subcommand)]
    command: RouteCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RouteCommand {
    /// Ask which service and instance a request for URL would go to, and why.
    Test {
        /// With host: `http://example.org/library?x=1` or `example.org/library`.
        url: String,
    },
}

/// Exit 0 where an instance or a redirect would answer, 1 where minato would answer with an error.
pub(crate) async fn run(
    args: &RouteArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let RouteCommand::Test { url } = &args.command;
    let test: RouteTest = client
        .get(&format!("/v1/route?url={}", encode(url)))
        .await?;
    if global.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&test)?))?;
    } else {
        let cell = |text: &str| (safe(text), Tone::Plain);
        print(&table(&[
            vec![cell("url"), cell(&test.url)],
            vec![
                cell("service"),
                cell(test.service.as_deref().unwrap_or("none")),
            ],
            vec![
                cell("route"),
                cell(test.pattern.as_deref().unwrap_or("none")),
            ],
            vec![cell("action"), cell(&test.action)],
        ]))?;
        for why in &test.why {
            print(&format!("  - {}\n", safe(why)))?;
        }
        let rows: Vec<_> = test
            .candidates
            .iter()
            .map(|it| {
                let mark = if test.chosen == Some(it.slot) {
                    "->"
                } else {
                    ""
                };
                vec![
                    cell(mark),
                    cell(&format!("slot {}", it.slot)),
                    cell(&it.address),
                    cell(&format!("{} in flight", it.in_flight)),
                    cell(&it.standing),
                ]
            })
            .collect();
        print(&table(&rows))?;
    }
    let answered = test.chosen.is_some() || test.action.starts_with("redirect");
    Ok(if answered {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}
