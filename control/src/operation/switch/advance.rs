//! One look at a switch.

use super::record::{
    Cause, Data, Entrance, Held, Order, Phase, Sight, Source, Switch, SwitchState, Sync,
};
use minato_config::Timestamp;
use std::time::Duration;

/// So long before the end of a hold nothing is moved any more: the commit of the move must come before requests are served again at
/// the old site. A runner that is frozen for longer between its look and its commit, and still leads, is what this does not cover;
/// services that must never write at two sites need a ticket, not a hold.
pub(crate) const MARGIN: Duration = Duration::from_secs(2);

/// What follows from one look. The document is written first, together with `Warm` and `First`; then the other orders are carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchTurn {
    /// The document as it should be from now on.
    pub next: Switch,
    /// What to do now.
    pub orders: Vec<Order>,
}

/// One look. Equal inputs give equal turns.
pub fn advance(switch: &Switch, sight: &Sight, now: Timestamp) -> SwitchTurn {
    let mut look = Look {
        now,
        sight,
        next: switch.clone(),
        orders: Vec::new(),
    };
    match switch.state {
        SwitchState::Running => look.go_on(),
        SwitchState::Aborting => look.give_back(),
        // One that answers again is as good as one that did at once.
        SwitchState::Stuck => look.verify(),
        SwitchState::Aborted | SwitchState::Done | SwitchState::Visited => {}
    }
    SwitchTurn {
        next: look.next,
        orders: look.orders,
    }
}

impl Switch {
    /// Given up by a person. Refused after the move, where only another switch leads back.
    pub fn abort(&self, who: &str, now: Timestamp) -> Result<Self, String> {
        let mut next = self.clone();
        match self.state {
            SwitchState::Running if !self.has_moved() => {
                next.state = SwitchState::Aborting;
                (next.since, next.reason) = (now, format!("ended by {who}"));
                Ok(next)
            }
            SwitchState::Running
            | SwitchState::Stuck
            | SwitchState::Done
            | SwitchState::Visited => Err(format!(
                "{} serves it since the move; minato switch --to {} leads back",
                self.to, self.from
            )),
            SwitchState::Aborting | SwitchState::Aborted => Err(self.reason.clone()),
        }
    }
}

struct Look<'a> {
    now: Timestamp,
    sight: &'a Sight,
    next: Switch,
    orders: Vec<Order>,
}

impl Look<'_> {
    fn go_on(&mut self) {
        if self.sight.epoch > self.next.epoch && !self.next.has_moved() {
            // Somebody else has moved it meanwhile: their word is newer.
            return self.abort(format!(
                "the order of sites was changed by another, to epoch {}",
                self.sight.epoch
            ));
        }
        match self.next.phase {
            Phase::Check => self.check(),
            Phase::Warm => self.warm(),
            Phase::Hold => self.hold(),
            Phase::Drain => self.drain(),
            Phase::Sync => self.sync(),
            Phase::Move => self.make_first(),
            Phase::Verify => self.verify(),
            Phase::Quiet => self.quiet(),
        }
    }

    fn waited(&self) -> Duration {
        self.now.since(self.next.since)
    }

    fn enter(&mut self, phase: Phase) {
        self.next.phase = phase;
        (self.next.since, self.next.reason) = (self.now, String::new());
    }

    /// Before the move only.
    fn abort(&mut self, why: String) {
        self.next.state = SwitchState::Aborting;
        (self.next.since, self.next.reason) = (self.now, why);
        self.give_back();
    }

    fn check(&mut self) {
        if let Some(problem) = self.sight.problems.first() {
            let more = self.sight.problems.len() - 1;
            let more = match more {
                0 => String::new(),
                n => format!(", and {n} more"),
            };
            return self.abort(format!("{problem}{more}"));
        }
        let (from, to) = (&self.next.from, &self.next.to);
        match (self.next.cause, &self.sight.source) {
            (Cause::Planned, None) => {
                return self.abort(format!(
                    "{from} is not heard; minato failover --to {to} moves what a dead site served"
                ));
            }
            (Cause::Lost, Some(_)) => {
                return self.abort(format!(
                    "{from} is heard again; minato switch --to {to} moves what a living site serves"
                ));
            }
            _ => {}
        }
        self.next.need = self.sight.need;
        self.enter(Phase::Warm);
        self.orders.push(Order::Warm);
    }

    fn warm(&mut self) {
        let ((up, wanted), need) = (self.sight.up, self.next.need);
        let is_late = self.waited() >= self.next.timing.warm();
        // More were asked for than its machines take: what they carry was reckoned with.
        let all = if is_late { need.enough } else { need.wanted };
        if wanted > 0 && up >= wanted.max(all) {
            self.next.tries += 1;
            return self.enter(self.after_warm());
        }
        if is_late {
            let (to, waited) = (self.next.to.clone(), self.next.timing.warm());
            let all = wanted.max(need.wanted);
            let enough = match need.enough {
                it if it > wanted => format!(", and {it} carry the work of {}", self.next.from),
                _ => String::new(),
            };
            return self.abort(format!("{up} of {all} up at {to} after {waited:?}{enough}"));
        }
        self.orders.push(Order::Warm);
    }

    /// Nothing is held at a site that is not heard.
    fn after_warm(&self) -> Phase {
        match (self.next.data, self.next.cause) {
            (Data::None, _) | (_, Cause::Lost) => Phase::Move,
            (Data::Hook, Cause::Planned) => Phase::Hold,
        }
    }

    /// The old site while requests are held there; `None`: it is over, and why was written.
    fn holding(&mut self) -> Option<Source> {
        let Some(source) = self.sight.source.clone() else {
            let from = &self.next.from;
            self.abort(format!("{from} is not heard any more"));
            return None;
        };
        // The old site's own clock ends it; this one, too, where it is not heard of in time.
        if source.held == Held::Broken(self.next.tries) {
            // Waiting longer makes nothing whole.
            let why = "a gateway began anew while requests waited, and may have served some; type it again";
            self.abort(why.to_owned());
            return None;
        }
        let is_over = source.held == Held::Expired(self.next.tries);
        let late = self.waited() + MARGIN >= self.next.timing.hold();
        if is_over || late {
            let (phase, waited) = (self.next.phase, self.waited());
            self.abort(format!(
                "{phase:?} was not over when requests had waited for {waited:?}"
            ));
            return None;
        }
        Some(source)
    }

    fn hold(&mut self) {
        let Some(source) = self.holding() else {
            return;
        };
        if source.held == Held::For(self.next.tries) {
            // The time counts from the order, not from here.
            let since = self.next.since;
            self.enter(Phase::Drain);
            self.next.since = since;
            return;
        }
        let order = Order::Hold(self.next.tries, self.next.timing.hold());
        self.orders.push(order);
    }

    fn drain(&mut self) {
        let Some(source) = self.holding() else {
            return;
        };
        if source.in_flight > 0 {
            return;
        }
        let since = self.next.since;
        self.enter(Phase::Sync);
        self.next.since = since;
        self.orders.push(Order::Sync(self.next.tries));
    }

    fn sync(&mut self) {
        let Some(source) = self.holding() else {
            return;
        };
        let run = self.next.tries;
        match &self.sight.sync {
            // Only while nobody writes at the old site is a copy whole.
            Sync::Done(it) if *it == run && source.held == Held::For(run) => {
                let since = self.next.since;
                self.enter(Phase::Move);
                self.next.since = since;
            }
            Sync::Failed(it, why) if *it == run => {
                let why = format!("its command failed: {why}");
                self.abort(why);
            }
            Sync::Running(it) if *it == run => {}
            _ => self.orders.push(Order::Sync(run)),
        }
    }

    fn make_first(&mut self) {
        if self.after_warm() == Phase::Hold {
            let Some(source) = self.holding() else {
                return;
            };
            if source.held != Held::For(self.next.tries) {
                return self.abort("requests were not held any more at the move".to_owned());
            }
        }
        let epoch = self.next.epoch + 1;
        self.enter(Phase::Verify);
        self.orders.push(Order::First(epoch));
        self.orders.push(Order::Tell(epoch));
    }

    fn verify(&mut self) {
        let epoch = self.next.epoch + 1;
        let knows = match &self.sight.source {
            Some(source) if source.epoch < epoch => {
                self.orders.push(Order::Tell(epoch));
                false
            }
            Some(source)
                if matches!(
                    source.held,
                    Held::For(_) | Held::Partly(_) | Held::Broken(_)
                ) =>
            {
                self.orders.push(Order::Release);
                false
            }
            // One that is away learns it when it is back, before it serves.
            Some(_) | None => true,
        };
        if self.sight.answers && knows {
            self.next.state = SwitchState::Running;
            return self.enter(Phase::Quiet);
        }
        let is_late = self.waited() >= self.next.timing.verify();
        if is_late && self.next.state == SwitchState::Running {
            let (to, waited) = (self.next.to.clone(), self.next.timing.verify());
            self.next.state = SwitchState::Stuck;
            (self.next.since, self.next.reason) = (
                self.now,
                format!("{to} came first and was not seen to serve in {waited:?}"),
            );
        }
    }

    fn quiet(&mut self) {
        let came = self.sight.source.as_ref().and_then(|it| it.came);
        self.next.came = self.next.came.or(came);
        let (state, reason) = match self.unquiet() {
            None => {
                let from = &self.next.from;
                let why = format!("nobody comes to {from} for it any more");
                (SwitchState::Done, why)
            }
            Some(why) if self.waited() >= self.next.timing.watch() => (SwitchState::Visited, why),
            Some(_) => return,
        };
        self.next.state = state;
        (self.next.since, self.next.reason) = (self.now, reason);
    }

    /// Why the old site may not be switched off yet.
    fn unquiet(&mut self) -> Option<String> {
        let (from, to) = (&self.next.from, &self.next.to);
        let quiet = self.next.timing.quiet();
        let watched = length(self.waited());
        let published = match &self.sight.entrance {
            Entrance::None => self.next.since,
            Entrance::Done(since) => (*since).max(self.next.since),
            Entrance::Unasked => {
                self.orders.push(Order::Publish);
                return Some(format!("its names do not lead to {to} after {watched}"));
            }
            // Visitors still find the way to the old site.
            Entrance::Trying(why) => {
                return Some(format!(
                    "its names do not lead to {to} after {watched}: {why}"
                ));
            }
        };
        let moved = self.now.since(published) >= quiet;
        let Some(source) = &self.sight.source else {
            // Nobody can come to one that is away.
            return (!moved).then(|| format!("its names have led to {to} for too short a time"));
        };
        let is_quiet = (source.quiet_since).is_some_and(|it| self.now.since(it) >= quiet / 2);
        if moved && is_quiet {
            return None;
        }
        let requests = source.came.zip(self.next.came);
        // A gateway that began anew counts from nothing.
        let requests = requests.map(|(now, then)| now.checked_sub(then).unwrap_or(now));
        let requests =
            requests.map_or_else(|| "requests".to_owned(), |it| format!("{it} requests"));
        let last = match source.quiet_since {
            None => "somebody is there now".to_owned(),
            Some(it) => format!("the last one {} ago", length(self.now.since(it))),
        };
        Some(format!(
            "{requests} came to {from} for it in {watched}, {last}"
        ))
    }

    /// Until the old site serves as before.
    fn give_back(&mut self) {
        let held = self.sight.source.as_ref().map(|it| it.held);
        match held {
            // Its own clock gives them back where it is not heard.
            None | Some(Held::No | Held::Expired(_)) => {
                self.next.state = SwitchState::Aborted;
                self.next.since = self.now;
            }
            Some(Held::Partly(_) | Held::For(_) | Held::Broken(_)) => {
                self.orders.push(Order::Release);
            }
        }
    }
}

/// `24 h`, `90 min`, `12 s`
pub(super) fn length(it: Duration) -> String {
    match it.as_secs() {
        it if it >= 2 * 3600 => format!("{} h", it / 3600),
        it if it >= 120 => format!("{} min", it / 60),
        it => format!("{it} s"),
    }
}
