//! `minato run`: reads the settings and makes one process of minato of them, the first or one that takes over.
//!
//! Order of starting: settings, listeners, store; then the gateway with the table of before; then everything else. A
//! process that takes over accepts last, when its table is in line with the store (see `upgrade`).

use crate::asked::Asked;
use crate::gateway::LastGood;
use crate::listeners::Listeners;
use crate::process::Process;
use crate::supervisor;
use crate::upgrade::{Draining, Inheritance};
use minato_config::Settings;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// `minato run`
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Settings file. Default: ./minato.toml, then /etc/minato/minato.toml.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stop every instance when minato stops; otherwise they go on and the next `minato run` adopts them.
    #[arg(long)]
    pub(crate) stop_instances: bool,
    /// Stop when standard input closes, as it does when the parent process ends.
    #[arg(long, hide = true)]
    exit_with_parent: bool,
    /// Take over from the process that started this one.
    #[arg(long, hide = true)]
    take_over: bool,
}

impl RunArgs {
    /// The settings file as it was named.
    pub(crate) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }
}

/// Runs until told to stop. Exit 1 where it cannot begin or go on, 3 where the settings are refused.
pub(crate) fn main(args: &RunArgs) -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("MINATO_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let settings = match minato_config_files::read_or_default(args.config()) {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            eprintln!(
                "minato: {} problem(s) in the settings; nothing was started. `minato check` reports on all files",
                problems.len()
            );
            return ExitCode::from(3);
        }
    };
    match run(args, &settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("minato: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run(args: &RunArgs, settings: &Settings) -> anyhow::Result<()> {
    raise_descriptors();
    let passed = if args.take_over {
        Vec::new()
    } else {
        supervisor::passed(settings)?
    };
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()?;
    let result = control.block_on(async {
        if args.take_over {
            return take_over(args, settings).await;
        }
        let parent = args.exit_with_parent.then(Asked::standard_input);
        let asked = Asked::listen(parent.transpose()?)?;
        let listeners = Listeners::gather(settings, passed)?;
        let process = Process::new(
            args,
            settings,
            asked,
            listeners,
            &[],
            Draining::default(),
            LastGood::load(&settings.data),
        )?;
        process.begin().await
    });
    control.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Begins with what the process before hands over. What goes wrong is told to it as well: whoever asked hears it there.
async fn take_over(args: &RunArgs, settings: &Settings) -> anyhow::Result<()> {
    let Inheritance {
        listeners,
        parent,
        tickets,
        draining,
        handover,
    } = Inheritance::receive().await?;
    let prepared = Asked::listen(parent).and_then(|asked| {
        let listeners = Listeners::gather(settings, listeners)?;
        // The table of before is read when nobody writes it any more.
        let table = LastGood::default();
        Process::new(args, settings, asked, listeners, &tickets, draining, table)
    });
    let ready = match prepared {
        Ok(process) => process.ready(&handover).await,
        Err(error) => Err(error),
    };
    match ready {
        Ok((process, duties)) => process.go_on(duties, handover).await,
        Err(error) => {
            handover.failed(&error).await;
            Err(error)
        }
    }
}

/// Two descriptors for each client connection: as many as the system lets us have.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
}
