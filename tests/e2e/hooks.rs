//! What control runs for the operator.

use crate::support::clock::{PATIENCE, until, within};
use crate::support::http::get;
use crate::support::site::Site;
use crate::support::view::Event;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A node that takes instances again is as good as a new one.
#[test]
fn where_there_is_no_room_the_hook_makes_some_and_the_service_begins() {
    let mut site = Site::new();
    let (script, said) = (site.path("add-node"), site.path("said"));
    let program = format!(
        "#!/bin/sh\necho \"$MINATO_SITE|$MINATO_SERVICES|$MINATO_REASON\" >> {}\nexec {} --admin {} node undrain here\n",
        said.display(),
        env!("CARGO_BIN_EXE_minato"),
        site.admin()
    );
    fs::write(&script, program).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    site.write_settings(&format!(
        "[hooks]\nadd_nodes = [\"{}\"]\n",
        script.display()
    ));
    site.start();
    until("the node to be there and drained", || {
        let drained = site.cli(&["node", "drain", "here", "--no-wait"]);
        drained.status.success().then_some(())
    });
    site.write("app", &site.python(1, ""));
    within(PATIENCE * 3, "the hook's end", || {
        let ended = |it: &Event| it.kind == "node" && it.message.contains("add-node ended well");
        site.events().iter().any(ended).then_some(())
    });
    site.wait_ok("app", 1);
    let answer = get(site.gateway(), "e2e.test", "/page").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "the page"));
    let said = until("what the hook was told", || fs::read_to_string(&said).ok());
    assert!(
        said.starts_with("local|app|app: ") && said.contains("drained (here)"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "once: {said}");
}
