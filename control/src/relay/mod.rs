//! Which member of a dependency a relay leads to, when that changes, and what becomes of the connections.
//!
//! One [`Choice`] for each relay. Input: what is known of each member, and `now`; output: [`Step`]s. Rules:
//! - who is in use stays in use while it passes, whatever others say of themselves: nothing ever moves back by itself;
//! - who answers but has lost the role is drained; who is dead is left at once, but only for another: while there is no
//!   other it may come back to life with its connections;
//! - two primaries at once are an alarm, and nothing moves.
//!
//! Where several may be right at once and share what comes, [`Spread`] decides in place of a choice.
//! Not here: probes and what makes a verdict (`health`), sockets (`control/agent`).

mod spread;
#[cfg(test)]
mod tests;

pub use spread::Spread;

use minato_health::{Failure, Layer, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What is wrong with the members may change with each probe; it is told at most this often.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// How many members may pass at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// One: a second primary takes writes that the first never sees.
    One,
    /// Any number, of which one is used: the first that passes, until it no longer does.
    Any,
}

/// What is known of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether it passes.
    pub verdict: Verdict,
    /// Why it last failed; `None` once it is up, and before its first answer.
    pub failure: Option<Failure>,
}

impl Member {
    fn unknown(address: SocketAddr) -> Self {
        Self {
            address,
            verdict: Verdict::Down,
            failure: None,
        }
    }
}

/// Takes what is known now; who is none of these changes nothing.
fn learn(members: &mut [Member], seen: impl IntoIterator<Item = Member>) {
    for news in seen {
        let known = members.iter_mut().find(|it| it.address == news.address);
        if let Some(known) = known {
            *known = news;
        }
    }
}

/// It answers and says that it is something else: nothing of before may reach it for long.
fn is_drained_for(member: &Member) -> bool {
    let failure = member.failure.as_ref();
    failure.is_some_and(|it| it.layer == Layer::Role)
}

/// `10.0.0.8:3306 connect refused: connection refused; 10.0.0.9:3306 role: a replica of 10.0.0.8, read-only`
fn members_text(members: &[Member]) -> String {
    let texts = members.iter().map(|it| match &it.failure {
        Some(failure) => format!("{} {failure}", it.address),
        None if it.verdict == Verdict::Down => format!("{} not heard yet", it.address),
        None => format!("{} passes", it.address),
    });
    texts.collect::<Vec<_>>().join("; ")
}

/// What was last told about nobody being right, and when.
#[derive(Debug, Clone, Default)]
struct Vacancy(Option<(String, Instant)>);

impl Vacancy {
    /// Said once for as long as the same is wrong, not before each member was heard, and not too often.
    fn tell(&mut self, vacant: bool, members: &[Member], now: Instant) -> Option<Step> {
        if !vacant {
            self.0 = None;
            return None;
        }
        let layers: Option<Vec<String>> = members
            .iter()
            .map(|it| Some(it.failure.as_ref()?.layer.to_string()))
            .collect();
        let layers = layers?.join(" ");
        let quiet = |(told, at): &(String, Instant)| {
            *told == layers || now.saturating_duration_since(*at) < TELL_AGAIN
        };
        if self.0.as_ref().is_some_and(quiet) {
            return None;
        }
        self.0 = Some((layers, now));
        Some(Step::Wait(members_text(members)))
    }
}

/// The members of one relay, and the one in use. A deterministic state machine: equal calls give equal answers.
#[derive(Debug, Clone)]
pub struct Choice {
    members: Vec<Member>,
    sharing: Sharing,
    drain: Duration,
    state: State,
    /// The last tenure's number.
    tenure: u64,
    /// Others must say for this long that they are primary before that is an alarm: in a planned change the old one may not
    /// have been looked at yet.
    confirm: Duration,
    /// Members that pass beside the one in use: since when, and whether that was told.
    rivals: BTreeMap<usize, (Instant, bool)>,
    vacancy: Vacancy,
    switches: u64,
}

/// Who is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody was so far; this one was in use by the process before, and is heard first.
    Fresh { before: Option<usize> },
    /// This member.
    InUse(Tenure),
    /// Nobody; this one was last. `ends`: its connections end then; `None`: they wait for it to come back to life.
    Vacant { last: Tenure, ends: Option<Instant> },
}

/// One time in use of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tenure {
    member: usize,
    number: u64,
}

/// What a relay does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// New connections go there, and belong to this tenure.
    Use {
        /// Where.
        member: SocketAddr,
        /// Whose connections [`Step::Cut`] speaks of.
        tenure: u64,
        /// What happened, for people: `10.0.0.9:3306 in place of 10.0.0.8:3306 (connect refused: ..)`.
        why: String,
    },
    /// New connections are shared out between these, each with its tenure; none: they wait.
    Share(Vec<(SocketAddr, u64)>),
    /// What happened to one of several, for people: `10.0.0.9:3306 is used no longer (connect refused: ..)`.
    Told(String),
    /// Nobody passes: new connections wait. The sentence names each member and why.
    Wait(String),
    /// The connections of this tenure end then, if nothing else is said before.
    Cut {
        /// Which.
        tenure: u64,
        /// When; `None`: they go on after all.
        at: Option<Instant>,
    },
    /// More than one is primary: a person is needed. The sentence names them.
    Rivals(String),
    /// There is only one again; the sentence names it.
    RivalsGone(String),
}

impl Choice {
    /// Nothing is known of the members yet. `drain`: how long connections go on to a member that only lost the role;
    /// `confirm`: how long finding a change of roles may take.
    pub fn new(
        members: &[SocketAddr],
        sharing: Sharing,
        drain: Duration,
        confirm: Duration,
    ) -> Self {
        Self {
            members: members.iter().copied().map(Member::unknown).collect(),
            sharing,
            drain,
            state: State::Fresh { before: None },
            tenure: 0,
            confirm,
            rivals: BTreeMap::new(),
            vacancy: Vacancy::default(),
            switches: 0,
        }
    }

    /// Goes on after a process that used `before` last: nobody else is taken before that one was heard.
    #[must_use]
    pub fn after(mut self, before: Option<SocketAddr>) -> Self {
        let before = before.and_then(|it| self.members.iter().position(|m| m.address == it));
        self.state = State::Fresh { before };
        self
    }

    /// The member in use.
    pub fn current(&self) -> Option<SocketAddr> {
        match self.state {
            State::InUse(tenure) => Some(self.members[tenure.member].address),
            State::Fresh { .. } | State::Vacant { .. } => None,
        }
    }

    /// How often the member in use was exchanged for another.
    pub fn switches(&self) -> u64 {
        self.switches
    }

    /// What is known of each.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What is known now of members; who is none of its own changes nothing.
    pub fn observe(&mut self, seen: impl IntoIterator<Item = Member>, now: Instant) -> Vec<Step> {
        learn(&mut self.members, seen);
        let mut steps = Vec::new();
        self.leave(now, &mut steps);
        self.take(now, &mut steps);
        self.look_for_rivals(now, &mut steps);
        let vacant = !matches!(self.state, State::InUse(_));
        steps.extend(self.vacancy.tell(vacant, &self.members, now));
        steps
    }

    /// The member in use, or the one that last was, may have been lost.
    fn leave(&mut self, now: Instant, steps: &mut Vec<Step>) {
        let (last, ends) = match self.state {
            State::Fresh { .. } => return,
            State::InUse(tenure) if self.members[tenure.member].verdict != Verdict::Down => return,
            State::InUse(tenure) => (tenure, None),
            State::Vacant { last, ends } => (last, ends),
        };
        let lost_role = is_drained_for(&self.members[last.member]);
        let ends = match ends {
            None if lost_role => {
                let at = now + self.drain;
                steps.push(Step::Cut {
                    tenure: last.number,
                    at: Some(at),
                });
                Some(at)
            }
            ends => ends,
        };
        self.state = State::Vacant { last, ends };
    }

    /// Whoever was last in use before others, then the first.
    fn take(&mut self, now: Instant, steps: &mut Vec<Step>) {
        let passes = |at: usize| self.members[at].verdict == Verdict::Up;
        let first = || (0..self.members.len()).find(|it| passes(*it));
        let (member, last) = match self.state {
            State::InUse(_) => return,
            State::Fresh { before } => {
                let heard = |at: usize| passes(at) || self.members[at].failure.is_some();
                match before {
                    Some(before) if !heard(before) => return,
                    Some(before) if passes(before) => (Some(before), None),
                    _ => (first(), None),
                }
            }
            State::Vacant { last, ends } if passes(last.member) => {
                (Some(last.member), Some((last, ends)))
            }
            State::Vacant { last, ends } => (first(), Some((last, ends))),
        };
        let Some(member) = member else {
            return;
        };
        let address = self.members[member].address;
        let mut number = self.tenure + 1;
        let why = match last {
            None => format!("{address} is used"),
            Some((last, ends)) if last.member == member => {
                let goes_on = ends.is_none_or(|it| it > now);
                if goes_on {
                    number = last.number;
                }
                if goes_on && ends.is_some() {
                    steps.push(Step::Cut {
                        tenure: number,
                        at: None,
                    });
                }
                format!("{address} is used again")
            }
            Some((last, ends)) => {
                if ends.is_none() {
                    steps.push(Step::Cut {
                        tenure: last.number,
                        at: Some(now),
                    });
                }
                self.switches += 1;
                let before = &self.members[last.member];
                let cause = before.failure.as_ref().map(|it| format!(" ({it})"));
                let cause = cause.unwrap_or_default();
                format!("{address} is used in place of {}{cause}", before.address)
            }
        };
        self.tenure = self.tenure.max(number);
        self.state = State::InUse(Tenure { member, number });
        steps.push(Step::Use {
            member: address,
            tenure: number,
            why,
        });
    }

    fn look_for_rivals(&mut self, now: Instant, steps: &mut Vec<Step>) {
        let State::InUse(Tenure { member: used, .. }) = self.state else {
            // The alarm, if there was one, ends with the next one in use.
            self.rivals.retain(|_, (_, told)| *told);
            return;
        };
        // Who is suspect has not shown the role lately, neither the one in use nor another.
        let passes = |it: usize| self.members[it].verdict == Verdict::Up;
        if self.sharing == Sharing::Any || !passes(used) {
            return;
        }
        let others = (0..self.members.len()).filter(|it| *it != used && passes(*it));
        let others: BTreeSet<usize> = others.collect();
        let was_told = self.rivals.values().any(|(_, told)| *told);
        self.rivals.retain(|it, _| others.contains(it));
        for other in others {
            self.rivals.entry(other).or_insert((now, false));
        }
        let confirm = self.confirm;
        let sure = |since: &Instant| now.saturating_duration_since(*since) >= confirm;
        let address = self.members[used].address;
        if self
            .rivals
            .values()
            .any(|(since, told)| !told && sure(since))
        {
            let mut names = Vec::new();
            for (rival, (since, told)) in &mut self.rivals {
                if sure(since) {
                    *told = true;
                    names.push(self.members[*rival].address.to_string());
                }
            }
            steps.push(Step::Rivals(format!(
                "{} say{} to be primary beside {address}, which stays in use: writes may go to both",
                names.join(" and "),
                if names.len() == 1 { "s" } else { "" }
            )));
        } else if was_told && !self.rivals.values().any(|(_, told)| *told) {
            let sentence = format!("{address} is the only primary again");
            steps.push(Step::RivalsGone(sentence));
        }
    }

    /// What is known of each, and why it does not pass.
    pub fn members_text(&self) -> String {
        members_text(&self.members)
    }
}
