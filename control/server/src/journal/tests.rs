use super::*;
use minato_config::Timestamp;
use std::fs;

fn event(message: &str) -> Event {
    Event::info(Timestamp(7), EventKind::Process, message)
}

fn small() -> JournalOptions {
    JournalOptions {
        keep: 10,
        rotate_bytes: 2_000,
        queue: 64,
    }
}

async fn until(journal: &Journal, seq: u64) {
    let mut latest = journal.latest();
    latest.wait_for(|it| *it >= seq).await.unwrap();
}

/// Sends, closes, and waits until all is on disk.
async fn write(folder: &Path, options: JournalOptions, messages: &[&str]) -> Arc<Journal> {
    let (journal, send) = Journal::open(folder, options).unwrap();
    for message in messages {
        send.send(event(message)).await.unwrap();
    }
    drop(send);
    journal.closed().await;
    journal
}

fn texts(lines: &[Arc<EventLine>]) -> Vec<(u64, String)> {
    lines
        .iter()
        .map(|line| (line.seq, line.event.message.clone()))
        .collect()
}

#[tokio::test]
async fn a_restart_goes_on_with_the_numbers() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), small(), &["one", "two"]).await;
    let journal = write(folder.path(), small(), &["three"]).await;
    let expected = [(1, "one"), (2, "two"), (3, "three")].map(|(n, it)| (n, it.to_owned()));
    assert_eq!(texts(&journal.after(0, 10)), expected);
    assert_eq!(texts(&journal.after(1, 1)), expected[1..2]);
    assert_eq!(texts(&journal.last(1)), expected[2..]);
    assert_eq!(journal.counts().info, 1, "counts are this process's own");
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_garbage_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), small(), &["one", "two"]).await;
    let path = folder.path().join("events.jsonl");
    let mut text = fs::read(&path).unwrap();
    text.extend_from_slice(b"\xff\xfe not json\n{\"seq\":3,\"event\":{\"at\":7,\"lev");
    fs::write(&path, &text).unwrap();
    let journal = write(folder.path(), small(), &["three"]).await;
    assert_eq!(journal.after(0, 10).len(), 3);
    let text = fs::read_to_string(folder.path().join("events.jsonl"));
    let bytes = fs::read(&path).unwrap();
    assert!(text.is_err(), "the garbage line stays as evidence");
    let last = bytes
        .rsplit(|it| *it == b'\n')
        .find(|it| !it.is_empty())
        .unwrap();
    let last: EventLine = serde_json::from_slice(last).unwrap();
    assert_eq!((last.seq, last.event.message.as_str()), (3, "three"));
}

#[tokio::test]
async fn the_file_rotates_and_both_files_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(300);
    for _ in 0..9 {
        write(folder.path(), small(), &[&long]).await;
    }
    let size = |name| fs::metadata(folder.path().join(name)).unwrap().len();
    assert!(size("events.jsonl") <= 2_000 && size("events.1.jsonl") <= 2_000);
    let journal = write(folder.path(), small(), &[]).await;
    let seqs: Vec<u64> = journal.last(100).iter().map(|it| it.seq).collect();
    assert_eq!(seqs.last(), Some(&9));
    assert!(
        seqs.len() > 4,
        "lines of the rotated file are there: {seqs:?}"
    );
    assert!(seqs.windows(2).all(|it| it[0] + 1 == it[1]), "{seqs:?}");
}

#[test]
fn a_rotation_that_failed_halfway_is_made_up_for() {
    let folder = tempfile::tempdir().unwrap();
    let (mut file, _) = EventFile::open(folder.path(), 2_000, 10).unwrap();
    let line = |seq| {
        Arc::new(EventLine {
            seq,
            event: event(&"x".repeat(600)),
        })
    };
    for seq in 1..=3 {
        assert!(matches!(file.append(&[line(seq)]), Ok(None)));
    }
    // As where the new file could not be opened after the old one had been renamed.
    let (path, rotated) = ["events.jsonl", "events.1.jsonl"]
        .map(|it| folder.path().join(it))
        .into();
    fs::rename(&path, &rotated).unwrap();
    for seq in 4..=6 {
        assert!(matches!(file.append(&[line(seq)]), Ok(None)), "{seq}");
    }
    assert!(path.exists());
}

#[tokio::test]
async fn memory_is_bounded_and_a_follower_sees_the_gap() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, send) = Journal::open(folder.path(), small()).unwrap();
    for n in 1..=25 {
        send.send(event(&n.to_string())).await.unwrap();
    }
    until(&journal, 25).await;
    let lines = journal.after(3, 100);
    assert_eq!((lines.len(), lines[0].seq), (10, 16));
}

#[tokio::test]
async fn a_follower_is_woken_by_each_new_line() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, send) = Journal::open(folder.path(), small()).unwrap();
    let follower = {
        let journal = Arc::clone(&journal);
        tokio::spawn(async move {
            let (mut latest, mut seen) = (journal.latest(), Vec::new());
            while seen.len() < 3 {
                let after = seen.len() as u64;
                latest.wait_for(|it| *it > after).await.unwrap();
                seen.extend(texts(&journal.after(after, 1)));
            }
            seen
        })
    };
    for text in ["a", "b", "c"] {
        send.send(event(text)).await.unwrap();
    }
    let seen = follower.await.unwrap();
    let expected = [(1, "a"), (2, "b"), (3, "c")].map(|(n, it)| (n, it.to_owned()));
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_full_disk_is_told_once_and_events_go_on() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("events.jsonl")).unwrap();
    let (journal, send) = Journal::open(folder.path(), small()).unwrap();
    for (n, text) in ["one", "two", "three"].into_iter().enumerate() {
        send.send(event(text)).await.unwrap();
        until(&journal, n as u64 + 1).await;
    }
    drop(send);
    journal.closed().await;
    let messages = texts(&journal.last(10));
    let alarms = messages
        .iter()
        .filter(|it| it.1.contains("cannot be written: No space left"));
    assert_eq!(alarms.count(), 1, "{messages:?}");
    assert_eq!(messages.len(), 4, "{messages:?}");
}

#[test]
fn a_file_that_works_again_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let (mut file, tail) = EventFile::open(folder.path(), 2_000, 10).unwrap();
    assert!(tail.is_empty());
    let lines = |text| {
        let event = event(text);
        [Arc::new(EventLine { seq: 1, event })]
    };
    assert!(file.append(&lines("one")).is_err(), "told");
    assert_eq!(file.append(&lines("two")), Ok(None), "not told again");
    fs::remove_file(&path).unwrap();
    let told = file.append(&lines("three")).unwrap().unwrap();
    assert!(told.message.ends_with("it lacks 2 events"), "{told:?}");
    assert_eq!(file.append(&lines("four")), Ok(None));
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[tokio::test]
async fn the_last_word_about_the_store_is_its_state() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, send) = Journal::open(folder.path(), small()).unwrap();
    let say = |level: fn(Timestamp, EventKind, String) -> Event, text: &str| {
        level(Timestamp(1), EventKind::Store, text.to_owned())
    };
    send.send(say(Event::error, "no room")).await.unwrap();
    until(&journal, 1).await;
    assert_eq!(journal.store_trouble().as_deref(), Some("no room"));
    send.send(say(Event::info, "well again")).await.unwrap();
    until(&journal, 2).await;
    assert_eq!(journal.store_trouble(), None);
}

#[tokio::test]
async fn a_message_is_cut_and_a_folder_that_is_a_file_is_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let journal = write(folder.path(), small(), &["é".repeat(10_000).as_str()]).await;
    let kept = journal.last(1)[0].event.message.len();
    assert!(kept < 9_000, "{kept}");
    let error = Journal::open(&folder.path().join("events.jsonl"), small()).unwrap_err();
    assert!(
        error.to_string().contains("events.jsonl/events.jsonl"),
        "{error}"
    );
}
