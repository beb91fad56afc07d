//! Processes of a test, and proof that none is left.

use super::clock::{now, pause};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, signal).unwrap();
}

/// A process that has not ended; a zombie has, once none of its threads is left, which hold what it had open.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    match state {
        None | Some('X') => false,
        Some('Z') => fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|it| it.count() > 1),
        Some(_) => true,
    }
}

/// Living processes that name `folder` in their arguments or environment, this one apart.
pub(crate) fn of(folder: &Path) -> Vec<(u32, String)> {
    let mark = folder.as_os_str().as_encoded_bytes();
    let has = |bytes: &[u8]| bytes.windows(mark.len()).any(|it| it == mark);
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|process| {
            let pid: u32 = process.file_name().to_str()?.parse().ok()?;
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let environment = fs::read(process.path().join("environ")).unwrap_or_default();
            let ours =
                (has(&line) || has(&environment)) && pid != std::process::id() && is_alive(pid);
            ours.then(|| (pid, String::from_utf8_lossy(&line).replace('\0', " ")))
        })
        .collect()
}

/// Waits a moment for the last ones to go; kills what stays and returns it.
pub(crate) fn end_all(folder: &Path) -> Vec<(u32, String)> {
    let began = now();
    loop {
        let left = of(folder);
        if left.is_empty() || began.elapsed() > Duration::from_secs(5) {
            for (pid, _) in &left {
                let pid = i32::try_from(*pid).ok().and_then(Pid::from_raw);
                let _ = pid.map(|it| kill_process(it, Signal::KILL));
            }
            return left;
        }
        pause(Duration::from_millis(50));
    }
}

/// The real interpreter, not a shim that takes long to start.
pub(crate) fn python() -> &'static str {
    static FOUND: OnceLock<String> = OnceLock::new();
    FOUND.get_or_init(|| {
        let output = Command::new("python3")
            .args(["-c", "import sys; print(sys.executable)"])
            .output();
        let output = output.expect("these tests need python3 (apt-get install python3)");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    })
}

/// Where a file of these tests is.
pub(crate) fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/e2e/support")
        .join(name)
}
