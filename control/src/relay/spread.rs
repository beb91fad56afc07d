//! Which members share the connections of a relay where several may be right at once: replicas, say.
//!
//! One [`Spread`] for each such relay, in place of a [`super::Choice`]; the same input, the same [`Step`]s. Rules:
//! - every member that passes gets new connections; who is suspect gets none while another passes without doubt;
//! - who answers and is no longer what it should be is drained, others or not;
//! - who is dead is left at once, but only for another: while there is none it may come back to life with its connections.

use super::{Member, Step, Vacancy, is_drained_for, learn, members_text};
use minato_health::Verdict;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The members of one relay, and those in use. A deterministic state machine: equal calls give equal answers.
#[derive(Debug, Clone)]
pub struct Spread {
    members: Vec<Member>,
    drain: Duration,
    /// Of each member, in the same order.
    states: Vec<State>,
    /// The last tenure's number.
    tenure: u64,
    /// Where new connections were last said to go.
    ways: Vec<(SocketAddr, u64)>,
    vacancy: Vacancy,
    switches: u64,
}

/// How one member is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unused,
    InUse {
        tenure: u64,
    },
    /// It passes no more. `ends`: its connections end then; `None`: they wait for it, or for another.
    Left {
        tenure: u64,
        ends: Option<Instant>,
    },
}

impl Spread {
    /// Nothing is known of the members yet. `drain`: how long connections go on to a member that only lost the role.
    pub fn new(members: &[SocketAddr], drain: Duration) -> Self {
        Self {
            members: members.iter().copied().map(Member::unknown).collect(),
            drain,
            states: vec![State::Unused; members.len()],
            tenure: 0,
            ways: Vec::new(),
            vacancy: Vacancy::default(),
            switches: 0,
        }
    }

    /// What is known of each.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Those in use, in the order of the settings.
    pub fn in_use(&self) -> Vec<SocketAddr> {
        let both = self.members.iter().zip(&self.states);
        let used = both.filter(|(_, state)| matches!(state, State::InUse { .. }));
        used.map(|(member, _)| member.address).collect()
    }

    /// How often one in use was left.
    pub fn switches(&self) -> u64 {
        self.switches
    }

    /// What is known now of members; who is none of its own changes nothing.
    pub fn observe(&mut self, seen: impl IntoIterator<Item = Member>, now: Instant) -> Vec<Step> {
        learn(&mut self.members, seen);
        let mut steps = Vec::new();
        for place in 0..self.members.len() {
            self.take(place, now, &mut steps);
        }
        for place in 0..self.members.len() {
            self.leave(place, now, &mut steps);
        }
        self.share(&mut steps);
        let vacant = self.in_use().is_empty();
        steps.extend(self.vacancy.tell(vacant, &self.members, now));
        steps
    }

    /// Into use, where it passes.
    fn take(&mut self, place: usize, now: Instant, steps: &mut Vec<Step>) {
        let (Some(member), Some(state)) = (self.members.get(place), self.states.get_mut(place))
        else {
            return;
        };
        if member.verdict != Verdict::Up {
            return;
        }
        let address = member.address;
        let (tenure, again) = match *state {
            State::InUse { .. } => return,
            State::Left { tenure, ends } if ends.is_none_or(|it| it > now) => {
                if ends.is_some() {
                    steps.push(Step::Cut { tenure, at: None });
                }
                (tenure, " again")
            }
            State::Left { .. } => (self.tenure + 1, " again"),
            State::Unused => (self.tenure + 1, ""),
        };
        self.tenure = self.tenure.max(tenure);
        *state = State::InUse { tenure };
        steps.push(Step::Told(format!("{address} is used{again}")));
    }

    /// Out of use, where it passes no more; its connections end where there is a reason.
    fn leave(&mut self, place: usize, now: Instant, steps: &mut Vec<Step>) {
        let used = |it: &State| matches!(it, State::InUse { .. });
        let passes = |it: &Member| it.verdict != Verdict::Down;
        let others = self.members.iter().zip(&self.states).enumerate();
        let mut others =
            others.filter(|(n, (member, state))| *n != place && used(state) && passes(member));
        let is_alone = others.next().is_none();
        let (Some(member), Some(state)) = (self.members.get(place), self.states.get_mut(place))
        else {
            return;
        };
        if passes(member) {
            return;
        }
        let (tenure, ends) = match *state {
            State::Unused => return,
            State::InUse { tenure } => {
                self.switches += 1;
                let why = member.failure.as_ref().map(|it| format!(" ({it})"));
                steps.push(Step::Told(format!(
                    "{} is used no longer{}",
                    member.address,
                    why.unwrap_or_default()
                )));
                (tenure, None)
            }
            State::Left { tenure, ends } => (tenure, ends),
        };
        let at = match ends {
            Some(_) => None,
            None if is_drained_for(member) => Some(now + self.drain),
            None => (!is_alone).then_some(now),
        };
        if let Some(at) = at {
            steps.push(Step::Cut {
                tenure,
                at: Some(at),
            });
        }
        *state = State::Left {
            tenure,
            ends: ends.or(at),
        };
    }

    fn share(&mut self, steps: &mut Vec<Step>) {
        let both = || self.members.iter().zip(&self.states);
        let ways = |wanted: fn(Verdict) -> bool| -> Vec<(SocketAddr, u64)> {
            let used = both().filter_map(|(member, state)| match state {
                State::InUse { tenure } if wanted(member.verdict) => {
                    Some((member.address, *tenure))
                }
                _ => None,
            });
            used.collect()
        };
        let mut best = ways(|it| it == Verdict::Up);
        if best.is_empty() {
            best = ways(|_| true);
        }
        if best != self.ways {
            self.ways.clone_from(&best);
            steps.push(Step::Share(best));
        }
    }

    /// `10.0.0.8:3306 passes; 10.0.0.9:3306 role: follows nobody`
    pub fn members_text(&self) -> String {
        members_text(&self.members)
    }
}
