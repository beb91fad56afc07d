//! How visitors move when sites come and go, by what is seen second after second.

use super::*;
use minato_config::Standby;
use std::time::Duration;

fn site(text: &str) -> SiteId {
    SiteId::parse(text).expect("a site")
}

fn routing(failover: Consent) -> Routing {
    Routing::new(&Sites {
        order: vec![site("tokyo"), site("osaka")],
        standby: Standby::Warm,
        failover,
        failback: Consent::Auto,
        sync: None,
        at: BTreeMap::new(),
        targets: Default::default(),
        base: None,
    })
}

/// `up/wanted` of tokyo, then of osaka; `-` where nobody answers, `?` where nobody answers here and others are answered.
fn seen(text: &str) -> Vec<SiteSight> {
    let sights = text.split(' ').zip(["tokyo", "osaka"]).zip(0..);
    sights
        .map(|((text, name), tier)| {
            let numbers = text.split_once('/');
            SiteSight {
                site: site(name),
                tier,
                up: numbers.map_or(0, |it| it.0.parse().expect("a number")),
                wanted: numbers.map(|it| it.1.parse().expect("a number")),
                reach: match text {
                    "-" => Reach::Silent,
                    "?" => Reach::Alone,
                    _ => Reach::Answers,
                },
            }
        })
        .collect()
}

/// Each word of `seen` for so many seconds; the shares of tokyo, osaka and the sorry page after the last.
#[track_caller]
fn check(failover: Consent, course: &[(u64, &str)], expected: [u16; 3]) {
    let (mut now, mut routing) = (crate::clock::now(), routing(failover));
    for (seconds, text) in course {
        for _ in 0..*seconds {
            routing.settle(&seen(text), now);
            now += Duration::from_secs(1);
        }
    }
    let found = routing.spread().map_or([ALL, 0, 0], |it| {
        let share = |tier| it.shares().find(|it| it.0 == tier).map_or(0, |it| it.1);
        [share(0), share(1), it.excess()]
    });
    assert_eq!(found, expected, "{course:?}");
}

#[test]
fn shares_follow_what_sites_can_carry() {
    let auto = Consent::Auto;
    check(auto, &[(5, "3/3 3/3")], [1_000, 0, 0]);
    check(auto, &[(5, "3/3 1/1")], [1_000, 0, 0]);
    // Degraded: for ten seconds nothing moves, then what it cannot carry does.
    check(auto, &[(5, "3/3 3/3"), (10, "1/3 3/3")], [1_000, 0, 0]);
    check(auto, &[(5, "3/3 3/3"), (11, "1/3 3/3")], [466, 534, 0]);
    // Gone: all move; osaka is a third of tokyo, and the rest gets the sorry page.
    check(auto, &[(5, "3/3 3/3"), (9, "- 3/3")], [0, 1_000, 0]);
    check(auto, &[(5, "3/3 1/1"), (9, "- 1/1")], [0, 466, 534]);
    // A first site that is small and well serves all, whatever a later one says of itself.
    check(auto, &[(5, "1/1 3/3")], [1_000, 0, 0]);
    check(auto, &[(5, "3/3 9/4294967295")], [1_000, 0, 0]);
    check(auto, &[(5, "2/2 4294967295/1")], [1_000, 0, 0]);
    check(auto, &[(5, "1/1 3/3"), (9, "- 1/3")], [0, 1_000, 0]);
    // It never answered, so that nobody knows how much is missing.
    check(auto, &[(9, "- 1/1")], [0, 1_000, 0]);
    check(auto, &[(5, "3/3 3/3"), (9, "- -")], [1_000, 0, 0]);
    // Back: nothing for a minute, then in steps.
    let back = |seconds| [(5, "3/3 3/3"), (9, "- 3/3"), (seconds, "3/3 3/3")];
    check(auto, &back(60), [0, 1_000, 0]);
    check(auto, &back(61), [100, 900, 0]);
    check(auto, &back(71), [500, 500, 0]);
    check(auto, &back(81), [1_000, 0, 0]);
    // Out of this gateway's sight alone: nobody is sent there meanwhile, and it is gone back to at once.
    check(auto, &[(5, "3/3 3/3"), (9, "? 3/3")], [0, 1_000, 0]);
    let blinked = [(5, "3/3 3/3"), (9, "? 3/3"), (1, "3/3 3/3")];
    check(auto, &blinked, [1_000, 0, 0]);
    // While it waits to be gone back to it is still better than the sorry page.
    let waits = [(5, "3/3 3/3"), (9, "- 3/3"), (5, "3/3 -")];
    check(auto, &waits, [1_000, 0, 0]);
}

/// What is called for at osaka after these, where tokyo wants what it says, or its file `3` where it was never heard.
#[track_caller]
fn calls(routing: &mut Routing, course: &[(u64, &str)], own: &str, expected: u32) {
    let mut now = crate::clock::now();
    for (seconds, text) in course {
        for _ in 0..*seconds {
            routing.settle(&seen(text), now);
            now += Duration::from_secs(1);
        }
    }
    let last = seen(course.last().expect("a course").1);
    assert_eq!(routing.called(&site(own), &last), expected, "{course:?}");
}

fn meant(number: Number) -> Option<Meant> {
    Some(Meant {
        site: site("tokyo"),
        replicas: Some(3),
        number,
    })
}

#[test]
fn what_the_sites_before_do_not_carry_is_called_for() {
    let follows = || {
        let mut routing = routing(Consent::Auto);
        routing.mean(meant(Number::FollowsLoad));
        routing
    };
    let call = |course: &[(u64, &str)], expected| {
        calls(&mut follows(), course, "osaka", expected);
    };
    call(&[(5, "5/5 2/2")], 0);
    call(&[(5, "5/5 2/2"), (1, "- 2/2")], 5);
    // Degraded: once visitors are moved, and as many as tokyo lacks.
    call(&[(5, "5/5 2/2"), (10, "2/5 2/2")], 0);
    call(&[(5, "5/5 2/2"), (11, "2/5 2/2")], 3);
    // Never heard: the file's number. Its own number calls for nothing.
    call(&[(5, "- 1/7")], 3);
    calls(&mut follows(), &[(5, "5/5 2/2")], "tokyo", 0);
    calls(&mut follows(), &[(5, "5/5 -")], "tokyo", 0);
    // Out of this gateway's sight alone: that is for no one else to do.
    call(&[(5, "5/5 2/2"), (9, "? 2/2")], 0);
    // Back: less and less, as visitors go.
    let back = |seconds| [(5, "5/5 2/2"), (9, "- 5/5"), (seconds, "5/5 5/5")];
    call(&back(60), 5);
    call(&back(71), 3);
    call(&back(81), 0);
    let mut asks = routing(Consent::Ask);
    asks.mean(meant(Number::FollowsLoad));
    calls(&mut asks, &[(5, "5/5 2/2"), (9, "- 2/2")], "osaka", 0);
}

/// Osaka, which is smaller, was made the first: what visitors need is what it was.
#[test]
fn the_need_is_not_that_of_a_smaller_site_that_was_made_the_first() {
    let switched = |number, text: &str| {
        let mut routing = Routing::new(&Sites {
            order: vec![site("osaka"), site("tokyo")],
            ..routing(Consent::Auto).sites
        });
        routing.mean(meant(number));
        let mut seen = seen(text);
        seen.reverse();
        for (tier, it) in (0..).zip(&mut seen) {
            it.tier = tier;
        }
        let mut now = crate::clock::now();
        for _ in 0..30 {
            routing.settle(&seen, now);
            now += Duration::from_secs(1);
        }
        let shares: Vec<(u8, u16)> = routing
            .spread()
            .map(|it| it.shares().chain([(9, it.excess())]).collect())
            .unwrap_or_default();
        (shares, routing.called(&site("osaka"), &seen))
    };
    use Number::{Fixed, FollowsLoad};
    // Tokyo, in osaka's shadow now, would still serve what osaka cannot.
    assert_eq!(
        switched(Fixed, "3/3 1/1"),
        (vec![(0, 466), (1, 534), (9, 0)], 3)
    );
    // It is off.
    assert_eq!(switched(Fixed, "- 1/1"), (vec![(0, 466), (9, 534)], 3));
    assert_eq!(switched(Fixed, "- 3/3"), (vec![], 3));
    // A larger site is asked for no more than the smaller one carried.
    assert_eq!(switched(Fixed, "- 3/9"), (vec![], 3));
    // Where the number follows the load, it has grown here and shrunk there.
    assert_eq!(
        switched(FollowsLoad, "2/2 2/5"),
        (vec![(0, 560), (1, 440), (9, 0)], 2)
    );
}

#[test]
fn what_a_file_means_is_what_its_first_site_has_by_it() {
    let name = minato_config::ServiceName::parse("app").expect("a name");
    let meant = |more: &str, at: &str| {
        let text = format!("{more}\nsites = [\"tokyo\", \"osaka\"]\n[at.osaka]\nreplicas = 1\n");
        let parsed = minato_config::parse_service("".as_ref(), &name, &text);
        let meant = Meant::by(&parsed.expect("a service").at(&site(at)));
        meant.map(|it| (it.site, it.replicas, it.number))
    };
    for at in ["tokyo", "osaka"] {
        let fixed = (site("tokyo"), Some(3), Number::Fixed);
        assert_eq!(meant("command = [\"a\"]\nreplicas = 3", at), Some(fixed));
        let scaled = (site("tokyo"), Some(2), Number::FollowsLoad);
        let text = "command = [\"a\"]\nreplicas = { min = 2, max = 5, in_flight = 9 }";
        assert_eq!(meant(text, at), Some(scaled));
    }
    let own = "endpoints = [\"10.0.0.7:80\", \"10.0.0.8:80\"]";
    let text = format!("{own}\nsites = [\"tokyo\", \"osaka\"]\n");
    let parsed = minato_config::parse_service("".as_ref(), &name, &text);
    let found = Meant::by(&parsed.expect("a service"));
    assert_eq!(found.and_then(|it| it.replicas), None);
}

#[test]
fn what_a_site_wants_is_no_new_order() {
    let routing = routing(Consent::Auto);
    let mut sites = routing.sites.clone();
    let replicas = Some(2);
    sites
        .at
        .insert(site("osaka"), minato_config::AtSite { replicas });
    assert!(routing.is_of(&sites), "visitors stay where they are");
    sites.order.reverse();
    assert!(!routing.is_of(&sites));
}

#[test]
fn only_a_person_moves_what_asks() {
    let ask = Consent::Ask;
    check(ask, &[(5, "3/3 3/3")], [1_000, 0, 0]);
    check(ask, &[(5, "3/3 3/3"), (99, "- 3/3")], [1_000, 0, 0]);
    check(ask, &[(5, "3/3 3/3"), (99, "1/3 3/3")], [1_000, 0, 0]);
}
