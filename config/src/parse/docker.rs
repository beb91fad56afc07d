//! `[agent.docker]` of `minato.toml`: the engine, and what containers of this machine may have.

use super::document::Report;
use super::field::{Field, Section};
use super::image::is_name;
use super::key::Keys;
use super::settings::path;
use crate::{DockerSettings, Reaping};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Of `[agent.docker]`.
pub(super) const KEYS: Keys = Keys::known(&[
    "socket",
    "logins",
    "secrets",
    "volumes",
    "networks",
    "free_space",
    "reap",
]);

/// Volumes, and networks.
const MOST_ITEMS: usize = 1_000;

/// `None` where it is no table; elsewhere defaults stand in for what is wrong. Relative paths are taken from `folder`.
pub(super) fn read(
    section: &Section<'_>,
    report: &mut Report<'_>,
    folder: &Path,
) -> Option<DockerSettings> {
    KEYS.check(section, report);
    let default = DockerSettings::default();
    let joined = |it: &Field<'_>, to: &mut Report<'_>| path(it, to).map(|it| folder.join(it));
    Some(DockerSettings {
        socket: section.read(report, "socket", socket).or(default.socket),
        logins: section.read(report, "logins", joined).right(),
        secrets: section.read(report, "secrets", joined).or(default.secrets),
        volumes: section.read(report, "volumes", volumes).or(default.volumes),
        networks: section
            .read(report, "networks", networks)
            .or(default.networks),
        free_bytes: section
            .read(report, "free_space", |it, to| it.size(to, 0..=1 << 50))
            .or(default.free_bytes),
        reap: section.read(report, "reap", reap).or(default.reap),
    })
}

fn socket(field: &Field<'_>, report: &mut Report<'_>) -> Option<PathBuf> {
    const FORM: &str = "the absolute path of the engine's socket, like \"/var/run/docker.sock\"";
    let text = field.text(report, FORM)?;
    let text = text.strip_prefix("unix://").unwrap_or(text);
    // What a socket's address holds.
    if !text.starts_with('/') || text.contains('\0') || text.len() > 107 {
        return field.wrong(report, FORM);
    }
    Some(PathBuf::from(text))
}

fn volumes(field: &Field<'_>, report: &mut Report<'_>) -> Option<BTreeMap<String, PathBuf>> {
    let wanted = "a table of names and folders, like { library-data = \"/srv/library\" }";
    field.table(report, wanted, MOST_ITEMS, volume)
}

fn volume(name: &str, value: &Field<'_>, report: &mut Report<'_>) -> Option<PathBuf> {
    const FORM: &str = "an absolute path of this machine, like \"/srv/library\"";
    if !is_name(name) {
        return value.problem(
            report,
            "a volume's name is letters, digits, `.`, `_` and `-`",
        );
    }
    let text = value.text(report, FORM)?;
    let way_up = Path::new(text)
        .components()
        .any(|it| it == std::path::Component::ParentDir);
    if !text.starts_with('/') || text.contains('\0') || text.len() > 4_096 || way_up {
        return value.wrong(report, FORM);
    }
    if text.trim_end_matches('/').is_empty() {
        return value.problem(
            report,
            "would give containers the whole machine; name a folder below /",
        );
    }
    Some(PathBuf::from(text))
}

fn networks(field: &Field<'_>, report: &mut Report<'_>) -> Option<BTreeSet<String>> {
    const FORM: &str = "a list of the engine's networks, like [\"bridge\"]";
    let items = field.items(report, FORM, 1..=MOST_ITEMS)?;
    let names = items.iter().map(|item| {
        let text = item.text(report, "the name of a network, like \"bridge\"")?;
        if is_name(text) {
            Some(text.to_owned())
        } else {
            item.wrong(report, "the name of a network, like \"bridge\"")
        }
    });
    let names: Vec<_> = names.collect();
    names.into_iter().collect()
}

fn reap(field: &Field<'_>, report: &mut Report<'_>) -> Option<Reaping> {
    const FORM: &str = "\"on\" or \"report\"";
    match field.text(report, FORM)? {
        "on" => Some(Reaping::On),
        "report" => Some(Reaping::Report),
        _ => field.wrong(report, FORM),
    }
}
