//! Access logs on disk, by service: `<folder>/<service>/<segment>.log`, and those that were fetched from other sites below
//! `<folder>/@<site>/<gateway>/<service>/<segment>.log`.
//!
//! A segment is written by one process, only ever grows by whole lines, and keeps its name: whoever copies it asks for what
//! follows the length of his copy, and so loses no line and gets none twice, whatever ends in between.
//! Not here: who writes (`kept`), who fetches from where.

use minato_config::{ServiceName, SiteId};
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes that are read from the end of one segment for its last lines.
const TAIL: u64 = 4 << 20;
/// Entries of one folder that are looked at.
pub(super) const MOST: usize = 10_000;

/// One folder of access logs.
#[derive(Debug, Clone)]
pub struct Archive {
    folder: PathBuf,
}

/// One file of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// `<milliseconds since the Unix epoch>-<process id>-<n>`: names sort by time.
    pub name: String,
    /// Bytes, all of whole lines.
    pub length: u64,
}

impl Archive {
    /// The one in this folder, which need not be there.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where lines of a service stand; of requests without one in `_`.
    pub(crate) fn of_service(&self, service: &str) -> PathBuf {
        let name = if service.is_empty() { "_" } else { service };
        self.folder.join(name)
    }

    /// Segments of a service that this gateway wrote, oldest first. Empty where there are none.
    pub fn segments(&self, service: &ServiceName) -> io::Result<Vec<Segment>> {
        segments(&self.of_service(service.as_str()))
    }

    /// At most `most` bytes of a segment of this gateway from `from` on; empty at its end.
    ///
    /// Errors: `NotFound` where it was removed for room, `InvalidInput` for what cannot be a segment's name.
    pub fn read(
        &self,
        service: &ServiceName,
        segment: &str,
        from: u64,
        most: usize,
    ) -> io::Result<Vec<u8>> {
        let path = path(&self.of_service(service.as_str()), segment)?;
        read(&path, from, most)
    }

    /// How much of a segment of another site's gateway is here.
    pub fn fetched(
        &self,
        from: &(SiteId, String),
        service: &ServiceName,
        segment: &str,
    ) -> io::Result<u64> {
        let path = path(&self.of_other(from, service)?, segment)?;
        match fs::metadata(path) {
            Ok(it) => Ok(it.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Adds what follows the first `length` bytes of a segment of another site's gateway; what was written past them by
    /// somebody who then ended is written over.
    pub fn fetch(
        &self,
        from: &(SiteId, String),
        service: &ServiceName,
        segment: &str,
        length: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        use std::io::Write as _;
        let folder = self.of_other(from, service)?;
        let path = path(&folder, segment)?;
        fs::create_dir_all(&folder)?;
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        file.seek(SeekFrom::Start(length))?;
        file.write_all(bytes)?;
        file.sync_data()
    }

    /// The last `lines` of a service, oldest first: of this gateway, or those fetched from `site`.
    pub fn last(
        &self,
        service: &ServiceName,
        site: Option<&SiteId>,
        lines: usize,
    ) -> io::Result<Vec<String>> {
        let mut folders = Vec::new();
        match site {
            None => folders.push(self.of_service(service.as_str())),
            Some(site) => {
                let of_site = self.folder.join(format!("@{site}"));
                for gateway in names(&of_site)? {
                    folders.push(of_site.join(gateway).join(service.as_str()));
                }
            }
        }
        let mut files = Vec::new();
        for folder in folders {
            let of_folder = segments(&folder)?.into_iter();
            files.extend(
                of_folder.map(|it| (it.name.clone(), folder.join(it.name + ".log"), it.length)),
            );
        }
        // Newest first: nothing is read that is not asked for.
        files.sort_by(|one, other| other.cmp(one));
        let mut found: Vec<String> = Vec::new();
        for (_, file, length) in files {
            if found.len() >= lines {
                break;
            }
            let from = length.saturating_sub(TAIL);
            let bytes = read(&file, from, usize::try_from(TAIL).unwrap_or(usize::MAX))?;
            let text = String::from_utf8_lossy(&bytes);
            let cut = usize::from(from > 0);
            found.extend(text.lines().skip(cut).map(ToOwned::to_owned));
        }
        // Each begins with its time.
        found.sort_by_key(|it| time(it));
        Ok(found.split_off(found.len().saturating_sub(lines)))
    }

    pub(super) fn of_other(
        &self,
        (site, gateway): &(SiteId, String),
        service: &ServiceName,
    ) -> io::Result<PathBuf> {
        if !is_name(gateway) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let of_site = self.folder.join(format!("@{site}"));
        Ok(of_site.join(gateway).join(service.as_str()))
    }

    /// Removes the oldest segments of this gateway until they have at most `most` bytes together; those in `open` stay.
    /// Returns the bytes that were removed.
    pub(crate) fn make_room(&self, most: u64, open: &dyn Fn(&Path) -> bool) -> io::Result<u64> {
        let mut all = Vec::new();
        for service in names(&self.folder)? {
            if service.starts_with('@') {
                continue;
            }
            let folder = self.folder.join(&service);
            for it in segments(&folder)? {
                all.push((it.name.clone(), folder.join(it.name + ".log"), it.length));
            }
        }
        all.sort_unstable();
        let mut left: u64 = all.iter().map(|it| it.2).sum();
        let mut removed = 0;
        for (_, file, length) in all {
            if left <= most {
                break;
            }
            if !open(&file) {
                fs::remove_file(&file)?;
                left -= length;
                removed += length;
            }
        }
        Ok(removed)
    }
}

fn time(line: &str) -> u64 {
    let first = line.split(' ').next().unwrap_or_default();
    first.parse().unwrap_or_default()
}

/// What can be part of a path, and nothing above it.
pub(super) fn is_name(text: &str) -> bool {
    let fits = |it: u8| it.is_ascii_alphanumeric() || it == b'-';
    (1..=80).contains(&text.len()) && text.bytes().all(fits)
}

fn path(folder: &Path, segment: &str) -> io::Result<PathBuf> {
    if !is_name(segment) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(folder.join(format!("{segment}.log")))
}

fn read(path: &Path, from: u64, most: usize) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let listing = match fs::read_dir(folder) {
        Ok(it) => it,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in listing.take(MOST) {
        if let Ok(name) = entry?.file_name().into_string() {
            found.push(name);
        }
    }
    found.sort_unstable();
    Ok(found)
}

pub(super) fn segments(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for file in names(folder)? {
        let Some(name) = file.strip_suffix(".log").filter(|it| is_name(it)) else {
            continue;
        };
        match fs::metadata(folder.join(&file)) {
            Ok(it) => found.push(Segment {
                name: name.to_owned(),
                length: it.len(),
            }),
            // Removed for room meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
