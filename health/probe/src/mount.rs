//! Whether a folder is a mount point that answers in time.
//!
//! What is mounted over a network can hang for ever, and whoever looks at it hangs with it: a thread of its own looks,
//! one for each mount, and nobody waits for it.

use minato_health::{Failure, Layer, Outcome};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A mounted folder, with the thread that may still hang in it.
#[derive(Debug, Clone)]
pub struct Mount {
    path: PathBuf,
    hangs: Arc<AtomicBool>,
}

impl Mount {
    /// A folder that should be a mount point; an absolute path.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            hangs: Arc::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks, for `limit` at most.
    pub(crate) async fn look(&self, limit: Duration) -> Outcome {
        let failed = |detail: String| Err(Failure::new(Layer::Mount, detail));
        let shown = self.path.display();
        // The kernel's list says what is mounted without touching it.
        match fs::read("/proc/self/mountinfo") {
            Ok(list) if !is_mounted(&list, &self.path) => {
                return failed(format!("nothing is mounted at {shown}"));
            }
            Ok(_) => {}
            Err(error) => {
                return failed(format!("/proc/self/mountinfo cannot be read: {error}"));
            }
        }
        if self.hangs.swap(true, Ordering::AcqRel) {
            return failed(format!("{shown} hangs: an earlier look has not come back"));
        }
        let (told, tells) = oneshot::channel();
        let (path, hangs) = (self.path.clone(), Arc::clone(&self.hangs));
        let look = move || {
            let seen = touch(&path);
            hangs.store(false, Ordering::Release);
            let _ = told.send(seen);
        };
        if let Err(error) = std::thread::Builder::new()
            .name("mount".to_owned())
            .spawn(look)
        {
            self.hangs.store(false, Ordering::Release);
            return failed(format!("no thread to look at {shown} with: {error}"));
        }
        match timeout(limit, tells).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => failed(format!("{shown} fails: {error}")),
            Ok(Err(_)) => failed(format!("{shown}: the look at it was cut off")),
            Err(_) => failed(format!("{shown} hangs: no answer in {limit:?}")),
        }
    }
}

/// Asks the file system itself, and for one entry: a stale handle shows in one, a dead server in the other.
fn touch(path: &Path) -> std::io::Result<()> {
    rustix::fs::statvfs(path)?;
    fs::read_dir(path)?.next().transpose().map(drop)
}

/// Of `/proc/self/mountinfo`: the fifth word of each line is the mount point, with blanks and backslashes in octal.
fn is_mounted(list: &[u8], path: &Path) -> bool {
    let mut wanted = path.as_os_str().as_bytes();
    while let [rest @ .., b'/'] = wanted
        && !rest.is_empty()
    {
        wanted = rest;
    }
    let mut lines = list.split(|it| *it == b'\n');
    lines.any(|line| {
        let point = line.split(|it| *it == b' ').nth(4);
        point.is_some_and(|it| unescaped(it) == wanted)
    })
}

fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..3).filter(|_| *first == b'\\');
        let digits = digits.and_then(|it| std::str::from_utf8(it).ok());
        match digits.and_then(|it| u8::from_str_radix(it, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_found_by_their_whole_name() {
        let list = b"36 35 98:0 / /mnt/library rw,noatime master:1 - ext3 /dev/root rw\n\
                     37 35 0:45 / /mnt/two\\040words rw - nfs4 10.0.0.1:/export rw\n";
        for (path, expected) in [
            ("/mnt/library", true),
            ("/mnt/library/", true),
            ("/mnt", false),
            ("/mnt/library/books", false),
            ("/mnt/two words", true),
            ("/mnt/two", false),
        ] {
            assert_eq!(is_mounted(list, Path::new(path)), expected, "{path}");
        }
    }

    #[tokio::test]
    async fn a_mount_passes_and_a_plain_folder_does_not() {
        let limit = Duration::from_secs(5);
        assert_eq!(Mount::new("/proc".into()).look(limit).await, Ok(()));
        let folder = tempfile::tempdir().unwrap();
        let failure = Mount::new(folder.path().to_owned()).look(limit).await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.layer, Layer::Mount);
        assert!(
            failure.detail.starts_with("nothing is mounted at"),
            "{failure}"
        );
    }
}
