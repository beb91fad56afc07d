//! `minato replay`: plans again from what a plan was made from.

use super::terminal::{Tone, paint, print, safe};
use crate::cli::Global;
use anyhow::{Context as _, bail};
use minato_control_store::Decision;
use std::path::PathBuf;
use std::process::ExitCode;

/// Bytes of a file that are read; a site of thousands of services has some 20 MiB.
const MOST: u64 = 1 << 30;

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// A file of the folder `decisions` in the data folder of the machine that led.
    file: PathBuf,
}

/// Exit 0 where the same follows, 1 where this minato would decide otherwise.
pub(crate) fn run(args: &ReplayArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let file = args.file.display();
    let length = std::fs::metadata(&args.file)
        .with_context(|| format!("{file} cannot be read"))?
        .len();
    if length > MOST {
        bail!("{file} has {length} bytes: it is no decision that minato saved");
    }
    let text = std::fs::read(&args.file).with_context(|| format!("{file} cannot be read"))?;
    let decision = Decision::parse(&text).with_context(|| file.to_string())?;
    let plan = decision.replay().with_context(|| file.to_string())?;
    let steps: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
    let same = steps == decision.steps;
    if global.json {
        let answer = serde_json::json!({
            "at": decision.at, "revision": decision.revision, "site": decision.site, "minato": decision.minato,
            "lost": decision.losses.lost, "decided": decision.steps, "now": steps, "same": same,
        });
        print(&format!("{}\n", serde_json::to_string_pretty(&answer)?))?;
    } else {
        print(&format!(
            "{} at revision {} of site {}, by minato {}\n",
            minato_control::clock_text(decision.at),
            decision.revision,
            decision.site,
            safe(&decision.minato)
        ))?;
        if !decision.losses.lost.is_empty() {
            let lost: Vec<&str> = decision.losses.lost.iter().map(|it| it.as_str()).collect();
            print(&format!("nodes given up: {}\n", lost.join(", ")))?;
        }
        for step in &decision.steps {
            print(&format!("  {}\n", safe(step)))?;
        }
        if same {
            let ok = paint("the same follows again", Tone::Good);
            print(&format!("{ok}\n"))?;
        } else {
            let bad = paint("this minato decides otherwise:", Tone::Bad);
            print(&format!("{bad}\n"))?;
            for step in &steps {
                print(&format!("  {}\n", safe(step)))?;
            }
        }
    }
    Ok(if same {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
