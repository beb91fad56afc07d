//! Under a service manager, which this test plays: sockets from outside, and what is said to it.

use crate::support::clock::{PATIENCE, until};
use crate::support::http::get;
use crate::support::processes::{beside, python};
use crate::support::site::Site;
use rustix::process::Signal;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

/// The manager's end of the notification socket.
struct Manager(UnixDatagram);

impl Manager {
    fn new(site: &Site) -> Self {
        let socket = UnixDatagram::bind(site.path("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The next thing that is said, without the words for people; the watchdog apart.
    #[track_caller]
    fn hears(&self) -> String {
        loop {
            let mut bytes = [0; 512];
            let length = self.0.recv(&mut bytes).unwrap();
            let said = String::from_utf8(bytes[..length].to_vec()).unwrap();
            let lines = said.lines().filter(|it| !it.starts_with("STATUS="));
            let said = lines.collect::<Vec<_>>().join(" ");
            if said != "WATCHDOG=1" {
                return said;
            }
        }
    }

    #[track_caller]
    fn hears_the_watchdog(&self) {
        until("the watchdog to be told", || {
            let mut bytes = [0; 512];
            let length = self.0.recv(&mut bytes).unwrap();
            (&bytes[..length] == b"WATCHDOG=1").then_some(())
        });
    }
}

#[test]
fn the_manager_is_told_and_its_sockets_are_never_closed() {
    let mut site = Site::new();
    site.write("app", &site.python(2, ""));
    // The socket unit decides, whatever the settings say.
    let passed = site.gateway();
    let settings = std::fs::read_to_string(site.settings()).unwrap();
    let other = site.ports.own(5).to_string();
    std::fs::write(
        site.settings(),
        settings.replace(
            &format!("http = [\"{passed}\"]"),
            &format!("http = [\"{other}\"]"),
        ),
    )
    .unwrap();
    let manager = Manager::new(&site);
    let mut command = Command::new(python());
    command
        .arg(beside("../upgrade/activate.py"))
        .args([passed.ip().to_string(), passed.port().to_string()])
        .arg(env!("CARGO_BIN_EXE_minato"))
        .env("NOTIFY_SOCKET", site.path("notify"))
        .env("WATCHDOG_USEC", "400000");
    site.start_as(command);
    assert_eq!(manager.hears(), "READY=1");
    site.wait_ok("app", 2);
    assert_eq!(get(passed, "e2e.test", "/page").unwrap().status, 200);
    get(site.ports.own(5), "e2e.test", "/page").unwrap_err();
    manager.hears_the_watchdog();

    let load = site.load();
    let missing = site.path("missing");
    site.cli(&["upgrade", "--binary", missing.to_str().unwrap()]);
    assert_eq!(manager.hears(), "RELOADING=1");
    assert_eq!(manager.hears(), "READY=1");
    for _ in 0..2 {
        let (_, new) = site.upgrade();
        assert_eq!(manager.hears(), "RELOADING=1");
        assert_eq!(manager.hears(), format!("MAINPID={new} READY=1"));
        manager.hears_the_watchdog();
        load.wait_for(50);
    }
    assert!(site.first_ends().success());
    load.stop().nothing_failed();
    site.stop_successor(Signal::TERM);
    assert_eq!(manager.hears(), "STOPPING=1");
    manager
        .0
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    while let Ok(length) = manager.0.recv(&mut [0; 512]) {
        assert_eq!(length, "WATCHDOG=1".len(), "it says no more");
    }
}
