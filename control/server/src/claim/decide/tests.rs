use super::*;
use minato_config::{Backend, Command, Health, Limits, Service, StopPolicy, Timeouts};
use minato_config_files::{Listed, LoadedService};

fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

fn service(text: &str, replicas: u16) -> Service {
    Service {
        name: name(text),
        backend: Backend::Command(Command {
            argv: vec!["serve".to_owned()],
            env: BTreeMap::new(),
            directory: None,
            port: None,
            stop: StopPolicy::default(),
            image: None,
        }),
        replicas,
        scale: None,
        routes: Vec::new(),
        health: Health::Off,
        upstream: Default::default(),
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        retries: 1,
        nodes: Default::default(),
        update: Default::default(),
        depends_on: Default::default(),
        sites: None,
    }
}

fn folder(services: &[(&str, u16)]) -> Folder {
    let loaded = |(it, replicas): &(&str, u16)| {
        let file = PathBuf::from(format!("services/{it}.toml"));
        let service = service(it, *replicas);
        (name(it), LoadedService { service, file })
    };
    Folder {
        services: services.iter().map(loaded).collect(),
        files: services.len(),
        listed: Listed::Names(services.iter().map(|it| name(it.0)).collect()),
        ..Folder::default()
    }
}

fn problem(file: &str, message: &str) -> Problem {
    Problem {
        file: PathBuf::from(file),
        line: 3,
        field: "x".to_owned(),
        message: message.to_owned(),
    }
}

/// A claim with the store that it writes to, and a clock in seconds.
struct Trial {
    claim: Claim,
    records: BTreeMap<ServiceName, Stored<ServiceRecord>>,
    start: Instant,
    revision: u64,
    wake: Option<u64>,
}

impl Trial {
    #[expect(clippy::disallowed_methods, reason = "a start to count seconds from")]
    fn new() -> Self {
        Self {
            claim: Claim::new(Duration::from_secs(30)),
            records: BTreeMap::new(),
            start: Instant::now(),
            revision: 0,
            wake: None,
        }
    }

    /// Decides at `second`, applies the writes, returns what was told.
    fn at(&mut self, second: u64, folder: &Folder) -> Vec<String> {
        let decision = self.claim.decide(&Seen {
            folder,
            records: &self.records,
            is_readable: &|it| it.as_str() != "alien",
            now: self.start + Duration::from_secs(second),
            wall: Timestamp(second * 1000),
        });
        self.wake = decision.wake.map(|it| (it - self.start).as_secs());
        let mut told: Vec<String> = decision.events.into_iter().map(|it| it.message).collect();
        for write in decision.writes {
            let name = write.record.service.name.clone();
            assert_eq!(
                write.expected,
                self.records.get(&name).map(|it| it.modified)
            );
            self.revision += 1;
            let (value, modified) = (write.record, self.revision);
            self.records.insert(name, Stored { value, modified });
            told.push(write.event.message);
        }
        told
    }

    fn living(&self) -> Vec<&str> {
        let living = self.records.iter().filter(|it| !it.1.value.removed);
        living.map(|it| it.0.as_str()).collect()
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn files_become_records_once_and_changes_are_named() {
    let mut trial = Trial::new();
    let told = trial.at(0, &folder(&[("a", 1), ("b", 2)]));
    assert_eq!(
        told,
        ["services/a.toml: a is new", "services/b.toml: b is new"]
    );
    assert_eq!(trial.at(1, &folder(&[("a", 1), ("b", 2)])), NOTHING);
    let mut edited = folder(&[("a", 1), ("b", 4)]);
    edited.services.get_mut(&name("b")).unwrap().service.retries = 0;
    assert_eq!(
        trial.at(2, &edited),
        ["services/b.toml: replicas 2 -> 4, retries"]
    );
}

#[test]
fn a_deleted_file_ends_its_service_after_the_grace() {
    let mut trial = Trial::new();
    trial.at(0, &folder(&[("a", 1), ("b", 1)]));
    let less = folder(&[("a", 1)]);
    assert_eq!(
        trial.at(10, &less),
        ["services/b.toml is gone: b ends in 30s"]
    );
    assert_eq!(trial.wake, Some(40));
    assert_eq!(trial.at(39, &less), NOTHING);
    assert_eq!(trial.living(), ["a", "b"]);
    assert_eq!(
        trial.at(40, &less),
        ["b ends: services/b.toml is gone for 30s"]
    );
    assert_eq!((trial.living(), trial.wake), (vec!["a"], None));
    assert_eq!(trial.at(41, &less), NOTHING);
    assert_eq!(
        trial.at(50, &folder(&[("a", 1), ("b", 1)])),
        ["services/b.toml is back: b goes on"]
    );
    assert_eq!(trial.living(), ["a", "b"]);
}

#[test]
fn a_file_that_comes_back_starts_the_grace_anew() {
    let mut trial = Trial::new();
    let (all, less) = (folder(&[("a", 1), ("b", 1)]), folder(&[("a", 1)]));
    trial.at(0, &all);
    trial.at(10, &less);
    assert_eq!(trial.at(20, &all), NOTHING);
    trial.at(30, &less);
    trial.at(45, &less);
    assert_eq!(trial.living(), ["a", "b"]);
    trial.at(60, &less);
    assert_eq!(trial.living(), ["a"]);
}

#[test]
fn more_than_half_at_once_is_refused_once_and_named() {
    let mut trial = Trial::new();
    trial.at(0, &folder(&[("a", 1), ("b", 1), ("c", 1)]));
    // One after the other within the grace still is at once.
    trial.at(1, &folder(&[("a", 1), ("b", 1)]));
    let told = trial.at(2, &folder(&[("a", 1)]));
    assert!(told[0].starts_with("the files of 2 of 3 services are gone at once (b, c)"));
    for second in [3, 40, 400] {
        assert_eq!(trial.at(second, &folder(&[("a", 1)])), NOTHING);
    }
    assert_eq!(trial.living(), ["a", "b", "c"]);
    // One of them back: the other gets its whole time, for someone is putting files back.
    assert_eq!(
        trial.at(401, &folder(&[("a", 1), ("b", 1)])),
        ["services/c.toml is gone: c ends in 30s"]
    );
    assert_eq!(trial.living(), ["a", "b", "c"]);
    trial.at(431, &folder(&[("a", 1), ("b", 1)]));
    assert_eq!(trial.living(), ["a", "b"]);
    // An empty folder of two is refused, of one it is not.
    trial.at(500, &folder(&[]));
    trial.at(600, &folder(&[]));
    assert_eq!(trial.living(), ["a", "b"]);
    trial.at(700, &folder(&[("a", 1)]));
    trial.at(731, &folder(&[("a", 1)]));
    trial.at(800, &folder(&[]));
    trial.at(831, &folder(&[]));
    assert_eq!(trial.living(), NOTHING);
}

#[test]
fn a_broken_file_is_told_once_for_each_set_of_problems_and_ends_nothing() {
    let mut trial = Trial::new();
    trial.at(0, &folder(&[("a", 1), ("b", 1)]));
    let mut broken = folder(&[("a", 1), ("b", 1)]);
    broken.services.remove(&name("b"));
    broken.problems = vec![
        problem("services/b.toml", "is wrong"),
        problem("services/b.toml", "is wrong too"),
    ];
    assert_eq!(
        trial.at(1, &broken),
        [
            "services/b.toml:3: x: is wrong; services/b.toml:3: x: is wrong too; \
          the last good version serves on"
        ]
    );
    assert_eq!(trial.at(2, &broken), NOTHING);
    assert_eq!(trial.at(100, &broken), NOTHING);
    assert_eq!(trial.living(), ["a", "b"]);
    broken.problems.pop();
    assert_eq!(trial.at(101, &broken).len(), 1);
    trial.at(102, &folder(&[("a", 1), ("b", 1)]));
    assert_eq!(
        trial.at(103, &broken).len(),
        1,
        "told again after a good one"
    );
}

#[test]
fn a_folder_that_cannot_be_read_ends_nothing() {
    let mut trial = Trial::new();
    trial.at(0, &folder(&[("a", 1)]));
    let mut missing = folder(&[]);
    missing.problems = vec![problem("services", "does not exist")];
    missing.listed = Listed::Unknown;
    assert_eq!(trial.at(1, &missing), ["services:3: x: does not exist"]);
    assert_eq!(trial.at(100, &missing), NOTHING);
    assert_eq!(trial.living(), ["a"]);
    // A file with a bad name is no reason to keep the others.
    let mut odd = folder(&[]);
    odd.problems = vec![problem("services/Library.toml", "bad name")];
    trial.at(200, &odd);
    trial.at(230, &odd);
    assert_eq!(trial.living(), NOTHING);
}

#[test]
fn a_record_that_is_not_understood_is_left_alone() {
    let mut trial = Trial::new();
    assert_eq!(trial.at(0, &folder(&[("alien", 1)])), NOTHING);
}

#[test]
fn a_record_that_vanishes_is_told_as_what_it_is_and_one_of_a_file_that_comes_back_is_new() {
    let mut trial = Trial::new();
    let both = folder(&[("app", 1), ("web", 1)]);
    trial.at(0, &both);
    assert_eq!(trial.at(1, &both), NOTHING);
    trial.records.clear();
    let told = trial.at(2, &both);
    assert_eq!(told.len(), 2);
    assert!(
        told.iter()
            .all(|it| it.contains("had vanished from the store")),
        "{told:?}"
    );
    assert_eq!(trial.living(), ["app", "web"]);
    // Ended in order, and begun again.
    trial.at(3, &folder(&[("web", 1)]));
    trial.at(40, &folder(&[("web", 1)]));
    trial.records.remove(&name("app"));
    assert_eq!(trial.at(50, &both), ["services/app.toml: app is new"]);
}
