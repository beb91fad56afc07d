//! Tells a command or a webhook that something should lead here, or no longer.
//!
//! What is said is one JSON document, the same for both; docs/entrance.md describes it. It may be said more than once: the
//! `id` is the same then.

mod webhook;

use minato_config::{EntranceHook, HookTarget, Timestamp};
use minato_control::entrance::Wish;
use minato_control_hook::{Call, run};
use serde::Serialize;
use std::net::IpAddr;

/// What is said.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Word<'a> {
    /// Of this document.
    pub(crate) v: u32,
    /// The same each time that the same thing is said.
    pub(crate) id: String,
    pub(crate) site: &'a str,
    pub(crate) node: &'a str,
    /// NAME of `[entrance.hook.NAME]`.
    pub(crate) name: &'a str,
    /// `publish` or `withdraw`.
    pub(crate) action: &'a str,
    /// `site`: somebody decided for the site. `gateway`: this gateway alone.
    pub(crate) scope: &'a str,
    /// Of the decision; a receiver refuses what is older than what it knows.
    pub(crate) epoch: Option<u64>,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) who: &'a str,
    pub(crate) asked_at_ms: u64,
}

impl<'a> Word<'a> {
    pub(crate) fn new(
        (site, node, name): (&'a str, &'a str, &'a str),
        wish: Wish,
        (who, asked_at): (&'a str, Timestamp),
        hook: &EntranceHook,
    ) -> Self {
        let (scope, epoch) = match wish {
            Wish::Take { epoch } | Wish::Leave { epoch } => ("site", epoch),
            Wish::Join | Wish::Part => ("gateway", None),
        };
        let action = wish.verb();
        Self {
            v: 1,
            id: format!("{site}/{node}/{name}/{action}/{}", asked_at.0),
            site,
            node,
            name,
            action,
            scope,
            epoch,
            addresses: hook.addresses.iter().copied().collect(),
            who,
            asked_at_ms: asked_at.0,
        }
    }
}

/// Says it once; the error is a sentence.
pub(crate) async fn tell(hook: &EntranceHook, word: &Word<'_>) -> Result<(), String> {
    let text = serde_json::to_vec(word).map_err(|it| it.to_string())?;
    match &hook.to {
        HookTarget::Command(command) => {
            let epoch = word.epoch.map(|it| it.to_string()).unwrap_or_default();
            let addresses: Vec<String> = word.addresses.iter().map(ToString::to_string).collect();
            let variables = [
                ("MINATO_ID", word.id.clone()),
                ("MINATO_SITE", word.site.to_owned()),
                ("MINATO_NODE", word.node.to_owned()),
                ("MINATO_NAME", word.name.to_owned()),
                ("MINATO_ACTION", word.action.to_owned()),
                ("MINATO_SCOPE", word.scope.to_owned()),
                ("MINATO_EPOCH", epoch),
                ("MINATO_ADDRESSES", addresses.join(" ")),
            ];
            let call = Call {
                command,
                variables: &variables,
                input: &text,
                timeout: hook.timeout,
            };
            let ended = run(&call).await;
            if ended.is_well() {
                return Ok(());
            }
            let program = command.first().map_or("", String::as_str);
            Err(format!("{program} {ended}"))
        }
        HookTarget::Webhook {
            url,
            token_file,
            ca,
        } => {
            let post = webhook::Post {
                url,
                token_file: token_file.as_deref(),
                ca: ca.as_deref(),
                id: &word.id,
                body: text,
            };
            match tokio::time::timeout(hook.timeout, post.send()).await {
                Ok(sent) => sent,
                Err(_) => Err(format!("no answer within {:?}", hook.timeout)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
