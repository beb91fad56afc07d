//! `minato ca`: makes the certificates that sites know each other by, and tells what they are. Asks no running minato.

use super::terminal::{Tone, paint, print};
use crate::cli::Global;
use anyhow::Context;
use minato_config::SiteId;
use minato_link::{Described, MakeError, Moment, Written};
use std::path::PathBuf;
use std::process::ExitCode;

/// Where the root is kept unless another folder is named.
const ROOT: &str = "minato-ca";

#[derive(Debug, clap::Subcommand)]
pub(crate) enum CaCommand {
    /// Make the root that signs for every site. Keep its folder off the machines that serve.
    Init(InitArgs),
    /// Make what one site's gateways are known by, signed by the root.
    Issue(IssueArgs),
    /// Tell what a folder or file of certificates is: for whom, until when, and whether others believe it.
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// Folder of the root; made where it is missing.
    #[arg(long, value_name = "FOLDER", default_value = ROOT)]
    dir: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct IssueArgs {
    /// The site, by the name that its minato.toml has.
    #[arg(value_parser = site)]
    site: SiteId,
    /// Folder of the root.
    #[arg(long, value_name = "FOLDER", default_value = ROOT)]
    dir: PathBuf,
    /// Folder to write; one of the same site is replaced.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// A folder that `minato ca` made, or a file of certificates.
    #[arg(value_name = "FOLDER|FILE")]
    path: PathBuf,
}

fn site(text: &str) -> Result<SiteId, String> {
    SiteId::parse(text).map_err(|it| it.to_string())
}

/// Exit 0 where it was done, 3 where it was refused, or where something that is shown does not hold.
pub(crate) fn run(command: &CaCommand, global: &Global) -> anyhow::Result<ExitCode> {
    let clock = minato_link::system_clock();
    let now = Moment::now(&*clock).context("this machine has no clock that can be read")?;
    let made = match command {
        CaCommand::Init(args) => minato_link::write_authority(&args.dir, now),
        CaCommand::Issue(args) => minato_link::write_site(&args.dir, &args.site, &args.out, now),
        CaCommand::Show(args) => return show(args, global, now),
    };
    match made {
        Ok(written) => tell(command, &written, global),
        Err(error @ (MakeError::Exists { .. } | MakeError::Foreign { .. })) => {
            eprintln!("minato: {error}");
            Ok(ExitCode::from(3))
        }
        Err(error @ MakeError::Root(_)) => Err(anyhow::Error::new(error)
            .context("type `minato ca init` first, or name the root's folder with --dir")),
        Err(error) => Err(error.into()),
    }
}

fn tell(command: &CaCommand, written: &Written, global: &Global) -> anyhow::Result<ExitCode> {
    if global.json {
        let line =
            serde_json::json!({ "files": written.files, "until": written.until.to_string() });
        print(&format!("{}\n", serde_json::to_string_pretty(&line)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    for file in &written.files {
        print(&format!("{}\n", file.display()))?;
    }
    let until = written.until;
    print(&match command {
        CaCommand::Issue(args) => format!(
            "Valid until {until}. Put the folder on every machine of {site} that is a gateway, readable for minato alone, and name it there:\n\n    [link]\n    identity = \"/etc/minato/link\"\n\nGateways make their own certificates from it and renew them. Undo: delete the folder; what was issued cannot be taken back, but is {site} only.\n",
            site = args.site
        ),
        _ => format!(
            "Valid until {until}. Keep this folder off the machines that serve: who has the key can be any site.\nNext, for each site: minato ca issue SITE --out FOLDER\n"
        ),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn show(args: &ShowArgs, global: &Global, now: Moment) -> anyhow::Result<ExitCode> {
    let described = minato_link::describe(&args.path, now)?;
    if global.json {
        let lines: Vec<_> = described.iter().map(line).collect();
        print(&format!("{}\n", serde_json::to_string_pretty(&lines)?))?;
    } else {
        for it in &described {
            print(&text(it, now))?;
        }
    }
    Ok(if described.iter().all(|it| it.verdict.is_ok()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    })
}

fn line(it: &Described) -> serde_json::Value {
    let (verifies, detail) = match &it.verdict {
        Ok(text) => (true, text),
        Err(text) => (false, text),
    };
    serde_json::json!({
        "file": it.file,
        "what": it.what,
        "names": it.names,
        "from": it.from.to_string(),
        "until": it.until.to_string(),
        "verifies": verifies,
        "detail": detail,
    })
}

fn text(it: &Described, now: Moment) -> String {
    let names = if it.names.is_empty() {
        "any site".to_owned()
    } else {
        it.names.join(", ")
    };
    let days = it.until.since(now).as_secs() / (24 * 60 * 60);
    let verdict = match &it.verdict {
        Ok(text) => paint(text, Tone::Good),
        Err(text) => paint(text, Tone::Bad),
    };
    format!(
        "{file}\n  {what} for {names}\n  from {from} until {until} ({days} days left)\n  {verdict}\n",
        file = it.file.display(),
        what = it.what,
        from = it.from,
        until = it.until,
    )
}
