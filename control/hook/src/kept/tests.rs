//! Real keepers: this test program is started as one.

use super::*;
use rustix::process::{kill_process, test_kill_process};
use std::time::{Duration, Instant};

/// Nothing here takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the test program is when it is started as a keeper: the folder comes last, where the harness takes it for a name.
#[test]
fn as_keeper() {
    let last = std::env::args_os().next_back().unwrap();
    let folder = Path::new(&last);
    if folder.join("order.json").is_file() {
        assert_eq!(
            format!("{:?}", keep(folder)),
            format!("{:?}", std::process::ExitCode::SUCCESS)
        );
    }
}

fn runs(data: &Path) -> Runs {
    let program = std::env::current_exe().unwrap().into_os_string();
    let rest = [
        "kept::tests::as_keeper",
        "--exact",
        "--nocapture",
        "--test-threads=1",
    ];
    let rest = rest.into_iter().map(OsString::from);
    Runs::new(data, [program].into_iter().chain(rest).collect())
}

fn wanted(run: u32, script: &str) -> Wanted {
    Wanted {
        id: RunId { operation: 12, run },
        command: ["/bin/sh", "-c", script].map(str::to_owned).into(),
        variables: vec![("MINATO_SERVICE".to_owned(), "library".to_owned())],
        timeout: PATIENCE,
        now_ms: 1_000,
    }
}

/// Between two looks.
#[expect(
    clippy::disallowed_methods,
    reason = "the one pause of a wait for a condition"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

#[track_caller]
fn until(runs: &Runs, is: impl Fn(&RunRecord) -> bool) -> RunRecord {
    #[expect(clippy::disallowed_methods, reason = "a test's patience")]
    let begin = Instant::now();
    loop {
        let record = runs.look("library", 1_000).unwrap().unwrap();
        if is(&record) {
            return record;
        }
        assert!(begin.elapsed() < PATIENCE, "{record:?}");
        pause();
    }
}

/// Starts what is the next; the keeper of the one before goes a moment after it wrote how that ended.
#[track_caller]
fn begin(runs: &Runs, wanted: &Wanted) {
    #[expect(clippy::disallowed_methods, reason = "a test's patience")]
    let begin = Instant::now();
    while let Started::Busy(other) = runs.start("library", wanted).unwrap() {
        assert!(other != wanted.id && begin.elapsed() < PATIENCE, "{other}");
        pause();
    }
    assert_eq!(runs.start("library", wanted).unwrap(), Started::Before);
}

fn has_ended(record: &RunRecord) -> bool {
    record.state != RunState::Running
}

fn lives(pid: &str) -> bool {
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    // A zombie is nobody.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid()));
    test_kill_process(pid).is_ok() && stat.is_ok_and(|it| !it.contains(") Z"))
}

#[test]
fn what_it_says_and_how_long_it_took_is_kept() {
    let data = tempfile::tempdir().unwrap();
    let runs = runs(data.path());
    assert_eq!(runs.look("library", 0).unwrap(), None);
    let script = "echo begun; echo minato: progress 40 %; env; read line || echo no input; echo --password=word >&2";
    assert_eq!(
        runs.start("library", &wanted(1, script)).unwrap(),
        Started::Begun
    );
    let record = until(&runs, has_ended);
    assert_eq!(
        (record.state, record.progress),
        (RunState::Done, Some(Progress::Percent(40)))
    );
    let said = record.output.join("\n");
    assert!(
        said.starts_with("begun\n") && said.ends_with("no input\n--password=***"),
        "{said}"
    );
    assert!(said.contains("MINATO_SERVICE=library"), "{said}");
    // Its environment is not this process's.
    assert!(!said.contains("CARGO"), "{said}");
    assert_eq!(runs.earlier("library").len(), 1);
    assert_eq!(
        runs.start("library", &wanted(1, script)).unwrap(),
        Started::Before
    );
    for run in 2..9 {
        begin(&runs, &wanted(run, "exit 0"));
        until(&runs, |it| it.id.run == run && has_ended(it));
    }
    assert_eq!(runs.earlier("library").len(), 5);
}

#[test]
fn whoever_comes_after_the_one_who_started_it_finds_it_and_starts_no_second() {
    let data = tempfile::tempdir().unwrap();
    let (go, count) = (data.path().join("go"), data.path().join("count"));
    let script = format!(
        "echo one >> {}; while ! [ -e {} ]; do sleep 0.02; done",
        count.display(),
        go.display()
    );
    // The one who starts it is gone at once.
    assert_eq!(
        runs(data.path())
            .start("library", &wanted(1, &script))
            .unwrap(),
        Started::Begun
    );
    let runs = runs(data.path());
    for _ in 0..20 {
        assert_eq!(
            runs.look("library", 1_000).unwrap().unwrap().state,
            RunState::Running
        );
        assert_eq!(
            runs.start("library", &wanted(1, &script)).unwrap(),
            Started::Before
        );
        let other = runs.start("library", &wanted(2, &script)).unwrap();
        assert_eq!(
            other,
            Started::Busy(RunId {
                operation: 12,
                run: 1
            })
        );
    }
    // Another service is another matter.
    assert_eq!(
        runs.start("archive", &wanted(2, "exit 0")).unwrap(),
        Started::Begun
    );
    std::fs::write(&go, "").unwrap();
    assert_eq!(until(&runs, has_ended).state, RunState::Done);
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "one\n");
    begin(&runs, &wanted(2, "exit 3"));
    let failed = until(&runs, |it| it.id.run == 2 && has_ended(it));
    assert_eq!(
        failed.state,
        RunState::Failed("exit status: 3; it said nothing".to_owned())
    );
    assert_eq!(
        runs.earlier("library").len(),
        1,
        "only what ended well counts"
    );
}

/// Starts what has a child of its own, whose id it tells.
fn nested(runs: &Runs, timeout: Duration) -> String {
    let script = "sleep 1000 & echo $!; echo last; wait";
    let wanted = Wanted {
        timeout,
        ..wanted(1, script)
    };
    assert_eq!(runs.start("library", &wanted).unwrap(), Started::Begun);
    let record = until(runs, |it| !it.output.is_empty() || has_ended(it));
    record.output[0].clone()
}

#[test]
fn at_its_time_it_is_killed_with_all_that_it_started() {
    let data = tempfile::tempdir().unwrap();
    let runs = runs(data.path());
    let child = nested(&runs, Duration::from_millis(1_500));
    let record = until(&runs, has_ended);
    let why = "killed: it did not end within 1.5s; it said last: last";
    assert_eq!(record.state, RunState::Failed(why.to_owned()));
    assert!(!lives(&child));
}

#[test]
fn what_is_given_up_is_killed() {
    let data = tempfile::tempdir().unwrap();
    let runs = runs(data.path());
    let child = nested(&runs, PATIENCE);
    assert!(lives(&child));
    runs.stop("library").unwrap();
    let record = until(&runs, has_ended);
    assert!(
        matches!(&record.state, RunState::Failed(why) if why.contains("given up")),
        "{record:?}"
    );
    assert!(!lives(&child));
    // The next one does not hear of it.
    begin(&runs, &wanted(2, "exit 0"));
    let next = until(&runs, |it| it.id.run == 2 && has_ended(it));
    assert_eq!(next.state, RunState::Done);
}

#[test]
fn without_its_keeper_a_command_still_counts_as_running_and_is_ended_past_its_time() {
    let data = tempfile::tempdir().unwrap();
    let runs = runs(data.path());
    let script = "echo $PPID; exec sleep 1000";
    assert_eq!(
        runs.start("library", &wanted(1, script)).unwrap(),
        Started::Begun
    );
    let record = until(&runs, |it| !it.output.is_empty());
    let keeper = Pid::from_raw(record.output[0].trim().parse().unwrap()).unwrap();
    kill_process(keeper, Signal::KILL).unwrap();
    // The lock is its own, too.
    assert_eq!(
        runs.look("library", 2_000).unwrap().unwrap().state,
        RunState::Running
    );
    let busy = runs.start("library", &wanted(2, "exit 0")).unwrap();
    assert_eq!(
        busy,
        Started::Busy(RunId {
            operation: 12,
            run: 1
        })
    );
    let late = 1_000 + 60_000 + 5_001;
    runs.look("library", late).unwrap();
    let record = until(&runs, has_ended);
    assert!(
        matches!(&record.state, RunState::Failed(why) if why.contains("keeper")),
        "{record:?}"
    );
}

#[test]
fn what_it_writes_is_bounded() {
    let data = tempfile::tempdir().unwrap();
    let runs = runs(data.path());
    let script = "yes | head -c 2000000; head -c 2000000 /dev/zero; echo; echo end";
    assert_eq!(
        runs.start("library", &wanted(1, script)).unwrap(),
        Started::Begun
    );
    let record = until(&runs, has_ended);
    assert_eq!((record.state, record.output.len()), (RunState::Done, 50));
    assert_eq!(record.output.last().map(String::as_str), Some("end"));
    assert!(record.output.iter().all(|it| it.len() <= 200));
    let absent = Wanted {
        command: vec!["/nowhere/it".to_owned()],
        ..wanted(2, "")
    };
    begin(&runs, &absent);
    let record = until(&runs, |it| it.id.run == 2 && has_ended(it));
    assert!(
        matches!(&record.state, RunState::Failed(why) if why.contains("No such file")),
        "{record:?}"
    );
}
