//! Writing what `minato ca` makes: the root's folder, and folders for sites.

use crate::authority::{Authority, Made};
use crate::fault::{Fault, MakeError};
use crate::issued::{Issued, parse};
use crate::material;
use crate::moment::Moment;
use minato_config::SiteId;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The root's certificate, in its own folder and in those of sites.
pub(crate) const ROOT: &str = "authority.crt";
/// The root's key, in its own folder only.
pub(crate) const ROOT_KEY: &str = "authority.key";
/// A site's intermediate.
pub(crate) const SITE: &str = "site.crt";
/// Its key.
pub(crate) const SITE_KEY: &str = "site.key";

/// Keys are their owner's alone.
const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// What was written where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The files, keys last.
    pub files: Vec<PathBuf>,
    /// The last moment of what was made.
    pub until: Moment,
}

/// Makes a root in `folder`, which is made where it is missing. Nothing is ever overwritten.
pub fn write_authority(folder: &Path, now: Moment) -> Result<Written, MakeError> {
    let (file, key) = (folder.join(ROOT), folder.join(ROOT_KEY));
    for it in [&file, &key] {
        // Also a link that leads nowhere.
        if it.symlink_metadata().is_ok() {
            return Err(MakeError::Exists { file: it.clone() });
        }
    }
    make_folder(folder)?;
    let made = Authority::create(now)?;
    // The key first: a certificate without one would stand in the way of the next attempt for nothing.
    create(&key, made.key.as_bytes(), PRIVATE)?;
    if let Err(error) = create(&file, made.certificate.as_bytes(), PUBLIC) {
        // The key was made here and signs nothing.
        let _ = std::fs::remove_file(&key);
        return Err(error);
    }
    Ok(Written {
        files: vec![file, key],
        until: made.until,
    })
}

/// Makes the intermediate of `site` in `folder`, signed by the root in `root`. One of the same site and root is replaced;
/// anything else that is there is left, and nothing is written.
pub fn write_site(
    root: &Path,
    site: &SiteId,
    folder: &Path,
    now: Moment,
) -> Result<Written, MakeError> {
    let authority = Authority::read(root, now).map_err(MakeError::Root)?;
    refuse_foreign(&authority, site, folder)?;
    let Made {
        certificate,
        key,
        until,
    } = authority.issue(site, now)?;
    make_folder(folder)?;
    let files = [ROOT, SITE, SITE_KEY].map(|it| folder.join(it));
    replace(&files[0], authority.certificate().as_bytes(), PUBLIC)?;
    replace(&files[2], key.as_bytes(), PRIVATE)?;
    replace(&files[1], certificate.as_bytes(), PUBLIC)?;
    Ok(Written {
        files: files.into(),
        until,
    })
}

/// A folder of another site or root may be in use; the root's own would be mixed up.
fn refuse_foreign(authority: &Authority, site: &SiteId, folder: &Path) -> Result<(), MakeError> {
    let foreign = |file: PathBuf, found: String| Err(MakeError::Foreign { file, found });
    let (old_root, old_site) = (folder.join(ROOT), folder.join(SITE));
    let own_key = folder.join(ROOT_KEY);
    if own_key.symlink_metadata().is_ok() {
        return foreign(
            own_key,
            "is the root's own key, which never leaves its folder".to_owned(),
        );
    }
    if old_root.symlink_metadata().is_ok() {
        let same = Issued::read(&old_root).and_then(|it| it.pem());
        if !matches!(same, Ok(text) if text == authority.certificate()) {
            return foreign(old_root, "is not of this root".to_owned());
        }
    }
    if old_site.symlink_metadata().is_ok() {
        let old = Issued::read(&old_site).map_err(MakeError::Root)?;
        let facts = old.chain().first().map(|it| parse(it));
        let names = match &facts {
            Some(Ok(it)) => material::permitted(it),
            _ => Vec::new(),
        };
        if names != [crate::site_name(site)] {
            let found = if names.is_empty() {
                "is not of a site".to_owned()
            } else {
                format!("is of another site ({})", names.join(", "))
            };
            return foreign(old_site, found);
        }
    }
    Ok(())
}

fn make_folder(folder: &Path) -> Result<(), MakeError> {
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .recursive(true)
        .create(folder)
        .map_err(|cause| MakeError::Write {
            file: folder.to_owned(),
            cause,
        })
}

/// Writes a file that is not there.
fn create(file: &Path, text: &[u8], mode: u32) -> Result<(), MakeError> {
    let write = || -> io::Result<()> {
        let mut open = OpenOptions::new();
        let mut opened = open.write(true).create_new(true).mode(mode).open(file)?;
        opened.write_all(text)?;
        opened.sync_all()
    };
    write().map_err(|cause| match cause.kind() {
        ErrorKind::AlreadyExists => MakeError::Exists {
            file: file.to_owned(),
        },
        _ => MakeError::Write {
            file: file.to_owned(),
            cause,
        },
    })
}

/// Writes a file whole, or leaves the old one.
fn replace(file: &Path, text: &[u8], mode: u32) -> Result<(), MakeError> {
    let write = || -> io::Result<()> {
        let mut new = tempfile::NamedTempFile::new_in(file.parent().unwrap_or(Path::new(".")))?;
        new.write_all(text)?;
        new.as_file()
            .set_permissions(std::fs::Permissions::from_mode(mode))?;
        new.as_file().sync_all()?;
        new.persist(file)?;
        Ok(())
    };
    write().map_err(|cause| MakeError::Write {
        file: file.to_owned(),
        cause,
    })
}

/// Whether somebody else can read the key in `file`, and by which mode.
pub(crate) fn exposed(file: &Path) -> Option<u32> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then_some(mode)
}

/// A missing root is told by how to make one.
pub(crate) fn is_missing(fault: &Fault) -> bool {
    matches!(fault, Fault::Unreadable { file, .. } if !file.exists())
}
