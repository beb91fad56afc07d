//! The half of the health loop that learns: what the store says, or in its place what another process saved, and in which order that is
//! taken in.
//!
//! Not here: what becomes of the table (`routing`), of other sites (`of_sites`), of requests that wait (`holds`).

use super::super::fleet::Known;
use super::super::last_good::{LastEndpoint, LastGood};
use super::super::member::Member;
use super::super::news;
use super::super::source::{Following, News, Source};
use super::super::telling::Telling;
use super::super::wanted::{FIXED, Use, Wanted, wanted};
use super::HealthLoop;
use crate::clock;
use minato_config::{Backend, ServiceName};
use minato_control::World;
use minato_control_store::Touched;
use minato_health::Verdict;
use minato_proxy::{EndpointId, Intake};
use std::collections::BTreeSet;

impl HealthLoop {
    /// Learns from another source from now on.
    pub(super) fn turn_to(&mut self, source: Source) {
        match source {
            Source::Site {
                follower,
                events,
                saved,
                taken,
            } => {
                self.telling.begin_journal(events);
                self.take_saved(saved);
                self.take_all(&follower.observed().world);
                self.following = Following::Site(follower);
                let _ = taken.send(());
            }
            Source::Saved { left } => {
                self.save_at_once();
                self.saving.leave();
                self.telling = Telling::Silent;
                self.following = Following::saved(&self.options.data);
                let _ = left.send(());
            }
        }
    }

    pub(super) fn learned(&mut self, news: News) {
        match news {
            News::Store(Ok(touched)) => {
                // Borrowed apart from the rest of this task's state for the time of one change.
                let following = std::mem::replace(&mut self.following, Following::Nothing);
                if let Some(observed) = following.observed() {
                    match touched {
                        Touched::Everything => self.take_all(&observed.world),
                        Touched::These(set) => {
                            for name in &set.services {
                                self.take_service(&observed.world, name);
                            }
                            if !set.sites.is_empty() {
                                self.take_links(&observed.world);
                            }
                        }
                    }
                }
                self.following = following;
            }
            News::Store(Err(error)) => {
                self.following = Following::Lost;
                self.tell(news::store_lost(&error, clock::wall()));
            }
            // Empty where the last was not: damaged, or about to be written anew.
            News::Saved(good) if good.services.is_empty() => {}
            News::Saved(good) => self.follow_saved(good),
        }
    }

    /// What another process saved takes the place of what is known.
    fn follow_saved(&mut self, good: LastGood) {
        let named = |name: &ServiceName| good.services.iter().any(|it| it.service.name == *name);
        let gone = self.records.keys().filter(|it| !named(it));
        let gone: Vec<ServiceName> = gone.cloned().collect();
        self.take_saved(good);
        gone.iter().for_each(|it| self.forget(it));
    }

    /// The table of before, with the verdicts of before, until the store and the probes say more.
    pub(super) fn take_saved(&mut self, good: LastGood) {
        self.fleet.remember(&good.endpoints);
        for (name, order) in &good.orders {
            self.options.orders.take(name, order);
        }
        for record in good.services {
            let of_service = good.endpoints.iter();
            let wanted: Vec<Wanted> = of_service
                .filter(|it| it.service == record.service.name)
                .map(LastEndpoint::wanted)
                .collect();
            let drained = good.drained.contains(&record.service.name);
            self.update(&record.service, &wanted, intake(drained));
            self.records.insert(record.service.name.clone(), record);
        }
        let (now, wall) = (clock::now(), clock::wall());
        for it in good.courses {
            self.fleet
                .recall(&it.service, &it.site, &it.memory, now, wall);
            self.released.insert((it.service, it.site), it.released);
        }
    }

    fn take_all(&mut self, world: &World) {
        let known = self.fleet.services().map(|(name, _)| name);
        let names: BTreeSet<ServiceName> = world.services.keys().chain(known).cloned().collect();
        for name in names {
            self.take_service(world, &name);
        }
        self.take_links(world);
    }

    /// Brings one service in line with the store.
    fn take_service(&mut self, world: &World, name: &ServiceName) {
        let Some(record) = world.services.get(name) else {
            // A record ends with `removed`; one that vanishes otherwise is an accident, and the last good one stays.
            if self.records.get(name).is_some_and(|it| it.removed) {
                self.forget(name);
            }
            return;
        };
        let record = &record.value;
        self.records.insert(name.clone(), record.clone());
        if let Some(order) = world.orders.get(name) {
            self.decided(name, &order.value);
        }
        if record.removed {
            self.unroute(name);
            return;
        }
        let mut wanted = wanted(world, name);
        let known = self.fleet.service(name);
        wanted.extend(known.into_iter().flat_map(|it| vanished(it, world)));
        wanted.sort_by_key(|it| (it.slot, it.generation, it.run));
        let by_hand = world.intents.get(name);
        let drained = by_hand.is_some_and(|it| it.value.drain);
        self.update(&record.service, &wanted, intake(drained));
        let should_run = minato_control::wanted(world, name).into();
        self.options.wants.set(name, should_run);
        if self.fleet.want(name, should_run) {
            self.share_out(name);
        }
        self.take_releases(world, name);
        self.take_recoveries(world, name);
        // After the order of sites: who goes on goes where it is served now.
        self.follow_hold(world, name);
    }
}

fn intake(drained: bool) -> Intake {
    if drained {
        Intake::Drained
    } else {
        Intake::Open
    }
}

/// Instances whose documents vanished while they ran stay until their slot ends or another takes their place.
fn vanished(known: &Known, world: &World) -> Vec<Wanted> {
    let name = &known.service.name;
    if !matches!(known.service.backend, Backend::Command(_)) {
        return Vec::new();
    }
    let lives = |id: &EndpointId| {
        let mut documents = world.instances.keys().filter(|it| it.service == *name);
        let documented = documents.any(|it| it.slot == id.slot && it.generation >= id.generation);
        let slot = world.slots.get(&(name.clone(), id.slot));
        !documented
            && slot.is_none_or(|it| !it.value.removed && it.value.generation <= id.generation)
    };
    // What no longer answers either is let go.
    let serves = |it: &Member| !it.endpoint.is_draining() && it.verdict != Verdict::Down;
    let members = known
        .members
        .iter()
        .filter(|(id, _)| id.generation != FIXED);
    let stay = members.filter(|(id, it)| serves(it) && lives(id));
    stay.map(|(id, it)| Wanted {
        slot: id.slot,
        generation: id.generation,
        run: id.run,
        address: it.endpoint.address(),
        usage: Use::Serve,
    })
    .collect()
}
