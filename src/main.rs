//! minato keeps web services alive: gateway, agent and control in one binary.
//!
//! What was typed ([`cli`]) becomes what is needed: `run` composes the crates into one process, the other commands
//! talk to it over the admin API. Nothing is decided here.

mod cli;
mod client;
mod clock;
mod commands;
mod demo;
mod gateway;
mod run;
mod view;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The keeper of an instance: no runtime, no argument parser, as little memory as possible.
    let mut arguments = std::env::args_os();
    if arguments.nth(1).is_some_and(|it| it == "shim") {
        return minato_control_agent::shim::run(arguments.collect());
    }
    let cli = cli::Cli::parse();
    cli::run(cli)
}
