//! `minato update` and `rollback`: another version of a service, and the way back.

use super::change::{WaitArgs, change, who};
use crate::cli::Global;
use crate::client::Client;
use minato_control_server::api::{RollbackRequest, UpdateRequest};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit: 0 it runs on all instances (or did already: nothing to replace), 1 it failed and the old version is back, 3 it was refused before anything changed (no such image, a registry that does not answer)."
)]
pub(crate) struct UpdateArgs {
    /// The service.
    service: String,
    /// The image that shall run, like registry.example/library:3.2; its file's next change of `image` ends it.
    #[arg(
        long,
        value_name = "REF",
        required_unless_present_any = ["reset", "pull"],
        conflicts_with = "reset"
    )]
    image: Option<String>,
    /// Ask the registry what the image's name means now, whatever machines have of it, and replace what runs another one; without
    /// `--image`, of the image that runs. Asked for, too, where `--image` names what runs already.
    #[arg(long, conflicts_with = "reset")]
    pull: bool,
    /// What the file says counts again.
    #[arg(long)]
    reset: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    /// The service.
    service: String,
    /// What the file says counts again.
    #[arg(long)]
    reset: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) async fn update(
    args: &UpdateArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let request = UpdateRequest {
        image: args.image.clone(),
        pull: args.pull,
        who: who(),
    };
    change(
        client,
        global,
        &args.service,
        "update",
        &request,
        &args.wait,
    )
    .await
}

pub(crate) async fn rollback(
    args: &RollbackArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let request = RollbackRequest {
        reset: args.reset,
        who: who(),
    };
    change(
        client,
        global,
        &args.service,
        "rollback",
        &request,
        &args.wait,
    )
    .await
}
