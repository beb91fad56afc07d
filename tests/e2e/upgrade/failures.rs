//! Upgrades that come to nothing: the old process goes on, and the command says why.

use super::{site, state};
use crate::support::clock::until;
use crate::support::http::get;
use crate::support::processes::{beside, is_alive, python, signal};
use crate::support::site::{Site, text};
use rustix::process::Signal;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A program in the site's folder.
fn program(site: &Site, name: &str, text: &str) -> PathBuf {
    let path = site.path(name);
    let new = site.path(&format!("{name}.new"));
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, Permissions::from_mode(0o755)).unwrap();
    fs::rename(new, &path).unwrap();
    path
}

/// A program that takes part in the handover up to a point; see `fake.py`.
fn fake(site: &Site, name: &str) -> PathBuf {
    let script = fs::read_to_string(beside("../upgrade/fake.py")).unwrap();
    program(site, name, &format!("#!{}\n{script}", python()))
}

/// The upgrade exits 1 and says this; the same process serves the same instances, and nothing failed.
#[track_caller]
fn fails(site: &Site, binary: &str, words: &[&str]) {
    let (pid, instances, load) = (site.pid(), site.pids("app"), site.load());
    load.wait_for(20);
    let output = site.cli(&["upgrade", "--binary", binary]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
    assert!(said.contains(&format!("process {pid} goes on")), "{said}");
    let (answers, state, _) = state(site);
    assert_eq!((answers, state.as_str()), (u64::from(pid), "failed"));
    site.wait_ok("app", 2);
    load.wait_for(30);
    load.stop().nothing_failed();
    assert_eq!(site.pids("app"), instances);
}

#[test]
fn a_program_that_is_none_or_ends_at_once_changes_nothing() {
    let mut site = site();
    let missing = site.path("missing");
    fails(
        &site,
        missing.to_str().unwrap(),
        &["cannot be started", "No such file"],
    );
    let plain = site.path("plain");
    fs::write(&plain, "no program").unwrap();
    fails(
        &site,
        plain.to_str().unwrap(),
        &["cannot be started", "Permission denied"],
    );
    let ends = program(&site, "ends", "#!/bin/sh\necho out of luck >&2\nexit 7\n");
    fails(
        &site,
        ends.to_str().unwrap(),
        &["exit status 7", "out of luck"],
    );
    let crashes = program(&site, "crashes", "#!/bin/sh\nkill -SEGV $$\n");
    fails(&site, crashes.to_str().unwrap(), &["signal 11"]);
    let (old, new) = site.upgrade();
    assert_ne!(old, new);
    assert!(site.first_ends().success());
}

#[test]
fn one_that_ends_or_speaks_nonsense_in_the_middle_of_the_handover_changes_nothing() {
    let mut site = site();
    let before = site.latest_event();
    let nonsense = fake(&site, "nonsense");
    fails(&site, nonsense.to_str().unwrap(), &["is not understood"]);
    let newer = fake(&site, "newer");
    fails(&site, newer.to_str().unwrap(), &["speaks version 2"]);
    // By then store, agent and admin API had been let go of: they are taken up again.
    let dies = fake(&site, "ready-then-die");
    fails(
        &site,
        dies.to_str().unwrap(),
        &["ended before it had taken over", "the fake one was here"],
    );
    site.wait_event("the old one to say so", |it| {
        it.seq > before && it.message.contains("this process goes on")
    });
    // It can still do all that it has to.
    site.type_in(&["scale", "app", "3"]);
    site.wait_ok("app", 3);
    site.upgrade();
    assert!(site.first_ends().success());
}

#[test]
fn a_new_process_that_is_killed_before_it_is_ready_changes_nothing() {
    let site = site();
    let pid_file = site.path("new.pid");
    let script = format!(
        "#!/bin/sh\necho $$ > {}\nexec sleep 60\n",
        pid_file.display()
    );
    let hangs = program(&site, "hangs", &script);
    let hand = std::thread::spawn(move || {
        let pid = until("the new process", || {
            fs::read_to_string(&pid_file).ok()?.trim().parse().ok()
        });
        signal(pid, Signal::KILL);
    });
    fails(&site, hangs.to_str().unwrap(), &["signal 9"]);
    hand.join().unwrap();
}

#[test]
fn one_that_hangs_is_ended_after_its_time_and_no_other_is_begun_meanwhile() {
    let site = site();
    let pid_file = site.path("new.pid");
    let script = format!(
        "#!/bin/sh\necho $$ > {}\nexec sleep 300\n",
        pid_file.display()
    );
    let hangs = program(&site, "hangs", &script);
    let admin = site.admin().to_string();
    let second = std::thread::spawn({
        let pid_file = pid_file.clone();
        move || {
            until("the new process", || {
                fs::read_to_string(&pid_file)
                    .ok()?
                    .trim()
                    .parse::<u32>()
                    .ok()
            });
            let output = Command::new(env!("CARGO_BIN_EXE_minato"))
                .args(["--admin", &admin, "upgrade"])
                .stdin(Stdio::null())
                .output()
                .unwrap();
            (output.status.code(), text(&output.stderr))
        }
    });
    fails(
        &site,
        hangs.to_str().unwrap(),
        &["was not heard of within 30s"],
    );
    let (code, said) = second.join().unwrap();
    assert_eq!(code, Some(1));
    assert!(said.contains("under way already"), "{said}");
    let pid = fs::read_to_string(pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(!is_alive(pid));
}

#[test]
fn told_to_stop_in_the_middle_of_an_upgrade_both_end() {
    let mut site = site();
    let pid_file = site.path("new.pid");
    let script = format!(
        "#!/bin/sh\necho $$ > {}\nexec sleep 300\n",
        pid_file.display()
    );
    let hangs = program(&site, "hangs", &script);
    let admin = site.admin().to_string();
    let mut asking = Command::new(env!("CARGO_BIN_EXE_minato"))
        .args(["--admin", &admin, "upgrade", "--binary"])
        .arg(hangs)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid: u32 = until("the new process", || {
        fs::read_to_string(&pid_file).ok()?.trim().parse().ok()
    });
    assert!(site.stop(Signal::TERM).success());
    until("the new process to end", || (!is_alive(pid)).then_some(()));
    asking.kill().unwrap();
    asking.wait().unwrap();
}

#[test]
fn told_to_stop_when_everything_was_let_go_of_it_takes_it_up_again_and_stops() {
    let mut site = site();
    let instances = site.pids("app");
    let waits = fake(&site, "ready-then-wait");
    let admin = site.admin().to_string();
    let mut asking = Command::new(env!("CARGO_BIN_EXE_minato"))
        .args(["--admin", &admin, "upgrade", "--binary"])
        .arg(waits)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let released = site.path("released");
    until("the old process to let go", || {
        released.exists().then_some(())
    });
    // Meanwhile it serves.
    assert_eq!(
        get(site.gateway(), "e2e.test", "/page").unwrap().status,
        200
    );
    assert!(site.stop(Signal::TERM).success());
    assert!(instances.iter().all(|it| !is_alive(*it)), "told to stop");
    asking.kill().unwrap();
    asking.wait().unwrap();
}

#[test]
fn another_user_may_not_ask() {
    if !rustix::process::geteuid().is_root() {
        minato_skip::skip("only root can play another user");
        return;
    }
    let site = site();
    let script = "import os, socket, sys\n\
        os.setgroups([]); os.setuid(65534)\n\
        s = socket.socket(); s.connect((sys.argv[1], int(sys.argv[2])))\n\
        s.sendall(f'POST /v1/upgrade HTTP/1.1\\r\\nHost: {sys.argv[1]}\\r\\nConnection: close\\r\\nContent-Type: application/json\\r\\nContent-Length: 2\\r\\n\\r\\n{{}}'.encode())\n\
        print(s.makefile().read())";
    let (admin, port) = (
        site.admin().ip().to_string(),
        site.admin().port().to_string(),
    );
    let output = Command::new(python())
        .args(["-c", script, &admin, &port])
        .output()
        .unwrap();
    let said = text(&output.stdout);
    assert!(
        said.starts_with("HTTP/1.1 403 ") && said.contains("only root"),
        "{said}{}",
        text(&output.stderr)
    );
    assert_eq!(state(&site).1, "none");
    assert_eq!(
        get(site.gateway(), "e2e.test", "/page").unwrap().status,
        200
    );
}
