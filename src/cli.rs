//! What can be typed, and which exit code it gives: 0 done, 1 failed, 2 usage, 3 refused by a check.

use crate::client::{Client, Refused};
use crate::{commands, demo, run};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::process::ExitCode;

/// Keeps web services alive: balances and checks them, restarts or replaces what fails, and routes around it meanwhile.
#[derive(Debug, Parser)]
#[command(
    name = "minato",
    version,
    max_term_width = 100,
    after_help = "Exit: 0 done, 1 failed, 2 usage, 3 refused by a check."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Goes with every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Where the running minato listens for commands.
    #[arg(
        long,
        global = true,
        default_value = "127.0.0.1:7070",
        env = "MINATO_ADMIN",
        value_name = "ADDRESS",
        value_parser = admin_address
    )]
    pub(crate) admin: SocketAddr,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway, the agent and control of this machine.
    Run(run::RunArgs),
    /// Check every configuration file and report all problems.
    Check(commands::check::CheckArgs),
    /// Show what is, what should be, and why they differ.
    Status(commands::status::StatusArgs),
    /// Show what happened.
    Events(commands::events::EventsArgs),
    /// Show what an instance wrote.
    Logs(commands::logs::LogsArgs),
    /// Plan again from a file of the data folder's `decisions/`: what was decided, from what, and whether it follows again.
    Replay(commands::replay::ReplayArgs),
    /// Set the number of instances of a service by hand.
    Scale(commands::change::ScaleArgs),
    /// Restart every instance of a service, one at a time.
    Restart(commands::change::RestartArgs),
    /// Put another image in place of the one that a service runs: fetched first, started first, and back if it fails.
    Update(commands::update::UpdateArgs),
    /// Run again what a service ran before; while a rollout is under way, what it began from.
    Rollback(commands::update::RollbackArgs),
    /// Update or restart many services, wave after wave: one first, then more at a time, now or on schedule.
    Wave(commands::wave::WaveArgs),
    /// Make another site serve: checked, started there, moved, watched until the old site is quiet. The way back is the same command.
    Switch(commands::switch::SwitchArgs),
    /// Make this site serve what one served that is not heard any more.
    Failover(commands::switch::FailoverArgs),
    /// A switch that goes back by itself after its time.
    Drill(commands::switch::DrillArgs),
    /// Show, end or go on with what was started and outlives its command.
    #[command(subcommand)]
    Operation(commands::operation::OperationCommand),
    /// Take a service out of traffic: new requests get the sorry page, those in flight end.
    Drain(commands::change::DrainArgs),
    /// Show the machines of the site, or empty one.
    #[command(subcommand)]
    Node(commands::node::NodeCommand),
    /// Move instances to nodes that suit them clearly better, a few at a time; ends by itself.
    Rebalance(commands::rebalance::RebalanceArgs),
    /// Tell why each instance of a service is where it is, and what would have to change.
    Explain(commands::node::ExplainArgs),
    /// Show what services of this machine depend on, and where its relays lead.
    Dependencies(commands::dependencies::DependenciesArgs),
    /// Take this gateway out of traffic and back, where routing daemons and DNS checks ask it.
    #[command(subcommand)]
    Entrance(commands::entrance::EntranceCommand),
    /// Put another minato in place of the running one, without a lost request.
    Upgrade(commands::upgrade::UpgradeArgs),
    /// Move the site to another store, or look at the one that it has.
    #[command(subcommand)]
    Store(commands::store::StoreCommand),
    /// Show other sites as this one sees them, or let visitors go to one again.
    #[command(subcommand)]
    Site(commands::site::SiteCommand),
    /// Make the certificates that sites know each other by.
    #[command(subcommand)]
    Ca(commands::ca::CaCommand),
    /// Ask how a request would be routed.
    Route(commands::route::RouteArgs),
    /// Show minato at work on this machine, with real services, load and faults.
    Demo(demo::DemoArgs),
    /// A service for the demo.
    #[command(hide = true)]
    DemoService(demo::ServiceArgs),
}

/// Runs what was typed.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Command::Run(args) => return run::main(&args),
        Command::Check(args) => commands::check::run(&args, &cli.global),
        Command::Ca(command) => commands::ca::run(&command, &cli.global),
        Command::Replay(args) => commands::replay::run(&args, &cli.global),
        command => with_runtime(command, &cli.global),
    };
    match result {
        Ok(code) => code,
        // `minato events | head`: nobody reads any more, and that is no failure.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("minato: {error:#}");
            ExitCode::from(if error.is::<Refused>() { 3 } else { 1 })
        }
    }
}

fn with_runtime(command: Command, global: &Global) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let client = Client::new(global.admin);
    runtime.block_on(async {
        match command {
            Command::Status(args) => commands::status::run(&args, &client, global).await,
            Command::Events(args) => commands::events::run(&args, &client, global).await,
            Command::Logs(args) => commands::logs::run(&args, &client, global).await,
            Command::Scale(args) => commands::change::scale(&args, &client, global).await,
            Command::Restart(args) => commands::change::restart(&args, &client, global).await,
            Command::Update(args) => commands::update::update(&args, &client, global).await,
            Command::Rollback(args) => commands::update::rollback(&args, &client, global).await,
            Command::Wave(args) => commands::wave::run(&args, &client, global).await,
            Command::Switch(args) => commands::switch::switch(&args, &client, global).await,
            Command::Failover(args) => commands::switch::failover(&args, &client, global).await,
            Command::Drill(args) => commands::switch::drill(&args, &client, global).await,
            Command::Operation(command) => {
                commands::operation::run(&command, &client, global).await
            }
            Command::Drain(args) => commands::change::drain(&args, &client, global).await,
            Command::Node(command) => commands::node::run(&command, &client, global).await,
            Command::Rebalance(args) => commands::rebalance::run(&args, &client, global).await,
            Command::Explain(args) => commands::node::explain(&args, &client, global).await,
            Command::Dependencies(args) => {
                commands::dependencies::run(&args, &client, global).await
            }
            Command::Entrance(command) => commands::entrance::run(&command, &client, global).await,
            Command::Upgrade(args) => commands::upgrade::run(&args, &client, global).await,
            Command::Store(command) => commands::store::run(&command, &client, global).await,
            Command::Site(command) => commands::site::run(&command, &client, global).await,
            Command::Route(args) => commands::route::run(&args, &client, global).await,
            Command::Demo(args) => demo::run(args, global.admin).await,
            Command::DemoService(args) => demo::service_main(args).await,
            Command::Run(_) | Command::Check(_) | Command::Ca(_) | Command::Replay(_) => {
                Ok(ExitCode::from(2))
            }
        }
    })
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<std::io::Error>();
    cause.is_some_and(|it| it.kind() == std::io::ErrorKind::BrokenPipe)
}

/// `127.0.0.1:7070`, or `localhost:7070`.
fn admin_address(text: &str) -> Result<SocketAddr, String> {
    let numbers = text.replacen("localhost", "127.0.0.1", 1);
    numbers
        .parse()
        .map_err(|_| "write address and port, like 127.0.0.1:7070".to_owned())
}
