use super::*;

fn site(text: &str) -> SiteId {
    SiteId::parse(text).unwrap()
}

fn by(site_name: &str, operation: u64) -> Holder {
    Holder {
        site: site(site_name),
        operation: OperationId(operation),
    }
}

fn order(by: Holder, run: u32) -> HoldOrder {
    HoldOrder {
        by,
        run,
        limit_ms: 60_000,
    }
}

fn at(second: u64) -> Timestamp {
    Timestamp(second * 1_000)
}

/// Orders as `o12.1@5` (osaka's operation 12, try 1, at 5 s), `k` of kyoto; `-` before it releases. Expects `h` held anew, `=` as it
/// was, `r` released, `o` over, `t` taken.
#[track_caller]
fn check(orders: &str, expected: &str) {
    let (mut current, mut found) = (None, String::new());
    for text in orders.split(' ') {
        let (is_release, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (who, second) = text.split_once('@').unwrap();
        let now = at(second.parse().unwrap());
        let (number, run) = who[1..].split_once('.').unwrap();
        let name = if who.starts_with('o') {
            "osaka"
        } else {
            "kyoto"
        };
        let by = by(name, number.parse().unwrap());
        let said = if is_release {
            release(current.as_ref(), &by, now)
        } else {
            hold(current.as_ref(), &order(by, run.parse().unwrap()), now)
        };
        found.push(match said {
            Ok(Some(next)) => {
                let letter = if next.released { 'r' } else { 'h' };
                current = Some(next);
                letter
            }
            Ok(None) => '=',
            Err(HoldRefusal::Over(_)) => 'o',
            Err(HoldRefusal::Taken(_)) => 't',
        });
    }
    assert_eq!(found, expected, "{orders}");
}

#[test]
fn a_try_is_held_once_and_one_switch_at_a_time() {
    check("o12.1@0 o12.1@1 o12.1@9 o12.1@10", "h==o");
    check("o12.1@0 -o12.1@2 o12.1@3 o12.2@4 o12.1@5", "hroho");
    // Another switch waits until it is over, of whichever site.
    check("o12.1@0 o13.1@1 k1.1@2 o13.1@10 o12.9@30", "httho");
    check("o12.1@0 k1.1@11 o12.1@12 o12.1@21", "hhth");
    // What is over is released without a word.
    check("-o12.1@0 o12.1@0 -k1.1@1 -o12.1@11 o12.1@12", "=ht=o");
}

#[test]
fn nobody_is_held_for_longer_than_ten_seconds() {
    let it = hold(None, &order(by("osaka", 1), 1), at(5))
        .unwrap()
        .unwrap();
    assert_eq!((it.since, it.until), (at(5), at(15)));
    assert!(it.is_in_force(Timestamp(14_999)) && !it.is_in_force(at(15)));
    let brief = HoldOrder {
        limit_ms: 3_000,
        ..order(by("osaka", 1), 1)
    };
    assert_eq!(hold(None, &brief, at(5)).unwrap().unwrap().until, at(8));
}

/// Two gateways, a and b, that live since second 1, both holding for osaka's operation 12, try 1, since second 10.
fn standing() -> Standing {
    let report = |in_flight| HeldReport {
        v: 1,
        held: Following {
            by: by("osaka", 12),
            run: 1,
        },
        in_flight,
    };
    let alive = GatewayAlive { v: 1, since: at(1) };
    Standing {
        hold: hold(None, &order(by("osaka", 12), 1), at(10)).unwrap(),
        gateways: [(gateway("a"), alive.clone()), (gateway("b"), alive)].into(),
        reports: [(gateway("a"), report(2)), (gateway("b"), report(3))].into(),
    }
}

/// What is said at second 12 of what `change` makes of [`standing`].
fn said(change: impl FnOnce(&mut Standing)) -> HoldSeen {
    let mut it = standing();
    change(&mut it);
    seen(&it, &by("osaka", 12), Part::Serves, at(12))
}

fn gateway(text: &str) -> GatewayId {
    GatewayId::parse(text).unwrap()
}

#[test]
fn it_is_held_where_every_living_gateway_says_so() {
    let held = said(|_| {});
    assert_eq!((held.held, held.in_flight), (Held::For(1), 5));
    assert!(!held.is_empty());
    assert!(said(|it| it.reports.values_mut().for_each(|it| it.in_flight = 0)).is_empty());
    let partly = |change: fn(&mut Standing)| assert_eq!(said(change).held, Held::Partly(1));
    partly(|it| drop(it.reports.remove(&gateway("b"))));
    partly(|it| it.reports.get_mut(&gateway("b")).unwrap().held.run = 0);
    partly(|it| it.reports.get_mut(&gateway("b")).unwrap().held.by = by("osaka", 11));
    partly(|it| it.gateways.clear());
    // It began in the middle, and may have served before it heard of it.
    let broken = said(|it| it.gateways.get_mut(&gateway("b")).unwrap().since = at(11));
    assert_eq!(broken.held, Held::Broken(1));
    // Where nothing is served that is of no harm.
    let mut late = standing();
    late.gateways.get_mut(&gateway("b")).unwrap().since = at(11);
    let takes = seen(&late, &by("osaka", 12), Part::Takes, at(12));
    assert_eq!(takes.held, Held::For(1));
    late.reports.remove(&gateway("b"));
    let takes = seen(&late, &by("osaka", 12), Part::Takes, at(12));
    assert_eq!(takes.held, Held::Partly(1));
    // One that is gone counts no more, whatever it said.
    let one = said(|it| {
        it.gateways.remove(&gateway("b"));
    });
    assert_eq!((one.held, one.in_flight), (Held::For(1), 2));
}

#[test]
fn what_is_over_or_anothers_is_not_held() {
    assert_eq!(said(|it| it.hold = None).held, Held::No);
    assert_eq!(
        said(|it| it.hold.as_mut().unwrap().released = true).held,
        Held::No
    );
    assert_eq!(
        said(|it| it.hold.as_mut().unwrap().by = by("kyoto", 12)).held,
        Held::No
    );
    let it = standing();
    assert_eq!(
        seen(&it, &by("osaka", 12), Part::Serves, at(20)).held,
        Held::Expired(1)
    );
    assert_eq!(
        seen(&it, &by("osaka", 13), Part::Serves, at(12)).held,
        Held::No
    );
}

#[test]
fn several_sites_hold_together_or_not_at_all() {
    use Held::{Broken, Expired, For, No, Partly};
    for (one, other, both) in [
        (For(1), For(1), For(1)),
        (For(1), Partly(1), Partly(1)),
        (For(1), Broken(1), Broken(1)),
        (Broken(1), Partly(1), Broken(1)),
        (Broken(1), Expired(1), Expired(1)),
        (For(2), For(1), Partly(2)),
        (For(1), No, Partly(1)),
        (No, No, No),
        (Partly(1), No, Partly(1)),
        (Expired(1), For(1), Expired(1)),
        (No, Expired(1), Expired(1)),
    ] {
        let seen = |held| HoldSeen { held, in_flight: 2 };
        let found = seen(one).and(seen(other));
        assert_eq!(
            (found.held, found.in_flight),
            (both, 4),
            "{one:?} {other:?}"
        );
        assert_eq!(seen(other).and(seen(one)), found);
    }
}

#[test]
fn golden_documents() {
    let hold = standing().hold.unwrap();
    let text = r#"{"v":1,"by":{"site":"osaka","operation":12},"try":1,"since":10000,"until":20000,"released":false}"#;
    assert_eq!(serde_json::to_string(&hold).unwrap(), text);
    assert_eq!(serde_json::from_str::<HoldRecord>(text).unwrap(), hold);
    let report = standing().reports.remove(&gateway("a")).unwrap();
    let text = r#"{"v":1,"held":{"by":{"site":"osaka","operation":12},"try":1},"in_flight":2}"#;
    assert_eq!(serde_json::to_string(&report).unwrap(), text);
    assert_eq!(serde_json::from_str::<HeldReport>(text).unwrap(), report);
}
