//! `[hooks]` of `minato.toml`: what control may run on this machine.

use super::document::Report;
use super::field::{Field, Given, Section};
use super::key::Keys;
use crate::{HookCommand, HookName, HookSettings};
use std::collections::BTreeMap;
use std::time::Duration;

/// Of `[hooks]`.
pub(super) const KEYS: Keys = Keys {
    known: &["add_nodes", "timeout", "every", "run"],
    later: &[],
    below: &[("run.NAME", &RUN_KEYS)],
};

/// Of `[hooks.run.NAME]`.
pub(super) const RUN_KEYS: Keys = Keys::known(&["command", "timeout", "estimate"]);

/// Commands by name.
const MOST_COMMANDS: usize = 1_000;

/// Program and arguments.
const MOST_ITEMS: usize = 64;
const LONGEST_ITEM: usize = 4_096;
const TIMEOUT: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(3_600);
const EVERY: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(7 * 86_400);

/// What is wrong stays as it is by default; without a command that is right none is run.
pub(super) fn read(section: &Section<'_>, report: &mut Report<'_>, hooks: &mut HookSettings) {
    let add_nodes = section.read(report, "add_nodes", command);
    hooks.add_nodes = add_nodes.or(Vec::new());
    let timeout = section.read(report, "timeout", |it, to| it.duration(to, TIMEOUT));
    hooks.timeout = timeout.or(hooks.timeout);
    let every = section.read(report, "every", |it, to| it.duration(to, EVERY));
    hooks.every = every.or(hooks.every);
    let run = section.read(report, "run", commands);
    hooks.run = run.or(BTreeMap::new());
}

fn commands(field: &Field<'_>, report: &mut Report<'_>) -> Option<BTreeMap<HookName, HookCommand>> {
    const FORM: &str = "tables, one for each command, written [hooks.run.NAME]";
    let all = field.table(report, FORM, MOST_COMMANDS, |name, it, report| {
        let section = it.section(report, &format!("a table, written [hooks.run.{name}]"))?;
        RUN_KEYS.check(&section, report);
        let name = match HookName::parse(name) {
            Ok(name) => Some(name),
            Err(error) => it.problem(report, error.to_string()),
        };
        let given = section.read(report, "command", command);
        if given.is_absent() {
            it.problem::<()>(report, "needs `command`: what is to be run?");
        }
        let timeout = section.read(report, "timeout", |it, to| it.duration(to, TIMEOUT));
        let estimate = match section.read(report, "estimate", command) {
            Given::Wrong => return None,
            it => it.right(),
        };
        let command = HookCommand {
            command: given.right()?,
            timeout: timeout.in_force(HookCommand::TIMEOUT)?,
            estimate,
        };
        Some((name?, command))
    })?;
    Some(all.into_values().collect())
}

pub(super) fn command(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    const FORM: &str =
        "a list of strings, the program's absolute path first, like [\"/usr/local/bin/add-node\"]";
    let items = field.items(report, FORM, 1..=MOST_ITEMS)?;
    let mut all = Vec::new();
    for item in &items {
        let text = item.text(report, FORM)?;
        let right = text.len() <= LONGEST_ITEM && !text.contains('\0');
        if !right || (all.is_empty() && !text.starts_with('/')) {
            return item.wrong(report, FORM);
        }
        all.push(text.to_owned());
    }
    Some(all)
}
