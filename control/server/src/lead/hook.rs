//! The operator's command that adds nodes, run by the leader where the nodes have no room: seldom, for a bounded time, with
//! what it says kept short.
//!
//! What may run stands in this machine's own settings; nothing that the store or a network says becomes part of it but
//! names, in variables. A term that ends leaves the command its time. Not here: what room is (`control::plan`), how a command
//! is run (`control/hook`).

use crate::clock;
use crate::journal::emit;
use minato_config::{ServiceName, SiteId, Timestamp};
use minato_control::{Event, EventKind};
use minato_control_hook::{Call, Ended, run};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Room must be missing for so long: a node that restarts is soon back.
const LASTING: Duration = Duration::from_secs(30);
/// Services that are named to it.
const NAMED: usize = 50;

/// A command that adds nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Program and arguments; it is no shell's.
    pub command: Vec<String>,
    /// How long it may take; then it is killed with all that it started.
    pub timeout: Duration,
    /// From one start to the next, at least.
    pub every: Duration,
}

/// Runs a hook, where there is one.
#[derive(Debug)]
pub(super) struct Runner {
    hook: Option<Hook>,
    site: SiteId,
    /// Since when room is missing without a break.
    missing: Option<Instant>,
    started: Option<Instant>,
    running: Option<JoinHandle<()>>,
}

impl Runner {
    pub(super) fn new(hook: Option<Hook>, site: SiteId) -> Self {
        Self {
            hook,
            site,
            missing: None,
            started: None,
            running: None,
        }
    }

    /// What lacks room now, by service. Starts the command where that has lasted and it has not run for long enough.
    pub(super) fn see(
        &mut self,
        lacking: &BTreeMap<ServiceName, String>,
        events: &mpsc::Sender<Event>,
        now: Instant,
    ) {
        let Some(hook) = &self.hook else { return };
        if lacking.is_empty() {
            self.missing = None;
            return;
        }
        let since = *self.missing.get_or_insert(now);
        let is_running = self.running.as_ref().is_some_and(|it| !it.is_finished());
        let rests = self
            .started
            .is_some_and(|it| now.saturating_duration_since(it) < hook.every);
        if is_running || rests || now.saturating_duration_since(since) < LASTING {
            return;
        }
        self.started = Some(now);
        let texts = lacking.iter().take(NAMED);
        let reason: Vec<String> = texts.map(|(name, why)| format!("{name}: {why}")).collect();
        let run = Run {
            hook: hook.clone(),
            site: self.site.clone(),
            services: lacking.keys().take(NAMED).cloned().collect(),
            reason: reason.join("\n"),
        };
        self.running = Some(tokio::spawn(run.run(events.clone())));
    }
}

/// One run.
#[derive(Debug)]
struct Run {
    hook: Hook,
    site: SiteId,
    services: Vec<ServiceName>,
    reason: String,
}

impl Run {
    async fn run(self, events: mpsc::Sender<Event>) {
        let program = self.hook.command.first().cloned().unwrap_or_default();
        let first = self.reason.lines().next().unwrap_or_default();
        let text = format!("the nodes have no room ({first}): {program} is asked for more");
        tell(&events, Event::info(clock::wall(), EventKind::Node, text));
        let began = Instant::now();
        let ended = self.carry_out().await;
        let took = began.elapsed().as_secs_f64();
        let event = event(&program, &ended, took, clock::wall());
        tell(&events, event.hint("minato node list"));
    }

    async fn carry_out(&self) -> Ended {
        let names: Vec<&str> = self.services.iter().map(ServiceName::as_str).collect();
        let variables = [
            ("MINATO_SITE", self.site.to_string()),
            ("MINATO_SERVICES", names.join(" ")),
            ("MINATO_REASON", self.reason.clone()),
        ];
        let call = Call {
            command: &self.hook.command,
            variables: &variables,
            input: b"",
            timeout: self.hook.timeout,
        };
        run(&call).await
    }
}

fn event(program: &str, ended: &Ended, took: f64, now: Timestamp) -> Event {
    let said = |it: &str| match it {
        "" => "; it said nothing".to_owned(),
        it => format!("; it said last: {it}"),
    };
    match ended {
        Ended::Status(status, last) if status.success() => {
            let text = format!("{program} ended well after {took:.1}s{}", said(last));
            Event::info(now, EventKind::Node, text)
        }
        Ended::Status(status, last) => {
            let text = format!(
                "{program}, which adds nodes, failed ({status}) after {took:.1}s{}",
                said(last)
            );
            Event::warn(now, EventKind::Node, text)
        }
        Ended::TimedOut(limit, last) => {
            let text = format!(
                "{program}, which adds nodes, was killed: it did not end within {limit:?} (`timeout` in [hooks]){}",
                said(last)
            );
            Event::warn(now, EventKind::Node, text)
        }
        Ended::NotStarted(why) => {
            let text = format!(
                "{program}, which adds nodes, could not be run: {why}; look at `add_nodes` in [hooks] of minato.toml"
            );
            Event::warn(now, EventKind::Node, text)
        }
    }
}

fn tell(events: &mpsc::Sender<Event>, event: Event) {
    emit(events, event);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn hook(script: &str, timeout: Duration) -> Hook {
        let command = ["/bin/sh", "-c", script];
        Hook {
            command: command.map(str::to_owned).into(),
            timeout,
            every: Duration::from_secs(600),
        }
    }

    fn lacking() -> BTreeMap<ServiceName, String> {
        let name = ServiceName::parse("library").unwrap();
        [(name, "processors: 2 wanted, 0.5 left (a)".to_owned())].into()
    }

    /// What is told of one run.
    async fn told(hook: Hook) -> Vec<String> {
        let (events, mut heard) = mpsc::channel(8);
        let mut runner = Runner::new(Some(hook), SiteId::local());
        let now = Instant::now();
        runner.see(&lacking(), &events, now);
        assert!(runner.running.is_none(), "it has only just begun");
        runner.see(&lacking(), &events, now + LASTING);
        drop(events);
        let mut all = Vec::new();
        let each = async {
            while let Some(event) = heard.recv().await {
                all.push(event.message);
            }
        };
        timeout(PATIENCE, each).await.unwrap();
        all
    }

    #[tokio::test]
    async fn it_learns_what_is_missing_and_its_last_word_is_told() {
        let script = "echo first; echo \"$MINATO_SITE $MINATO_SERVICES: $MINATO_REASON\" >&2";
        let told = told(hook(script, PATIENCE)).await;
        assert_eq!(
            told[0],
            "the nodes have no room (library: processors: 2 wanted, 0.5 left (a)): /bin/sh is asked for more"
        );
        assert!(
            told[1].starts_with("/bin/sh ended well after ")
                && told[1].ends_with(
                    "it said last: local library: library: processors: 2 wanted, 0.5 left (a)"
                ),
            "{told:?}"
        );
    }

    #[tokio::test]
    async fn what_fails_hangs_or_is_not_there_is_told_as_that() {
        let failed = told(hook(
            "yes | head -c 300000; echo no quota; exit 3",
            PATIENCE,
        ))
        .await;
        assert!(
            failed[1].contains("failed (exit status: 3)") && failed[1].ends_with(": no quota"),
            "{failed:?}"
        );
        // The child of a shell that waits for it goes as well, or its end of the pipe would keep this from ending.
        let hung = told(hook(
            "echo begun; sleep 1000 & wait",
            Duration::from_millis(300),
        ))
        .await;
        assert!(
            hung[1].contains("was killed: it did not end within 300ms")
                && hung[1].ends_with(": begun"),
            "{hung:?}"
        );
        let absent = Hook {
            command: vec!["/nowhere/add-node".to_owned()],
            ..hook("", PATIENCE)
        };
        let absent = told(absent).await;
        assert!(
            absent[1].contains("could not be run: No such file"),
            "{absent:?}"
        );
    }

    #[tokio::test]
    async fn it_runs_seldom_and_only_for_what_lasts() {
        let (events, _heard) = mpsc::channel(64);
        let mut runner = Runner::new(Some(hook("exit 0", PATIENCE)), SiteId::local());
        let begun = Instant::now();
        let (mut starts, mut last) = (Vec::new(), None);
        for second in 0..1_500 {
            // A node is away for a moment each five minutes, and room is missing for good from 700 s on.
            let missing = if second % 300 < 20 || second >= 700 {
                lacking()
            } else {
                BTreeMap::new()
            };
            runner.see(&missing, &events, begun + Duration::from_secs(second));
            if runner.started != last {
                last = runner.started;
                starts.push(second);
                // The next one may start only when this one has ended.
                runner.running.take().unwrap().await.unwrap();
            }
        }
        assert_eq!(starts, [730, 1_330]);
        let mut none = Runner::new(None, SiteId::local());
        none.see(&lacking(), &events, begun);
        none.see(&lacking(), &events, begun + PATIENCE * 2);
        assert!(none.running.is_none());
    }
}
