//! Services whose dependency is down: they wait, and start when it is back.

use super::dependency;
use crate::support::clock::{now, pause, until};
use crate::support::processes::{self, signal};
use crate::support::site::{QUICK, Site};
use rustix::process::Signal;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Ends where its server cannot be reached at the start; without it later, its health check gets no answer.
const SCRIPT: &str = r#"
import http.server, socket, sys, time
port, server = int(sys.argv[1]), int(sys.argv[2])
def reach():
    socket.create_connection(("127.0.0.1", server), 2).close()
reach()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        while True:
            try:
                reach()
                break
            except OSError:
                time.sleep(0.1)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"#;

/// What accepts connections, until it is dropped.
struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(at: SocketAddr) -> Self {
        let listener = until("the server's port", || TcpListener::bind(at).ok());
        listener.set_nonblocking(true).unwrap();
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                if listener.accept().is_err() {
                    pause(Duration::from_millis(2));
                }
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn site() -> (Site, SocketAddr) {
    let site = Site::new();
    let server = site.ports.own(4);
    site.write_settings(&format!(
        "[dependencies.library-db]\nkind = \"tcp\"\nmembers = [\"{server}\"]\ninterval = \"1s\"\nfast = \"200ms\"\n"
    ));
    fs::write(site.path("app.py"), SCRIPT).unwrap();
    (site, server)
}

fn service(site: &Site, server: SocketAddr, host: &str, more: &str) -> String {
    format!(
        "command = [\"{}\", \"{}\", \"{{port}}\", \"{}\"]\nroutes = [\"{host}\"]\nstop = {{ drain = \"1s\", grace = \"1s\" }}\n{}{more}",
        processes::python(),
        site.path("app.py").display(),
        server.port(),
        QUICK.of("path = \"/\""),
    )
}

#[test]
fn who_lacks_a_dependency_is_neither_killed_nor_started_in_circles() {
    let (mut site, at) = site();
    let server = Server::start(at);
    let depends = "depends_on = [\"library-db\"]\n";
    site.write("app", &service(&site, at, "app.test", depends));
    site.write("free", &service(&site, at, "free.test", ""));
    site.start();
    site.wait_ok("app", 1);
    site.wait_ok("free", 1);
    let pid = site.pids("app")[0];
    let before = site.latest_event();

    // Both are down for all observers. Who does not say that it depends on anything is killed for it.
    drop(server);
    let began = now();
    site.wait_event("the service that waits", |it| {
        it.kind == "dependency"
            && it.service == "app"
            && it.message.contains(&format!(
                "app waits for its server library-db: {at} connect refused"
            ))
    });
    println!("a dependency lost: told after {:.2?}", began.elapsed());
    site.wait_event("the other is killed", |it| {
        it.kind == "killed" && it.service == "free"
    });
    assert_eq!(site.pids("app"), [pid]);
    let reason = site.instance("app", 0).unwrap()["reason"].to_string();
    assert!(reason.contains("its server library-db is down"), "{reason}");

    // It ends: without its dependency it is not started, and that costs nothing.
    signal(pid, Signal::KILL);
    until("it to wait", || {
        let instance = site.instance("app", 0)?;
        let reason = instance["reason"].as_str()?;
        reason
            .contains("waits for its server library-db")
            .then_some(())
    });
    // As long as the other takes to spend all that it has: no start could be missed.
    site.wait_event("the other to end again and again", |it| {
        it.kind == "exited" && it.service == "free" && it.run >= Some(4)
    });
    let told = site.events_of("app", 0, before);
    let kinds: Vec<&str> = told.iter().map(|it| it.kind.as_str()).collect();
    assert!(
        !kinds.contains(&"started") && !kinds.contains(&"killed"),
        "{told:#?}"
    );
    assert_eq!(site.instance("app", 0).unwrap()["restarts"], 0);
    let detail = site.service("app")["detail"].to_string();
    assert!(
        detail.contains("waits for its server library-db"),
        "{detail}"
    );
    let shown = site.cli(&["dependencies"]);
    assert_eq!(shown.status.code(), Some(1));
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("library-db") && shown.contains("connect refused"),
        "{shown}"
    );
    assert_eq!(
        site.metric("minato_dependency_up{dependency=\"library-db\"}"),
        Some(0.0)
    );

    let began = now();
    let server = Server::start(at);
    site.wait_ok("app", 1);
    println!(
        "a dependency is back: the service after {:.2?}",
        began.elapsed()
    );
    assert_eq!(dependency(&site, "library-db")["state"], "up");
    assert_eq!(site.instance("app", 0).unwrap()["restarts"], 0);
    site.wait_event("that it no longer waits", |it| {
        it.service == "app" && it.message.contains("has library-db again")
    });
    drop(server);
}

#[test]
fn nothing_is_started_before_its_dependency_is_there() {
    let (mut site, at) = site();
    let depends = "depends_on = [\"library-db\", \"unheard-of\"]\n";
    site.write("app", &service(&site, at, "app.test", depends));
    site.start();
    until("it to wait", || {
        let instance = site.instance("app", 0)?;
        let reason = instance["reason"].as_str()?;
        reason
            .contains("waits for its server library-db: ")
            .then_some(())
    });
    // A name that nobody explains is said, and keeps nobody waiting.
    site.wait_event("the unexplained name", |it| {
        it.kind == "alarm" && it.message.contains("depends on unheard-of")
    });
    assert!(!site.events().iter().any(|it| it.kind == "started"));
    let server = Server::start(at);
    site.wait_ok("app", 1);
    let exits = site.events();
    assert!(!exits.iter().any(|it| it.kind == "exited"), "{exits:#?}");
    drop(server);
}
