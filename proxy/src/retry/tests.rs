use super::*;

/// Every combination of what the decision looks at, against the rules written the other way round.
#[test]
fn every_situation_is_decided_by_the_rules() {
    let flags = [false, true];
    let mut seen = 0;
    for sent in [Sent::Nothing, Sent::Something, Sent::ResponseBegan] {
        for (idempotent, body_intact) in flags.iter().flat_map(|a| flags.map(|b| (*a, b))) {
            for leaves_bad_instance in flags {
                for (made, allowed) in [(0, 0), (0, 1), (1, 1), (2, 1), (1, 2), (255, 255)] {
                    let situation = Situation {
                        idempotent,
                        body_intact,
                        sent,
                        made,
                        allowed,
                        leaves_bad_instance,
                    };
                    seen += 1;
                    let forbidden = made >= allowed
                        || !body_intact
                        || sent == Sent::ResponseBegan
                        || (sent == Sent::Something && !idempotent);
                    let expected = match (forbidden, leaves_bad_instance) {
                        (true, _) => RetryDecision::No,
                        (false, true) => RetryDecision::Free,
                        (false, false) => RetryDecision::Budgeted,
                    };
                    assert_eq!(decide_retry(&situation), expected, "{situation:?}");
                }
            }
        }
    }
    assert_eq!(seen, 3 * 4 * 2 * 6);
}

/// The rows an operator would ask about, spelled out.
#[test]
fn a_post_is_never_sent_twice() {
    let post = Situation {
        idempotent: false,
        body_intact: true,
        sent: Sent::Something,
        made: 0,
        allowed: 1,
        leaves_bad_instance: true,
    };
    let table = [
        (post, RetryDecision::No),
        (
            Situation {
                sent: Sent::Nothing,
                ..post
            },
            RetryDecision::Free,
        ),
        (
            Situation {
                idempotent: true,
                ..post
            },
            RetryDecision::Free,
        ),
        (
            Situation {
                idempotent: true,
                body_intact: false,
                ..post
            },
            RetryDecision::No,
        ),
        (
            Situation {
                idempotent: true,
                sent: Sent::ResponseBegan,
                ..post
            },
            RetryDecision::No,
        ),
        (
            Situation {
                idempotent: true,
                allowed: 0,
                ..post
            },
            RetryDecision::No,
        ),
    ];
    for (situation, expected) in table {
        assert_eq!(decide_retry(&situation), expected, "{situation:?}");
    }
}

#[test]
fn the_budget_is_a_fifth_of_requests_in_flight_and_at_least_three() {
    for (in_flight, expected) in [
        (0, 3),
        (1, 3),
        (15, 3),
        (19, 3),
        (20, 4),
        (100, 20),
        (u32::MAX, 1000),
    ] {
        let budget = Arc::new(Budget::default());
        let guards: Vec<_> = (0..1000).map_while(|_| budget.take(in_flight)).collect();
        assert_eq!(guards.len(), expected, "{in_flight}");
        drop(guards);
        assert_eq!(budget.taken(), 0);
        assert!(budget.take(in_flight).is_some());
    }
}

#[test]
fn threads_together_stay_within_the_budget() {
    let budget = Arc::new(Budget::default());
    let most = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    let guard = budget.take(0);
                    if guard.is_some() {
                        most.fetch_max(budget.taken(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let most = most.into_inner();
    assert!((1..=3).contains(&most), "{most}");
    assert_eq!(budget.taken(), 0);
}
