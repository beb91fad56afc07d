//! When what is looked for ahead is looked for next, and what comes first. Pure.
//!
//! Not here: looking (`fetch`), what is looked for (`minato_control::images_ahead`).

use minato_config::ServiceName;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What the engine has is looked for again after this time.
const HERE: Duration = Duration::from_secs(600);
/// The same of what a registry has. It may count what it is asked (Docker Hub allows 100 answers in 6 h).
const THERE: Duration = Duration::from_secs(6 * 3600);
/// The same after the first look that was no yes; doubled with each that follows.
const SOON: Duration = Duration::from_secs(10);
/// At most, where the answer is a certain no: somebody who puts it right waits for the next look.
const MOST_NO: Duration = Duration::from_secs(20);
/// At most, where nothing was found out. It hinders nobody, and a registry that allows no more must not be asked for more.
const MOST_UNKNOWN: Duration = Duration::from_secs(600);
/// Looks under way count as due again after this time.
const UNDER_WAY: Duration = HERE;

/// What a look has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The machine has it, or never will.
    Here,
    /// Its registry has it.
    There,
    /// It cannot be had.
    No,
    /// Nothing was found out.
    Unknown,
}

/// What is to be looked for.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    due: BTreeMap<ServiceName, Due>,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    at: Instant,
    /// Looks in a row that were no yes.
    failed: u32,
}

impl Looks {
    /// To be looked for from now on, after what waits already.
    pub(crate) fn add(&mut self, service: ServiceName, at: Instant) {
        self.due.insert(service, Due { at, failed: 0 });
    }

    pub(crate) fn retain(&mut self, mut is_wanted: impl FnMut(&ServiceName) -> bool) {
        self.due.retain(|it, _| is_wanted(it));
    }

    /// What is due, who has waited longest first: a registry that hangs, and is asked again and again, keeps nothing else waiting.
    pub(crate) fn due(&self, at: Instant) -> Vec<&ServiceName> {
        let due = self.due.iter().filter(|(_, it)| it.at <= at);
        let mut due: Vec<_> = due.map(|(service, it)| (it.at, service)).collect();
        due.sort();
        due.into_iter().map(|(_, service)| service).collect()
    }

    /// It is being looked for.
    pub(crate) fn begun(&mut self, service: &ServiceName, at: Instant) {
        if let Some(due) = self.due.get_mut(service) {
            due.at = at + UNDER_WAY;
        }
    }

    /// `jitter`: 0 to 1.
    pub(crate) fn found(
        &mut self,
        service: &ServiceName,
        answer: Answer,
        at: Instant,
        jitter: f64,
    ) {
        let Some(due) = self.due.get_mut(service) else {
            return;
        };
        due.at = at + pause(answer, due.failed, jitter);
        due.failed = match answer {
            Answer::Here | Answer::There => 0,
            Answer::No | Answer::Unknown => due.failed.saturating_add(1),
        };
    }

    /// When the first of them is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.values().map(|it| it.at).min()
    }
}

/// Until it is looked for again; `failed` looks before this one were no yes. Up to a quarter less by chance, so that machines that lost
/// a registry at once do not ask it at once.
fn pause(answer: Answer, failed: u32, jitter: f64) -> Duration {
    let doubled = SOON.saturating_mul(1 << failed.min(16));
    let most = match answer {
        Answer::Here => HERE,
        Answer::There => THERE,
        Answer::No => doubled.min(MOST_NO),
        Answer::Unknown => doubled.min(MOST_UNKNOWN),
    };
    most.mul_f64(0.75 + jitter.clamp(0.0, 1.0) / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now;

    #[test]
    fn who_cannot_answer_is_asked_less_and_less_often() {
        for (answer, seconds) in [
            (Answer::Unknown, [10, 20, 40, 80, 160, 320, 600, 600]),
            (Answer::No, [10, 20, 20, 20, 20, 20, 20, 20]),
            (Answer::Here, [600; 8]),
            (Answer::There, [6 * 3600; 8]),
        ] {
            for (failed, seconds) in seconds.into_iter().enumerate() {
                let failed = u32::try_from(failed).unwrap();
                let [most, some, least] = [1.0, 0.5, 0.0].map(|it| pause(answer, failed, it));
                assert_eq!(most, Duration::from_secs(seconds), "{answer:?} {failed}");
                assert!(most > some && some > least && least * 4 == most * 3);
            }
        }
        assert_eq!(pause(Answer::Unknown, u32::MAX, 1.0), MOST_UNKNOWN);
    }

    #[test]
    fn a_yes_and_another_image_begin_anew() {
        let (name, at) = (ServiceName::parse("a").unwrap(), now().instant);
        let mut looks = Looks::default();
        looks.add(name.clone(), at);
        let mut after = |answer| {
            looks.found(&name, answer, at, 1.0);
            looks.next().unwrap() - at
        };
        assert_eq!(after(Answer::Unknown), SOON);
        assert_eq!(after(Answer::No), SOON * 2);
        assert_eq!(after(Answer::Here), HERE);
        assert_eq!(after(Answer::No), SOON);
        looks.add(name.clone(), at);
        looks.found(&name, Answer::Unknown, at, 1.0);
        assert_eq!(looks.next(), Some(at + SOON));
        // What is not looked for any more is not due.
        looks.retain(|_| false);
        looks.found(&name, Answer::Unknown, at, 1.0);
        assert_eq!(looks.next(), None);
    }

    #[test]
    fn who_has_waited_longest_comes_first() {
        let name = |it: &str| ServiceName::parse(it).unwrap();
        let begin = now().instant;
        let after = |seconds| begin + Duration::from_secs(seconds);
        let mut looks = Looks::default();
        for service in ["a", "b", "c", "d"] {
            looks.add(name(service), begin);
        }
        looks.add(name("e"), after(1));
        assert_eq!(
            looks.due(begin),
            ["a", "b", "c", "d"].map(name).iter().collect::<Vec<_>>()
        );
        // Those of the registry that hangs are due again; the others have never been looked for.
        for service in ["a", "b"] {
            looks.begun(&name(service), begin);
            looks.found(&name(service), Answer::Unknown, after(30), 1.0);
        }
        assert_eq!(
            looks.due(after(39)),
            ["c", "d", "e"].map(name).iter().collect::<Vec<_>>()
        );
        let all = ["c", "d", "e", "a", "b"].map(name);
        assert_eq!(looks.due(after(40)), all.iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_registry_that_hangs_keeps_nothing_else_waiting() {
        // One slot, and a look at each of the first nine takes 30 s to come to nothing.
        let names: Vec<_> = (0..10)
            .map(|n| ServiceName::parse(&format!("s{n}")).unwrap())
            .collect();
        let mut at = now().instant;
        let mut looks = Looks::default();
        for name in &names {
            looks.add(name.clone(), at);
        }
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..names.len() {
            let service = looks.due(at)[0].clone();
            looks.begun(&service, at);
            at += Duration::from_secs(30);
            looks.found(&service, Answer::Unknown, at, 0.0);
            seen.insert(service);
        }
        assert_eq!(seen.len(), names.len());
    }
}
