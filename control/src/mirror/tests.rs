//! What becomes of a peer's services here, case by case.

use super::{COOL_DOWN, MirrorRecord, Reach, SharedServices, UNREACHABLE, refuse, stand, take};
use crate::{OrderRecord, Stored, World};
use minato_config::{
    Backend, Command, Consent, Health, HostPattern, PathPrefix, Route, RouteAction, RoutePattern,
    Service, ServiceName, ServiceRecord, SiteId, Sites, Source, Standby, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

fn site(name: &str) -> SiteId {
    SiteId::parse(name).unwrap()
}

fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

/// A service of tokyo that osaka stands by for.
fn record(text: &str, standby: Standby) -> ServiceRecord {
    ServiceRecord {
        v: 1,
        source: Source::File {
            path: format!("services/{text}.toml"),
        },
        service: Service {
            name: name(text),
            backend: Backend::Command(Command {
                argv: vec!["/bin/app".to_owned()],
                env: BTreeMap::new(),
                directory: None,
                port: None,
                stop: Default::default(),
                image: None,
            }),
            replicas: 3,
            scale: None,
            routes: Vec::new(),
            health: Health::Off,
            upstream: Default::default(),
            limits: Default::default(),
            timeouts: Default::default(),
            retries: 1,
            nodes: BTreeMap::new(),
            update: Default::default(),
            depends_on: BTreeSet::new(),
            sites: Some(Box::new(Sites {
                order: vec![site("tokyo"), site("osaka")],
                standby,
                failover: Consent::Auto,
                failback: Consent::Auto,
                sync: None,
                at: BTreeMap::new(),
                targets: Default::default(),
                base: None,
            })),
        },
        removed: false,
    }
}

fn edit(record: &mut ServiceRecord, edit: impl FnOnce(&mut Sites)) {
    edit(record.service.sites.as_mut().unwrap());
}

/// Osaka, and what tokyo last said.
struct Story {
    world: World,
    answer: SharedServices,
    reach: BTreeMap<SiteId, Reach>,
    revision: u64,
}

impl Story {
    fn new() -> Self {
        let mut reach = BTreeMap::new();
        reach.insert(site("tokyo"), Reach::Up(Duration::from_secs(1)));
        Self {
            world: World::default(),
            answer: SharedServices::default(),
            reach,
            revision: 0,
        }
    }

    fn of(standby: Standby) -> Self {
        let mut story = Self::new();
        story.share(record("library", standby));
        story.turn();
        story
    }

    fn share(&mut self, record: ServiceRecord) {
        self.answer
            .services
            .insert(record.service.name.clone(), record);
    }

    fn reach(&mut self, reach: Reach) {
        self.reach.insert(site("tokyo"), reach);
    }

    /// Carries all steps out, as the leader does; what was told, alarms last.
    fn turn(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        let mut alarms = Vec::new();
        if matches!(self.reach[&site("tokyo")], Reach::Up(_)) {
            let taken = take(
                &site("tokyo"),
                &site("osaka"),
                &self.answer,
                &self.world,
                Timestamp(5),
            );
            alarms = taken.alarms;
            for step in taken.steps {
                told.push(step.news);
                let key = (step.home, step.service);
                let old = self.world.mirrors.remove(&key);
                assert_eq!(old.map(|it| it.modified), step.modified);
                if let Some(value) = step.record {
                    self.revision += 1;
                    let modified = self.revision;
                    self.world.mirrors.insert(key, Stored { value, modified });
                }
            }
        }
        let stand = stand(&self.world, &site("osaka"), &self.reach);
        for step in stand.steps {
            told.push(step.news);
            let key = step.record.service.name.clone();
            let old = self.world.services.remove(&key);
            assert_eq!(old.map(|it| it.modified), step.modified);
            self.revision += 1;
            let modified = self.revision;
            let value = step.record;
            self.world.services.insert(key, Stored { value, modified });
        }
        told.extend(alarms);
        told.extend(stand.alarms.into_iter().map(|it| it.1));
        told
    }

    /// `mode replicas` of library here.
    fn here(&self) -> String {
        let Some(stored) = self.world.services.get(&name("library")) else {
            return "none".to_owned();
        };
        let removed = if stored.value.removed { " removed" } else { "" };
        format!(
            "{} x{}{removed}",
            stored.value.source, stored.value.service.replicas
        )
    }
}

#[test]
fn warm_and_active_run_here_with_what_differs_here() {
    let story = Story::of(Standby::Warm);
    assert_eq!(story.here(), "site tokyo (warm) x3");
    let story = Story::of(Standby::Active);
    assert_eq!(story.here(), "site tokyo (active) x3");
    let mut story = Story::new();
    let mut it = record("library", Standby::Warm);
    edit(&mut it, |it| {
        let at = minato_config::AtSite { replicas: Some(1) };
        it.at.insert(site("osaka"), at);
        it.at
            .insert(site("tokyo"), minato_config::AtSite { replicas: Some(9) });
    });
    // As its home has it.
    it.service = it.service.at(&site("tokyo"));
    assert_eq!(it.service.replicas, 9);
    story.share(it.clone());
    story.turn();
    assert_eq!(story.here(), "site tokyo (warm) x1");
    // What holds only at its home does not come along.
    edit(&mut it, |it| it.at.retain(|of, _| *of != site("osaka")));
    story.share(it);
    assert_eq!(story.turn().len(), 2);
    assert_eq!(story.here(), "site tokyo (warm) x3");
    assert_eq!(story.turn(), [""; 0], "nothing is written twice");
}

#[test]
fn cold_waits_until_its_home_is_gone_and_stays_for_a_while() {
    let mut story = Story::of(Standby::Cold);
    assert_eq!(story.here(), "site tokyo (cold) x0");
    story.reach(Reach::Down(UNREACHABLE - Duration::from_millis(1)));
    story.turn();
    assert_eq!(story.here(), "site tokyo (cold) x0");
    story.reach(Reach::Down(UNREACHABLE));
    assert_eq!(
        story.turn(),
        ["library of tokyo is started here: it is asked for"]
    );
    assert_eq!(story.here(), "site tokyo (started) x3");
    story.reach(Reach::Up(COOL_DOWN - Duration::from_secs(1)));
    story.turn();
    assert_eq!(story.here(), "site tokyo (started) x3");
    story.reach(Reach::Up(COOL_DOWN));
    story.turn();
    assert_eq!(story.here(), "site tokyo (cold) x0");
}

#[test]
fn cold_starts_where_somebody_says_so_and_never_by_itself_where_a_person_is_asked() {
    let mut story = Story::new();
    let mut it = record("library", Standby::Cold);
    edit(&mut it, |it| it.failover = Consent::Ask);
    story.share(it);
    story.turn();
    story.reach(Reach::Down(Duration::from_secs(1000)));
    story.turn();
    assert_eq!(story.here(), "site tokyo (cold) x0");
    let order = |first: &str| Stored {
        value: OrderRecord {
            v: 1,
            first: site(first),
            epoch: 1,
            who: "alice".to_owned(),
            why: String::new(),
            since: Timestamp(0),
            moved: None,
        },
        modified: 1,
    };
    story.world.orders.insert(name("library"), order("osaka"));
    story.turn();
    assert_eq!(story.here(), "site tokyo (started) x3");
    // Back at home by a person's word: it ends once its home has been there for a while.
    story.world.orders.insert(name("library"), order("tokyo"));
    story.reach(Reach::Up(Duration::from_secs(1)));
    story.turn();
    assert_eq!(story.here(), "site tokyo (started) x3");
    story.reach(Reach::Up(COOL_DOWN));
    story.turn();
    assert_eq!(story.here(), "site tokyo (cold) x0");
}

#[test]
fn what_vanishes_stays_and_is_an_alarm() {
    let mut story = Story::of(Standby::Warm);
    story.answer.services.clear();
    // It was not asked about: a site tells of no service by itself that is not, or no longer, shared.
    assert_eq!(story.turn(), [""; 0]);
    let (home, own) = (site("tokyo"), site("osaka"));
    let taken = take(&home, &own, &story.answer, &story.world, Timestamp(6));
    assert_eq!(taken.missing, [name("library")]);
    story.answer.asked.insert(name("library"));
    let told = story.turn();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("tokyo no longer knows library"),
        "{told:?}"
    );
    assert_eq!(story.here(), "site tokyo (warm) x3");
    assert_eq!(story.turn(), told, "as long as it is so");
    story.share(record("library", Standby::Warm));
    assert_eq!(story.turn(), [""; 0]);
}

#[test]
fn what_is_not_understood_stays_and_is_an_alarm() {
    let mut story = Story::of(Standby::Warm);
    story.answer.services.clear();
    story
        .answer
        .undecodable
        .insert(name("library"), "version 2".to_owned());
    let told = story.turn();
    assert!(told.len() == 1 && told[0].contains("version 2"), "{told:?}");
    assert_eq!(story.here(), "site tokyo (warm) x3");
}

#[test]
fn what_no_file_could_say_stays_as_it_was_and_is_an_alarm() {
    let mut story = Story::of(Standby::Warm);
    story.answer = SharedServices::default();
    let refused = &mut story.answer.refused;
    refused.insert(name("library"), "service.library.replicas: ..".to_owned());
    let told = story.turn();
    assert_eq!(
        told,
        [
            "library of tokyo is refused, and its last good state stays here: service.library.replicas: ..; correct it at tokyo"
        ]
    );
    assert_eq!(story.here(), "site tokyo (warm) x3");
}

#[test]
fn of_a_site_that_is_not_mirrored_nothing_stays() {
    let mut story = Story::of(Standby::Warm);
    let end = |story: &mut Story| {
        let steps = refuse(&site("tokyo"), &story.world, Timestamp(6)).steps;
        let told: Vec<String> = steps.iter().map(|it| it.news.clone()).collect();
        for step in steps {
            let key = (step.home, step.service);
            story.world.mirrors.remove(&key);
            if let Some(value) = step.record {
                story
                    .world
                    .mirrors
                    .insert(key, Stored { value, modified: 8 });
            }
        }
        told
    };
    let why = "library of tokyo ends here: [sites.tokyo] says mirror = false";
    assert_eq!(end(&mut story), [why]);
    let standing = stand(&story.world, &site("osaka"), &story.reach).steps;
    assert!(standing[0].record.removed);
    assert_eq!(
        end(&mut story),
        [""; 0],
        "its instances are on their way out"
    );
    story.world.services.clear();
    assert_eq!(
        end(&mut story),
        ["nothing is left here of library of tokyo"]
    );
    assert_eq!(end(&mut story), [""; 0]);
    assert!(story.world.mirrors.is_empty());
    // The switch is turned back.
    story.turn();
    assert_eq!(story.here(), "site tokyo (warm) x3");
}

#[test]
fn removed_at_home_ends_here_and_then_nothing_is_left() {
    let mut story = Story::of(Standby::Warm);
    let mut it = record("library", Standby::Warm);
    it.removed = true;
    story.share(it);
    story.turn();
    assert_eq!(story.here(), "site tokyo (warm) x3 removed");
    // Its home has forgotten it, while instances here still end.
    story.answer.services.clear();
    assert_eq!(story.turn(), [""; 0]);
    story.world.services.clear();
    assert_eq!(story.turn(), ["nothing is left here of library of tokyo"]);
    assert!(story.world.mirrors.is_empty());
    assert_eq!(story.turn(), [""; 0]);
    // And it may come back.
    story.share(record("library", Standby::Warm));
    story.turn();
    assert_eq!(story.here(), "site tokyo (warm) x3");
}

#[test]
fn what_is_no_longer_shared_ends_here() {
    let mut story = Story::of(Standby::Warm);
    story.answer.services.clear();
    story.answer.asked.insert(name("library"));
    story.answer.elsewhere.insert(name("library"));
    story.turn();
    assert_eq!(story.here(), "site tokyo (warm) x3 removed");
}

#[test]
fn of_two_that_own_a_name_the_own_one_wins() {
    let mut story = Story::new();
    let own = record("library", Standby::Warm);
    story.world.services.insert(
        name("library"),
        Stored {
            value: own.clone(),
            modified: 7,
        },
    );
    story.share(record("library", Standby::Cold));
    let told = story.turn();
    assert!(told.iter().any(|it| it.contains("is a service of this site (services/library.toml) and of tokyo")), "{told:?}");
    assert_eq!(story.world.services[&name("library")].value, own);
}

#[test]
fn of_two_peers_with_one_name_the_one_that_was_there_stays() {
    let mut story = Story::of(Standby::Warm);
    let other = MirrorRecord {
        v: 1,
        home: site("kyoto"),
        record: record("library", Standby::Warm),
        since: Timestamp(0),
    };
    let key = (site("kyoto"), name("library"));
    story.world.mirrors.insert(
        key,
        Stored {
            value: other,
            modified: 9,
        },
    );
    let told = story.turn();
    assert!(
        told.len() == 1 && told[0].contains("of tokyo and of kyoto"),
        "{told:?}"
    );
    assert_eq!(story.here(), "site tokyo (warm) x3");
}

#[test]
fn what_does_not_name_this_site_is_not_taken() {
    let mut story = Story::new();
    let mut it = record("library", Standby::Warm);
    edit(&mut it, |it| it.order = vec![site("tokyo"), site("kyoto")]);
    story.share(it);
    let mut it = record("shop", Standby::Warm);
    it.service.name = name("another");
    story.answer.services.insert(name("shop"), it);
    assert_eq!(story.turn(), [""; 0]);
    assert!(story.world.mirrors.is_empty());
}

#[test]
fn what_is_no_file_of_the_peer_or_does_not_name_the_peer_is_not_taken() {
    let mut story = Story::new();
    let mut it = record("library", Standby::Warm);
    edit(&mut it, |it| it.order = vec![site("osaka")]);
    story.share(it);
    let mut it = record("shop", Standby::Warm);
    let mode = minato_config::MirrorMode::Warm;
    let home = site("kyoto");
    it.source = Source::Mirror { home, mode };
    story.share(it);
    assert_eq!(story.turn(), [""; 0]);
    assert!(story.world.mirrors.is_empty());
}

fn route(host: &str) -> Route {
    Route {
        pattern: RoutePattern {
            host: HostPattern::Exact(host.to_owned()),
            path: PathPrefix("/".to_owned()),
        },
        action: RouteAction::Forward { strip: false },
    }
}

#[test]
fn a_peer_takes_no_route_from_a_service_that_is_here() {
    let mut story = Story::new();
    let mut own = record("www", Standby::Warm);
    (own.service.sites, own.service.routes) = (None, vec![route("www.example.org")]);
    story.world.services.insert(
        name("www"),
        Stored {
            value: own,
            modified: 7,
        },
    );
    // Sorted before it, so that a gateway that starts would give it the route.
    let mut taker = record("aaa", Standby::Warm);
    taker.service.routes = vec![route("a.example.org"), route("www.example.org")];
    story.share(taker.clone());
    let told = story.turn();
    let clash = "aaa of tokyo wants the route www.example.org, which is that of www here (services/www.toml)";
    assert!(told.iter().any(|it| it.contains(clash)), "{told:?}");
    assert!(!story.world.services.contains_key(&name("aaa")));
    // Without it it is welcome, and cannot take it later.
    taker.service.routes.truncate(1);
    story.share(taker.clone());
    story.turn();
    assert!(story.world.services.contains_key(&name("aaa")));
    taker.service.routes.push(route("www.example.org"));
    story.share(taker.clone());
    assert!(story.turn().iter().any(|it| it.contains(clash)));
    let here = |story: &Story| story.world.services[&name("aaa")].value.clone();
    assert_eq!(here(&story).service.routes.len(), 1);
    // Of two mirrored ones the second does not get it either.
    let mut second = record("bbb", Standby::Warm);
    second.service.routes = vec![route("a.example.org")];
    story.share(second);
    let told = story.turn();
    assert!(
        told.iter()
            .any(|it| it.contains("bbb of tokyo wants the route a.example.org")),
        "{told:?}"
    );
    // What clashes can still end.
    taker.removed = true;
    story.share(taker);
    story.turn();
    assert!(here(&story).removed);
}
