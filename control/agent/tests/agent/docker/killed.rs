//! Agents that die before, at and after each step of a container's start: the next one finds what there is.

use super::*;
use crate::adoption::{Agent, prepared};
use crate::docker::stage::inside;
use rustix::process::Signal;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long what is left behind may stay: an agent looks 20 s after its start.
const LEFT: Duration = Duration::from_secs(60);

/// When the first agent of a round is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// This long after its birth: the container is not made yet, or is being made.
    Early(Duration),
    /// The engine has made it, and this long has passed.
    Made(Duration),
    /// The engine has started it, and this long has passed.
    Started(Duration),
}

/// What the engine does with containers, as it tells it: `create ID`, `start ID`, `die ID`, ...
struct Told {
    client: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Told {
    fn by(engine: &Engine) -> Self {
        let mut client = engine.client();
        let format = "{{.Action}} {{.ID}}";
        client.args(["events", "--filter", "type=container", "--format", format]);
        let mut client = client.stdout(Stdio::piped()).spawn().unwrap();
        let (lines, from) = (Arc::default(), client.stdout.take().unwrap());
        let told: Arc<Mutex<Vec<String>>> = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                told.lock().unwrap().push(line);
            }
        });
        Self { client, lines }
    }

    fn of(&self, action: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = lines.iter().filter_map(|it| {
            let (found, id) = it.split_once(' ')?;
            (found == action).then(|| id.to_owned())
        });
        ids.collect()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

/// Every container, by id, with its process; 0 where it does not run.
fn all(engine: &Engine) -> Vec<(String, u32)> {
    let ids = engine.docker(&["ps", "-aq", "--no-trunc"]);
    let pid = |it: &str| {
        // One that goes between the two looks is not there.
        let pid = engine.try_docker(&["inspect", "--format", "{{.State.Pid}}", it]);
        Some((it.to_owned(), pid.ok()?.parse().unwrap()))
    };
    ids.lines().filter_map(pid).collect()
}

/// The run as the engine started it: once it has been seen alive it is never replaced, and never is there a second one.
#[test]
fn killed_before_and_after_create_and_start_there_is_one_container_and_always_the_same() {
    let test = "docker::killed::killed_before_and_after_create_and_start_there_is_one_container_and_always_the_same";
    inside(test, async {
        let rounds = std::env::var("MINATO_FAULT_ROUNDS").ok();
        let rounds: usize = rounds.and_then(|it| it.parse().ok()).unwrap_or(8);
        let seed = std::env::var("MINATO_SEED").ok();
        let seed = seed.and_then(|it| it.parse().ok());
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut after = |most: u64| Duration::from_millis(random.u64(0..most));
        let engine = Engine::start().await;
        engine.image(&["test/program:1"]);
        let command = container("test/program:1", &[]);
        let (mut kills, mut beside, mut again) = (0, 0, 0);
        for round in 0..rounds {
            let folder = prepared(&command);
            let socket = engine.socket();
            std::fs::write(folder.path().join("engine"), socket.to_str().unwrap()).unwrap();
            let told = Told::by(&engine);
            let moment = match round % 4 {
                0 => Moment::Early(after(150)),
                1 => Moment::Made(Duration::ZERO),
                2 => Moment::Made(after(60)),
                _ => Moment::Started(after(30)),
            };
            let mut agent = Agent::start(&folder);
            let mut seen = None;
            let came = |action: &'static str| {
                let told = &told;
                until(action, move || told.of(action).pop())
            };
            let rest = match moment {
                Moment::Early(rest) => rest,
                Moment::Made(rest) => {
                    came("create").await;
                    rest
                }
                Moment::Started(rest) => {
                    came("start").await;
                    rest
                }
            };
            for rest in [rest, after(250)] {
                tokio::time::sleep(rest).await;
                agent.kill();
                kills += 1;
                let living: Vec<_> = all(&engine).into_iter().filter(|it| it.1 != 0).collect();
                assert!(living.len() <= 1, "round {round}, {moment:?}: {living:?}");
                if let Some(before) = &seen {
                    assert_eq!(living.first(), Some(before), "round {round}, {moment:?}");
                    beside += 1;
                }
                seen = seen.or_else(|| living.first().cloned());
                agent = Agent::start(&folder);
            }
            // One alone. What the engine made for an agent that was killed meanwhile never runs, and goes when the last agent looks for what
            // is left behind.
            let began = tokio::time::Instant::now();
            let last = loop {
                match &all(&engine)[..] {
                    [it] if it.1 != 0 => break it.clone(),
                    found => {
                        let events = std::fs::read_to_string(folder.path().join("events"));
                        let lines = told.lines.lock().unwrap().clone();
                        assert!(
                            began.elapsed() < LEFT,
                            "round {round}, {moment:?}: no container alone that runs: {found:?}\n{lines:#?}\n{}",
                            events.unwrap_or_default()
                        );
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            if let Some(before) = &seen {
                assert_eq!(*before, last, "round {round}, {moment:?}: replaced");
            }
            // An engine calls off what its client died over: that one never served anybody.
            let ended = until("one start that lasted", || {
                let ended = told.of("die").len();
                (told.of("start").len() == ended + 1).then_some(ended)
            })
            .await;
            again += ended;
            agent.kill();
            crate::support::signal(last.1, Signal::KILL);
            engine.docker(&["rm", "-f", &last.0]);
        }
        assert!(beside > 0, "no agent died beside a container that ran");
        println!(
            "measured | row 7, the agent killed around create and start of a container | kills | {kills}"
        );
        println!(
            "measured | row 7, the agent killed around create and start of a container | beside a running container | {beside}"
        );
        println!(
            "measured | row 7, the agent killed around create and start of a container | begun again | {again}"
        );
        println!(
            "measured | row 7, the agent killed around create and start of a container | duplicates | 0"
        );
    });
}
