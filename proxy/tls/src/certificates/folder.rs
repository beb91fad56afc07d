//! The folder of certificates: what stands in it now, against what was read before.
//!
//! A pair that is broken keeps its last good state. Not here: when to look (`follow`), who gets which (`index`).

use super::pair::{Fault, Pair, read};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pairs of one folder.
const MOST_PAIRS: usize = 10_000;
/// How long half of a change may wait for the other half before it is called a fault.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a file was when it was read: device, inode, length, and when it changed.
type Stamp = (u64, u64, u64, i64, i64);

/// What is known of one pair.
#[derive(Debug, Default)]
struct Known {
    stamps: [Option<Stamp>; 2],
    good: Option<Arc<Pair>>,
    fault: Option<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    fault: Fault,
    since: Instant,
    is_told: bool,
}

/// One thing that a look at the folder found.
#[derive(Debug)]
pub(crate) enum News {
    /// Served from now on.
    Loaded(Arc<Pair>),
    /// Not served, or not in its new form.
    Broken {
        name: String,
        fault: Fault,
        /// Whether an older one goes on.
        keeps_old: bool,
    },
    /// Both files are gone.
    Gone(String),
    /// The key's file can be read by others: who could.
    Exposed(PathBuf, u32),
    /// The folder itself; everything stays.
    Unreadable(String),
}

/// The folder as it was last read.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    known: BTreeMap<String, Known>,
    /// The folder's own trouble is told once.
    trouble: Option<String>,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            known: BTreeMap::new(),
            trouble: None,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All that can be served, by name.
    pub(crate) fn pairs(&self) -> BTreeMap<String, Arc<Pair>> {
        let good = self.known.iter();
        good.filter_map(|(name, it)| Some((name.clone(), it.good.clone()?)))
            .collect()
    }

    /// Reads what changed since the last look, and again what was broken.
    pub(crate) fn look(&mut self, now: Instant) -> Vec<News> {
        let names = match names(&self.path) {
            Ok(names) if names.is_empty() && self.pairs().is_empty() => {
                return self.trouble("it holds no NAME.crt and NAME.key".to_owned());
            }
            Ok(names) if names.is_empty() => {
                return self
                    .trouble("all its files are gone; the last certificates stay".to_owned());
            }
            Ok(names) => names,
            Err(error) => return self.trouble(error.to_string()),
        };
        self.trouble = None;
        let mut news = Vec::new();
        self.known.retain(|name, known| {
            let stays = names.contains(name);
            if !stays && known.good.is_some() {
                news.push(News::Gone(name.clone()));
            }
            stays
        });
        for name in names {
            let files = ["crt", "key"].map(|it| self.path.join(format!("{name}.{it}")));
            let known = self.known.entry(name.clone()).or_default();
            known.look(&name, &files, now, &mut news);
        }
        news
    }

    fn trouble(&mut self, text: String) -> Vec<News> {
        if self.trouble.as_ref() == Some(&text) {
            return Vec::new();
        }
        self.trouble = Some(text.clone());
        vec![News::Unreadable(text)]
    }
}

impl Known {
    fn look(&mut self, name: &str, files: &[PathBuf; 2], now: Instant, news: &mut Vec<News>) {
        // Stamps first: what changes after them is found by the next look.
        let stamps = [stamp(&files[0]), stamp(&files[1])];
        let is_new = self.stamps == [None, None];
        let is_changed = stamps != self.stamps;
        if !is_changed && self.fault.is_none() {
            return;
        }
        self.stamps = stamps;
        let missing = files.iter().zip(&stamps).find(|(_, it)| it.is_none());
        let found = match missing {
            Some((file, _)) => Err(Fault::Half {
                missing: file.clone(),
            }),
            None => read(name, &files[0], &files[1]),
        };
        match found {
            Ok(pair) => {
                self.fault = None;
                let same = |old: &Arc<Pair>| old.key.cert == pair.key.cert;
                if self.good.as_ref().is_some_and(same) && !is_changed {
                    return;
                }
                let pair = Arc::new(pair);
                self.good = Some(Arc::clone(&pair));
                news.push(News::Loaded(pair));
                news.extend(exposed(&files[1]));
            }
            Err(fault) => {
                let since = match &self.fault {
                    Some(old) if old.fault == fault && old.is_told => return,
                    Some(old) if old.fault == fault => old.since,
                    _ => now,
                };
                let waits = fault.may_pass() && !is_new && now.duration_since(since) < PATIENCE;
                if !waits {
                    news.push(News::Broken {
                        name: name.to_owned(),
                        fault: fault.clone(),
                        keeps_old: self.good.is_some(),
                    });
                }
                self.fault = Some(Trouble {
                    fault,
                    since,
                    is_told: !waits,
                });
            }
        }
    }
}

/// Names that have one of the two files.
fn names(folder: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let file = PathBuf::from(entry?.file_name());
        let ours = file
            .extension()
            .is_some_and(|it| it == "crt" || it == "key");
        let name = file.file_stem().and_then(|it| it.to_str());
        if let Some(name) = name.filter(|it| ours && !it.starts_with('.')) {
            names.insert(name.to_owned());
        }
        if names.len() > MOST_PAIRS {
            let message = format!("it holds more than {MOST_PAIRS} certificates");
            return Err(io::Error::other(message));
        }
    }
    Ok(names)
}

/// Through links, so that a renewal behind one shows.
fn stamp(file: &Path) -> Option<Stamp> {
    let it = fs::metadata(file).ok()?;
    Some((it.dev(), it.ino(), it.len(), it.mtime(), it.mtime_nsec()))
}

fn exposed(key: &Path) -> Option<News> {
    const OTHERS: u32 = 0o007;
    let mode = fs::metadata(key).ok()?.permissions().mode() & 0o777;
    (mode & OTHERS != 0).then(|| News::Exposed(key.to_owned(), mode))
}
