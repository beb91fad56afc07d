//! From text to values, collecting every problem of every file in one run.
//!
//! All functions are total: any text gives a value or problems, whose lines lie within the text.
//! Not here: reading files (`config/files`).

mod address;
mod backend;
mod check;
mod control;
mod dependency;
mod docker;
mod document;
mod duration;
mod entrance;
mod field;
mod gateway;
mod health;
mod hooks;
mod image;
mod key;
mod label;
mod limit;
mod link;
mod mend;
mod pattern;
mod relay;
mod replicas;
mod route;
mod service;
mod settings;
mod sites;
mod size;
mod store;
#[cfg(test)]
mod tests;
mod update;
mod upstream;
mod written;

pub use check::{Conflict, find_conflicts};

use crate::{Problem, Salvaged, Service, ServiceName, Settings};
use std::path::Path;

/// Reads one `minato.toml`. Never stops at the first problem. Relative paths are taken from the folder of `file`.
pub fn parse_settings(file: &Path, text: &str) -> Result<Settings, Vec<Problem>> {
    match salvage_settings(file, text) {
        (settings, problems) if problems.is_empty() => Ok(settings),
        (_, problems) => Err(problems),
    }
}

/// As [`parse_settings`], with what could be read of the rest: good enough to look for further problems, never to run.
///
/// Where something is wrong stands what clashes with nothing: no listener, port 0, an empty range of ports, an empty path
/// of `services`; elsewhere the default.
pub fn salvage_settings(file: &Path, text: &str) -> (Settings, Vec<Problem>) {
    let (mut report, table) = document::open(file, text);
    let root = report.root("", &table);
    let settings = settings::read(file, &root, &mut report);
    (settings, report.finish())
}

/// Reads one service file; `name` comes from the file's name.
pub fn parse_service(file: &Path, name: &ServiceName, text: &str) -> Result<Service, Vec<Problem>> {
    salvage_service(file, name, text).map_err(|it| it.problems)
}

/// Whether a service that came from elsewhere is one that a service file can describe: within every limit, and nothing beside. The error
/// names the first thing that is not, as `minato check` would: `service.library.replicas: must be a whole number from 1 to 1000, ..`
pub fn check_service(service: &Service) -> Result<(), String> {
    let sites = service.sites.as_deref();
    let is_placed = sites.is_some_and(|it| it.base.is_some());
    let mut at = sites.into_iter().flat_map(|it| it.at.values());
    if is_placed && (service.scale.is_some() || !at.any(|it| it.replicas == Some(service.replicas)))
    {
        return Err(format!(
            "service.{}.replicas: {} is the number of no site of `at`",
            service.name, service.replicas
        ));
    }
    let service = service.clone().everywhere();
    let lines = written::lines(&service);
    let text: String = lines.iter().map(|(_, it)| format!("{it}\n")).collect();
    let read = parse_service(Path::new(""), &service.name, &text);
    let read = read.map_err(|problems| {
        let more = match problems.len() {
            0 | 1 => String::new(),
            it => format!("; and {} more", it - 1),
        };
        let first = problems.first();
        first.map_or_else(String::new, |it| {
            format!("{}: {}{more}", it.field, it.message)
        })
    })?;
    if read == service {
        return Ok(());
    }
    let read = written::lines(&read);
    let other = lines.iter().find(|it| !read.contains(it));
    Err(format!(
        "service.{}{}: it says what no service file can",
        service.name,
        other.map_or_else(String::new, |it| format!(".{}", it.0))
    ))
}

/// As [`parse_service`], with what could be read of a file that has problems.
pub fn salvage_service(file: &Path, name: &ServiceName, text: &str) -> Result<Service, Salvaged> {
    let (mut report, table) = document::open(file, text);
    let root = report.root(&format!("service.{name}"), &table);
    let (service, salvaged) = service::read(name, &root, &mut report);
    let problems = report.finish();
    match service {
        Some(service) if problems.is_empty() => Ok(service),
        _ => Err(Salvaged {
            problems,
            ..salvaged
        }),
    }
}

/// What the sites of a service say against this process's settings: its own site is among them, and the others are known.
pub fn check_sites(
    file: &Path,
    text: &str,
    service: &Service,
    settings: &Settings,
) -> Vec<Problem> {
    let (mut report, table) = document::open(file, text);
    let root = report.root(&format!("service.{}", service.name), &table);
    sites::check(service, settings, &root, &mut report);
    report.finish()
}

/// Operators' text for a message: one line, no control characters, at most 80 characters.
fn show_text(text: &str) -> String {
    let mut shown: String = text.chars().take(80).flat_map(escape).collect();
    if text.chars().nth(80).is_some() {
        shown.push_str("...");
    }
    shown
}

fn escape(character: char) -> impl Iterator<Item = char> {
    let plain = character == '\'' || character == '"' || character == '\\';
    let escaped = (!plain).then(|| character.escape_debug());
    let kept = plain.then_some(character);
    escaped.into_iter().flatten().chain(kept)
}
