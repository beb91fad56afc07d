//! curl and openssl, run.

use std::io::Write;
use std::process::{Command, Stdio};

/// What a program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs it with `input`, within 20 s.
#[track_caller]
pub(crate) fn run(program: &str, arguments: &[&str], input: &str) -> Said {
    let mut child = Command::new("timeout")
        .arg("20")
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may have ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `curl -sS --http1.1 --cacert CA ...`
#[track_caller]
pub(crate) fn curl(ca: &std::path::Path, arguments: &[&str]) -> Said {
    let ca = ca.to_str().unwrap();
    let mut all = vec!["-sS", "--http1.1", "--cacert", ca];
    all.extend(arguments);
    run("curl", &all, "")
}
