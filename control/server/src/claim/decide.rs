//! What a reading of the folder means for the records in the store. Pure, but for its memory of what it said and of
//! which files are gone since when.

use super::gone::Gone;
use super::summary;
use minato_config::{Problem, ServiceName, ServiceRecord, Source, Timestamp};
use minato_config_files::Folder;
use minato_control::{Event, EventKind, Stored};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Problems of one file that one event names.
const PROBLEMS: usize = 20;

/// What a decision is made from.
pub(super) struct Seen<'a> {
    pub(super) folder: &'a Folder,
    pub(super) records: &'a BTreeMap<ServiceName, Stored<ServiceRecord>>,
    /// False for a record that this version does not understand: it is left alone.
    pub(super) is_readable: &'a dyn Fn(&ServiceName) -> bool,
    pub(super) now: Instant,
    pub(super) wall: Timestamp,
}

/// What to write and to tell.
#[derive(Debug, Default)]
pub(super) struct Decision {
    /// One commit each.
    pub(super) writes: Vec<ClaimWrite>,
    /// To tell in any case.
    pub(super) events: Vec<Event>,
    /// When to decide again although nothing changes.
    pub(super) wake: Option<Instant>,
}

/// One record to write.
#[derive(Debug)]
pub(super) struct ClaimWrite {
    pub(super) record: ServiceRecord,
    /// The commit that wrote what this replaces; `None`: nothing may be there.
    pub(super) expected: Option<u64>,
    /// To tell once it is written.
    pub(super) event: Event,
}

/// Remembers between decisions.
#[derive(Debug)]
pub(super) struct Claim {
    grace: Duration,
    gone: BTreeMap<ServiceName, Instant>,
    /// Which services were refused to end together, as last told.
    refused: BTreeSet<ServiceName>,
    /// Problems as last told.
    rejected: BTreeMap<PathBuf, Vec<Problem>>,
    /// Services of the folder whose record was there. One that is not there any more was deleted by accident.
    held: BTreeSet<ServiceName>,
}

impl Claim {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            grace,
            gone: BTreeMap::new(),
            refused: BTreeSet::new(),
            rejected: BTreeMap::new(),
            held: BTreeSet::new(),
        }
    }

    pub(super) fn decide(&mut self, seen: &Seen<'_>) -> Decision {
        let mut decision = Decision::default();
        self.reject(seen, &mut decision);
        self.apply(seen, &mut decision);
        self.end(seen, &mut decision);
        decision
    }

    /// Tells the problems of each file once, and again when they are others.
    fn reject(&mut self, seen: &Seen<'_>, decision: &mut Decision) {
        let mut files: BTreeMap<PathBuf, Vec<Problem>> = BTreeMap::new();
        for problem in &seen.folder.problems {
            let of_file = files.entry(problem.file.clone()).or_default();
            of_file.push(problem.clone());
        }
        for (file, problems) in &files {
            if self.rejected.get(file) != Some(problems) {
                decision.events.push(rejection(seen, file, problems));
            }
        }
        self.rejected = files;
    }

    /// Ends services whose files are gone for long enough.
    fn end(&mut self, seen: &Seen<'_>, decision: &mut Decision) {
        let gone = Gone::of(seen.folder, seen.records);
        if gone.are_too_many() {
            let names: BTreeSet<ServiceName> = gone.files.keys().cloned().collect();
            if self.refused != names {
                decision.events.push(refusal(seen, &gone));
                self.refused = names;
            }
            return;
        }
        if !self.refused.is_empty() {
            // Someone puts files back, one after the other: the rest gets its whole time.
            self.refused.clear();
            self.gone.clear();
        }
        self.gone
            .retain(|service, _| gone.files.contains_key(service));
        for (service, path) in gone.files {
            let since = *self.gone.entry(service.clone()).or_insert_with(|| {
                let event = notice(seen, &service, &path, self.grace);
                decision.events.push(event);
                seen.now
            });
            let due = since + self.grace;
            if due > seen.now {
                decision.wake = Some(decision.wake.map_or(due, |it| it.min(due)));
            } else if let Some(stored) = seen.records.get(&service) {
                let text = format!("{service} ends: {path} is gone for {:?}", self.grace);
                decision.writes.push(ClaimWrite {
                    record: ServiceRecord {
                        removed: true,
                        ..stored.value.clone()
                    },
                    expected: Some(stored.modified),
                    event: Event::info(seen.wall, EventKind::Removed, text)
                        .of(&service)
                        .hint(format!("put {path} back to have it again")),
                });
            }
        }
    }

    /// Records that differ from their files.
    fn apply(&mut self, seen: &Seen<'_>, decision: &mut Decision) {
        self.held.retain(|it| seen.folder.services.contains_key(it));
        for (name, loaded) in &seen.folder.services {
            if !(seen.is_readable)(name) {
                continue;
            }
            let path = loaded.file.display().to_string();
            let record = ServiceRecord {
                v: 1,
                source: Source::File { path: path.clone() },
                service: loaded.service.clone(),
                removed: false,
            };
            let stored = seen.records.get(name);
            if stored.is_some() {
                self.held.insert(name.clone());
            }
            let applied = |what| Event::info(seen.wall, EventKind::ConfigApplied, what);
            let event = match stored.map(|it| &it.value) {
                Some(old) if *old == record => continue,
                Some(old) if old.removed => applied(format!("{path} is back: {name} goes on")),
                Some(old) => applied(format!("{path}: {}", summary::changes(old, &record))),
                None if self.held.contains(name) => vanished(seen, name, &path),
                None => applied(format!("{path}: {name} is new")),
            };
            decision.writes.push(ClaimWrite {
                record,
                expected: stored.map(|it| it.modified),
                event: event.of(name),
            });
        }
    }
}

fn service_of(file: &Path) -> Option<ServiceName> {
    let is_service = file.extension().is_some_and(|it| it == "toml");
    let stem = file.file_stem().filter(|_| is_service)?;
    ServiceName::parse(stem.to_str()?).ok()
}

fn rejection(seen: &Seen<'_>, file: &Path, problems: &[Problem]) -> Event {
    let mut text: Vec<String> = problems
        .iter()
        .take(PROBLEMS)
        .map(ToString::to_string)
        .collect();
    if problems.len() > PROBLEMS {
        text.push(format!("and {} more", problems.len() - PROBLEMS));
    }
    let service = service_of(file);
    let serves = match service.as_ref().and_then(|it| seen.records.get(it)) {
        Some(_) => "; the last good version serves on",
        None => "",
    };
    let event = Event::warn(
        seen.wall,
        EventKind::ConfigRejected,
        format!("{}{serves}", text.join("; ")),
    )
    .hint("correct the file; `minato check` reads it without applying it");
    match service {
        Some(service) => event.of(&service),
        None => event,
    }
}

fn vanished(seen: &Seen<'_>, service: &ServiceName, path: &str) -> Event {
    let message = format!(
        "the record of {service} had vanished from the store and was written again from {path}; nothing was stopped"
    );
    Event::error(seen.wall, EventKind::Alarm, message)
        .hint("find out who deletes keys of the store; minato itself never deletes a record in use")
}

fn notice(seen: &Seen<'_>, service: &ServiceName, path: &str, grace: Duration) -> Event {
    Event::warn(
        seen.wall,
        EventKind::Removed,
        format!("{path} is gone: {service} ends in {grace:?}"),
    )
    .of(service)
    .hint("put the file back before that and nothing happens")
}

fn refusal(seen: &Seen<'_>, gone: &Gone) -> Event {
    Event::error(seen.wall, EventKind::Alarm, gone.refusal()).hint(
        "put the files back; if these services shall end, delete at most half of the files at a time and wait \
         until each step took effect",
    )
}

#[cfg(test)]
mod tests;
