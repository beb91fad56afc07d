use super::*;
use minato_config::ServiceName;
use std::sync::Arc;

fn line(time: u64, service: &str) -> String {
    format!("{time} 127.0.0.1 9 \"GET a.test/\\\"x\\\\\" 200 1 {service} 7us retries=0 -\n")
}

fn kept(folder: &Path, bytes: u64) -> (Kept, Instant) {
    let now = crate::clock::now();
    let kept = KeptLog {
        folder: folder.to_owned(),
        bytes,
    };
    (Kept::new(kept, now), now)
}

fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

#[test]
fn a_line_is_its_services_whatever_the_request_says() {
    for (text, expected) in [
        (
            "1 ::1 9 \"GET a/\" 200 1 library/0 7us retries=0 -\n",
            "library",
        ),
        (
            "1 ::1 9 \"GET a/?\\\" 200 1 shop/0 \" 200 1 library/- 7us retries=0 -\n",
            "library",
        ),
        (
            "1 ::1 9 \"GET a/\\\\\" 404 1 -/- 7us retries=0 no route\n",
            "",
        ),
        ("nonsense\n", ""),
        ("", ""),
    ] {
        assert_eq!(service(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn lines_stand_by_service_in_segments_of_this_process() {
    let folder = tempfile::tempdir().unwrap();
    let (mut kept, now) = kept(folder.path(), 1 << 30);
    let batch = [
        line(1, "library/0"),
        line(2, "shop/1"),
        line(3, "library/1"),
        line(4, "-/-"),
    ];
    assert_eq!(kept.write(batch.concat().as_bytes(), now, 5), 0);
    assert_eq!(kept.write(line(6, "shop/0").as_bytes(), now, 7), 0);
    let archive = Archive::new(folder.path().to_owned());
    let [segment] = &archive.segments(&name("library")).unwrap()[..] else {
        panic!("one segment");
    };
    let bytes = archive
        .read(&name("library"), &segment.name, 0, 1 << 20)
        .unwrap();
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        [line(1, "library/0"), line(3, "library/1")].concat()
    );
    assert_eq!(
        archive.last(&name("shop"), None, 1).unwrap(),
        [line(6, "shop/0").trim_end()]
    );
    assert_eq!(archive.last(&name("nothing"), None, 1).unwrap(), [""; 0]);
    assert!(folder.path().join("_").is_dir());
    // The next process has segments of its own.
    let (mut next, now) = self::kept(folder.path(), 1 << 30);
    next.write(line(8, "shop/0").as_bytes(), now, 9);
    assert_eq!(archive.segments(&name("shop")).unwrap().len(), 2);
    assert_eq!(archive.last(&name("shop"), None, 9).unwrap().len(), 3);
}

#[test]
fn the_oldest_go_when_there_is_no_room_and_open_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::new(folder.path().to_owned());
    for n in 0..10 {
        let (mut kept, now) = kept(folder.path(), 1 << 30);
        kept.write(line(n, "library/0").repeat(100).as_bytes(), now, n);
    }
    let one = archive.segments(&name("library")).unwrap()[0].length;
    let (mut kept, now) = kept(folder.path(), 4 * one);
    kept.write(line(99, "shop/0").repeat(100).as_bytes(), now, 99);
    let left = archive.segments(&name("library")).unwrap();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left[0].name.starts_with("0000000000007-"), "{left:?}");
    assert_eq!(archive.segments(&name("shop")).unwrap().len(), 1);
    // However little room there is.
    let (mut kept, now) = self::kept(folder.path(), 1);
    kept.write(line(100, "shop/0").as_bytes(), now, 100);
    assert_eq!(archive.segments(&name("shop")).unwrap().len(), 1);
    assert!(archive.segments(&name("library")).unwrap().is_empty());
}

#[test]
fn files_are_open_for_the_busiest_only_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (mut kept, now) = kept(folder.path(), 1 << 30);
    for round in 0..3 {
        for n in 0..OPEN + 50 {
            let lost = kept.write(line(round, &format!("s{n}/0")).as_bytes(), now, round);
            assert_eq!(lost, 0);
        }
    }
    assert!(kept.open <= OPEN);
    let archive = Archive::new(folder.path().to_owned());
    for n in 0..OPEN + 50 {
        let service = name(&format!("s{n}"));
        assert_eq!(archive.segments(&service).unwrap().len(), 1);
        assert_eq!(archive.last(&service, None, 9).unwrap().len(), 3);
    }
}

#[test]
fn what_cannot_be_written_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("library"),
        "a file where a folder should be",
    )
    .unwrap();
    let (mut kept, now) = kept(folder.path(), 1 << 30);
    let batch = [
        line(1, "library/0"),
        line(2, "shop/1"),
        line(3, "library/1"),
    ]
    .concat();
    assert_eq!(kept.write(batch.as_bytes(), now, 5), 2);
}

#[test]
fn a_full_disk_leaves_whole_lines() {
    // A full device: every write fails.
    let folder = tempfile::tempdir().unwrap();
    let (mut kept, now) = kept(folder.path(), 1 << 30);
    kept.write(line(1, "library/0").as_bytes(), now, 5);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    kept.current.get_mut("library").unwrap().file = Some(full);
    assert_eq!(kept.write(line(2, "library/0").as_bytes(), now, 6), 1);
    // /dev/full cannot be cut either, so the next line begins a file.
    kept.current.get_mut("library").unwrap().file = None;
    assert_eq!(kept.write(line(3, "library/0").as_bytes(), now, 7), 0);
    let archive = Archive::new(folder.path().to_owned());
    let lines = archive.last(&name("library"), None, 9).unwrap();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|it| it.ends_with("retries=0 -")));
}

#[test]
fn lines_come_through_the_sink_to_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let kept = KeptLog {
        folder: folder.path().to_owned(),
        bytes: 1 << 30,
    };
    let sink = super::super::Sink::open(crate::AccessLog::Off, Some(kept));
    let log = sink.log();
    log.lines
        .borrow_mut()
        .extend_from_slice(line(1, "library/0").as_bytes());
    log.flush();
    let archive = Arc::new(Archive::new(folder.path().to_owned()));
    let began = crate::clock::now();
    while archive.last(&name("library"), None, 1).unwrap().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
}
