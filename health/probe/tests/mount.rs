//! Mounts that answer, and one that never does: a file system whose server is nobody (needs root and /dev/fuse).

use minato_health::Layer;
use minato_health_probe::{Ask, Mount};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_millis(300);

/// Taken away again, also when a test panics.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = unmount(self.0, UnmountFlags::DETACH | UnmountFlags::FORCE);
    }
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "how long a look takes is what is tested"
)]
async fn a_mount_that_hangs_is_told_in_time_and_by_one_thread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let Ok(server) = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
    else {
        return minato_skip::skip("no /dev/fuse");
    };
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0",
        server.as_raw_fd()
    );
    let options = std::ffi::CString::new(options).unwrap();
    if let Err(error) = mount(
        "nobody",
        path,
        "fuse",
        MountFlags::empty(),
        options.as_c_str(),
    ) {
        return minato_skip::skip(format_args!("fuse cannot be mounted: {error}"));
    }
    let mounted = Mounted(path);

    let ask = Ask::Mount(Mount::new(path.to_owned()));
    let began = Instant::now();
    let failure = ask.outcome(LIMIT).await.unwrap().unwrap_err();
    assert_eq!(failure.layer, Layer::Mount);
    assert!(
        failure.detail.ends_with("hangs: no answer in 300ms"),
        "{failure}"
    );
    assert!(began.elapsed() < LIMIT * 10, "{:?}", began.elapsed());
    // Nobody hangs in it a second time.
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    for _ in 0..20 {
        let failure = ask.outcome(LIMIT).await.unwrap().unwrap_err();
        assert!(
            failure.detail.contains("an earlier look has not come back"),
            "{failure}"
        );
    }
    assert_eq!(threads(), before);

    // Its server is gone: whoever hangs comes back with an error, and after that nothing is mounted.
    drop(server);
    let began = Instant::now();
    loop {
        let failure = ask.outcome(LIMIT).await.unwrap().unwrap_err();
        if failure.detail.contains("fails: ") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{failure}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(mounted);
    let failure = ask.outcome(LIMIT).await.unwrap().unwrap_err();
    assert!(
        failure.detail.starts_with("nothing is mounted at"),
        "{failure}"
    );
}
