//! `[entrance.hook.NAME]`.

use super::addresses;
use crate::parse::document::Report;
use crate::parse::field::{Field, Given, Section};
use crate::parse::hooks;
use crate::parse::key::{Keys, nearest};
use crate::parse::settings::path;
use crate::{EntranceHook, Follow, HookTarget};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Of `[entrance.hook.NAME]`.
pub(in crate::parse) const HOOK_KEYS: Keys = Keys::known(&[
    "command",
    "webhook",
    "token_file",
    "ca",
    "timeout",
    "addresses",
    "follow",
]);

const MOST_URL: usize = 2_048;
const TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

pub(super) fn hook(
    section: &Section<'_>,
    report: &mut Report<'_>,
    folder: &Path,
) -> Option<EntranceHook> {
    HOOK_KEYS.check(section, report);
    let file = |it: &Field<'_>, to: &mut Report<'_>| path(it, to).map(|it| folder.join(it));
    let command = section.read(report, "command", hooks::command);
    let webhook = section.read(report, "webhook", url);
    let token_file: Given<PathBuf> = section.read(report, "token_file", file);
    let ca: Given<PathBuf> = section.read(report, "ca", file);
    let timeout = section.read(report, "timeout", |it, to| it.duration(to, TIMEOUT));
    let addresses = section.read(report, "addresses", |it, to| addresses(it, to, 0));
    let follow = section.read(report, "follow", follow_of_hook);
    let follow = follow.or(Follow::Nobody);
    for (key, given) in [("token_file", &token_file), ("ca", &ca)] {
        if webhook.is_absent()
            && !given.is_absent()
            && let Some(field) = section.get(report, key)
        {
            field.problem::<()>(report, "does nothing without `webhook`");
        }
    }
    let to = match (command, webhook) {
        (Given::Absent, Given::Absent) => {
            let message = "needs `command` or `webhook`: who is told?";
            report.problem(section.line, &section.path, message);
            return None;
        }
        (Given::Absent, webhook) => HookTarget::Webhook {
            url: webhook.right()?,
            token_file: token_file.right(),
            ca: ca.right(),
        },
        (command, Given::Absent) => HookTarget::Command(command.right()?),
        (_, _) => {
            let message =
                "has both `command` and `webhook`; write one [entrance.hook.NAME] for each";
            report.problem(section.line, &section.path, message);
            return None;
        }
    };
    Some(EntranceHook {
        to,
        timeout: timeout.or(Duration::from_secs(10)),
        addresses: addresses.or(BTreeSet::new()),
        follow,
    })
}

fn follow_of_hook(field: &Field<'_>, report: &mut Report<'_>) -> Option<Follow> {
    const FORM: &str = "\"gateway\" or \"none\"";
    match field.text(report, FORM)? {
        "gateway" => Some(Follow::Gateway),
        "none" => Some(Follow::Nobody),
        "site" => {
            let message = format!(
                "must be {FORM}, got \"site\": two sites that do not hear each other are kept apart by a claim, which only a name of [entrance.dns] has"
            );
            field.problem(report, message)
        }
        other => match nearest(other, &["gateway", "none"]) {
            Some(near) => field.wrong(report, &format!("{FORM} (did you mean \"{near}\"?)")),
            None => field.wrong(report, FORM),
        },
    }
}

/// Plain HTTP stays on this machine: a token goes with it.
fn url(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str =
        "a URL, like \"https://hooks.example.org/minato\"; plain http only to a loopback address";
    let text = field.text(report, FORM)?;
    // Not shown: a password may stand in it.
    if text.contains('@') {
        return field.problem(
            report,
            format!(
                "must be {FORM}, without a user; a token goes into the file that `token_file` names"
            ),
        );
    }
    let right =
        text.len() <= MOST_URL && text.bytes().all(|it| it.is_ascii_graphic() && it != b'#');
    let authority = |rest: &str| rest.split(['/', '?']).next().unwrap_or_default().to_owned();
    let fine = if let Some(rest) = text.strip_prefix("https://") {
        is_authority(&authority(rest))
    } else if let Some(rest) = text.strip_prefix("http://") {
        let authority = authority(rest);
        let address = authority.parse::<SocketAddr>().map(|it| it.ip());
        let ip = address.or_else(|_| authority.parse::<IpAddr>());
        ip.is_ok_and(|it| it.is_loopback())
    } else {
        false
    };
    if right && fine {
        return Some(text.to_owned());
    }
    field.wrong(report, FORM)
}

/// `hooks.example.org`, `192.0.2.7:8443`, `[2001:db8::1]:8443`
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port = port.is_none_or(|it| it.parse::<u16>().is_ok_and(|it| it > 0));
    let bracketed = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_host = match bracketed {
        Some(it) => it.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let letter = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '.';
            (1..=253).contains(&host.len()) && host.chars().all(letter)
        }
    };
    is_port && is_host
}
