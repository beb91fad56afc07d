//! minato keeps web services alive: gateway, agent and control in one binary.
//!
//! What was typed ([`cli`]) becomes what is needed: `run` composes the crates into one process, the other commands
//! talk to it over the admin API. Nothing is decided here.

mod asked;
mod certificates;
mod cli;
mod client;
mod clock;
mod commands;
mod compose;
mod copying;
mod demo;
mod duties;
mod entrance;
mod gateway;
mod link;
mod listeners;
mod process;
mod run;
mod secure;
mod serving;
mod site_store;
mod supervisor;
mod upgrade;
mod view;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The keeper of an instance: no runtime, no argument parser, as little memory as possible.
    let mut arguments = std::env::args_os();
    match arguments.nth(1) {
        Some(it) if it == "shim" => {
            return minato_control_agent::shim::run(arguments.collect());
        }
        // The keeper of a command that must outlive whoever leads.
        Some(it) if it == "hook" => {
            let folder = arguments.next().unwrap_or_default();
            return minato_control_hook::keep(folder.as_ref());
        }
        Some(it) if it == upgrade::launch::COMMAND => return upgrade::launch::run(arguments),
        _ => {}
    }
    let cli = cli::Cli::parse();
    cli::run(cli)
}
