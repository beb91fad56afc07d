//! One gateway's decisions, in seconds.

use super::*;

#[expect(clippy::disallowed_methods, reason = "any moment will do")]
fn start() -> Instant {
    Instant::now()
}

fn site(text: &str) -> SiteId {
    SiteId::parse(text).expect("a site")
}

/// `tokyo,osaka`; with `?` where failover asks, `!` where failback does, `~` where this site cannot carry it.
fn led(text: &str) -> Led {
    let consent = |mark: char| {
        if text.contains(mark) {
            Consent::Ask
        } else {
            Consent::Auto
        }
    };
    let order = text.trim_end_matches(['?', '!', '~']).split(',');
    Led {
        order: order.map(site).collect(),
        failover: consent('?'),
        failback: consent('!'),
        is_well: !text.contains('~'),
    }
}

/// What a gateway of `own` does at second `now`.
///
/// `services`: see [`led`]. `heard`: `tokyo+3` heard since second 3, `tokyo-3` silent, `tokyo.3` never, `tokyo?` by others.
/// `readings`: `8:2:osaka` for what was read at second 8, `8` for no claim, `x` where nothing could be read. `expected`: `take 3`, or `stay` or `ask` and a part of why.
#[track_caller]
fn check(own: &str, services: &str, heard: &str, readings: &str, now: u64, expected: &str) {
    let begin = start();
    let at = |second: &str| begin + Duration::from_secs(second.parse().expect("a second"));
    let heard = heard.split_whitespace().map(|text| {
        let mark = text.find(['+', '-', '.', '?']).expect("a mark");
        let (name, rest) = text.split_at(mark);
        let heard = match rest.split_at(1) {
            ("+", second) => Heard::Since(at(second)),
            ("-", second) => Heard::SilentSince(at(second)),
            (".", second) => Heard::NeverSince(at(second)),
            _ => Heard::ByOthers,
        };
        (site(name), heard)
    });
    let sight = Sight {
        services: services.split_whitespace().map(led).collect(),
        heard: heard.collect(),
    };
    let mut known = Readings::default();
    for text in readings.split_whitespace() {
        if text == "x" {
            known.failed();
            continue;
        }
        let parts: Vec<&str> = text.split(':').collect();
        let claim = parts.get(2).map(|site| Claim {
            epoch: parts[1].parse().expect("an epoch"),
            site: (*site).to_owned(),
        });
        known.read(claim, at(parts[0]));
    }
    let found = match lead(&site(own), &sight, &known, begin + Duration::from_secs(now)) {
        Lead::Take(epoch) => format!("take {epoch}"),
        Lead::Stay(why) => format!("stay: {why}"),
        Lead::Ask(why) => format!("ask: {why}"),
    };
    let (how, why) = expected.split_once(' ').unwrap_or((expected, ""));
    assert!(
        found == expected || (how != "take" && found.starts_with(how) && found.contains(why)),
        "{own} of {services}, {heard:?} at {now}: {found}",
        heard = sight.heard
    );
}

const BOTH: &str = "tokyo,osaka";

#[test]
fn a_site_that_is_heard_keeps_its_name() {
    check(
        "osaka",
        BOTH,
        "tokyo+0",
        "9:1:tokyo",
        10,
        "stay tokyo comes first, and is heard",
    );
    check("osaka", BOTH, "tokyo?", "9:1:tokyo", 10, "stay others hear");
    check("tokyo", BOTH, "osaka+0", "9:1:tokyo", 10, "take 1");
    // Nobody has it yet: the first takes it, the others wait for the first.
    check("tokyo", BOTH, "osaka.0", "9", 10, "take 1");
    check("osaka", BOTH, "tokyo+0", "9", 99, "stay tokyo comes first");
    check("osaka", BOTH, "tokyo.0", "9", 10, "stay may still be heard");
}

#[test]
fn the_next_site_takes_it_from_one_that_is_gone() {
    check("osaka", BOTH, "tokyo-9", "2:1:tokyo 9:1:tokyo", 9, "take 2");
    // Also where it is read for the first time.
    check("osaka", BOTH, "tokyo-9", "9:7:tokyo", 9, "take 8");
    // It was never heard here: a restart while it was gone.
    check(
        "osaka",
        BOTH,
        "tokyo.0",
        "9:1:tokyo",
        59,
        "stay may still be heard",
    );
    // The third waits for the second.
    let three = "tokyo,osaka,kyoto";
    check(
        "kyoto",
        three,
        "tokyo-9 osaka+0",
        "9:1:tokyo",
        9,
        "stay osaka comes first",
    );
    check("kyoto", three, "tokyo-9 osaka-9", "9:1:tokyo", 9, "take 2");
    check("osaka", three, "tokyo-9 kyoto+0", "9:1:tokyo", 9, "take 2");
    check("osaka", three, "tokyo-9 kyoto-9", "9:1:kyoto", 9, "take 2");
    // A site of the order that is no peer: nobody knows.
    check("osaka", BOTH, "", "9:1:tokyo", 99, "ask no [sites.tokyo]");
    check("osaka", BOTH, "", "9", 99, "stay no [sites.tokyo]");
    check(
        "tokyo",
        BOTH,
        "osaka+0",
        "9:1:nara",
        99,
        "ask no [sites.nara]",
    );
    check("tokyo", "", "osaka-0", "9:1:osaka", 99, "stay no service");
}

#[test]
fn a_gateway_that_has_just_begun_takes_it_from_nobody_alone() {
    let never = "ask not heard since this gateway began";
    // It has come back, and the link has not; the name was moved meanwhile, by itself or by a person who made osaka the first.
    let moved = "9:2:osaka";
    check(
        "tokyo",
        BOTH,
        "osaka.0",
        moved,
        59,
        "stay may still be heard",
    );
    check("tokyo", BOTH, "osaka.0", moved, 60, never);
    check(
        "tokyo",
        BOTH,
        "osaka.0",
        "9:2:osaka 999:2:osaka",
        999,
        never,
    );
    check("tokyo", "osaka,tokyo", "osaka.0", moved, 999, never);
    // It began after the first site was gone, and cannot know that.
    check("osaka", BOTH, "tokyo.0", "9:1:tokyo", 60, never);
    check("osaka", BOTH, "tokyo.0 kyoto.0", "9:1:tokyo", 60, never);
    check("osaka", BOTH, "tokyo.0 kyoto-9", "9:1:tokyo", 60, never);
    // A third site says so as well.
    check(
        "osaka",
        BOTH,
        "tokyo.0 kyoto+2",
        "9:1:tokyo",
        59,
        "stay may still be heard",
    );
    check("osaka", BOTH, "tokyo.0 kyoto+2", "9:1:tokyo", 60, "take 2");
    check("tokyo", BOTH, "osaka.0 kyoto+2", moved, 60, "take 3");
    check("tokyo", BOTH, "osaka?", moved, 60, "stay others hear");
    // What nobody has is taken from nobody.
    check("osaka", BOTH, "tokyo.0", "9", 60, "take 1");
}

#[test]
fn every_service_of_the_name_must_let_it() {
    let mixed = "tokyo,osaka osaka,tokyo";
    check(
        "osaka",
        mixed,
        "tokyo+0",
        "9:1:tokyo",
        99,
        "stay tokyo comes first",
    );
    check(
        "tokyo",
        mixed,
        "osaka+0",
        "9:1:osaka",
        99,
        "stay osaka comes first",
    );
    check("osaka", mixed, "tokyo-9", "9:1:tokyo", 9, "take 2");
    check("tokyo", mixed, "osaka-9", "9:1:osaka", 9, "take 2");
}

#[test]
fn of_those_that_are_left_exactly_one_is_the_first() {
    // Each of the two has the other before it in one of the orders.
    let crossed = "tokyo,osaka,kyoto tokyo,kyoto,osaka";
    let gone = "9:1:tokyo";
    check("kyoto", crossed, "tokyo-9 osaka+0", gone, 9, "take 2");
    check(
        "osaka",
        crossed,
        "tokyo-9 kyoto+0",
        gone,
        9,
        "stay kyoto comes first",
    );
    check("osaka", crossed, "tokyo-9 kyoto-9", gone, 9, "take 2");
    // Whoever has it then keeps it: neither is the first of all.
    check(
        "osaka",
        crossed,
        "tokyo-9 kyoto+0",
        "9:2:kyoto",
        999,
        "stay kyoto comes first",
    );
    check(
        "kyoto",
        crossed,
        "tokyo-9 osaka+0",
        "9:2:osaka",
        999,
        "stay osaka comes first",
    );
    // And nobody has it yet.
    let mixed = "tokyo,osaka osaka,tokyo";
    check("osaka", mixed, "tokyo+0", "9", 10, "take 1");
    check("tokyo", mixed, "osaka+0", "9", 10, "stay osaka comes first");
    // Who serves only some of them stands behind.
    let some = "tokyo,osaka tokyo,kyoto kyoto";
    check("kyoto", some, "tokyo-9 osaka+0", gone, 9, "take 2");
    check("osaka", some, "tokyo-9 kyoto+0", gone, 9, "stay kyoto");
}

#[test]
fn two_that_know_services_of_their_own_do_not_take_it_from_each_other() {
    // One service of osaka and tokyo, one of kyoto and tokyo: only tokyo knows both.
    let (osaka, kyoto) = ("osaka,tokyo", "kyoto,tokyo");
    check(
        "osaka",
        osaka,
        "tokyo+0 kyoto+0",
        "9:2:kyoto",
        88,
        "stay serves nothing of it",
    );
    check(
        "osaka",
        osaka,
        "tokyo+0 kyoto+0",
        "9:2:kyoto",
        89,
        "ask serves nothing of it",
    );
    check(
        "kyoto",
        kyoto,
        "tokyo+0 osaka+0",
        "9:3:osaka",
        999,
        "ask the same `sites`",
    );
    check(
        "tokyo",
        "osaka,tokyo kyoto,tokyo",
        "osaka+0 kyoto+0",
        "9:3:osaka",
        999,
        "stay osaka comes first",
    );
    // From the one that serves them all each takes it back, and from one that is gone.
    check("osaka", osaka, "tokyo+0 kyoto+0", "9:2:tokyo", 89, "take 3");
    check("kyoto", kyoto, "tokyo+0 osaka-9", "9:2:osaka", 9, "take 3");
    // One of its services is enough.
    check(
        "osaka",
        "osaka,tokyo osaka,kyoto",
        "tokyo+0 kyoto+0",
        "9:2:kyoto",
        89,
        "take 3",
    );
}

#[test]
fn a_name_that_leads_to_a_living_site_asks_nobody_to_fail_over() {
    // A person has moved it to kyoto while tokyo is gone.
    let three = "tokyo,osaka,kyoto?";
    check(
        "osaka",
        three,
        "tokyo-9 kyoto+0",
        "9:2:kyoto",
        999,
        "stay which lives",
    );
    check(
        "osaka",
        three,
        "tokyo-9 kyoto?",
        "9:2:kyoto",
        999,
        "stay others hear",
    );
}

#[test]
fn where_a_person_decides_nothing_moves_by_itself() {
    let (failover, failback) = ("tokyo,osaka?", "tokyo,osaka!");
    check(
        "osaka",
        failover,
        "tokyo-9",
        "9:1:tokyo",
        99,
        "ask minato failover --to osaka",
    );
    check(
        "osaka",
        "tokyo,osaka tokyo,osaka?",
        "tokyo-9",
        "9:1:tokyo",
        99,
        "ask",
    );
    check("osaka", failover, "tokyo-9", "9", 99, "ask");
    check("osaka", failback, "tokyo-9", "9:1:tokyo", 9, "take 2");
    check(
        "tokyo",
        failback,
        "osaka+0",
        "9:1:osaka",
        999,
        "ask brings it back",
    );
    check(
        "tokyo",
        failback,
        "osaka-9",
        "2:1:osaka",
        999,
        "ask minato entrance publish",
    );
    check("tokyo", failover, "osaka+0", "9:1:osaka", 99, "take 2");
}

#[test]
fn the_first_takes_it_back_once_it_has_heard_the_other_for_long() {
    check("tokyo", BOTH, "osaka+5", "9:2:osaka", 88, "stay for 80 s");
    check("tokyo", BOTH, "osaka+5", "9:2:osaka", 89, "take 3");
    check("tokyo", BOTH, "osaka+50", "9:2:osaka", 129, "stay for 80 s");
    check("tokyo", BOTH, "osaka+50", "9:2:osaka", 130, "take 3");
    check(
        "tokyo",
        "tokyo,osaka~",
        "osaka+5",
        "9:2:osaka",
        999,
        "stay once its instances",
    );
    // The other goes before that.
    check(
        "tokyo",
        BOTH,
        "osaka-20",
        "9:2:osaka 20:2:osaka",
        20,
        "take 3",
    );
}

#[test]
fn who_wrote_while_nobody_heard_it_lives() {
    // Both live and do not hear each other; osaka took it at second 10.
    check(
        "tokyo",
        BOTH,
        "osaka-9",
        "2:1:tokyo 9:1:tokyo 15:2:osaka",
        15,
        "ask osaka took it",
    );
    check(
        "tokyo",
        BOTH,
        "osaka-9",
        "2:1:tokyo 9:1:tokyo 15:2:osaka 99:2:osaka",
        99,
        "ask osaka took it",
    );
    // A person gave it back to tokyo; osaka leaves it there.
    check(
        "osaka",
        BOTH,
        "tokyo-9",
        "9:1:tokyo 9:2:osaka 30:3:tokyo",
        30,
        "ask tokyo took it",
    );
    // Read last before the silence: it may have been written before, or while this site was cut off itself.
    let cut_off = "2:1:tokyo 45:2:osaka";
    check(
        "tokyo",
        BOTH,
        "osaka-9",
        cut_off,
        104,
        "stay osaka has taken it while it was out of sight",
    );
    check("tokyo", BOTH, "osaka-9", cut_off, 105, "take 3");
    // Both could read all the time, and osaka was the faster to find the line broken: it lives.
    let faster = "2:1:tokyo 15:2:osaka";
    check("tokyo", BOTH, "osaka-9", faster, 74, "stay out of sight");
    check("tokyo", BOTH, "osaka-9", faster, 75, "ask osaka took it");
    // Not so of who comes first anyway, or it would keep the name when it is gone a moment after it took it back.
    let back = "2:1:osaka 15:2:tokyo";
    check("osaka", BOTH, "tokyo-9", back, 74, "stay out of sight");
    check("osaka", BOTH, "tokyo-9", back, 75, "take 3");
    // It is heard again: what happened before does not matter.
    check(
        "tokyo",
        BOTH,
        "osaka+40",
        "9:1:tokyo 15:2:osaka",
        120,
        "take 3",
    );
    // And gone after that.
    check(
        "tokyo",
        BOTH,
        "osaka-60",
        "9:1:tokyo 15:2:osaka",
        60,
        "take 3",
    );
}

#[test]
fn who_was_cut_off_itself_takes_nothing_for_a_minute() {
    // The claim is the same before and after, and the name server is there before the link.
    let cut_off = "2:1:tokyo x x 30:1:tokyo";
    check(
        "osaka",
        BOTH,
        "tokyo-9",
        cut_off,
        30,
        "stay was cut off itself",
    );
    check(
        "osaka",
        BOTH,
        "tokyo-9",
        "2:1:tokyo x 30:1:tokyo 40:1:tokyo",
        89,
        "stay was cut off itself",
    );
    check("osaka", BOTH, "tokyo-9", cut_off, 90, "take 2");
    // Again, and not at all before.
    check(
        "osaka",
        BOTH,
        "tokyo-9",
        "2:1:tokyo x 30:1:tokyo x 60:1:tokyo",
        119,
        "stay was cut off",
    );
    check(
        "osaka",
        BOTH,
        "tokyo-9",
        "x 30:1:tokyo",
        89,
        "stay was cut off",
    );
    check(
        "tokyo",
        BOTH,
        "osaka-9",
        "2:2:osaka x 30:2:osaka",
        89,
        "stay was cut off",
    );
    // The name server was away, and it was read again before the site fell silent.
    check(
        "osaka",
        BOTH,
        "tokyo-9",
        "2:1:tokyo x 8:1:tokyo 9:1:tokyo",
        9,
        "take 2",
    );
    // Who wrote meanwhile lives, however little could be read.
    check(
        "tokyo",
        BOTH,
        "osaka-9",
        "9:1:tokyo x 30:2:osaka",
        30,
        "ask osaka took it",
    );
}

#[test]
fn two_sites_that_do_not_hear_each_other_move_it_twice_at_most() {
    (95..=106).for_each(moved);
}

/// `found`: when tokyo finds osaka silent. Links find silence after 3 s, both ends within moments: osaka finds it at second 100, and takes
/// the name. The line is whole again at 400.
#[track_caller]
fn moved(found: u64) {
    let begin = start();
    let at = |second| begin + Duration::from_secs(second);
    let mut claim = Claim {
        epoch: 1,
        site: "tokyo".to_owned(),
    };
    let sides = [("tokyo", "osaka", found), ("osaka", "tokyo", 100)];
    let mut known = [Readings::default(), Readings::default()];
    let mut moves = Vec::new();
    for second in 0..600 {
        for ((own, other, cut), readings) in sides.iter().zip(&mut known) {
            // Each looks every ten seconds, and when the other falls silent.
            let phase = u64::from(*own == "osaka") * 3;
            if second % 10 != phase && second != *cut {
                continue;
            }
            let heard = match second {
                0..400 if second < *cut => Heard::Since(at(0)),
                0..400 => Heard::SilentSince(at(*cut)),
                _ => Heard::Since(at(400)),
            };
            let sight = Sight {
                services: vec![led(BOTH)],
                heard: [(site(other), heard)].into(),
            };
            readings.read(Some(claim.clone()), at(second));
            if let Lead::Take(epoch) = lead(&site(own), &sight, readings, at(second))
                && epoch > claim.epoch
            {
                claim = Claim {
                    epoch,
                    site: (*own).to_owned(),
                };
                moves.push((second, claim.to_string()));
            }
        }
    }
    assert_eq!(moves.len(), 2, "{found}: {moves:?}");
    assert_eq!(moves[0], (100, "minato v=1 epoch=2 site=osaka".to_owned()));
    assert_eq!(moves[1].1, "minato v=1 epoch=3 site=tokyo", "{moves:?}");
    assert!(moves[1].0 >= 480, "{found}: {moves:?}");
}
