//! Where minato cannot begin, or an instance cannot: one sentence that says what to do.

use crate::support::http::{get, until_status};
use crate::support::site::Site;
use std::fs;
use std::net::TcpListener;

/// The last line is the sentence; what stands before it is the log.
#[track_caller]
fn sentence(said: &str) -> &str {
    let line = said.lines().last().unwrap_or_default();
    assert!(line.starts_with("minato: "), "{said}");
    line
}

#[test]
fn a_taken_port_is_named_with_its_remedy() {
    let site = Site::new();
    for (address, field) in [
        (site.gateway(), "[gateway] http"),
        (site.admin(), "[admin] listen"),
    ] {
        let _taken = TcpListener::bind(address).unwrap();
        let (code, said) = site.run_in_vain();
        let line = sentence(&said);
        assert_eq!(code, Some(1), "{said}");
        assert!(
            line.contains(&address.to_string())
                && line.contains(field)
                && line.contains("ss -ltnp"),
            "{line}"
        );
    }
}

#[test]
fn a_data_folder_that_another_minato_holds_is_refused_and_the_holder_named() {
    let mut site = Site::new();
    site.start();
    let other = Site::new();
    let data = site.path("data");
    let text = fs::read_to_string(other.settings()).unwrap();
    fs::write(
        other.settings(),
        text.replace("\"data\"", &format!("\"{}\"", data.display())),
    )
    .unwrap();
    let (code, said) = other.run_in_vain();
    let line = sentence(&said);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        line.contains(&format!("pid {}", site.pid())) && line.contains(data.to_str().unwrap()),
        "{line}"
    );
}

#[test]
fn a_corrupt_store_file_is_refused_with_what_to_do() {
    let mut site = Site::new();
    site.write("app", &site.python(1, ""));
    site.start();
    site.wait_ok("app", 1);
    site.stop(rustix::process::Signal::TERM);
    let file = site.path("data/store.redb");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, vec![0xA5; whole.len()]).unwrap();
    let (code, said) = site.run_in_vain();
    let line = sentence(&said);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        line.contains("store.redb") && line.contains("move it away"),
        "{line}"
    );
    // As the sentence says: a copy put back serves again.
    fs::write(&file, whole).unwrap();
    site.start();
    site.wait_ok("app", 1);
}

#[test]
fn a_command_that_does_not_exist_is_said_and_others_go_on() {
    let mut site = Site::new();
    site.write(
        "ghost",
        "command = [\"/nowhere/ghost\", \"{port}\"]\nroutes = [\"ghost.test\"]\n",
    );
    site.write("app", &site.python(1, ""));
    site.start();
    site.wait_ok("app", 1);
    let event = site.wait_event("that it cannot be started", |it| {
        it.service == "ghost" && it.kind == "exited"
    });
    assert!(event.message.contains("/nowhere/ghost"), "{event:?}");
    until_status(site.gateway(), "ghost.test", "/", 503);
    assert_eq!(
        get(site.gateway(), "e2e.test", "/page").unwrap().status,
        200
    );
    let output = site.cli(&["status"]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(
        printed
            .lines()
            .any(|it| it.starts_with("ghost") && it.contains("down")),
        "{printed}"
    );
}

#[test]
fn a_command_that_exits_at_once_is_given_up_after_its_budget() {
    let mut site = Site::new();
    site.write("brief", "command = [\"/bin/sh\", \"-c\", \"echo no such table; exit 3\"]\nroutes = [\"brief.test\"]\n");
    site.write("app", &site.python(1, ""));
    site.start();
    let event = site.wait_event("its end", |it| it.service == "brief" && it.kind == "exited");
    assert!(
        event.message.contains("status 3") && event.message.contains("no such table"),
        "{event:?}"
    );
    let event = site.wait_event("that it is given up", |it| {
        it.service == "brief" && it.kind == "failed"
    });
    assert!(
        event.message.contains("given up") && event.message.contains("no such table"),
        "{event:?}"
    );
    let runs = site
        .events()
        .iter()
        .filter(|it| it.service == "brief" && it.kind == "started")
        .count();
    assert_eq!(runs, 6, "the first and five restarts");
    let printed = String::from_utf8_lossy(&site.cli(&["status", "brief"]).stdout).into_owned();
    assert!(
        printed.contains("failed") && printed.contains("status 3"),
        "{printed}"
    );
    site.wait_ok("app", 1);
}
