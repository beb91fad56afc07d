//! What a person says to an operation that is there: end it, go on.

use super::record::{Operation, OperationState, StepState, Work};
use minato_config::Timestamp;

impl Operation {
    /// Ended by a person: nothing new begins, and what is under way comes to its end; a service that has not been moved yet is given back
    /// to the site that served it. Refused where it has ended, and where all that is left of it has been moved.
    pub fn abort(&self, who: &str, now: Timestamp) -> Result<Self, String> {
        match self.state {
            OperationState::Aborting => return Err(format!("it is being ended: {}", self.reason)),
            it if !it.is_open() => return Err(format!("it is {it} already: {}", self.reason)),
            _ => {}
        }
        let mut next = self.clone();
        let mut moved = Vec::new();
        let mut left = 0;
        for step in next.steps.iter_mut().filter(|it| !it.state.has_ended()) {
            let Some(switch) = &mut step.switch else {
                left += 1;
                continue;
            };
            match switch.abort(who, now) {
                Ok(ended) => {
                    **switch = ended;
                    left += 1;
                }
                Err(why) => moved.push(format!("{}: {why}", step.service)),
            }
        }
        if let (0, Some(why)) = (left, moved.first()) {
            return Err(why.clone());
        }
        Ok(next.ended_by(who, now))
    }

    fn ended_by(&self, who: &str, now: Timestamp) -> Self {
        let state = if self.count(StepState::Running) > 0 {
            OperationState::Aborting
        } else {
            OperationState::Aborted
        };
        self.turned(state, format!("ended by {who}"), now)
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
        let failed = u16::try_from(failed).unwrap_or(u16::MAX);
        match &mut next.work {
            Work::Wave(it) => it.forgiven = failed,
            Work::Switch(it) => it.forgiven = failed,
            Work::Return(_) => {}
        }
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
