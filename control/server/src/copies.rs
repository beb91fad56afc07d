//! The commands that copy the data of services that move to this site, run on the machine that leads.
//!
//! Which may run stands in this machine's own settings; a service file names one. A run is known by operation and try, lives in a keeper
//! of its own and is found again by the next process here; what `syncs/<service>` says keeps a leader on another machine from
//! beginning a second one.
//! Not here: when a copy is wanted and what its end means (`control::operation::switch`), keepers (`control/hook`).

use crate::clock;
use minato_config::{HookCommand, HookName, NodeId, ServiceName, SiteId, Timestamp};
use minato_control::operation::switch::Sync;
use minato_control::sync::{Local, LocalState, SyncId, SyncRecord, fits, judge, obstacle, predict};
use minato_control::{Event, EventKind, OperationId};
use minato_control_hook::{
    Call, Ended, RunId, RunRecord, RunState, Runs, Started, Wanted, estimated, run,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long an estimate may take.
const ESTIMATE: Duration = Duration::from_secs(30);
/// Lines of a command's output that an event tells.
const TOLD: usize = 3;

/// See the module.
#[derive(Debug, Clone)]
pub struct Copies {
    runs: Runs,
    hooks: Arc<BTreeMap<HookName, HookCommand>>,
    node: NodeId,
    site: SiteId,
}

/// One copy to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy<'a> {
    /// Whose data.
    pub service: &'a ServiceName,
    /// By which command.
    pub hook: &'a HookName,
    /// From where. To where is this site.
    pub from: &'a SiteId,
    /// Which run.
    pub id: SyncId,
}

impl Copies {
    /// On `node` of `site`, with `hooks` of its settings.
    pub fn new(
        runs: Runs,
        hooks: BTreeMap<HookName, HookCommand>,
        node: NodeId,
        site: SiteId,
    ) -> Self {
        Self {
            runs,
            hooks: Arc::new(hooks),
            node,
            site,
        }
    }

    fn command(&self, hook: &HookName) -> Result<&HookCommand, String> {
        self.hooks.get(hook).ok_or_else(|| {
            format!(
                "the command {hook} is not allowed on {}, which leads at {}: add [hooks.run.{hook}] to minato.toml there, on every machine that may lead",
                self.node, self.site
            )
        })
    }

    /// Whether a copy can be made while requests are held for `hold`: how it stands with the figures, or why not. Runs the operator's
    /// estimate where there is one.
    pub async fn foresee(
        &self,
        service: &ServiceName,
        hook: &HookName,
        from: &SiteId,
        hold: Duration,
    ) -> Result<String, String> {
        let command = self.command(hook)?;
        let estimate = match &command.estimate {
            None => None,
            Some(estimate) => Some(self.estimate(service, estimate, from).await?),
        };
        let earlier = self.runs.earlier(service.as_str());
        fits(predict(estimate, &earlier).as_ref(), hold)
    }

    async fn estimate(
        &self,
        service: &ServiceName,
        command: &[String],
        from: &SiteId,
    ) -> Result<Duration, String> {
        let program = command.first().map_or("", String::as_str);
        let variables = [
            ("MINATO_SERVICE", service.to_string()),
            ("MINATO_FROM", from.to_string()),
            ("MINATO_TO", self.site.to_string()),
        ];
        let call = Call {
            command,
            variables: &variables,
            input: b"",
            timeout: ESTIMATE,
        };
        match run(&call).await {
            Ended::Status(status, last) if status.success() => {
                estimated(&last).ok_or_else(|| {
                    format!("its estimate {program} must end with a line like `minato: seconds 4.2`, not `{last}`")
                })
            }
            ended => Err(format!("its estimate {program} {ended}")),
        }
    }

    /// How a run does, and what it says of that.
    pub fn look(
        &self,
        service: &ServiceName,
        id: SyncId,
        record: Option<&SyncRecord>,
        now: Timestamp,
    ) -> (Sync, String) {
        let run = match self.runs.look(service.as_str(), now.0) {
            Ok(run) => run,
            Err(error) => {
                let why = format!("what its command does cannot be read: {error}");
                return (Sync::Failed(id.run, why.clone()), why);
            }
        };
        let run = run.filter(|it| named(it.id) == id);
        let local = run.as_ref().map(|it| Local {
            id,
            state: match &it.state {
                RunState::Running => LocalState::Running,
                RunState::Done => LocalState::Done,
                RunState::Failed(why) => LocalState::Failed(why.clone()),
            },
        });
        let sync = judge(id, record, local.as_ref(), &self.node, now);
        (sync, run.map_or_else(String::new, |it| words(&it, now)))
    }

    /// What the store must hold before [`Copies::begin`]; `None`: it does. The error says why it cannot begin now.
    pub fn record(
        &self,
        copy: &Copy<'_>,
        record: Option<&SyncRecord>,
        now: Timestamp,
    ) -> Result<Option<SyncRecord>, String> {
        let command = self.command(copy.hook)?;
        if let Some(why) = obstacle(copy.id, record, &self.node, now) {
            return Err(why);
        }
        let is_there = record.is_some_and(|it| it.id == copy.id && it.node == self.node);
        let fresh = || SyncRecord {
            copied: record.and_then(|it| it.copied),
            ..SyncRecord::new(copy.id, self.node.clone(), command.timeout, now)
        };
        Ok((!is_there).then(fresh))
    }

    /// Begins a run, or finds that it was begun.
    pub fn begin(&self, copy: &Copy<'_>) -> Result<(), String> {
        let command = self.command(copy.hook)?;
        let variables = [
            ("MINATO_SERVICE", copy.service.to_string()),
            ("MINATO_FROM", copy.from.to_string()),
            ("MINATO_TO", self.site.to_string()),
            ("MINATO_OPERATION", copy.id.operation.to_string()),
            ("MINATO_TRY", copy.id.run.to_string()),
        ];
        let wanted = Wanted {
            id: RunId {
                operation: copy.id.operation.0,
                run: copy.id.run,
            },
            command: command.command.clone(),
            variables: variables
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            timeout: command.timeout,
            now_ms: clock::wall().0,
        };
        match self.runs.start(copy.service.as_str(), &wanted) {
            Ok(Started::Begun | Started::Before) => Ok(()),
            Ok(Started::Busy(other)) => Err(format!("the copy of {other} still runs here")),
            Err(error) => Err(format!("{} could not be run: {error}", copy.hook)),
        }
    }

    /// Ends the run of a service, whichever it is: what it copies is of no use any more.
    pub fn stop(&self, service: &ServiceName) {
        if let Err(error) = self.runs.stop(service.as_str()) {
            tracing::warn!(%service, %error, "a command is not ended before its time");
        }
    }

    /// How a run ended, for people; `None` while it runs, or where nothing is known of it here.
    pub fn news(&self, service: &ServiceName, id: SyncId, now: Timestamp) -> Option<Event> {
        let run = self.runs.look(service.as_str(), now.0).ok().flatten();
        let run = run.filter(|it| named(it.id) == id && it.state != RunState::Running)?;
        let took = Duration::from_millis(run.took_ms).as_secs_f64();
        let what = format!("{service}: the copy of {}", run.id);
        let event = match &run.state {
            RunState::Failed(why) => {
                let text = format!("{what} failed after {took:.1} s: {why}");
                Event::warn(now, EventKind::Operation, text)
            }
            RunState::Running | RunState::Done => {
                let from = run.output.len().saturating_sub(TOLD);
                let last = run.output.get(from..).unwrap_or_default().join(" / ");
                let said = match last.as_str() {
                    "" => String::new(),
                    last => format!("; it said last: {last}"),
                };
                let text = format!("{what} ended well after {took:.1} s{said}");
                Event::info(now, EventKind::Operation, text)
            }
        };
        Some(event.of(service))
    }
}

fn named(id: RunId) -> SyncId {
    SyncId {
        operation: OperationId(id.operation),
        run: id.run,
    }
}

/// `copies for 3 s: 40 %`, `copied in 0.7 s`
fn words(run: &RunRecord, now: Timestamp) -> String {
    match &run.state {
        RunState::Running => {
            let seconds = now.since(Timestamp(run.began_ms)).as_secs();
            match &run.progress {
                Some(progress) => format!("copies for {seconds} s: {progress}"),
                None => match run.output.last() {
                    Some(last) => format!("copies for {seconds} s: {last}"),
                    None => format!("copies for {seconds} s"),
                },
            }
        }
        RunState::Done => {
            let took = Duration::from_millis(run.took_ms).as_secs_f64();
            format!("copied in {took:.1} s")
        }
        RunState::Failed(why) => format!("the copy failed: {why}"),
    }
}
