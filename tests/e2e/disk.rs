//! A full disk: requests go on, a person is told, and all is well when there is room again.

use crate::support::clock::{now, until};
use crate::support::figures::{Figure, measured};
use crate::support::http::get;
use crate::support::orders::Orders;
use crate::support::site::Site;
use crate::support::view::Event;
use std::fs::{self, File};
use std::io::Write;
use std::process::Command;

/// A private mount namespace with a small tmpfs, in which minato runs.
fn in_a_small_disk(site: &Site) -> Option<Command> {
    let data = site.path("data");
    fs::create_dir(&data).unwrap();
    let mut command = Command::new("unshare");
    let script = format!(
        "mount -t tmpfs -o size=24m tmpfs '{}' && exec \"$@\"",
        data.display()
    );
    command.args(["-m", "--propagation", "private", "sh", "-c", &script, "sh"]);
    let mut probe = Command::new("unshare");
    probe.args([
        "-m",
        "--propagation",
        "private",
        "sh",
        "-c",
        &script,
        "sh",
        "true",
    ]);
    let works = probe.output().is_ok_and(|it| it.status.success());
    assert!(
        works || std::env::var_os("CI").is_none_or(|it| it != "true"),
        "no private mount: this test needs root"
    );
    command.arg(env!("CARGO_BIN_EXE_minato"));
    works.then_some(command)
}

#[test]
fn a_full_disk_stops_no_request_is_told_and_is_got_over() {
    let mut site = Site::new();
    site.write("app", &site.python(2, ""));
    let Some(command) = in_a_small_disk(&site) else {
        minato_skip::skip("no private mount can be made here: needs root");
        return;
    };
    site.start_as(command);
    site.wait_ok("app", 2);
    let pids = site.pids("app");
    let load = site.load();
    let orders = Orders::start(site.gateway(), "e2e.test", site.ledger());

    // minato's own view of its data folder.
    let filler = format!(
        "/proc/{}/root{}",
        site.pid(),
        site.path("data/filler").display()
    );
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let _ = file.flush();
    // The first writes may still find room within the store's file.
    let began = now();
    let mut wanted = 2;
    until("a change to be refused", || {
        wanted = 5 - wanted;
        let output = site.cli(&["scale", "app", &wanted.to_string(), "--no-wait"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (!output.status.success()).then(|| {
            assert!(
                said.contains("nothing was changed") && said.lines().count() == 1,
                "{said}"
            );
        })
    });
    let refused = began.elapsed();
    let told = |it: &Event| it.kind == "store" && it.message.contains("cannot be written");
    let event = site.wait_event("the full disk", told);
    let alarmed = began.elapsed();
    assert!(
        event.message.contains("store.redb") && event.message.contains("No space left"),
        "{event:?}"
    );
    let output = site.cli(&["status"]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.code() == Some(1) && printed.contains("No space left"),
        "{printed}"
    );
    assert_eq!(
        get(site.gateway(), "e2e.test", "/page").unwrap().status,
        200
    );
    load.wait_for(50);

    drop(file);
    let roomy = now();
    fs::remove_file(filler).unwrap();
    until("a change to work again", || {
        site.cli(&["scale", "app", "--reset"])
            .status
            .success()
            .then_some(())
    });
    let obeyed = roomy.elapsed();
    site.wait_event("that it works again", |it| {
        it.seq > event.seq && it.kind == "store" && !told(it)
    });
    site.wait_ok("app", 2);
    let report = load.stop();
    report.nothing_failed();
    // One may have been begun and ended again with the orders that were tried.
    let mut figures = vec![
        ("an order refused", Figure::Time(refused)),
        ("told", Figure::Time(alarmed)),
        ("orders obeyed once there is room", Figure::Time(obeyed)),
        ("requests", Figure::Count(report.sent)),
        ("failed", Figure::Count(report.failed)),
    ];
    figures.extend(orders.judge(1).figures());
    measured("row 15, a full disk", &figures);
    assert!(
        site.pids("app")
            .iter()
            .filter(|it| pids.contains(it))
            .count()
            >= 1
    );
    until("the store to be healthy", || {
        (site.json("/v1/status")["store"]["healthy"] == true).then_some(())
    });
}
