//! What is kept of other sites' logs, and what is still to be fetched: room, and the names of what was removed for it.
//!
//! Beside the segments of one gateway stands `removed`, with the names of those that were taken away again: they are not fetched a second
//! time. Names that the other gateway no longer has leave it, so it is as short as that gateway's list.
//! Not here: asking (`src/link`), the layout (`archive`).

use super::archive::{Archive, MOST, Segment, is_name, names, segments};
use minato_config::{ServiceName, SiteId};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

const REMOVED: &str = "removed";

/// A part of a segment that is to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which segment.
    pub name: String,
    /// Bytes that are here.
    pub from: u64,
    /// Bytes that are there.
    pub to: u64,
}

impl Archive {
    /// What of `listed` is not here yet, oldest first. What was removed here for room counts as here.
    pub fn missing(
        &self,
        from: &(SiteId, String),
        service: &ServiceName,
        listed: &[Segment],
    ) -> io::Result<Vec<Missing>> {
        let folder = self.of_other(from, service)?;
        let removed = removed(&folder)?;
        let mut missing = Vec::new();
        for it in listed.iter().filter(|it| !removed.contains(&it.name)) {
            let here = self.fetched(from, service, &it.name)?;
            if here < it.length {
                missing.push(Missing {
                    name: it.name.clone(),
                    from: here,
                    to: it.length,
                });
            }
        }
        missing.sort_by(|one, other| one.name.cmp(&other.name));
        // What the other gateway has no more needs no remembering.
        let there = |it: &String| listed.iter().any(|listed| listed.name == *it);
        let still: BTreeSet<String> = removed.iter().filter(|it| there(it)).cloned().collect();
        if still.len() < removed.len() {
            write_removed(&folder, &still)?;
        }
        Ok(missing)
    }

    /// Bytes that are here of a gateway of another site.
    pub fn fetched_bytes(&self, from: &(SiteId, String), service: &ServiceName) -> io::Result<u64> {
        let all = segments(&self.of_other(from, service)?)?;
        Ok(all.iter().map(|it| it.length).sum())
    }

    /// Removes the oldest segments of other sites until they have at most `most` bytes together. Each is noted before it goes, so that
    /// who ends in between leaves nothing that would be fetched again.
    pub fn make_room_of_others(&self, most: u64) -> io::Result<u64> {
        let mut all = Vec::new();
        for site in names(self.folder())?
            .iter()
            .filter(|it| it.starts_with('@'))
        {
            let of_site = self.folder().join(site);
            for gateway in names(&of_site)? {
                let of_gateway = of_site.join(gateway);
                for service in names(&of_gateway)? {
                    let folder = of_gateway.join(service);
                    for it in segments(&folder)? {
                        all.push((it.name, folder.clone(), it.length));
                    }
                }
            }
        }
        all.sort_unstable();
        let mut left: u64 = all.iter().map(|it| it.2).sum();
        let mut gone = 0;
        for (name, folder, length) in all {
            if left <= most {
                break;
            }
            let mut noted = removed(&folder)?;
            noted.insert(name.clone());
            write_removed(&folder, &noted)?;
            fs::remove_file(folder.join(format!("{name}.log")))?;
            left -= length;
            gone += length;
        }
        Ok(gone)
    }
}

fn removed(folder: &Path) -> io::Result<BTreeSet<String>> {
    match fs::read_to_string(folder.join(REMOVED)) {
        Ok(text) => Ok(text
            .lines()
            .filter(|it| is_name(it))
            .take(MOST)
            .map(ToOwned::to_owned)
            .collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// In one step: half a list would have segments fetched again.
fn write_removed(folder: &Path, names: &BTreeSet<String>) -> io::Result<()> {
    let new = folder.join(format!("{REMOVED}.new"));
    let mut file = fs::File::create(&new)?;
    for name in names {
        writeln!(file, "{name}")?;
    }
    file.sync_data()?;
    fs::rename(new, folder.join(REMOVED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(name: &str, length: u64) -> Segment {
        Segment {
            name: name.to_owned(),
            length,
        }
    }

    fn of_osaka() -> ((SiteId, String), ServiceName) {
        (
            (SiteId::parse("osaka").unwrap(), "gw".to_owned()),
            ServiceName::parse("library").unwrap(),
        )
    }

    #[track_caller]
    fn check(archive: &Archive, listed: &[Segment], expected: &[(&str, u64, u64)]) {
        let (from, service) = of_osaka();
        let missing = archive.missing(&from, &service, listed).unwrap();
        let found: Vec<_> = missing
            .iter()
            .map(|it| (it.name.as_str(), it.from, it.to))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn only_what_is_not_here_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::new(folder.path().to_owned());
        let (from, service) = of_osaka();
        let listed = [
            segment("2-1-1", 9),
            segment("1-1-1", 6),
            segment("3-1-1", 0),
        ];
        check(&archive, &listed, &[("1-1-1", 0, 6), ("2-1-1", 0, 9)]);
        archive
            .fetch(&from, &service, "1-1-1", 0, b"1 one\n")
            .unwrap();
        archive.fetch(&from, &service, "2-1-1", 0, b"2 t").unwrap();
        check(&archive, &listed, &[("2-1-1", 3, 9)]);
        assert_eq!(archive.fetched_bytes(&from, &service).unwrap(), 9);
    }

    #[test]
    fn what_was_removed_for_room_is_not_fetched_again_and_forgotten_with_its_source() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::new(folder.path().to_owned());
        let (from, service) = of_osaka();
        for name in ["1-1-1", "2-1-1", "3-1-1"] {
            archive.fetch(&from, &service, name, 0, b"1 one\n").unwrap();
        }
        assert_eq!(archive.make_room_of_others(18).unwrap(), 0);
        assert_eq!(archive.make_room_of_others(8).unwrap(), 12);
        let listed = [
            segment("1-1-1", 6),
            segment("2-1-1", 6),
            segment("3-1-1", 6),
            segment("4-1-1", 6),
        ];
        check(&archive, &listed, &[("4-1-1", 0, 6)]);
        check(&archive, &listed[2..], &[("4-1-1", 0, 6)]);
        let noted = folder.path().join("@osaka/gw/library/removed");
        assert_eq!(fs::read_to_string(noted).unwrap(), "");
        // This gateway's own logs have room of their own.
        fs::create_dir(folder.path().join("library")).unwrap();
        fs::write(folder.path().join("library/0-1-1.log"), "0 zero\n").unwrap();
        assert_eq!(archive.make_room_of_others(6).unwrap(), 0);
    }
}
