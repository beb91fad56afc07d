//! What there is of a run, by its record and by /proc, and the end of what should not be there.

use super::process::{ANSWER, LOOK, ProcessRuntime};
use super::{Ended, Exit, FoundState, Record, RunName};
use crate::proc::{self, Process};
use crate::shim::INSTANCE_VARIABLE;
use rustix::process::kill_process;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long the remains of a run may take to die of SIGKILL.
const REMAINS: Duration = Duration::from_secs(5);

impl ProcessRuntime {
    /// Every living process of the run: by its mark, which those that cleared their environment lack.
    pub(super) fn processes(&self, run: &RunName) -> Vec<Process> {
        let mark = self.mark(run);
        proc::with_variable(INSTANCE_VARIABLE)
            .into_iter()
            .filter(|(_, value)| *value == mark)
            .map(|(process, _)| process)
            .collect()
    }

    /// Kills all that is left of a run, its keeper too, and waits until it is gone.
    pub(super) async fn sweep(&self, run: &RunName) {
        let record = self.records.read(run).filter(|it| it.boot == self.boot);
        let (keeper, instance) = record.map_or((None, None), |it| (it.keeper, it.instance));
        let gone = async {
            loop {
                let mut left = self.processes(run);
                left.extend(proc::belonging(keeper, instance));
                if left.is_empty() {
                    return;
                }
                for id in left.into_iter().filter_map(Process::id) {
                    let _ = kill_process(id, rustix::process::Signal::KILL);
                }
                sleep(LOOK).await;
            }
        };
        if timeout(REMAINS, gone).await.is_err() {
            tracing::warn!(%run, "processes of an ended run do not die of SIGKILL");
        }
    }

    /// Writes down an end that no keeper did.
    pub(super) fn close(&self, run: &RunName, exit: Exit) -> Ended {
        self.records.close(run, Ended::by(exit))
    }

    /// What has become of a recorded run.
    pub(super) async fn look(&self, record: &Record) -> FoundState {
        let name = &record.name;
        if record.ended.is_none() && record.boot != self.boot {
            return FoundState::Ended(
                self.close(name, Exit::Unseen("the machine was restarted".to_owned())),
            );
        }
        let settled = async {
            loop {
                let Some(record) = self.records.read(name) else {
                    return FoundState::Ended(
                        self.close(name, Exit::Unseen("its record is gone".to_owned())),
                    );
                };
                if let Some(ended) = record.ended {
                    return FoundState::Ended(ended);
                }
                match (record.keeper, record.instance) {
                    (Some(keeper), Some(instance)) if keeper.is_alive() && instance.is_alive() => {
                        return FoundState::Running {
                            pid: instance.pid,
                            age: instance.age(),
                            address: None,
                        };
                    }
                    // Between birth and start, or between end and writing it down.
                    (Some(keeper), _) if keeper.is_alive() => {}
                    (None, _) if !self.processes(name).is_empty() => {}
                    // It may have written its last since we read.
                    (keeper, instance)
                        if self.records.read(name).is_some_and(|it| {
                            it.ended.is_none() && (it.keeper, it.instance) == (keeper, instance)
                        }) =>
                    {
                        self.sweep(name).await;
                        return FoundState::Ended(self.close(name, unseen(keeper, instance)));
                    }
                    _ => {}
                }
                sleep(LOOK).await;
            }
        };
        match timeout(ANSWER, settled).await {
            Ok(state) => state,
            Err(_) => {
                self.sweep(name).await;
                FoundState::Ended(self.close(
                    name,
                    Exit::Unseen("its keeper hung and was killed".to_owned()),
                ))
            }
        }
    }
}

/// What is known of a run that ended without its keeper.
pub(super) fn unseen(keeper: Option<Process>, instance: Option<Process>) -> Exit {
    match (keeper, instance) {
        (None, _) => Exit::Never,
        (Some(_), None) => Exit::Unseen("its keeper was killed before it could start".to_owned()),
        (Some(_), Some(_)) => Exit::Unseen(
            "its keeper was killed, and with it went its output; what was left was ended"
                .to_owned(),
        ),
    }
}
