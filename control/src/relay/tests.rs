use super::*;

/// One row for each observation: `a` and `b` each `u` up, `s` suspect, `r` down for its role, `x` dead, `.` not heard;
/// then the second at which it is seen. Expects the steps, `use a 1`, `wait`, `cut 1 at 7`, `keep 1`, `rivals`, `alone`.
#[track_caller]
fn check(sharing: Sharing, rows: &[(&str, u64, &str)]) -> Choice {
    #[expect(clippy::disallowed_methods, reason = "an origin for simulated time")]
    let origin = Instant::now();
    let addresses: Vec<SocketAddr> = ["10.0.0.1:1", "10.0.0.2:1"]
        .iter()
        .map(|it| it.parse().unwrap())
        .collect();
    let name = |it: SocketAddr| if it == addresses[0] { "a" } else { "b" };
    let mut choice = Choice::new(
        &addresses,
        sharing,
        Duration::from_secs(5),
        Duration::from_secs(2),
    );
    for (states, at, expected) in rows {
        let seen = states.chars().zip(&addresses).map(|(state, address)| {
            let (verdict, layer) = match state {
                'u' => (Verdict::Up, None),
                's' => (Verdict::Suspect, Some(Layer::NoAnswer)),
                'r' => (Verdict::Down, Some(Layer::Role)),
                'x' => (Verdict::Down, Some(Layer::ConnectRefused)),
                _ => (Verdict::Down, None),
            };
            Member {
                address: *address,
                verdict,
                failure: layer.map(|it| Failure::new(it, "why")),
            }
        });
        let now = origin + Duration::from_secs(*at);
        let steps = choice.observe(seen.collect::<Vec<_>>(), now);
        let said: Vec<String> = steps
            .iter()
            .map(|step| match step {
                Step::Use { member, tenure, .. } => format!("use {} {tenure}", name(*member)),
                Step::Wait(_) => "wait".to_owned(),
                Step::Cut {
                    tenure,
                    at: Some(at),
                } => format!(
                    "cut {tenure} at {}",
                    at.saturating_duration_since(origin).as_secs()
                ),
                Step::Cut { tenure, at: None } => format!("keep {tenure}"),
                Step::Rivals(_) => "rivals".to_owned(),
                Step::RivalsGone(_) => "alone".to_owned(),
                Step::Share(_) | Step::Told(_) => panic!("of a spread: {step:?}"),
            })
            .collect();
        assert_eq!(said.join(", "), *expected, "{states} at {at}");
    }
    choice
}

#[test]
fn the_first_that_passes_is_used() {
    check(
        Sharing::One,
        &[("..", 0, ""), (".u", 1, "use b 1"), ("ru", 2, "")],
    );
}

#[test]
fn a_dead_primary_is_left_at_once_for_another() {
    let choice = check(
        Sharing::One,
        &[
            ("ur", 0, "use a 1"),
            ("sr", 1, ""),
            ("xr", 2, "wait"),
            ("xr", 3, ""),
            ("xu", 4, "cut 1 at 4, use b 2"),
        ],
    );
    assert_eq!(choice.switches(), 1);
}

#[test]
fn without_another_a_dead_one_keeps_its_connections_until_it_answers() {
    check(
        Sharing::One,
        &[
            ("ur", 0, "use a 1"),
            ("xr", 1, "wait"),
            ("ur", 9, "use a 1"),
            ("xr", 10, "wait"),
            // It came back as something else.
            ("rr", 11, "cut 1 at 16"),
            ("ru", 12, "use b 2"),
        ],
    );
}

#[test]
fn what_is_wrong_is_told_again_where_it_changed_and_not_too_often() {
    check(
        Sharing::One,
        &[
            ("xr", 0, "wait"),
            ("xx", 1, ""),
            ("xr", 40, ""),
            ("xx", 41, "wait"),
            ("xx", 99, ""),
        ],
    );
}

#[test]
fn of_two_that_come_back_at_once_the_one_of_before_is_used() {
    check(
        Sharing::One,
        &[
            ("ru", 0, "use b 1"),
            ("xx", 1, "wait"),
            ("uu", 2, "use b 1"),
        ],
    );
}

#[test]
fn a_demoted_one_is_drained() {
    check(
        Sharing::One,
        &[
            ("ur", 0, "use a 1"),
            ("rr", 1, "cut 1 at 6, wait"),
            ("ru", 2, "use b 2"),
        ],
    );
    check(
        Sharing::One,
        &[("ur", 0, "use a 1"), ("ru", 1, "cut 1 at 6, use b 2")],
    );
}

#[test]
fn who_gets_the_role_back_in_time_keeps_its_connections() {
    check(
        Sharing::One,
        &[
            ("ur", 0, "use a 1"),
            ("rr", 1, "cut 1 at 6, wait"),
            ("ur", 5, "keep 1, use a 1"),
            ("rr", 10, "cut 1 at 15, wait"),
            ("ur", 15, "use a 2"),
        ],
    );
}

#[test]
fn two_primaries_are_an_alarm_and_move_nothing() {
    let choice = check(
        Sharing::One,
        &[
            ("ur", 0, "use a 1"),
            // A planned change may look like this for a moment.
            ("uu", 1, ""),
            ("uu", 3, "rivals"),
            ("su", 4, ""),
            ("uu", 5, ""),
            ("ur", 6, "alone"),
            ("xu", 7, "cut 1 at 7, use b 2"),
            // The old one is back and believes in itself: nothing moves back.
            ("uu", 9, ""),
            ("uu", 11, "rivals"),
            ("ru", 12, "alone"),
            ("uu", 13, ""),
            ("ru", 14, ""),
        ],
    );
    assert_eq!(choice.switches(), 1);
}

#[test]
fn an_alarm_ends_when_the_one_in_use_dies() {
    check(
        Sharing::One,
        &[
            ("ur", 0, "use a 1"),
            ("uu", 1, ""),
            ("uu", 3, "rivals"),
            ("xu", 4, "cut 1 at 4, use b 2, alone"),
        ],
    );
}

#[test]
fn where_any_will_do_others_are_no_rivals() {
    check(
        Sharing::Any,
        &[
            ("uu", 0, "use a 1"),
            ("xu", 1, "cut 1 at 1, use b 2"),
            ("uu", 2, ""),
        ],
    );
}

#[test]
fn after_a_restart_the_one_in_use_before_is_heard_first() {
    let addresses: Vec<SocketAddr> =
        vec!["10.0.0.1:1".parse().unwrap(), "10.0.0.2:1".parse().unwrap()];
    #[expect(clippy::disallowed_methods, reason = "an origin for simulated time")]
    let now = Instant::now();
    let member = |at: usize, verdict, layer: Option<Layer>| Member {
        address: addresses[at],
        verdict,
        failure: layer.map(|it| Failure::new(it, "why")),
    };
    let choice = Choice::new(&addresses, Sharing::One, Duration::ZERO, Duration::ZERO)
        .after(Some(addresses[1]));
    // An old primary that came back says that it is one, and is the first of the list.
    let mut both = choice.clone();
    assert_eq!(both.observe([member(0, Verdict::Up, None)], now), []);
    both.observe([member(1, Verdict::Up, None)], now);
    assert_eq!(both.current(), Some(addresses[1]));
    let mut other = choice;
    other.observe([member(0, Verdict::Up, None)], now);
    other.observe([member(1, Verdict::Down, Some(Layer::Role))], now);
    assert_eq!(other.current(), Some(addresses[0]));
}

#[test]
fn nobody_is_called_wrong_before_each_was_heard() {
    check(
        Sharing::One,
        &[("..", 0, ""), ("x.", 1, ""), ("xr", 2, "wait")],
    );
}

/// Every sequence of four observations of two members: one tenure at a time takes connections, and who is in use passes.
#[test]
fn every_short_history_keeps_the_rules() {
    #[expect(clippy::disallowed_methods, reason = "an origin for simulated time")]
    let origin = Instant::now();
    let addresses: [SocketAddr; 2] = ["10.0.0.1:1".parse().unwrap(), "10.0.0.2:1".parse().unwrap()];
    let states = [
        (Verdict::Up, None),
        (Verdict::Suspect, Some(Layer::NoAnswer)),
        (Verdict::Down, Some(Layer::Role)),
        (Verdict::Down, Some(Layer::ConnectRefused)),
    ];
    for history in 0..16_usize.pow(4) {
        let mut choice = Choice::new(
            &addresses,
            Sharing::One,
            Duration::from_secs(2),
            Duration::ZERO,
        );
        let (mut last, mut ended) = (0, BTreeSet::new());
        for row in 0..4_u32 {
            let code = history / 16_usize.pow(row) % 16;
            let now = origin + Duration::from_secs(u64::from(row));
            let before = choice.current();
            let seen = [code % 4, code / 4].into_iter().zip(&addresses);
            let seen = seen.map(|(state, address)| Member {
                address: *address,
                verdict: states[state].0,
                failure: states[state].1.map(|it| Failure::new(it, "why")),
            });
            for step in choice.observe(seen, now) {
                match step {
                    Step::Use { tenure, .. } => {
                        assert!(tenure >= last && !ended.contains(&tenure), "{history}");
                        last = tenure;
                    }
                    Step::Cut {
                        tenure,
                        at: Some(_),
                    } => {
                        ended.insert(tenure);
                    }
                    Step::Cut { tenure, at: None } => {
                        ended.remove(&tenure);
                    }
                    Step::Wait(_)
                    | Step::Rivals(_)
                    | Step::RivalsGone(_)
                    | Step::Share(_)
                    | Step::Told(_) => {}
                }
            }
            let verdict = |address| {
                let found = choice.members().iter().find(|it| it.address == address);
                found.unwrap().verdict
            };
            if let Some(current) = choice.current() {
                assert_ne!(verdict(current), Verdict::Down, "{history}");
                let kept = before.is_none_or(|it| it == current || verdict(it) == Verdict::Down);
                assert!(kept, "{history}: moved although it passed");
            } else {
                let any = choice.members().iter().any(|it| it.verdict == Verdict::Up);
                assert!(!any, "{history}: one passes and is not used");
            }
        }
    }
}

/// As [`check`], of a spread over `a`, `b` and `c`: `share a1 b2`, `tell b is used`, `wait`, `cut 1 at 7`, `keep 1`.
#[track_caller]
fn check_spread(rows: &[(&str, u64, &str)]) -> Spread {
    #[expect(clippy::disallowed_methods, reason = "an origin for simulated time")]
    let origin = Instant::now();
    let addresses: Vec<SocketAddr> = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]
        .iter()
        .map(|it| it.parse().unwrap())
        .collect();
    let letter = |it: &SocketAddr| match addresses.iter().position(|a| a == it) {
        Some(0) => "a",
        Some(1) => "b",
        _ => "c",
    };
    let mut spread = Spread::new(&addresses, Duration::from_secs(5));
    for (states, at, expected) in rows {
        let seen = states.chars().zip(&addresses).map(|(state, address)| {
            let (verdict, layer) = match state {
                'u' => (Verdict::Up, None),
                's' => (Verdict::Suspect, Some(Layer::NoAnswer)),
                'r' => (Verdict::Down, Some(Layer::Role)),
                'x' => (Verdict::Down, Some(Layer::ConnectRefused)),
                _ => (Verdict::Down, None),
            };
            Member {
                address: *address,
                verdict,
                failure: layer.map(|it| Failure::new(it, "why")),
            }
        });
        let now = origin + Duration::from_secs(*at);
        let steps = spread.observe(seen.collect::<Vec<_>>(), now);
        let said: Vec<String> = steps
            .iter()
            .map(|step| match step {
                Step::Share(ways) => {
                    let ways = ways
                        .iter()
                        .map(|(it, tenure)| format!(" {}{tenure}", letter(it)));
                    format!("share{}", ways.collect::<String>())
                }
                Step::Told(text) => {
                    let (address, what) = text.split_once(' ').unwrap();
                    format!("tell {} {what}", letter(&address.parse().unwrap()))
                }
                Step::Wait(_) => "wait".to_owned(),
                Step::Cut {
                    tenure,
                    at: Some(at),
                } => {
                    let at = at.saturating_duration_since(origin);
                    format!("cut {tenure} at {}", at.as_secs())
                }
                Step::Cut { tenure, at: None } => format!("keep {tenure}"),
                other => panic!("not of a spread: {other:?}"),
            })
            .collect();
        assert_eq!(said.join(", "), *expected, "{states} at {at}");
    }
    spread
}

#[test]
fn all_that_pass_share_what_comes() {
    let spread = check_spread(&[
        ("...", 0, ""),
        ("u..", 1, "tell a is used, share a1"),
        ("uru", 2, "tell c is used, share a1 c2"),
        ("uru", 3, ""),
    ]);
    let used: Vec<String> = spread.in_use().iter().map(ToString::to_string).collect();
    assert_eq!(used, ["10.0.0.1:1", "10.0.0.3:1"]);
}

#[test]
fn who_is_dead_is_left_at_once_for_the_others_and_comes_back_anew() {
    let spread = check_spread(&[
        ("uu.", 0, "tell a is used, tell b is used, share a1 b2"),
        // Suspect: what it has goes on, what comes goes elsewhere.
        ("su.", 1, "share b2"),
        ("uu.", 2, "share a1 b2"),
        (
            "xu.",
            3,
            "tell a is used no longer (connect refused: why), cut 1 at 3, share b2",
        ),
        ("xu.", 4, ""),
        ("uu.", 5, "tell a is used again, share a3 b2"),
    ]);
    assert_eq!(spread.switches(), 1);
}

#[test]
fn the_last_one_keeps_its_connections_until_it_is_back_or_another_is_there() {
    let gone = "tell a is used no longer (connect refused: why), share, wait";
    check_spread(&[
        ("uxx", 0, "tell a is used, share a1"),
        ("sxx", 1, ""),
        ("xxx", 2, gone),
        ("uxx", 3, "tell a is used again, share a1"),
        ("xxx", 4, gone),
        ("xux", 5, "tell b is used, cut 1 at 5, share b2"),
    ]);
}

#[test]
fn who_lost_the_role_is_drained_and_kept_where_it_is_back_in_time() {
    let left = |tenure: u64, at: u64| {
        format!("tell a is used no longer (role: why), cut {tenure} at {at}, share b2")
    };
    check_spread(&[
        ("uu.", 0, "tell a is used, tell b is used, share a1 b2"),
        ("ru.", 1, &left(1, 6)),
        ("uu.", 5, "keep 1, tell a is used again, share a1 b2"),
        ("ru.", 10, &left(1, 15)),
        ("xu.", 12, ""),
        ("uu.", 16, "tell a is used again, share a3 b2"),
    ]);
}
