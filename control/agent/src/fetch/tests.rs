use super::*;

fn image() -> Image {
    serde_json::from_value(serde_json::json!({
        "reference": "registry.example.org/library:1",
        "port": 8080,
        "network": "bridge",
    }))
    .unwrap()
}

fn name(n: usize) -> ServiceName {
    ServiceName::parse(&format!("s{n}")).unwrap()
}

#[test]
fn what_an_earlier_agent_found_stays_while_it_is_looked_for_again() {
    let (names, image) = ((0..10).map(name).collect::<Vec<_>>(), image());
    let names: Vec<&ServiceName> = names.iter().collect();
    let wish = Wish {
        kind: Kind::Look,
        fetch: 1 << 63,
        freshness: Freshness::Any,
        image: &image,
    };
    let stored = ImageState::Failed("no such image".to_owned());
    let stored = report(wish.fetch, Freshness::Any, stored, BTreeSet::new());
    let wishes: Vec<_> = names.iter().map(|it| (it, &wish)).collect();
    let mut fetches = Fetches::default();
    let begun = fetches.take_up(&wishes, |_| Some(&stored), now().instant);
    assert_eq!(begun.len(), MOST_LOOKS);
    let changes = fetches.changes(names.iter().copied());
    assert_eq!(changes.len(), names.len());
    for (service, told) in changes {
        assert_eq!(told.as_ref(), Some(&stored), "{service}");
    }
    // What nobody asks for any more is deleted all the same.
    fetches.wanted.remove(names[7]);
    let gone = fetches.changes(names.iter().copied());
    assert!(gone.contains(&(names[7].clone(), None)));
}

#[test]
fn what_a_leader_deleted_is_said_again() {
    let one = name(1);
    let it = report(7, Freshness::Any, ImageState::NoEngine, BTreeSet::new());
    let mut fetches = Fetches::default();
    fetches.wanted.insert(one.clone(), it.clone());
    let told = [(one.clone(), Some(it.clone()))];
    assert_eq!(fetches.changes([].into_iter()), told);
    fetches.reported(one.clone(), Some(it));
    // It takes a while until it is seen there.
    assert_eq!(fetches.changes([].into_iter()), []);
    assert_eq!(fetches.changes([&one].into_iter()), []);
    assert_eq!(fetches.changes([].into_iter()), told);
}

#[test]
fn words_that_differ_in_a_port_are_told_once() {
    let unknown = |it: &str| {
        let error = RuntimeError::Away(it.to_owned());
        found_ahead(7, Freshness::Any, Err(error))
    };
    let no = |it: &str| found_ahead(7, Freshness::Any, Ok(Sighting::No(it.to_owned())));
    let digest = |it: &str| {
        let (id, digest) = (it.to_owned(), None);
        found_ahead(7, Freshness::Any, Ok(Sighting::Here { digest, id }))
    };
    let read = |port: u16| format!("read tcp 10.0.0.1:{port}->10.0.0.2:443: timeout");
    for (first, then, is_told) in [
        (unknown(&read(40_001)), unknown(&read(5_123)), false),
        (no(&read(40_001)), no(&read(40_002)), false),
        (unknown("timeout"), unknown("certificate"), true),
        (no("no such image"), no("login refused"), true),
        (unknown("timeout"), no("timeout"), true),
        (no("timeout"), unknown("timeout"), true),
        (digest("sha256:1"), digest("sha256:2"), true),
    ] {
        let mut fetches = Fetches::default();
        fetches.wanted.insert(name(1), first.clone());
        fetches.fetched(name(1), then.clone(), 0.5);
        let expected = if is_told { &then } else { &first };
        assert_eq!(fetches.wanted.get(&name(1)), Some(expected));
    }
}

#[test]
fn a_look_that_found_nothing_out_is_made_again_later_each_time() {
    let (image, one) = (image(), name(1));
    let wish = Wish {
        kind: Kind::Look,
        fetch: 7,
        freshness: Freshness::Any,
        image: &image,
    };
    let mut fetches = Fetches::default();
    let wishes = [(&&one, &wish)];
    assert_eq!(fetches.take_up(&wishes, |_| None, now().instant).len(), 1);
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let error = RuntimeError::Away("too many requests".to_owned());
        let report = found_ahead(7, Freshness::Any, Err(error));
        let before = now().instant;
        fetches.fetched(one.clone(), report, 1.0);
        pauses.extend(fetches.next_look().map(|it| it - before));
    }
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert!(pauses[3] >= Duration::from_secs(80), "{pauses:?}");
}

#[test]
fn what_could_not_be_found_out_is_told_and_is_no_failure() {
    let away = || RuntimeError::Away("docker restarts".to_owned());
    let field = || RuntimeError::Field {
        field: "image",
        why: "too many".to_owned(),
    };
    let no = || ImageState::Failed("no such image".to_owned());
    let said_no = || Sighting::No("no such image".to_owned());
    for (found, state, unknown) in [
        (Err(away()), ImageState::Fetching, "docker restarts"),
        (Err(field()), ImageState::Fetching, "too many"),
        (Ok(said_no()), no(), ""),
        (Ok(Sighting::NoEngine), ImageState::NoEngine, ""),
    ] {
        let report = found_ahead(7, Freshness::Any, found);
        assert_eq!((&report.state, report.unknown.as_str()), (&state, unknown));
    }
}

/// Machines are upgraded one by one: a form that an older process cannot read is a key that it alarms of.
#[test]
fn older_processes_read_what_was_found_ahead() {
    let forms = ["fetching", "here", "failed", "no_engine"];
    let here = Sighting::Here {
        digest: None,
        id: "sha256:1".to_owned(),
    };
    for found in [
        Ok(here),
        Ok(Sighting::Registry("sha256:2".to_owned())),
        Ok(Sighting::No("no such image".to_owned())),
        Ok(Sighting::NoEngine),
        Err(RuntimeError::Away("docker restarts".to_owned())),
    ] {
        let report = found_ahead(7, Freshness::Any, found);
        let written = serde_json::to_value(&report).unwrap();
        let state = &written["state"];
        let form = state.as_str().or_else(|| {
            let fields = state.as_object()?;
            fields.keys().next().map(String::as_str)
        });
        assert!(forms.contains(&form.unwrap()), "{written}");
        let read: ImageReport = serde_json::from_value(written).unwrap();
        assert_eq!(read, report);
    }
    let there = found_ahead(7, Freshness::Any, Ok(Sighting::Registry("x".to_owned())));
    assert_eq!(answer(&there), Answer::There);
}
