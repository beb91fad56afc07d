//! A load that rises on real containers: what runs is given more first, then more run. Default times, nobody at the keyboard.

use super::stage::{Engine, inside};
use super::{container, site};
use crate::support::clock::{now, within};
use crate::support::http::{Answer, Connection, Expect, get};
use crate::support::site::PATIENT;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A decision each 15 s, figures of 5 s before it, a pause of a minute before more instances, and a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// Promised a tenth of a processor and 32 MiB; three tenths and 128 MiB at most, three instances at most.
fn service() -> String {
    format!(
        "image = \"test/library:1\"\nport = 8080\ninit = true\nroutes = [\"*\"]\n\
         replicas = {{ min = 1, max = 3, cpu = 0.5 }}\n\
         resources = {{ cpu = 0.1, cpu_max = 0.3, memory = \"32MiB\", memory_max = \"128MiB\" }}\n\
         stop = {{ drain = \"2s\", grace = \"1s\" }}\nupdate = {{ healthy = \"1s\" }}\n{}",
        PATIENT.of("path = \"/healthz\"")
    )
}

/// One request after the other, each a processor's work of 200 ms; how many, and those that failed.
fn visitor(gateway: std::net::SocketAddr, stop: Arc<AtomicBool>) -> JoinHandle<(u64, Vec<String>)> {
    std::thread::spawn(move || {
        let (mut sent, mut failed) = (0, Vec::new());
        while !stop.load(Ordering::SeqCst) {
            sent += 1;
            match burn(gateway) {
                Ok(it) if it.status == 200 && it.text() == "burned" => {}
                Ok(it) => failed.push(format!("{} {}", it.status, it.text())),
                Err(error) => failed.push(error.to_string()),
            }
        }
        (sent, failed)
    })
}

/// A container with a tenth of a processor on a machine that others use up takes its time.
fn burn(gateway: std::net::SocketAddr) -> std::io::Result<Answer> {
    let mut connection = Connection::open(gateway)?;
    connection.patience(PATIENCE)?;
    connection.send(b"GET /burn/200 HTTP/1.1\r\nHost: e2e.test\r\nConnection: close\r\n\r\n")?;
    connection.read(Expect::Body)
}

#[test]
fn what_runs_is_given_more_where_there_is_room_and_then_more_run() {
    let test = "containers::growth::what_runs_is_given_more_where_there_is_room_and_then_more_run";
    inside(test, async {
        let engine = Engine::start().await;
        engine.image(&["test/library:1"]);
        let mut site = site(&engine);
        site.write("app", &service());
        site.start();
        site.wait_ok("app", 1);
        let first = container(&engine, ".app.0.");
        let limits = |of: &str| {
            let format = "{{.HostConfig.CpuShares}} {{.HostConfig.Memory}}";
            let text = engine.inspect(of, format);
            let mut numbers = text.split(' ').map(|it| it.parse::<u64>().unwrap());
            (numbers.next().unwrap(), numbers.next().unwrap())
        };
        assert_eq!(limits(&first), (102, 32 << 20));
        let pid = site.pids("app")[0];
        let (began, before) = (now(), site.latest_event());
        let eaten = get(site.gateway(), "e2e.test", "/eat/28").unwrap();
        assert_eq!(eaten.status, 200);
        let stop = Arc::new(AtomicBool::new(false));
        let visitors: Vec<_> = (0..2)
            .map(|_| visitor(site.gateway(), Arc::clone(&stop)))
            .collect();

        // First the container that is there is given more, without a restart.
        let scaled = |part: &str| {
            within(PATIENCE, part, || {
                let mut events = site.events().into_iter();
                events
                    .find(|it| it.seq > before && it.kind == "scaled" && it.message.contains(part))
            })
        };
        let given = scaled("each instance is given 0.3 processors");
        let raised = began.elapsed();
        assert!(
            given.message.contains("in place of 0.1 processors"),
            "{given:?}"
        );
        let memory = within(PATIENCE, "the container's own limits", || {
            let (shares, memory) = limits(&first);
            (shares == 307 && memory > 32 << 20).then_some(memory)
        });
        let applied = began.elapsed();
        assert!(memory <= 128 << 20);

        // It is not enough: now there are more of them, each with the same.
        let more = scaled("instances in place of 1: processor");
        assert!(more.seq > given.seq, "{more:?} before {given:?}");
        let decided = began.elapsed();
        within(PATIENCE, "all of them to serve", || {
            let all = site.service("app")["instances"].as_array()?.clone();
            let serve = all.iter().filter(|it| it["requests"].as_u64() > Some(0));
            (serve.count() >= 2).then_some(())
        });
        let served = began.elapsed();
        let second = within(PATIENCE, "the second container", || {
            let names = engine.docker(&["ps", "--format", "{{.Names}}"]);
            names
                .lines()
                .find(|it| it.contains(".app.1."))
                .map(str::to_owned)
        });
        assert_eq!(limits(&second).0, 307);
        assert_eq!(container(&engine, ".app.0."), first);
        assert!(
            site.pids("app").contains(&pid),
            "the first one was started again"
        );
        stop.store(true, Ordering::SeqCst);
        let (mut sent, mut failed) = (0, Vec::new());
        for it in visitors {
            let (more, bad) = it.join().unwrap();
            sent += more;
            failed.extend(bad);
        }
        println!(
            "load on one container: more decided after {raised:.1?}, given after {applied:.1?} ({} MiB); more containers decided after {decided:.1?}, serving after {served:.1?}; {sent} requests, {} failed",
            memory >> 20,
            failed.len()
        );
        assert!(failed.is_empty(), "{failed:?}");
    });
}
