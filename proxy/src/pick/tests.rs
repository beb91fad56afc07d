use super::*;
use crate::AttemptEnd;
use crate::sample::{endpoints, entry, service};
use std::collections::BTreeSet;

#[expect(clippy::disallowed_methods, reason = "an Instant to count from")]
fn start() -> Instant {
    Instant::now()
}

fn library(letters: &str) -> ServiceEntry {
    entry(service("library", &[]), endpoints(letters))
}

/// Which endpoints are ever picked, by number, over many draws.
fn picked(entry: &ServiceEntry, avoid: Option<usize>) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let now = start();
    let avoid = avoid.map(|it| &entry.endpoints[it]);
    let all: BTreeSet<_> = (0..500)
        .filter_map(|_| {
            pick(entry, Scope::Everywhere, avoid, now, &mut |n| {
                random.usize(0..n)
            })
        })
        .map(|it| it.id().slot.0)
        .collect();
    all.iter().map(u16::to_string).collect()
}

/// `letters` as in `sample::endpoints`; `expected` numbers them over all tiers.
#[track_caller]
fn check(letters: &str, avoid: Option<usize>, expected: &str) {
    assert_eq!(
        picked(&library(letters), avoid),
        expected,
        "{letters} without {avoid:?}"
    );
}

#[test]
fn the_best_standing_of_the_best_tier() {
    check("", None, "");
    check("U", None, "0");
    check("UUU", None, "012");
    check("USHO", None, "0");
    check("USDN", None, "0");
    check("SSHO", None, "01");
    check("OHD", None, "1");
    check("ODNR", None, "");
    check("UU|UU", None, "01");
    check("SO|UU", None, "0");
    check("OH|SU", None, "3");
    check("OH|OO|OS", None, "5");
    check("OO|OH", None, "3");
    check("DD|U", None, "2");
}

#[test]
fn the_one_that_failed_is_avoided_while_another_is_left() {
    check("UUU", Some(1), "02");
    check("UU", Some(0), "1");
    check("U", Some(0), "0");
    check("US", Some(0), "1");
    check("SSU", Some(2), "01");
    check("UODN", Some(0), "0");
    check("SO", Some(0), "0");
    check("H", Some(0), "0");
    check("UH", Some(0), "1");
    check("U|U", Some(0), "1");
    check("U|S", Some(0), "1");
    check("O", Some(0), "");
    check("D", Some(0), "");
}

#[test]
fn in_a_panic_all_that_could_answer_take_part() {
    // Four are too few, half is enough, leaving ones do not count.
    check("UOOO", None, "0");
    check("UUUOOO", None, "012");
    check("UUUOO", None, "012");
    check("UUODDD", None, "01");
    check("SSSUOO", None, "3");
    // Below half.
    check("UUOOO", None, "01234");
    check("USOOO", None, "01234");
    check("UHOOO", None, "01234");
    check("OOOOO", None, "01234");
    check("OOOOH", None, "01234");
    // But never those that refuse, are stopped, leave, or were never up.
    check("UUORX", None, "012");
    check("UUORXD", None, "012");
    check("UUNNN", None, "01");
    check("NNNNN", None, "");
    check("RRRXX", None, "");
    // Nothing but refusals: a suspect is still better than nothing.
    check("QRRRR", None, "0");
    // The one that failed stays out of it.
    check("UUOOO", Some(0), "1234");
    check("UORRX", Some(0), "1");
    // A tier that serves goes before one that panics.
    check("OOOOO|U", None, "5");
    check("OOOOO|H", None, "01234");
    check("UOOOO|U", None, "01234");
}

#[test]
fn with_health_off_a_doubted_one_counts_as_up() {
    let mut off = service("library", &[]);
    off.health = Health::Off;
    let entry = entry(off, endpoints("USHD"));
    assert_eq!(picked(&entry, None), "012");
}

#[test]
fn equals_are_picked_equally_often() {
    let entry = library("UUUUU");
    let (mut random, now) = (fastrand::Rng::with_seed(42), start());
    let mut counts = [0_u32; 5];
    for _ in 0..50_000 {
        let one = pick(&entry, Scope::Everywhere, None, now, &mut |n| {
            random.usize(0..n)
        })
        .unwrap();
        counts[usize::from(one.id().slot.0)] += 1;
    }
    for count in counts {
        assert!((9_500..=10_500).contains(&count), "{counts:?}");
    }
}

#[test]
fn the_busiest_is_never_picked_beside_idle_ones() {
    let entry = library("UUUU");
    let _busy: Vec<_> = (0..3).map(|_| entry.endpoints[2].begin()).collect();
    assert_eq!(picked(&entry, None), "013");
}

#[test]
fn requests_that_last_spread_evenly() {
    let entry = library("UUUUUUUUUU");
    let (mut random, now) = (fastrand::Rng::with_seed(1), start());
    let mut held = Vec::new();
    for _ in 0..10_000 {
        let one = pick(&entry, Scope::Everywhere, None, now, &mut |n| {
            random.usize(0..n)
        })
        .unwrap();
        held.push(one.begin());
    }
    let loads: Vec<_> = entry.endpoints.iter().map(|it| it.in_flight()).collect();
    // One random choice would leave some 100 between them.
    let spread = loads.iter().max().unwrap() - loads.iter().min().unwrap();
    assert!(spread <= 8, "{loads:?}");
}

#[test]
fn failing_fast_attracts_nothing() {
    let entry = library("UU");
    let now = start();
    let _busy = entry.endpoints[0].begin();
    assert_eq!(picked(&entry, None), "1");
    entry.endpoints[1].record(AttemptEnd::Reset, now);
    assert_eq!(picked(&entry, None), "01");
    entry.endpoints[1].record(AttemptEnd::Reset, now);
    assert_eq!(picked(&entry, None), "0");
}

#[test]
fn a_random_source_past_its_bound_is_survived() {
    let entry = library("UUU");
    assert!(pick(&entry, Scope::Everywhere, None, start(), &mut |n| n + 5).is_some());
}

#[test]
fn a_standing_that_changes_while_one_is_picked_is_no_reason_to_pick_none() {
    let entry = library("S");
    let one = &entry.endpoints[0];
    let found = pick(&entry, Scope::Everywhere, None, start(), &mut |_| {
        one.set_standing(Standing::Held);
        0
    });
    assert!(found.is_some());
}

/// An instance here, and a gateway each of two other sites behind it.
fn of_three_sites(standings: [Standing; 3]) -> ServiceEntry {
    let all = standings.iter().zip(0..).map(|(standing, n)| {
        let own = crate::sample::endpoint(n, 0, minato_health::Verdict::Up);
        let mut id = own.id().clone();
        id.site = (n > 0).then(|| minato_config::SiteId::parse(&format!("site-{n}")).unwrap());
        let tier = u8::try_from(n).unwrap();
        let endpoint = Endpoint::new(id, own.address(), tier, minato_health::Verdict::Up);
        endpoint.set_standing(*standing);
        endpoint
    });
    entry(service("library", &[]), all.collect())
}

fn offers(carries: [u16; 3], beyond: Beyond) -> Option<Arc<crate::Spread>> {
    let offers = carries.iter().zip(0..).map(|(carries, tier)| crate::Offer {
        tier,
        carries: *carries,
        allowed: ALL,
    });
    crate::Spread::of(&offers.collect::<Vec<_>>(), beyond).map(Arc::new)
}

/// How many of 1,000 numbers lead to each site, and to none.
fn drawn(entry: &ServiceEntry, scope: Scope, avoid: Option<usize>) -> [usize; 4] {
    let avoid = avoid.map(|it| &entry.endpoints[it]);
    let mut counts = [0; 4];
    for number in 0..1_000 {
        let mut random = |n: usize| number % n;
        let found = pick(entry, scope, avoid, start(), &mut random);
        counts[found.map_or(3, |it| usize::from(it.id().slot.0))] += 1;
    }
    counts
}

#[test]
fn visitors_are_shared_out_among_sites_and_the_excess_is_turned_away() {
    use Standing::{Out, Up};
    let up = || of_three_sites([Up, Up, Up]);
    let shared = |carries| up().spread(offers(carries, Beyond::Next));
    let everywhere = Scope::Everywhere;
    assert_eq!(drawn(&up(), everywhere, None), [1_000, 0, 0, 0]);
    assert_eq!(
        drawn(&shared([1_000; 3]), everywhere, None),
        [1_000, 0, 0, 0]
    );
    assert_eq!(
        drawn(&shared([466, 300, 100]), everywhere, None),
        [466, 300, 100, 134]
    );
    assert_eq!(
        drawn(&shared([0, 0, 0]), everywhere, None),
        [1_000, 0, 0, 0]
    );
    // What came over a link is served here, whatever the shares; a second attempt goes where it can.
    assert_eq!(
        drawn(&shared([0, 500, 0]), Scope::Here, None),
        [1_000, 0, 0, 0]
    );
    assert_eq!(
        drawn(&shared([466, 300, 0]), everywhere, Some(0)),
        [0, 1_000, 0, 0]
    );
    // A site that has just gone out is passed over, and nobody waits for new shares.
    let gone = of_three_sites([Out, Up, Up]).spread(offers([1_000; 3], Beyond::Next));
    assert_eq!(drawn(&gone, everywhere, None), [0, 1_000, 0, 0]);
    assert_eq!(drawn(&gone, Scope::Here, None), [0, 0, 0, 1_000]);
}

#[test]
fn where_a_person_decides_nobody_goes_to_another_site() {
    use Standing::{Out, Up};
    let only = |first| {
        let spread = crate::Spread::only(0, Beyond::Nothing);
        of_three_sites([first, Up, Up]).spread(Some(Arc::new(spread)))
    };
    let everywhere = Scope::Everywhere;
    assert_eq!(drawn(&only(Up), everywhere, None), [1_000, 0, 0, 0]);
    assert_eq!(drawn(&only(Out), everywhere, None), [0, 0, 0, 1_000]);
    assert_eq!(drawn(&only(Up), everywhere, Some(0)), [1_000, 0, 0, 0]);
}
