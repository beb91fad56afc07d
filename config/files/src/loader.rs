//! Reads the whole folder again and again, and decides what of it applies.

use crate::listing::Listing;
use crate::{Folder, Listed, LoadedService, text};
use minato_config::{
    Conflict, Problem, Salvaged, Service, ServiceName, Settings, Timestamp, Wants, check_sites,
    find_conflicts, salvage_service,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Bytes of one service file.
const MOST_BYTES: u64 = 1 << 20;

/// Problems of all files together, past which each file keeps only its first.
const MOST_PROBLEMS: usize = 2_000;

/// Remembers the last good version of each service.
#[derive(Debug)]
pub struct Loader {
    settings: Settings,
    good: BTreeMap<ServiceName, Version>,
}

/// One version of one service.
#[derive(Debug, Clone)]
struct Version {
    file: PathBuf,
    text: String,
    service: Service,
}

/// What one run over the folder found.
struct Candidates {
    /// What would apply.
    versions: BTreeMap<ServiceName, Version>,
    /// Those that differ from the last good version.
    changed: BTreeSet<ServiceName>,
    /// Files with problems: compared with the others, never applied.
    broken: BTreeMap<ServiceName, Broken>,
    problems: BTreeSet<Problem>,
}

/// What could be read of a file that has problems.
struct Broken {
    file: PathBuf,
    text: String,
    salvaged: Salvaged,
}

impl Version {
    fn wants(&self) -> Wants<'_> {
        Wants::of(&self.file, &self.text, &self.service)
    }
}

impl Loader {
    /// Nothing read yet. `settings` names the folder, and the ports that services may not take.
    pub fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            good: BTreeMap::new(),
        }
    }

    /// The folder that is read.
    pub fn folder(&self) -> &Path {
        &self.settings.services
    }

    /// Reads every file. Blocks on the disk; never fails: what is wrong is in [`Folder::problems`].
    ///
    /// A broken file keeps the last good version of its service. So do the changed ones among files that want the same
    /// route or port; one that did not change keeps what it has.
    pub fn load(&mut self, now: Timestamp) -> Folder {
        let listing = match Listing::of(&self.settings.services) {
            Ok(listing) => listing,
            Err(problem) => {
                return Folder {
                    services: loaded(&self.good),
                    problems: vec![problem],
                    files: 0,
                    loaded_at: now,
                    listed: Listed::Unknown,
                };
            }
        };
        let mut found = Candidates {
            versions: BTreeMap::new(),
            changed: BTreeSet::new(),
            broken: BTreeMap::new(),
            problems: listing.problems.iter().cloned().collect(),
        };
        let mut names = BTreeSet::new();
        for (name, file) in &listing.files {
            if self.read(name, file, &mut found) {
                names.insert(name.clone());
            }
        }
        found.tell_of_broken(&self.settings);
        self.settle(&mut found);
        self.good = found.versions;
        Folder {
            services: loaded(&self.good),
            problems: bounded(found.problems),
            files: names.len() + listing.problems.len(),
            loaded_at: now,
            listed: Listed::Names(names),
        }
    }

    /// Reads one file; false where it vanished meanwhile.
    fn read(&self, name: &ServiceName, file: &Path, found: &mut Candidates) -> bool {
        let good = self.good.get(name);
        let text = match text::read(file, MOST_BYTES) {
            Ok(text) => text,
            Err(_) if file.symlink_metadata().is_err() => return false,
            Err(problem) => {
                found.problems.insert(problem);
                found.keep(name, good);
                return true;
            }
        };
        if let Some(good) = good.filter(|it| it.text == text) {
            found.keep(name, Some(good));
            return true;
        }
        let file = file.to_owned();
        match salvage_service(&file, name, &text) {
            Ok(service) => {
                let problems = check_sites(&file, &text, &service, &self.settings);
                if !problems.is_empty() {
                    found.problems.extend(problems);
                    found.keep(name, good);
                    return true;
                }
                let service = service.at(&self.settings.site);
                let version = Version {
                    file,
                    text,
                    service,
                };
                found.versions.insert(name.clone(), version);
                found.changed.insert(name.clone());
            }
            Err(salvaged) => {
                found.problems.extend(salvaged.problems.iter().cloned());
                found.keep(name, good);
                let broken = Broken {
                    file,
                    text,
                    salvaged,
                };
                found.broken.insert(name.clone(), broken);
            }
        }
        true
    }

    /// Takes back changes until no two services want the same.
    fn settle(&self, found: &mut Candidates) {
        loop {
            let mut withdrawn = BTreeSet::new();
            for conflict in found.conflicts(&self.settings) {
                let involved = conflict
                    .services
                    .iter()
                    .filter(|it| found.changed.contains(it));
                let involved: Vec<_> = involved.cloned().collect();
                for name in &involved {
                    if let (true, Some(version)) =
                        (*name != conflict.services[0], found.versions.get(name))
                    {
                        found
                            .problems
                            .insert(mirrored(name, &version.file, &conflict.problem));
                    }
                }
                found.problems.insert(conflict.problem);
                withdrawn.extend(involved);
            }
            if withdrawn.is_empty() {
                return;
            }
            for name in withdrawn {
                found.changed.remove(&name);
                found.versions.remove(&name);
                found
                    .versions
                    .extend(self.good.get(&name).map(|it| (name, it.clone())));
            }
        }
    }
}

impl Candidates {
    /// The last good version stays, if there is one.
    fn keep(&mut self, name: &ServiceName, good: Option<&Version>) {
        let good = good.map(|it| (name.clone(), it.clone()));
        self.versions.extend(good);
    }

    /// Unchanged services come first, so that a change is what gets the blame.
    fn ordered(&self) -> impl Iterator<Item = (&ServiceName, &Version)> {
        let kept = |name: &ServiceName| !self.changed.contains(name);
        let first = self.versions.iter().filter(move |(name, _)| kept(name));
        let then = self.versions.iter().filter(move |(name, _)| !kept(name));
        first.chain(then)
    }

    /// Between services that would apply.
    fn conflicts(&self, settings: &Settings) -> Vec<Conflict> {
        let wants: Vec<_> = self.ordered().map(|(_, it)| it.wants()).collect();
        find_conflicts(&wants, Some(settings))
    }

    /// Reports what broken files have against each other and against the rest as it is written, and changes nothing else.
    fn tell_of_broken(&mut self, settings: &Settings) {
        if self.broken.is_empty() {
            return;
        }
        let written = self.ordered();
        let written = written.filter(|(name, _)| !self.broken.contains_key(*name));
        let broken = self.broken.values();
        let broken = broken.map(|it| it.salvaged.wants(&it.file, &it.text));
        let wants = written.map(|(_, it)| it.wants()).chain(broken);
        let wants: Vec<_> = wants.collect();
        let conflicts = find_conflicts(&wants, Some(settings)).into_iter();
        let of_broken = |it: &Conflict| it.services.iter().any(|it| self.broken.contains_key(it));
        let told: Vec<_> = conflicts.filter(of_broken).map(|it| it.problem).collect();
        self.problems.extend(told);
    }
}

/// The other side of a conflict: its file does not apply either.
fn mirrored(name: &ServiceName, file: &Path, problem: &Problem) -> Problem {
    Problem {
        field: format!("service.{name}"),
        ..text::problem(
            file,
            format!(
                "does not apply as it stands, because of {}:{}",
                problem.file.display(),
                problem.line
            ),
        )
    }
}

fn loaded(versions: &BTreeMap<ServiceName, Version>) -> BTreeMap<ServiceName, LoadedService> {
    let loaded = |it: &Version| LoadedService {
        service: it.service.clone(),
        file: it.file.clone(),
    };
    versions
        .iter()
        .map(|(name, it)| (name.clone(), loaded(it)))
        .collect()
}

fn bounded(problems: BTreeSet<Problem>) -> Vec<Problem> {
    let mut problems: Vec<_> = problems.into_iter().collect();
    if problems.len() > MOST_PROBLEMS {
        problems.dedup_by(|later, first| later.file == first.file);
    }
    problems
}

#[cfg(test)]
mod tests;
