//! What a person says to an operation that is there: end it, go on.

use super::record::{Operation, OperationState, StepState, Work};
use minato_config::Timestamp;

impl Operation {
    /// Ended by a person: nothing new begins, and what is under way comes to its end. Refused where it has ended.
    pub fn abort(&self, who: &str, now: Timestamp) -> Result<Self, String> {
        match self.state {
            OperationState::Aborting => return Err(format!("it is being ended: {}", self.reason)),
            it if !it.is_open() => return Err(format!("it is {it} already: {}", self.reason)),
            _ => {}
        }
        let state = if self.count(StepState::Running) > 0 {
            OperationState::Aborting
        } else {
            OperationState::Aborted
        };
        Ok(self.turned(state, format!("ended by {who}"), now))
    }

    /// Goes on after failures: those that were there are forgiven. Refused where it is not held.
    pub fn resume(&self, who: &str, now: Timestamp) -> Result<Self, String> {
        match self.state {
            OperationState::Held => {}
            OperationState::Scheduled | OperationState::Paused => {
                return Err(format!("it goes on by itself, {}", self.schedule.text()));
            }
            OperationState::Running => return Err("it is under way".to_owned()),
            it => {
                return Err(format!(
                    "it is {it}; {}; begin another one for what is left",
                    self.progress()
                ));
            }
        }
        let mut next = self.turned(
            OperationState::Running,
            format!("goes on by the word of {who}"),
            now,
        );
        let failed = next.count(StepState::Failed);
        let Work::Wave(wave) = &mut next.work;
        wave.forgiven = u16::try_from(failed).unwrap_or(u16::MAX);
        Ok(next)
    }

    /// The same in another state.
    pub(super) fn turned(&self, state: OperationState, reason: String, now: Timestamp) -> Self {
        Self {
            state,
            reason,
            since: now,
            ..self.clone()
        }
    }
}
