use super::*;
use minato_config::{ServiceName, Settings};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

/// A watched folder. Conditions are waited for, at most this long.
const PATIENCE: Duration = Duration::from_secs(20);

struct Trial {
    home: TempDir,
    watcher: Watcher,
    folder: watch::Receiver<Arc<Folder>>,
}

fn quick() -> Pace {
    Pace {
        look: Duration::from_millis(20),
        ..Pace::default()
    }
}

impl Trial {
    /// Starts with what `prepare` puts into the folder of services, beside which other things may lie.
    fn new(pace: Pace, prepare: impl FnOnce(&Path, &Path)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let settings = Settings::beside(&home.path().join("minato.toml"));
        fs::create_dir(&settings.services).unwrap();
        prepare(&settings.services, home.path());
        let watcher = Watcher::start_at(&settings, || Timestamp(7), pace).unwrap();
        let folder = watcher.subscribe();
        Self {
            home,
            watcher,
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("services").join(name)
    }

    async fn until(&mut self, what: &str, holds: impl FnMut(&Arc<Folder>) -> bool) -> Arc<Folder> {
        let state = tokio::time::timeout(PATIENCE, self.folder.wait_for(holds)).await;
        Arc::clone(
            &state
                .unwrap_or_else(|_| panic!("waited for: {what}"))
                .unwrap(),
        )
    }

    /// Waits until service `a` has this many replicas and nothing is wrong.
    async fn until_replicas(&mut self, wanted: u16) {
        let what = format!("{wanted} replicas");
        self.until(&what, |it| {
            replicas(it) == Some(wanted) && it.problems.is_empty()
        })
        .await;
    }
}

fn name() -> ServiceName {
    ServiceName::parse("a").unwrap()
}

fn replicas(folder: &Folder) -> Option<u16> {
    folder.services.get(&name()).map(|it| it.service.replicas)
}

fn text(replicas: u16) -> String {
    format!("command = [\"a\"]\nreplicas = {replicas}\nroutes = [\"a.org\"]\n")
}

fn one(services: &Path, _: &Path) {
    fs::write(services.join("a.toml"), text(1)).unwrap();
}

#[tokio::test]
async fn an_edit_in_place_a_rename_and_a_removal() {
    let mut trial = Trial::new(Pace::default(), one);
    trial.until_replicas(1).await;
    fs::write(trial.path("a.toml"), text(2)).unwrap();
    trial.until_replicas(2).await;
    fs::write(trial.path("a.toml.tmp"), text(3)).unwrap();
    fs::rename(trial.path("a.toml.tmp"), trial.path("a.toml")).unwrap();
    trial.until_replicas(3).await;
    fs::remove_file(trial.path("a.toml")).unwrap();
    let folder = trial.until("it is gone", |it| it.is_gone(&name())).await;
    assert_eq!(replicas(&folder), None);
}

#[tokio::test]
async fn a_half_written_file_is_at_worst_a_problem_for_a_while() {
    let mut trial = Trial::new(Pace::default(), one);
    let mut file = File::create(trial.path("a.toml")).unwrap();
    file.write_all(b"command = [\"a\"]\nreplicas = 2\nroutes = [\"a.")
        .unwrap();
    let folder = trial.until("a problem", |it| !it.problems.is_empty()).await;
    assert_eq!(replicas(&folder), Some(1), "the last good version serves");
    file.write_all(b"org\"]\n").unwrap();
    drop(file);
    trial.until_replicas(2).await;
}

#[tokio::test]
async fn a_write_that_ends_in_time_is_never_seen_half() {
    let mut trial = Trial::new(
        Pace {
            longest: Duration::from_secs(10),
            ..Pace::default()
        },
        one,
    );
    let mut file = File::create(trial.path("a.toml")).unwrap();
    file.write_all(b"command = [\"half\"]\n").unwrap();
    // Four quiet moments: a reading by quiet alone would take the half for the whole.
    tokio::time::sleep(4 * Pace::default().quiet).await;
    file.write_all(b"replicas = 2\n").unwrap();
    drop(file);
    trial.folder.changed().await.unwrap();
    assert_eq!(replicas(&trial.folder.borrow()), Some(2));
}

#[tokio::test]
async fn reading_the_files_changes_nothing() {
    let mut trial = Trial::new(Pace::default(), one);
    let first = Arc::clone(&trial.folder.borrow_and_update());
    fs::read(trial.path("a.toml")).unwrap();
    fs::write(trial.path(".hidden.toml"), "x").unwrap();
    fs::write(trial.path("a.toml"), text(1)).unwrap();
    fs::write(trial.path("b.toml"), "endpoints = [\"10.0.0.1:1\"]").unwrap();
    let next = trial.until("b", |it| it.files == 2).await;
    assert_eq!(next.services.get(&name()), first.services.get(&name()));
}

#[tokio::test]
async fn a_folder_that_is_removed_and_made_anew() {
    let mut trial = Trial::new(quick(), one);
    fs::remove_dir_all(trial.path("")).unwrap();
    let folder = trial.until("a problem", |it| !it.problems.is_empty()).await;
    assert_eq!(replicas(&folder), Some(1), "the last good version serves");
    fs::create_dir(trial.path("")).unwrap();
    trial
        .until("the folder is back", |it| it.is_gone(&name()))
        .await;
    fs::write(trial.path("a.toml"), text(4)).unwrap();
    trial.until_replicas(4).await;
}

#[tokio::test]
async fn a_folder_that_is_moved_away_and_replaced() {
    let mut trial = Trial::new(quick(), one);
    let fresh = trial.home.path().join("fresh");
    fs::create_dir(&fresh).unwrap();
    fs::write(fresh.join("a.toml"), text(5)).unwrap();
    fs::rename(trial.path(""), trial.home.path().join("old")).unwrap();
    fs::rename(&fresh, trial.path("")).unwrap();
    trial.until_replicas(5).await;
    fs::write(trial.path("a.toml"), text(6)).unwrap();
    trial.until_replicas(6).await;
}

#[tokio::test]
async fn a_folder_that_comes_after_the_start() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings::beside(&home.path().join("minato.toml"));
    let watcher = Watcher::start_at(&settings, || Timestamp(7), quick()).unwrap();
    let folder = watcher.subscribe();
    assert_eq!(folder.borrow().problems.len(), 1);
    let mut trial = Trial {
        home,
        watcher,
        folder,
    };
    fs::create_dir(trial.path("")).unwrap();
    fs::write(trial.path("a.toml"), text(2)).unwrap();
    trial.until_replicas(2).await;
}

#[tokio::test]
async fn links_that_are_swapped_as_kubernetes_does() {
    let mut trial = Trial::new(Pace::default(), |services, _| {
        for (folder, replicas) in [("..1", 1), ("..2", 2)] {
            fs::create_dir(services.join(folder)).unwrap();
            fs::write(services.join(folder).join("a.toml"), text(replicas)).unwrap();
        }
        symlink("..1", services.join("..data")).unwrap();
        symlink("..data/a.toml", services.join("a.toml")).unwrap();
    });
    trial.until_replicas(1).await;
    symlink("..2", trial.path("..data_tmp")).unwrap();
    fs::rename(trial.path("..data_tmp"), trial.path("..data")).unwrap();
    trial.until_replicas(2).await;
    fs::write(trial.path("..2/a.toml"), text(3)).unwrap();
    trial.until_replicas(3).await;
}

#[tokio::test]
async fn a_file_elsewhere_that_a_link_leads_to() {
    let mut trial = Trial::new(Pace::default(), |services, home| {
        fs::create_dir(home.join("elsewhere")).unwrap();
        fs::write(home.join("elsewhere/a.toml"), text(1)).unwrap();
        symlink("../elsewhere/a.toml", services.join("a.toml")).unwrap();
    });
    fs::write(trial.home.path().join("elsewhere/a.toml"), text(2)).unwrap();
    trial.until_replicas(2).await;
}

/// A link behind a link is turned where nothing is watched: only looking at the files finds it.
#[tokio::test]
async fn the_sweep_finds_what_the_watch_misses() {
    let pace = Pace {
        sweep: Duration::from_millis(50),
        ..quick()
    };
    let mut trial = Trial::new(pace, |services, home| {
        for (folder, replicas) in [("one", 1), ("two", 2)] {
            fs::create_dir(home.join(folder)).unwrap();
            fs::write(home.join(folder).join("a.toml"), text(replicas)).unwrap();
        }
        fs::create_dir(home.join("links")).unwrap();
        symlink("../one/a.toml", home.join("links/a.toml")).unwrap();
        symlink("../links/a.toml", services.join("a.toml")).unwrap();
    });
    trial.until_replicas(1).await;
    let links = trial.home.path().join("links");
    symlink("../two/a.toml", links.join("new")).unwrap();
    fs::rename(links.join("new"), links.join("a.toml")).unwrap();
    trial.until_replicas(2).await;
}

#[tokio::test]
async fn dropping_the_watcher_ends_its_thread() {
    let trial = Trial::new(Pace::default(), one);
    let mut folder = trial.folder;
    drop(trial.watcher);
    let ended = async { while folder.changed().await.is_ok() {} };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert_eq!(replicas(&folder.borrow()), Some(1), "the last state stays");
}
