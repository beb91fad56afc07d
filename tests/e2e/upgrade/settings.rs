//! The new process reads the settings anew.

use super::site;
use crate::support::http::get;
use crate::support::site::{Site, text};
use std::fs;
use std::net::{SocketAddr, TcpListener};

/// Writes the settings with these addresses for HTTP.
fn listen(site: &Site, addresses: &[SocketAddr]) {
    let settings = fs::read_to_string(site.settings()).unwrap();
    let addresses: Vec<String> = addresses.iter().map(|it| format!("\"{it}\"")).collect();
    let line = format!("http = [{}]", addresses.join(", "));
    let lines = settings.lines().map(|it| {
        if it.starts_with("http = ") {
            line.clone()
        } else {
            it.to_owned()
        }
    });
    let lines: Vec<String> = lines.collect();
    fs::write(site.settings(), lines.join("\n")).unwrap();
}

#[test]
fn new_listeners_are_bound_those_gone_are_closed_the_others_go_on() {
    let mut site = Site::new();
    let (stays, goes, comes) = (site.gateway(), site.ports.own(4), site.ports.own(5));
    listen(&site, &[stays, goes]);
    site.write("app", &site.python(2, ""));
    site.start();
    site.wait_ok("app", 2);
    let ask = |address| get(address, "e2e.test", "/page").map(|it| it.status);
    assert_eq!(ask(goes).unwrap(), 200);
    let load = site.load();
    listen(&site, &[stays, comes]);
    site.upgrade();
    assert!(site.first_ends().success());
    assert_eq!(ask(comes).unwrap(), 200);
    ask(goes).unwrap_err();
    load.wait_for(50);
    load.stop().nothing_failed();
}

#[test]
fn settings_that_are_refused_change_nothing() {
    let mut site = site();
    let load = site.load();
    let good = fs::read_to_string(site.settings()).unwrap();
    fs::write(site.settings(), format!("{good}\nspeed = 9\n")).unwrap();
    let output = site.cli(&["upgrade"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("exit status 3") && said.contains("speed"),
        "{said}"
    );
    // A port that somebody else has is no better.
    fs::write(site.settings(), &good).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    listen(&site, &[site.gateway(), address]);
    let output = site.cli(&["upgrade"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{address} is taken")), "{said}");
    drop(taken);
    site.upgrade();
    load.wait_for(50);
    load.stop().nothing_failed();
    assert_eq!(get(address, "e2e.test", "/page").unwrap().status, 200);
}
