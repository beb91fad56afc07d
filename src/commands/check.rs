//! `minato check`: every problem of every file in one run.

use super::terminal::{Tone, paint, print};
use crate::cli::Global;
use minato_config::{LinkFiles, Problem, Settings};
use minato_tls::Certificates;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Settings file. Default: ./minato.toml, then /etc/minato/minato.toml.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Exit 0 where all is well, 3 where something would be refused.
pub(crate) fn run(args: &CheckArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let found = minato_config_files::locate(args.config.as_deref());
    let (name, findings) = match &found {
        Some(path) => (
            path.display().to_string(),
            minato_config_files::inspect(path),
        ),
        None => (
            "the defaults (no minato.toml)".to_owned(),
            minato_config_files::inspect_services_of(&Settings::default()),
        ),
    };
    let mut problems = findings.problems;
    if let Some(Ok(settings)) = found.as_deref().map(minato_config_files::read) {
        problems.extend(certificates(&settings));
        problems.extend(links(&settings));
    }
    if global.json {
        let lines: Vec<_> = problems
            .iter()
            .map(|it| serde_json::json!({ "file": it.file, "line": it.line, "field": it.field, "message": it.message }))
            .collect();
        print(&format!("{}\n", serde_json::to_string_pretty(&lines)?))?;
    } else if problems.is_empty() {
        let services = match findings.services {
            1 => "1 service".to_owned(),
            n => format!("{n} services"),
        };
        let ok = paint("ok", Tone::Good);
        print(&format!("{ok}: {name} and {services}\n"))?;
    } else {
        for problem in &problems {
            print(&format!("{problem}\n"))?;
        }
        print(&format!(
            "{}\n",
            paint(&format!("{} problem(s)", problems.len()), Tone::Bad)
        ))?;
    }
    Ok(if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    })
}

/// What stands in the folder of certificates and would not be served.
fn certificates(settings: &Settings) -> Vec<Problem> {
    let Some(folder) = &settings.gateway.certificates else {
        return Vec::new();
    };
    let unserved = Certificates::inspect(folder).into_iter();
    let problem = |message| Problem {
        file: folder.clone(),
        line: 0,
        field: "gateway.certificates".to_owned(),
        message,
    };
    unserved.map(|it| problem(it.message)).collect()
}

/// Why links to other sites would not come up.
fn links(settings: &Settings) -> Option<Problem> {
    // What is wrong with the node's name is told where it is read.
    let node = crate::compose::node_id(settings).ok()?;
    let message = crate::link::inspect(settings, &node)?;
    let file = match settings.link.identity.as_ref()? {
        LinkFiles::Folder(folder) => folder.clone(),
        LinkFiles::Given { certificate, .. } => certificate.clone(),
    };
    Some(Problem {
        file,
        line: 0,
        field: "link.identity".to_owned(),
        message,
    })
}
