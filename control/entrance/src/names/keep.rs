//! The task of each name: tries, shows and tells what came of it, and waits for what changes. The shell around `goal`, `tell` and
//! `minato_control::entrance`.

use super::goal::{Aim, Came, FIRST, Goal, goal};
use super::means::Means;
use super::mending::Mending;
use super::tell::Teller;
use super::{Name, Names};
use crate::clock;
use crate::dns;
use crate::hook::{self, Word};
use minato_config::{Follow, Timestamp};
use minato_control::Event;
use minato_control::entrance::{Claim, Lead, Move, Readings, Seen, Standing, Wish, decide, lead};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// A step of a try that took so long may have begun while this site was cut off: what is lost when a connection is opened is sent again
/// after 1 s, the first time (RFC 6298, 2.1). A name server that is far away takes no 900 ms for one step.
const SLOW: Duration = Duration::from_millis(900);

/// What is kept from one try of a name to the next.
#[derive(Debug)]
struct Track {
    /// The wish as the first look at the claim made it.
    pinned: Wish,
    /// When this goal came up.
    since: Timestamp,
    readings: Readings,
    mending: Mending,
}

impl Names {
    /// Makes it so until `stop` is true. May run again after that.
    pub async fn run(
        self: Arc<Self>,
        events: mpsc::Sender<Event>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut tasks = JoinSet::new();
        for name in self.all.values() {
            let (this, name, events) = (Arc::clone(&self), Arc::clone(name), events.clone());
            tasks.spawn(async move { this.keep(&name, &events).await });
        }
        drop(events);
        let _ = stop.wait_for(|it| *it).await;
        tasks.shutdown().await;
    }

    async fn keep(&self, name: &Name, events: &mpsc::Sender<Event>) {
        let mut word = name.word.subscribe();
        let mut door = self.gate.follow();
        let mut sight = name.sight.subscribe();
        let mut teller = Teller::default();
        let mut last: Option<Goal> = None;
        let mut track = Track {
            pinned: Wish::Part,
            since: clock::wall(),
            readings: Readings::default(),
            mending: Mending::default(),
        };
        let mut delay = FIRST;
        loop {
            let asked = word.borrow_and_update().clone();
            let standing = door.borrow_and_update().standing();
            sight.mark_unchanged();
            let goal = goal(name.follow, asked.as_ref(), standing == Standing::Alive);
            if goal != last {
                if let Some(Aim::Wish(wish)) = goal.as_ref().map(|it| it.aim) {
                    track.pinned = wish;
                }
                (track.since, delay) = (clock::wall(), FIRST);
            }
            last.clone_from(&goal);
            let Some(goal) = goal else {
                let _ = word.changed().await;
                continue;
            };
            let came = match goal.aim {
                Aim::Wish(wish) => self.attempt(name, &goal, wish, &mut track).await,
                Aim::Lead => self.lead(name, &mut track).await,
            };
            name.show(&goal, &came);
            teller.tell(name, &goal, &came, delay, (events, clock::now()));
            let wait = came.wait(goal.aim, name.follow, &name.means, &mut delay);
            if came.settles() && goal.number != 0 {
                // What follows comes at once, but for a refusal, which is to be seen until the next look.
                let comes_at_once = !matches!(came, Came::Refused(_));
                name.word.send_if_modified(|it| {
                    let same = it.as_mut().filter(|it| it.number == goal.number);
                    same.map(|it| it.settled = true).is_some() && comes_at_once
                });
            }
            let wait = async {
                match wait {
                    Some(wait) => tokio::time::sleep(jittered(wait)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => {}
                _ = word.changed() => {}
                _ = door.changed(), if name.follow != Follow::Nobody => {}
                _ = sight.changed(), if name.follow == Follow::Site => {}
            }
        }
    }

    async fn attempt(&self, name: &Name, goal: &Goal, wish: Wish, track: &mut Track) -> Came {
        match &name.means {
            Means::Dns(settings) => {
                let pinned = &mut track.pinned;
                let tried = dns::attempt(settings, |seen, _| {
                    let step = decide(self.site.as_str(), &settings.addresses, *pinned, seen);
                    if let Move::Send(_, wish) = &step {
                        *pinned = *wish;
                    }
                    step
                });
                tried.await.into()
            }
            Means::Hook(hook) => {
                let names = (self.site.as_str(), self.node.as_str(), name.name.as_str());
                let asked_at = match goal.number {
                    0 => track.since,
                    number => Timestamp(number),
                };
                let word = Word::new(names, wish, (&goal.who, asked_at), hook);
                match hook::tell(hook, &word).await {
                    Ok(()) => Came::Done { changed: true },
                    Err(why) => Came::Trouble(why),
                }
            }
        }
    }

    /// Reads the name, and takes it where the order of sites says so, by what is seen of them once it is read: that may take seconds, and
    /// a site may be heard again by then.
    async fn lead(&self, name: &Name, track: &mut Track) -> Came {
        let Means::Dns(settings) = &name.means else {
            return Came::Refused("a hook has no claim by which it could follow sites".to_owned());
        };
        let site = &self.site;
        let Track {
            readings, mending, ..
        } = track;
        let (mut stays, mut sent, mut was_read) = (None, None, false);
        let tried = dns::attempt(settings, |seen: &Seen, slowest| {
            let take = |epoch| {
                let wish = Wish::Take { epoch: Some(epoch) };
                decide(site.as_str(), &settings.addresses, wish, seen)
            };
            (stays, sent) = (None, None);
            was_read = true;
            if slowest >= SLOW {
                readings.failed();
            }
            // What is not understood is refused by name.
            let claim = seen.claim.as_deref().map(Claim::parse);
            if claim == Some(None) {
                return take(u64::MAX);
            }
            let claim = claim.flatten();
            let is_ours = claim.as_ref().is_some_and(|it| it.site == site.as_str());
            let (now, standing) = (clock::now(), self.gate.door().standing());
            readings.read(claim, now);
            let decided = lead(site, &name.sight.borrow(), readings, now);
            let stay = match decided {
                Lead::Take(epoch) if is_ours || standing == Standing::Alive => {
                    let step = take(epoch);
                    let Move::Send(update, _) = &step else {
                        return step;
                    };
                    if update.require.as_ref() == Some(&update.claim)
                        && let Err(why) = mending.differ(&update.claim, &seen.addresses, now)
                    {
                        return Move::Refused(why);
                    }
                    sent = Some(update.claim.clone());
                    return step;
                }
                Lead::Take(_) => Came::Elsewhere(format!("this gateway says {standing}")),
                Lead::Stay(why) => Came::Elsewhere(why),
                Lead::Ask(why) => Came::Asks(why.replace("NAME", name.name.as_str())),
            };
            stays = Some(stay);
            Move::Done
        })
        .await;
        if !was_read {
            readings.failed();
        }
        match (&tried, stays) {
            (Ok(_), Some(stays)) => return stays,
            (Ok(dns::Outcome::Done { .. }), None) => mending.is_right(sent, clock::now()),
            _ => {}
        }
        tried.into()
    }
}

impl From<dns::Tried> for Came {
    fn from(tried: dns::Tried) -> Self {
        match tried {
            Ok(dns::Outcome::Done { changed }) => Self::Done { changed },
            Ok(dns::Outcome::Refused(why)) => Self::Refused(why),
            Err((server, trouble)) => Self::Trouble(format!("{server}: {trouble}")),
        }
    }
}

/// Up to a quarter more, so that gateways that failed together do not come back together.
fn jittered(delay: Duration) -> Duration {
    delay + delay.mul_f64(fastrand::f64() / 4.0)
}
