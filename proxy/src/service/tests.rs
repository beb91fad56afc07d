use super::*;
use crate::sample::{endpoints, entry, limits, service};

/// One letter an endpoint: u up, s suspect, d down by status, r down and refusing, q suspect and refusing, x not running,
/// y suspect and not running, z up with an old refusal.
fn verdict(letter: char) -> (Verdict, Option<Layer>) {
    match letter {
        'u' => (Verdict::Up, None),
        'z' => (Verdict::Up, Some(Layer::ConnectRefused)),
        's' => (Verdict::Suspect, Some(Layer::NoAnswer)),
        'q' => (Verdict::Suspect, Some(Layer::ConnectRefused)),
        'y' => (Verdict::Suspect, Some(Layer::NotRunning)),
        'd' => (Verdict::Down, Some(Layer::Status)),
        'r' => (Verdict::Down, Some(Layer::ConnectRefused)),
        'x' => (Verdict::Down, Some(Layer::NotRunning)),
        other => panic!("no verdict is `{other}`"),
    }
}

fn standings(entry: &ServiceEntry) -> String {
    let letter = |it: &Arc<Endpoint>| match it.standing() {
        Standing::Up => 'U',
        Standing::Suspect => 'S',
        Standing::Held => 'H',
        Standing::Draining => 'D',
        Standing::Out => 'O',
    };
    entry.endpoints.iter().map(letter).collect()
}

fn settle(entry: &ServiceEntry, verdicts: &str) -> Vec<StandingChange> {
    let letters: Vec<char> = verdicts.chars().collect();
    entry.settle(&|id| verdict(letters[usize::from(id.slot.0)]))
}

/// Starts with endpoints as in `sample::endpoints`, then after each set of verdicts expects these standings.
#[track_caller]
fn check(start: &str, steps: &[(&str, &str)]) {
    let entry = entry(service("library", &[]), endpoints(start));
    for (number, (verdicts, expected)) in steps.iter().enumerate() {
        let before: Vec<_> = entry.endpoints.iter().map(|it| it.standing()).collect();
        let changes = settle(&entry, verdicts);
        assert_eq!(
            standings(&entry),
            *expected,
            "step {number}: {start} {verdicts}"
        );
        for (endpoint, before) in entry.endpoints.iter().zip(before) {
            let change = changes
                .iter()
                .find(|it| Arc::ptr_eq(&it.endpoint, endpoint));
            let said = change.map_or((before, before), |it| (it.from, it.to));
            assert_eq!(said, (before, endpoint.standing()), "step {number}");
        }
        assert!(
            settle(&entry, verdicts).is_empty(),
            "step {number} does not rest"
        );
    }
}

#[test]
fn each_stands_as_its_verdict_while_another_serves() {
    check(
        "NNN",
        &[
            ("ddd", "OOO"),
            ("udd", "UOO"),
            ("usd", "USO"),
            ("udu", "UOU"),
        ],
    );
    check("U", &[("s", "S"), ("u", "U")]);
}

#[test]
fn the_last_one_is_held_and_let_go_when_another_comes_back() {
    check(
        "UU",
        &[
            ("ud", "UO"),
            ("dd", "HO"),
            ("du", "OU"),
            ("dd", "OH"),
            ("ud", "UO"),
        ],
    );
    check(
        "UU",
        &[
            ("us", "US"),
            ("ss", "SS"),
            ("ds", "OS"),
            ("dd", "OH"),
            ("ds", "OS"),
        ],
    );
    check("U", &[("d", "H"), ("s", "S"), ("d", "H"), ("u", "U")]);
    // Both at once: the one that stood better, then the first.
    check("SU", &[("dd", "OH")]);
    check("UU", &[("dd", "HO"), ("dd", "HO")]);
}

#[test]
fn one_that_refuses_is_stopped_or_was_never_up_is_not_held() {
    check("U", &[("r", "O"), ("d", "H"), ("r", "O"), ("u", "U")]);
    check("U", &[("x", "O")]);
    check("N", &[("d", "O"), ("u", "U"), ("d", "H")]);
    check("UU", &[("rd", "OH"), ("rx", "OO"), ("dx", "HO")]);
    check("NU", &[("dd", "OH")]);
    // What its agent says to be gone is gone, whatever the probes still think.
    check("UU", &[("uy", "UO"), ("yy", "OO")]);
    // A suspect may refuse and is still the last.
    check("U", &[("q", "S"), ("u", "U"), ("d", "H")]);
}

#[test]
fn an_old_refusal_says_nothing_of_one_that_is_up() {
    let entry = entry(service("library", &[]), endpoints("UUU"));
    for (verdicts, expected) in [
        ("zqd", [Reach::Open, Reach::Refusing, Reach::Open]),
        ("rxz", [Reach::Refusing, Reach::Stopped, Reach::Open]),
        ("zzu", [Reach::Open; 3]),
    ] {
        settle(&entry, verdicts);
        let reaches: Vec<_> = entry.endpoints.iter().map(|it| it.reach()).collect();
        assert_eq!(reaches, expected, "{verdicts}");
    }
}

#[test]
fn a_draining_one_stays_so_until_it_is_stopped() {
    check(
        "DU",
        &[
            ("uu", "DU"),
            ("du", "DU"),
            ("ru", "DU"),
            ("su", "DU"),
            ("xu", "OU"),
            ("uu", "OU"),
        ],
    );
    // It does not count as serving.
    check("DU", &[("ud", "DH"), ("uu", "DU")]);
    check("DD", &[("dd", "DD")]);
    // Down before it was told to go.
    let entry = entry(service("library", &[]), endpoints("OU"));
    entry.endpoints[0].drain();
    assert!(settle(&entry, "uu").is_empty());
    assert_eq!(standings(&entry), "OU");
}

#[test]
fn another_site_that_serves_leaves_nothing_to_hold() {
    check("UU|U", &[("ddu", "OOU"), ("ddd", "OOH"), ("udd", "UOO")]);
}

#[test]
fn with_health_off_each_is_up_but_those_that_leave() {
    let mut off = service("library", &[]);
    off.health = Health::Off;
    let entry = entry(off, endpoints("NSOD"));
    settle(&entry, "dxrs");
    assert_eq!(standings(&entry), "UUUD");
    assert!(!entry.endpoints[0].suspect_now());
}

#[test]
fn no_endpoints_no_changes() {
    let entry = entry(service("library", &[]), Vec::new());
    assert!(entry.settle(&|_| (Verdict::Up, None)).is_empty());
}

#[test]
fn a_question_about_one_changes_nothing() {
    for (start, letter, expected) in [
        ("UU", 'd', Standing::Out),
        ("UO", 'd', Standing::Held),
        ("UH", 'd', Standing::Out),
        ("UO", 'r', Standing::Out),
        ("NO", 'd', Standing::Out),
        ("UU", 's', Standing::Suspect),
        ("DU", 'u', Standing::Draining),
    ] {
        let entry = entry(service("library", &[]), endpoints(start));
        let before = standings(&entry);
        let (verdict, layer) = verdict(letter);
        let failure = layer.map(|layer| Failure {
            layer,
            detail: String::new(),
        });
        let asked = entry.standing_for(entry.endpoints[0].id(), verdict, failure.as_ref());
        assert_eq!(asked, expected, "{start} {letter}");
        assert_eq!(standings(&entry), before);
    }
    let one = entry(service("library", &[]), endpoints("U"));
    let two = entry(service("library", &[]), endpoints("UU"));
    let stranger = two.endpoints[1].id();
    assert_eq!(one.standing_for(stranger, Verdict::Up, None), Standing::Out);
}

#[test]
fn a_new_version_brings_its_limits_and_its_order() {
    let shared = Shared::new(&service("library", &[]));
    let mut limited = service("library", &[]);
    limited.limits = limits(1, 0);
    let mut list = endpoints("UU|U");
    list.reverse();
    let queue = Arc::clone(&shared.queue);
    let entry = ServiceEntry::new(Arc::new(limited), shared, list, Intake::Drained);
    assert!(entry.draining);
    let slots: Vec<_> = entry.endpoints.iter().map(|it| it.id().slot.0).collect();
    assert_eq!(slots, [0, 1, 2]);
    let _one = queue.admit();
    assert!(matches!(queue.admit(), crate::Admission::Shed));
}
