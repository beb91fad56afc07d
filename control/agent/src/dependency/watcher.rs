//! One task for each dependency: hears its checks, decides by the pure choice, and says what became of it.

use super::before::Before;
use super::herald::Herald;
use super::lead::Lead;
use super::passage::{Passage, Way};
use super::view::{MemberView, Shown};
use crate::clock::now;
use minato_config::{
    Balance, DatabaseRole, Dependency, DependencyCheck, DependencyName, HealthProbe, MemberProbe,
};
use minato_control::relay::{Member, Sharing, Step};
use minato_control::{Event, EventKind, Standings, Usable};
use minato_health::{Evidence, Verdict};
use minato_health_probe::{Ask, Monitor, MonitorHandle, Mount, Target};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

/// Reasons change without a change of verdict; they are looked at this often.
const LOOK: Duration = Duration::from_millis(500);
/// What a mount is called where members have addresses.
const OF_A_MOUNT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

pub(super) struct Watcher {
    pub(super) name: DependencyName,
    pub(super) settings: Dependency,
    pub(super) standings: Arc<watch::Sender<Standings>>,
    pub(super) shown: Arc<Shown>,
    pub(super) passage: Option<Arc<Passage>>,
    pub(super) herald: Herald,
    pub(super) before: Arc<Before>,
}

impl Watcher {
    /// Until dropped.
    pub(super) async fn run(self, permits: Arc<Semaphore>) {
        let (changes, mut changed) = mpsc::channel(64);
        let members: Vec<(SocketAddr, MonitorHandle)> = self
            .asks()
            .into_iter()
            .map(|(address, ask)| {
                let monitor = Monitor {
                    key: address,
                    ask,
                    timing: self.settings.timing.clone(),
                    start: Verdict::Down,
                };
                (
                    address,
                    monitor.spawn(Arc::clone(&permits), changes.clone()),
                )
            })
            .collect();
        let addresses: Vec<SocketAddr> = members.iter().map(|it| it.0).collect();
        let drain = self.settings.relay.as_ref().map(|it| it.drain);
        let timing = &self.settings.timing;
        let finding = timing.interval + timing.fast * u32::from(timing.fall) + timing.timeout;
        let drain = drain.unwrap_or_default();
        let mut lead = match self.settings.relay.as_ref().map(|it| it.balance) {
            Some(Balance::Least) => Lead::several(&addresses, drain),
            Some(Balance::First) | None => {
                let before = self.before.of(&self.name);
                Lead::one(&addresses, self.sharing(), drain, finding, before)
            }
        };
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let seen = members.iter().map(|(address, handle)| Member {
                address: *address,
                verdict: handle.verdict(),
                failure: handle.last_failure(),
            });
            let steps = lead.observe(seen.collect(), now().instant);
            for step in steps {
                self.carry_out(step);
            }
            if lead.in_use().is_empty()
                && let Some(passage) = &self.passage
            {
                passage.lead(Vec::new());
            }
            self.say(&lead);
            if !is_well(&lead) {
                // Whoever comes up next is waited for: what is down is not asked less and less often.
                for (_, handle) in &members {
                    handle.nudge(Evidence::MayBeBack);
                }
            }
            tokio::select! {
                _ = changed.recv() => {}
                _ = look.tick() => {}
                failed = unreachable(self.passage.as_deref()) => {
                    if let Some((_, handle)) = members.iter().find(|it| it.0 == failed.0) {
                        handle.nudge(Evidence::ConnectFailed(failed.1));
                    }
                }
            }
        }
    }

    fn asks(&self) -> Vec<(SocketAddr, Ask)> {
        match &self.settings.check {
            DependencyCheck::Mount(path) => {
                vec![(OF_A_MOUNT, Ask::Mount(Mount::new(path.clone())))]
            }
            DependencyCheck::Members { members, probe } => {
                let ask = |address: &SocketAddr| match probe {
                    MemberProbe::Tcp => Ask::Probe(Target::at(*address), HealthProbe::Tcp),
                    MemberProbe::Http(http) => {
                        Ask::Probe(Target::at(*address), HealthProbe::Http(http.clone()))
                    }
                    MemberProbe::Database(database) => Ask::Role(*address, database.clone()),
                };
                members.iter().map(|it| (*it, ask(it))).collect()
            }
        }
    }

    fn sharing(&self) -> Sharing {
        match &self.settings.check {
            DependencyCheck::Members {
                probe: MemberProbe::Database(database),
                ..
            } if database.role == DatabaseRole::Primary => Sharing::One,
            _ => Sharing::Any,
        }
    }

    fn carry_out(&self, step: Step) {
        let (name, noun) = (&self.name, self.settings.check.noun());
        let wall = now().wall;
        let tell = |event: Event| self.herald.tell(event);
        match step {
            Step::Use {
                member,
                tenure,
                why,
            } => {
                if let Some(passage) = &self.passage {
                    // The file is that of whoever accepts.
                    if !passage.is_closed() {
                        self.before.note(name, member);
                    }
                    passage.lead(vec![Way { member, tenure }]);
                }
                let subject = match self.settings.check {
                    DependencyCheck::Mount(_) => format!("{noun} {name} answers"),
                    DependencyCheck::Members { .. } => format!("{noun} {name}: {why}"),
                };
                tell(Event::info(wall, EventKind::Dependency, subject));
            }
            Step::Share(ways) => {
                if let Some(passage) = &self.passage {
                    let way = |(member, tenure)| Way { member, tenure };
                    passage.lead(ways.into_iter().map(way).collect());
                }
            }
            Step::Told(what) => {
                let sentence = format!("{noun} {name}: {what}");
                tell(Event::info(wall, EventKind::Dependency, sentence));
            }
            Step::Wait(why) => {
                let sentence = format!("{noun} {name} is down: {}", self.reason(&why));
                let event = Event::error(wall, EventKind::Dependency, sentence);
                tell(event.hint("minato dependencies"));
            }
            Step::Cut { tenure, at } => {
                if let Some(passage) = &self.passage {
                    passage.cut(tenure, at);
                }
            }
            Step::Rivals(sentence) => {
                self.shown.change(|it| it.alarm.clone_from(&sentence));
                let event =
                    Event::error(wall, EventKind::Alarm, format!("{noun} {name}: {sentence}"));
                tell(event.hint(
                    "make all but one of them read-only, or stop them, before their data differs further",
                ));
            }
            Step::RivalsGone(sentence) => {
                self.shown.change(|it| it.alarm.clear());
                let event = Event::info(
                    wall,
                    EventKind::Dependency,
                    format!("{noun} {name}: {sentence}"),
                );
                tell(event);
            }
        }
    }

    /// A mount has no address to show.
    fn reason(&self, text: &str) -> String {
        let mount = format!("{OF_A_MOUNT} ");
        text.strip_prefix(&mount).unwrap_or(text).to_owned()
    }

    fn say(&self, lead: &Lead) {
        let in_use = lead.in_use();
        let heard = lead
            .members()
            .iter()
            .all(|it| it.failure.is_some() || it.verdict != Verdict::Down);
        let state = match in_use.first() {
            Some(_) => Usable::Yes,
            None if heard => Usable::No(self.reason(&lead.members_text())),
            None => Usable::Unknown,
        };
        let members = lead.members().iter().map(|it| MemberView {
            name: match &self.settings.check {
                DependencyCheck::Mount(path) => path.display().to_string(),
                DependencyCheck::Members { .. } => it.address.to_string(),
            },
            verdict: it.verdict,
            reason: it
                .failure
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            in_use: in_use.contains(&it.address),
            connections: 0,
        });
        let members = members.collect();
        let same_kind = |one: &Usable, other: &Usable| {
            std::mem::discriminant(one) == std::mem::discriminant(other)
        };
        self.shown.change(|it| {
            if !same_kind(&it.state, &state) {
                it.since = now().wall;
            }
            it.state.clone_from(&state);
            it.members = members;
            if let Some(relay) = &mut it.relay {
                (relay.current, relay.switches) = (in_use.first().copied(), lead.switches());
            }
        });
        self.standings
            .send_if_modified(|all| match all.get_mut(&self.name) {
                Some(standing) if standing.state != state => {
                    standing.state = state;
                    true
                }
                _ => false,
            });
    }
}

/// Whether a member in use passes without doubt.
fn is_well(lead: &Lead) -> bool {
    let in_use = lead.in_use();
    let passes = |it: &Member| in_use.contains(&it.address) && it.verdict == Verdict::Up;
    lead.members().iter().any(passes)
}

/// The next member that a connection could not be made to; for ever where there is no relay.
async fn unreachable(passage: Option<&Passage>) -> (SocketAddr, minato_health::Failure) {
    match passage {
        Some(passage) => passage.unreachable().await,
        None => std::future::pending().await,
    }
}
