//! What the gateway says of itself at the entrance: alive, draining, nothing.

use crate::support::clock::{now, until};
use crate::support::http::{Answer, get};
use crate::support::load::{Ask, Load};
use crate::support::processes::{is_alive, signal};
use crate::support::site::{AtStop, Site};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::time::Duration;

/// A site whose entrance can be asked, at the address returned.
fn site(drain: &str) -> (Site, SocketAddr) {
    let mut site = Site::new();
    site.write_settings(&format!(
        "[entrance]\nlisten = [\"127.0.0.1:0\"]\ndrain = \"{drain}\"\n"
    ));
    site.write("app", &site.python(1, ""));
    site.start();
    let address = address(&site);
    (site, address)
}

fn address(site: &Site) -> SocketAddr {
    let status = site.json("/v1/entrance");
    let url = status["asked_at"][0].as_str().unwrap().to_owned();
    let text = url
        .strip_prefix("http://")
        .and_then(|it| it.strip_suffix("/readyz"));
    text.unwrap().parse().unwrap()
}

fn ask(entrance: SocketAddr, path: &str) -> std::io::Result<Answer> {
    get(entrance, "check", path)
}

#[track_caller]
fn says(entrance: SocketAddr, path: &str) -> (u16, String) {
    let answer = ask(entrance, path).unwrap();
    (answer.status, answer.text())
}

fn alive() -> (u16, String) {
    (200, "alive\n".to_owned())
}

fn draining() -> (u16, String) {
    (503, "draining\n".to_owned())
}

#[test]
fn it_is_about_the_gateway_and_never_about_what_is_behind() {
    let (mut site, entrance) = site("0s");
    site.wait_ok("app", 1);
    assert_eq!(says(entrance, "/readyz"), alive());
    let instances = site.pids("app");
    // Nothing behind it is well any more.
    site.write(
        "app",
        "routes = [\"e2e.test/\"]\nendpoints = [\"127.0.0.1:1\"]\nhealth = { kind = \"tcp\" }\n",
    );
    until("the service to be down", || {
        let page = get(site.gateway(), "e2e.test", "/page").unwrap();
        (page.status >= 500).then_some(())
    });
    assert_eq!(says(entrance, "/readyz"), alive());
    assert_eq!(says(entrance, "/livez"), alive());
    site.crash();
    until("nothing to answer", || {
        ask(entrance, "/readyz").is_err().then_some(())
    });
    site.start();
    until("what the file no longer names to end", || {
        instances.iter().all(|it| !is_alive(*it)).then_some(())
    });
}

#[test]
fn a_word_by_hand_lasts_over_an_upgrade_and_a_crash_until_it_is_taken_back() {
    let (mut site, entrance) = site("0s");
    site.at_stop = AtStop::LeaveInstances;
    site.wait_ok("app", 1);
    let printed = site.type_in(&["entrance", "drain"]);
    assert!(
        printed.contains("undo: minato entrance undrain"),
        "{printed}"
    );
    assert_eq!(says(entrance, "/readyz"), draining());
    assert_eq!(says(entrance, "/livez").0, 200);
    // It serves all the same.
    let page = get(site.gateway(), "e2e.test", "/page").unwrap();
    assert_eq!(page.status, 200);
    let status = site.cli(&["status"]);
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        text.contains("taken out by") && text.contains("minato entrance undrain"),
        "{text}"
    );
    assert_eq!(status.status.code(), Some(1), "{text}");
    let again = site.type_in(&["entrance", "drain"]);
    assert!(again.contains("already, by"), "{again}");

    site.upgrade();
    site.first_ends();
    for _ in 0..20 {
        assert_eq!(says(entrance, "/readyz"), draining(), "after an upgrade");
    }
    let printed = site.type_in(&["entrance", "undrain"]);
    assert!(printed.contains("alive again; it was out by"), "{printed}");
    assert_eq!(says(entrance, "/readyz"), alive());
    let events = site.type_in(&["events", "--json"]);
    assert!(
        events.contains("\"kind\":\"entrance\"") && events.contains("says that it is alive again"),
        "{events}"
    );

    site.type_in(&["entrance", "drain"]);
    site.stop_successor(Signal::KILL);
    // Its last thread closes the sockets, a moment after its first one has ended.
    until("the ports to be free", || {
        let all = [site.gateway(), site.admin()].map(std::net::TcpListener::bind);
        all.iter().all(Result::is_ok).then_some(())
    });
    site.start();
    let entrance = address(&site);
    assert_eq!(says(entrance, "/readyz"), draining(), "after a crash");
    site.type_in(&["entrance", "undrain"]);
    site.crash();
    site.at_stop = AtStop::StopInstances;
    site.start();
    assert_eq!(says(address(&site), "/readyz"), alive());
}

#[test]
fn an_upgrade_under_load_is_alive_all_the_time() {
    let (mut site, entrance) = site("0s");
    site.wait_ok("app", 1);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let checks = std::thread::spawn({
        let stop = std::sync::Arc::clone(&stop);
        move || {
            let (mut asked, mut wrong) = (0, Vec::new());
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                asked += 1;
                match ask(entrance, "/readyz") {
                    Ok(it) if it.status == 200 => {}
                    other => wrong.push(format!("{other:?}")),
                }
            }
            (asked, wrong)
        }
    });
    let ask = Ask::Get {
        path: "/page".to_owned(),
        body: page(&site),
    };
    let load = Load::start(site.gateway(), "e2e.test", &ask);
    load.wait_for(20);
    site.upgrade();
    load.wait_for(60);
    load.stop().nothing_failed();
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    let (asked, wrong) = checks.join().unwrap();
    assert!(asked > 20 && wrong.is_empty(), "{asked} checks: {wrong:?}");
}

fn page(site: &Site) -> String {
    get(site.gateway(), "e2e.test", "/page").unwrap().text()
}

#[test]
fn a_stop_says_draining_while_it_serves_and_only_then_closes() {
    let (mut site, entrance) = site("4s");
    site.wait_ok("app", 1);
    let ask_page = Ask::Get {
        path: "/page".to_owned(),
        body: page(&site),
    };
    let load = Load::start(site.gateway(), "e2e.test", &ask_page);
    load.wait_for(20);
    let began = now();
    signal(site.pid(), Signal::TERM);
    until("it to say so", || {
        (says(entrance, "/readyz") == draining()).then_some(())
    });
    // Whoever asks learns of it while every request is served.
    load.wait_for(60);
    assert_eq!(says(entrance, "/readyz"), draining());
    load.stop().nothing_failed();
    let told = site.json("/v1/status");
    assert_eq!(told["entrance"]["reason"], "minato is about to stop");
    until("it to close", || {
        ask(entrance, "/readyz").is_err().then_some(())
    });
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(4), "closed after {took:?}");
    let status = site.stop(Signal::TERM);
    assert!(status.success(), "{status:?}");
}

#[test]
fn who_asks_for_a_stop_twice_does_not_wait() {
    let (mut site, entrance) = site("10m");
    signal(site.pid(), Signal::TERM);
    until("it to say so", || {
        (says(entrance, "/readyz") == draining()).then_some(())
    });
    assert!(site.stop(Signal::TERM).success());
}

#[test]
fn nobody_is_drained_where_nobody_asks() {
    let mut site = Site::new();
    site.start();
    let refused = site.cli(&["entrance", "drain"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{text}");
    assert!(text.contains("[entrance]"), "{text}");
}

/// A hook that keeps what it is told, and fails while a file says so.
#[test]
fn a_hook_is_told_what_the_gateway_says_and_what_is_typed_until_it_succeeds() {
    let mut site = Site::new();
    let (heard, broken) = (site.path("heard"), site.path("broken"));
    let script = site.path("hook.sh");
    let text = format!(
        "#!/bin/sh\n[ -e {} ] && {{ echo no quota; exit 3; }}\ncat >> {heard}\necho >> {heard}\n",
        broken.display(),
        heard = heard.display()
    );
    std::fs::write(&script, text).unwrap();
    let more = format!(
        "[entrance]\ndrain = \"0s\"\n[entrance.hook.cdn]\ncommand = [\"/bin/sh\", {script:?}]\nfollow = \"gateway\"\naddresses = [\"192.0.2.1\"]\n[entrance.hook.other]\ncommand = [\"/bin/sh\", {script:?}]\n"
    );
    site.write_settings(&more);
    site.start();
    let last = |part: &str| {
        until(part, || {
            let text = std::fs::read_to_string(&heard).unwrap_or_default();
            let line = text.lines().rfind(|it| !it.is_empty())?.to_owned();
            line.contains(part).then_some(line)
        })
    };
    let told = last("\"action\":\"publish\"");
    for part in ["\"name\":\"cdn\"", "\"scope\":\"gateway\"", "192.0.2.1"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    std::fs::write(&broken, "").unwrap();
    site.type_in(&["entrance", "drain"]);
    until("the failure to be shown", || {
        let shown = site.cli(&["entrance", "status"]);
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        text.contains("no quota").then_some(())
    });
    std::fs::remove_file(&broken).unwrap();
    last("\"action\":\"withdraw\"");

    let printed = site.type_in(&["entrance", "publish", "other", "--epoch", "18"]);
    assert!(
        printed.contains("publish") && printed.contains("undo: minato entrance withdraw other"),
        "{printed}"
    );
    let told = last("\"name\":\"other\"");
    assert!(
        told.contains("\"scope\":\"site\"") && told.contains("\"epoch\":18"),
        "{told}"
    );
    // What follows the gateway would come back at once.
    let refused = site.cli(&["entrance", "withdraw", "cdn"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{text}");
    assert!(text.contains("minato entrance drain"), "{text}");
    let refused = site.cli(&["entrance", "publish", "nothing"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("there are: cdn, other"), "{text}");
}
