//! A service whose files are on a mount: it waits for it, goes on without it as well as it can, and has it again.

use crate::support::clock::until;
use crate::support::http::{get, until_status};
use crate::support::processes::python;
use crate::support::site::{QUICK, Site};
use std::fs;
use std::process::Command;

/// Minato in a mount namespace of its own, where the test may mount what it likes.
fn apart() -> Option<Command> {
    let apart = ["-m", "--propagation", "private"];
    let may = Command::new("unshare").args(apart).arg("true").status();
    let may = may.is_ok_and(|it| it.success());
    let mut command = Command::new("unshare");
    command.args(apart).arg(env!("CARGO_BIN_EXE_minato"));
    may.then_some(command)
}

/// A command where minato's mounts are.
#[track_caller]
fn there(site: &Site, command: &[&str]) {
    let output = Command::new("nsenter")
        .arg(format!("--mount=/proc/{}/ns/mnt", site.pid()))
        .args(command)
        .output()
        .unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

#[test]
fn a_service_waits_for_its_mount_and_is_not_started_in_circles_without_it() {
    let Some(command) = apart() else {
        minato_skip::skip("no private mount can be made here: needs root");
        return;
    };
    let mut site = Site::new();
    let shelf = site.path("shelf");
    fs::create_dir(&shelf).unwrap();
    let shelf = shelf.display().to_string();
    site.write_settings(&format!(
        "[dependencies.shelf]\nkind = \"mount\"\npath = \"{shelf}\"\ninterval = \"1s\"\nfast = \"200ms\"\n"
    ));
    // Without its book it ends at once, and is not healthy.
    site.write(
        "app",
        &format!(
            "command = [\"/bin/sh\", \"-c\", \"test -f {shelf}/book && exec {} -m http.server --bind 127.0.0.1 --directory {shelf} $PORT\"]\n\
             routes = [\"*\"]\ndepends_on = [\"shelf\"]\nstop = {{ drain = \"1s\", grace = \"1s\" }}\n{}",
            python(),
            QUICK.of("path = \"/book\"")
        ),
    );
    site.start_as(command);
    let waits = || {
        let instance = site.instance("app", 0)?;
        let reason = instance["reason"].as_str()?.to_owned();
        reason
            .contains("waits for its mount shelf: ")
            .then_some(reason)
    };
    let reason = until("it to wait", waits);
    assert!(
        reason.contains(&format!("nothing is mounted at {shelf}")),
        "{reason}"
    );
    assert!(!site.events().iter().any(|it| it.kind == "started"));

    let mount = || {
        there(&site, &["mount", "-t", "tmpfs", "shelf", &shelf]);
        there(
            &site,
            &["sh", "-c", &format!("printf words > {shelf}/book")],
        );
    };
    mount();
    site.wait_ok("app", 1);
    let answer = get(site.gateway(), "e2e.test", "/book").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "words"));
    let (pid, before) = (site.pids("app")[0], site.latest_event());

    // It is gone: nobody is killed for it, and a start would not help.
    there(&site, &["umount", "-l", &shelf]);
    let told = site.wait_event("the service that waits", |it| {
        it.seq > before && it.kind == "dependency" && it.service == "app"
    });
    assert!(
        told.message.contains("app waits for its mount shelf: ")
            && told.message.contains("nothing is mounted at"),
        "{told:?}"
    );
    until("it to be down for its gateway", || {
        (site.service("app")["up"] == 0).then_some(())
    });
    assert_eq!(
        site.metric("minato_dependency_up{dependency=\"shelf\"}"),
        Some(0.0)
    );
    let shown = site.cli(&["dependencies"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("shelf") && shown.contains("nothing is mounted"),
        "{shown}"
    );

    mount();
    until_status(site.gateway(), "e2e.test", "/book", 200);
    site.wait_ok("app", 1);
    assert_eq!(site.pids("app"), [pid], "it was started again");
    let harm = ["exited", "killed", "started"];
    let events = site.events_of("app", 0, before);
    assert!(
        events.iter().all(|it| !harm.contains(&it.kind.as_str())),
        "{events:#?}"
    );
    assert_eq!(site.instance("app", 0).unwrap()["restarts"], 0);
}
