//! `minato events`: what happened, one line each.

use super::terminal::{Tone, paint, print};
use crate::cli::Global;
use crate::client::{Client, encode};
use anyhow::bail;
use minato_control::Level;
use minato_control_server::api::EventLine;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct EventsArgs {
    /// Go on as things happen.
    #[arg(short, long)]
    follow: bool,
    /// Only of this service.
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// How many of the past.
    #[arg(short = 'n', long, default_value_t = 50, value_name = "N")]
    last: usize,
}

pub(crate) async fn run(
    args: &EventsArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let mut path = format!("/v1/events?last={}", args.last);
    if let Some(service) = &args.service {
        path.push_str(&format!("&service={}", encode(service)));
    }
    if args.follow {
        path.push_str("&follow=true");
    }
    client
        .lines(&path, |line| {
            if global.json {
                print(&format!("{line}\n"))?;
            } else if let Ok(it) = serde_json::from_str::<EventLine>(line) {
                let tone = match it.event.level {
                    Level::Info => Tone::Plain,
                    Level::Warn => Tone::Doubtful,
                    Level::Error => Tone::Bad,
                };
                print(&format!("{}\n", paint(&it.event.to_string(), tone)))?;
            }
            Ok(())
        })
        .await?;
    if args.follow {
        bail!("minato at {} stopped", client.address());
    }
    Ok(ExitCode::SUCCESS)
}
