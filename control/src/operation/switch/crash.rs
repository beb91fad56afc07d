//! A pair of sites in memory, and a runner that dies before and after every single thing it does.
//!
//! Held at every moment: visitors are served at one of the sites, or wait for no longer than a hold; the epochs never go back; a
//! service whose data moves never comes first at the target without a copy that was made while nobody wrote; and in the end it is
//! whole at one site, and both agree which.

use super::*;
use minato_config::{SiteId, Timestamp};
use std::time::Duration;

/// Between two looks.
const TICK: u64 = 100;
/// More looks than any switch needs.
const MOST: u64 = 20_000;

#[derive(Debug, Clone, Default)]
struct Away {
    epoch: u64,
    /// The try, and until when by its own clock.
    held: Option<(u32, u64)>,
    /// Since when; its gateways follow a little later.
    held_since: u64,
    /// Tries that are over.
    over: u32,
    expired: bool,
    in_flight: u64,
    lives: bool,
    last_visit: u64,
}

/// Both sites as they are.
#[derive(Debug, Clone)]
struct Pair {
    now: u64,
    /// The document, with epoch and wish to run of the target, which are written together.
    switch: Switch,
    epoch: u64,
    warm: bool,
    up: u16,
    source: Away,
    link: bool,
    answers: bool,
    sync: Sync,
    /// A try of which requests were held without a break from the command's begin.
    copied: Option<u32>,
    sync_left: u64,
    fails: bool,
    entrance: Entrance,
}

fn site(text: &str) -> SiteId {
    SiteId::parse(text).unwrap()
}

impl Pair {
    fn new(data: Data) -> Self {
        Self {
            now: 1_000_000,
            switch: Switch {
                v: 1,
                from: site("tokyo"),
                to: site("osaka"),
                epoch: 4,
                data,
                cause: Cause::Planned,
                timing: Timing {
                    quiet_ms: 4_000,
                    ..Timing::default()
                },
                need: Need::default(),
                came: None,
                state: SwitchState::Running,
                phase: Phase::Check,
                tries: 0,
                since: Timestamp(1_000_000),
                reason: String::new(),
            },
            epoch: 4,
            warm: false,
            up: 0,
            source: Away {
                epoch: 4,
                lives: true,
                in_flight: 3,
                ..Away::default()
            },
            link: true,
            answers: true,
            sync: Sync::None,
            copied: None,
            sync_left: 0,
            fails: false,
            entrance: Entrance::Unasked,
        }
    }

    fn sight(&self) -> Sight {
        let heard = self.link && self.source.lives;
        let held = match self.source.held {
            Some((run, _)) if self.now <= self.source.held_since + 100 => Held::Partly(run),
            Some((run, _)) => Held::For(run),
            None if self.source.expired => Held::Expired(self.source.over),
            None => Held::No,
        };
        Sight {
            problems: Vec::new(),
            up: (self.up, 2),
            need: Need::default(),
            epoch: self.epoch,
            answers: self.answers && self.up > 0 && self.epoch > 4,
            source: heard.then_some(Source {
                epoch: self.source.epoch,
                held,
                in_flight: self.source.in_flight,
                quiet_since: Some(Timestamp(self.source.last_visit)),
                came: None,
            }),
            sync: self.sync.clone(),
            entrance: self.entrance.clone(),
        }
    }

    /// What is written together with the document.
    fn commit(&mut self, turn: &SwitchTurn) {
        self.switch = turn.next.clone();
        for order in &turn.orders {
            match order {
                Order::Warm => self.warm = true,
                Order::First(epoch) => {
                    assert!(*epoch > self.epoch, "an epoch went back");
                    if self.switch.data == Data::Hook {
                        assert_eq!(
                            self.copied,
                            Some(self.switch.tries),
                            "moved without a whole copy"
                        );
                    }
                    self.epoch = *epoch;
                }
                _ => {}
            }
        }
    }

    /// What is done afterwards, one at a time.
    fn carry_out(&mut self, order: &Order) {
        let heard = self.link && self.source.lives;
        match order {
            Order::Hold(run, limit)
                if heard && *run > self.source.over && self.source.held.is_none() =>
            {
                let until = self.now + u64::try_from(limit.as_millis()).unwrap();
                self.source.held = Some((*run, until));
                self.source.held_since = self.now;
                self.source.expired = false;
            }
            Order::Release if heard => {
                if let Some((run, _)) = self.source.held.take() {
                    (self.source.over, self.source.expired) = (run, false);
                }
            }
            Order::Publish => self.entrance = Entrance::Done(Timestamp(self.now)),
            Order::Tell(epoch) if heard => self.source.epoch = self.source.epoch.max(*epoch),
            Order::Sync(run)
                if self.sync != Sync::Running(*run) && self.sync != Sync::Done(*run) =>
            {
                self.sync = Sync::Running(*run);
                self.sync_left = 700;
                let whole =
                    self.source.held.is_some_and(|it| it.0 == *run) && self.source.in_flight == 0;
                self.copied = whole.then_some(*run);
            }
            _ => {}
        }
    }

    /// Time goes by at both sites.
    fn tick(&mut self) {
        self.now += TICK;
        if self.warm {
            self.up = 2;
        }
        let source = &mut self.source;
        if let Some((run, until)) = source.held
            && self.now >= until
        {
            (source.held, source.over, source.expired) = (None, run, true);
        }
        match source.held {
            Some(_) => source.in_flight = source.in_flight.saturating_sub(1),
            None if source.epoch == 4 => source.in_flight = 3,
            None => source.in_flight = 0,
        }
        if source.held.is_none() {
            // Somebody writes, so that what was copied before is not whole.
            if source.epoch == 4 && self.epoch == 4 {
                self.copied = None;
            }
            if self.epoch == 4 {
                source.last_visit = self.now;
            }
        }
        if let Sync::Running(run) = self.sync {
            self.sync_left = self.sync_left.saturating_sub(TICK);
            if self.sync_left == 0 {
                self.sync = if self.fails {
                    Sync::Failed(run, "disk full".to_owned())
                } else {
                    Sync::Done(run)
                };
            }
        }
        self.never_off();
    }

    /// Visitors are served, or wait within the bound.
    fn never_off(&self) {
        let source_serves =
            self.source.lives && self.source.epoch == 4 && self.source.held.is_none();
        let target_serves = self.epoch > 4 && self.up > 0;
        let waits = self.source.lives && self.source.held.is_some_and(|it| it.1 > self.now);
        assert!(
            source_serves || target_serves || waits || !self.source.lives,
            "both sites are off: {self:#?}"
        );
    }

    fn has_ended(&self) -> bool {
        matches!(self.switch.state, SwitchState::Done | SwitchState::Aborted)
    }

    /// In the end: whole at one site, and both agree.
    fn is_whole(&self) {
        assert_eq!(self.source.held, None, "{self:#?}");
        match self.switch.state {
            SwitchState::Done => assert_eq!((self.epoch, self.source.epoch), (5, 5), "{self:#?}"),
            SwitchState::Aborted => {
                assert_eq!((self.epoch, self.source.epoch), (4, 4), "{self:#?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Where a runner dies, and for how long nobody runs it then.
#[derive(Debug, Clone, Copy)]
struct Crash {
    /// Before the thing of this number, counted over all runners; things are commits and orders.
    before: u64,
    away_ms: u64,
}

/// Runs it to its end; how many things were done.
fn run(pair: &mut Pair, crash: Option<Crash>, each: impl Fn(&mut Pair)) -> u64 {
    let mut done = 0;
    let mut sleeps_until = 0;
    for _ in 0..MOST {
        each(pair);
        pair.tick();
        if pair.has_ended() && pair.source.held.is_none() {
            return done;
        }
        if pair.now < sleeps_until {
            continue;
        }
        let turn = advance(&pair.switch, &pair.sight(), Timestamp(pair.now));
        let mut dies = || {
            done += 1;
            let it = crash.filter(|it| it.before + 1 == done)?;
            Some(pair.now + it.away_ms)
        };
        if turn.next != pair.switch || turn.orders.contains(&Order::Warm) {
            if let Some(until) = dies() {
                sleeps_until = until;
                continue;
            }
            pair.commit(&turn);
        }
        for order in &turn.orders {
            let now = pair.now;
            done += 1;
            if let Some(it) = crash.filter(|it| it.before + 1 == done) {
                sleeps_until = now + it.away_ms;
                break;
            }
            pair.carry_out(order);
        }
    }
    panic!("it does not end: {pair:#?}")
}

#[test]
fn an_undisturbed_switch_moves_and_says_that_the_old_site_is_safe() {
    for data in [Data::None, Data::Hook] {
        let mut pair = Pair::new(data);
        run(&mut pair, None, |_| {});
        assert_eq!(pair.switch.state, SwitchState::Done, "{pair:#?}");
        assert!(pair.switch.reason.contains("nobody comes to tokyo"));
        pair.is_whole();
        assert_eq!(
            pair.sync,
            if data == Data::Hook {
                Sync::Done(1)
            } else {
                Sync::None
            }
        );
    }
}

/// The table: at each thing that is done, the runner dies before it (which is after the one before), for several lengths.
#[test]
fn a_runner_that_dies_anywhere_leaves_a_switch_that_completes_or_is_given_up() {
    let mut table = Vec::new();
    for data in [Data::None, Data::Hook] {
        let things = run(&mut Pair::new(data), None, |_| {});
        for before in 0..things {
            for away_ms in [0, 1_000, 15_000, 400_000] {
                let mut pair = Pair::new(data);
                let crash = Crash { before, away_ms };
                run(&mut pair, Some(crash), |_| {});
                pair.is_whole();
                table.push((data, before, away_ms, pair.switch.state));
                if away_ms == 0 {
                    assert_eq!(pair.switch.state, SwitchState::Done, "{crash:?} {pair:#?}");
                }
            }
        }
    }
    let count = |state| table.iter().filter(|it| it.3 == state).count();
    println!(
        "{} crashes: {} completed, {} given up",
        table.len(),
        count(SwitchState::Done),
        count(SwitchState::Aborted)
    );
    assert!(
        count(SwitchState::Aborted) > 0,
        "no crash was long enough to end a hold"
    );
}

#[test]
fn a_command_that_fails_gives_the_service_back() {
    let mut pair = Pair::new(Data::Hook);
    pair.fails = true;
    run(&mut pair, None, |_| {});
    assert_eq!(pair.switch.state, SwitchState::Aborted);
    assert!(
        pair.switch.reason.contains("disk full"),
        "{}",
        pair.switch.reason
    );
    pair.is_whole();
}

#[test]
fn a_link_that_is_cut_at_any_moment_leaves_one_site_serving() {
    for data in [Data::None, Data::Hook] {
        for cut in (0..12_000).step_by(100) {
            let mut pair = Pair::new(data);
            let begin = pair.now;
            run(&mut pair, None, |it| {
                let at = it.now - begin;
                // It heals before the old site would have to be told by hand.
                it.link = !(cut..cut + 30_000).contains(&at);
            });
            // An order that was not heard of is told when the link is back.
            pair.link = true;
            if pair.switch.state == SwitchState::Done && pair.source.epoch == 4 {
                pair.carry_out(&Order::Tell(pair.epoch));
            }
            pair.source.held = pair.source.held.filter(|it| it.1 > pair.now);
            pair.is_whole();
        }
    }
}

#[test]
fn a_person_ends_it_before_the_move_and_is_told_the_way_back_after_it() {
    let mut pair = Pair::new(Data::Hook);
    let mut seen = Vec::new();
    for _ in 0..MOST {
        pair.tick();
        let phase = pair.switch.phase;
        if !seen.contains(&phase) {
            seen.push(phase);
            let now = Timestamp(pair.now);
            match pair.switch.abort("alice", now) {
                Ok(ended) => {
                    assert!(phase <= Phase::Move, "{phase:?}");
                    let mut other = pair.clone();
                    other.switch = ended;
                    run(&mut other, None, |_| {});
                    assert_eq!(other.switch.state, SwitchState::Aborted);
                    other.is_whole();
                }
                Err(why) => {
                    assert!(
                        phase > Phase::Move && why.contains("minato switch --to tokyo"),
                        "{why}"
                    );
                }
            }
        }
        if pair.has_ended() {
            break;
        }
        let turn = advance(&pair.switch, &pair.sight(), Timestamp(pair.now));
        pair.commit(&turn);
        turn.orders.iter().for_each(|it| pair.carry_out(it));
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn a_target_that_does_not_answer_asks_a_person_and_goes_on_when_it_does() {
    let mut pair = Pair::new(Data::None);
    pair.answers = false;
    let begin = pair.now;
    run(&mut pair, None, |it| {
        if it.now > begin + 200_000 {
            assert!(
                it.answers || it.switch.state == SwitchState::Stuck,
                "{it:#?}"
            );
            it.answers = true;
        }
    });
    assert_eq!(pair.switch.state, SwitchState::Done);
    assert!(Duration::from_millis(pair.now - begin) > Duration::from_secs(200));
}
