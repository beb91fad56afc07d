//! How long the old site is watched, and what is said of those who still come.

use super::*;
use crate::operation::switch::tests::site;
use minato_config::Timestamp;

const BEGIN: u64 = 1_000_000;

/// Moved and served; watched for a minute, of which five seconds must be quiet.
fn switch() -> Switch {
    let mut switch = Switch::new(
        site("tokyo"),
        site("osaka"),
        3,
        Data::None,
        Timestamp(BEGIN),
    );
    (switch.timing.quiet_ms, switch.timing.watch_ms) = (5_000, 60_000);
    switch.phase = Phase::Quiet;
    switch
}

/// Somebody is there, and so many came before.
fn sight(came: Option<u64>, quiet_since: Option<u64>) -> Sight {
    Sight {
        problems: Vec::new(),
        up: (2, 2),
        need: Need::default(),
        epoch: 4,
        answers: true,
        source: Some(Source {
            epoch: 4,
            held: Held::No,
            in_flight: 0,
            quiet_since: quiet_since.map(|it| Timestamp(BEGIN + it)),
            came,
        }),
        sync: Sync::None,
        entrance: Entrance::None,
    }
}

/// Looks at these milliseconds, each with what is seen; the last state and reason.
#[track_caller]
fn watch(looks: &[(u64, Sight)], state: SwitchState, reason: &str) {
    let mut switch = switch();
    for (at, sight) in looks {
        assert_eq!(switch.state, SwitchState::Running, "before {at}");
        switch = advance(&switch, sight, Timestamp(BEGIN + at)).next;
    }
    assert_eq!((switch.state, switch.reason.as_str()), (state, reason));
}

#[test]
fn a_site_that_is_never_quiet_is_not_watched_for_ever() {
    watch(
        &[
            (100, sight(Some(7), None)),
            (59_999, sight(Some(1_200), None)),
            (60_000, sight(Some(1_241), Some(58_000))),
        ],
        SwitchState::Visited,
        "1234 requests came to tokyo for it in 60 s, the last one 2 s ago",
    );
    // Quiet at last is quiet, also in the last moment.
    watch(
        &[
            (100, sight(Some(7), None)),
            (60_000, sight(Some(9), Some(57_000))),
        ],
        SwitchState::Done,
        "nobody comes to tokyo for it any more",
    );
    // A gateway that began anew has counted at least so many; one of before this says nothing.
    watch(
        &[
            (100, sight(Some(900), None)),
            (60_000, sight(Some(3), None)),
        ],
        SwitchState::Visited,
        "3 requests came to tokyo for it in 60 s, somebody is there now",
    );
    watch(
        &[(100, sight(None, None)), (60_000, sight(None, None))],
        SwitchState::Visited,
        "requests came to tokyo for it in 60 s, somebody is there now",
    );
}

#[test]
fn names_that_never_lead_there_end_it_too() {
    let trying = |at| {
        let mut it = sight(Some(7), Some(0));
        it.entrance = Entrance::Trying("web: BADKEY".to_owned());
        (at, it)
    };
    watch(
        &[trying(100), trying(60_000)],
        SwitchState::Visited,
        "its names do not lead to osaka after 60 s: web: BADKEY",
    );
}
