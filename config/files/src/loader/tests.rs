use super::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use tempfile::TempDir;

/// A folder of service files and its loader.
struct Trial {
    home: TempDir,
    loader: Loader,
}

impl Trial {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let settings = Settings::beside(&home.path().join("minato.toml"));
        fs::create_dir(&settings.services).unwrap();
        let loader = Loader::new(&settings);
        Self { home, loader }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.loader.folder().join(name)
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    fn load(&mut self) -> Folder {
        self.loader.load(Timestamp(7))
    }

    /// Services with their replicas, and problems without the folder's path.
    #[track_caller]
    fn expect(&mut self, services: &[(&str, u16)], problems: &[&str]) -> Folder {
        let folder = self.load();
        let seen = folder.services.iter();
        let seen: Vec<_> = seen
            .map(|(name, it)| (name.as_str(), it.service.replicas))
            .collect();
        assert_eq!(seen, services);
        let home = format!("{}/", self.home.path().display());
        let told = folder
            .problems
            .iter()
            .map(|it| it.to_string().replace(&home, ""));
        assert_eq!(told.collect::<Vec<_>>(), problems);
        folder
    }
}

fn service(replicas: u16, route: &str) -> String {
    format!("command = [\"a\"]\nreplicas = {replicas}\nroutes = [\"{route}\"]\n")
}

fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

const BROKEN: &str = "command = [\"a\"]\nreplicas = 0.5\n";

fn broken(name: &str) -> String {
    format!(
        "services/{name}.toml:2: service.{name}.replicas: must be a whole number from 1 to 1000, got the number 0.5"
    )
}

#[test]
fn a_broken_file_keeps_its_last_good_version_and_the_others_apply() {
    let mut trial = Trial::new();
    trial.put("a.toml", service(1, "a.org"));
    trial.put("b.toml", service(1, "b.org"));
    trial.expect(&[("a", 1), ("b", 1)], &[]);
    trial.put("a.toml", BROKEN);
    trial.put("b.toml", service(2, "b.org"));
    let folder = trial.expect(&[("a", 1), ("b", 2)], &[&broken("a")]);
    assert_eq!(folder.files, 2);
    trial.put("a.toml", service(3, "a.org"));
    trial.expect(&[("a", 3), ("b", 2)], &[]);
}

#[test]
fn a_file_that_never_was_good_is_absent_but_not_gone() {
    let mut trial = Trial::new();
    trial.put("a.toml", BROKEN);
    let folder = trial.expect(&[], &[&broken("a")]);
    assert!(!folder.is_gone(&name("a")));
    assert!(folder.is_gone(&name("b")));
}

#[test]
fn a_deleted_file_is_gone() {
    let mut trial = Trial::new();
    trial.put("a.toml", service(1, "a.org"));
    trial.load();
    fs::remove_file(trial.path("a.toml")).unwrap();
    let folder = trial.expect(&[], &[]);
    assert!(folder.is_gone(&name("a")));
}

#[test]
fn a_folder_that_vanishes_ends_nothing() {
    let mut trial = Trial::new();
    trial.put("a.toml", service(1, "a.org"));
    trial.load();
    fs::remove_dir_all(trial.path("")).unwrap();
    let missing = "services/: the folder of service files does not exist; make it, or name another as `services` in minato.toml";
    let folder = trial.expect(&[("a", 1)], &[missing]);
    assert!(!folder.is_gone(&name("a")));
    assert!(!folder.is_gone(&name("b")));
}

#[test]
fn the_earlier_owner_of_a_route_keeps_it() {
    let mut trial = Trial::new();
    trial.put("b.toml", service(1, "x.org"));
    trial.load();
    trial.put("a.toml", service(1, "x.org"));
    let told = "services/a.toml:3: service.a.routes[0]: `x.org` is a route of service b already (HOMEservices/b.toml:3); a route leads to one service: leave one of them out";
    let told = told.replace("HOME", "");
    let folder = trial.expect(&[("b", 1)], &[&told]);
    assert!(!folder.is_gone(&name("a")));
    trial.put("a.toml", service(1, "y.org"));
    trial.expect(&[("a", 1), ("b", 1)], &[]);
    trial.put("a.toml", service(2, "x.org"));
    trial.expect(&[("a", 1), ("b", 1)], &[&told]);
}

#[test]
fn two_new_claims_to_a_route_both_wait() {
    let mut trial = Trial::new();
    trial.put("a.toml", service(1, "x.org"));
    trial.put("b.toml", service(1, "x.org"));
    trial.put("c.toml", service(1, "c.org"));
    trial.expect(&[("c", 1)], &[
        "services/a.toml: service.a: does not apply as it stands, because of services/b.toml:3",
        "services/b.toml:3: service.b.routes[0]: `x.org` is a route of service a already (services/a.toml:3); a route leads to one service: leave one of them out",
    ]);
    trial.put("b.toml", service(1, "b.org"));
    trial.expect(&[("a", 1), ("b", 1), ("c", 1)], &[]);
}

#[test]
fn two_services_may_swap_their_routes() {
    let mut trial = Trial::new();
    trial.put("a.toml", service(1, "x.org"));
    trial.put("b.toml", service(1, "y.org"));
    trial.load();
    trial.put("a.toml", service(2, "y.org"));
    trial.put("b.toml", service(2, "x.org"));
    trial.expect(&[("a", 2), ("b", 2)], &[]);
}

#[test]
fn a_swap_with_one_refused_half_is_refused_as_a_whole() {
    let mut trial = Trial::new();
    trial.put("a.toml", service(1, "x.org"));
    trial.put("b.toml", service(1, "y.org"));
    trial.load();
    trial.put("a.toml", service(2, "y.org"));
    trial.put("b.toml", service(2, "x.org"));
    trial.put("c.toml", service(1, "x.org"));
    let folder = trial.load();
    let replicas = folder.services.values().map(|it| it.service.replicas);
    assert_eq!(replicas.collect::<Vec<_>>(), [1, 1]);
    for file in ["a.toml", "b.toml", "c.toml"] {
        assert!(
            folder.problems.iter().any(|it| it.file.ends_with(file)),
            "{file}"
        );
    }
}

/// A file that cannot be read whole is told of what it wants, takes nothing, and keeps what it had.
#[test]
fn what_a_broken_file_wants_is_told_and_changes_nothing() {
    let mut trial = Trial::new();
    trial.put("a.toml", service(1, "a.org"));
    trial.put("b.toml", service(1, "b.org"));
    let before = trial.load();
    let wants = format!("{}retries = 7\n", service(2, "b.org"));
    trial.put("a.toml", &wants);
    trial.put("c.toml", &wants);
    let after = trial.expect(&[("a", 1), ("b", 1)], &[
        "services/a.toml:3: service.a.routes[0]: `b.org` is a route of service b already (services/b.toml:3); a route leads to one service: leave one of them out",
        "services/a.toml:4: service.a.retries: must be a whole number from 0 to 3, got the number 7",
        "services/c.toml:3: service.c.routes[0]: `b.org` is a route of service b already (services/b.toml:3); a route leads to one service: leave one of them out",
        "services/c.toml:4: service.c.retries: must be a whole number from 0 to 3, got the number 7",
    ]);
    assert_eq!(before.services, after.services);
    // What the last good version of a broken file still holds is refused to others, whatever the file says by now.
    trial.put("d.toml", service(1, "a.org"));
    let held = trial.load();
    assert_eq!(held.services, after.services);
    assert!(held.problems.iter().any(|it| it.file.ends_with("d.toml")));
}

#[test]
fn files_that_cannot_be_services() {
    let mut trial = Trial::new();
    for name in [
        ".a.toml",
        "a.toml~",
        "a.toml.swp",
        "a.tmp",
        "README",
        "a.yaml",
    ] {
        trial.put(name, BROKEN);
    }
    trial.put("Library.toml", service(1, "a.org"));
    trial.put("b.TOML", service(1, "b.org"));
    trial.put("big.toml", vec![b'#'; (1 << 20) + 1]);
    trial.put("latin.toml", b"# fine\n# \xe9\n");
    fs::create_dir(trial.path("folder.toml")).unwrap();
    symlink("nowhere", trial.path("lost.toml")).unwrap();
    let _socket = UnixListener::bind(trial.path("socket.toml")).unwrap();
    let folder = trial.expect(&[], &[
        "services/Library.toml: the file's name is the service's, and `Library` is not a name: 1 to 63 of a-z, 0-9 and `-`, starting and ending with a letter or digit",
        "services/b.TOML: a service file's name is plain text that ends with `.toml` in lower case",
        "services/big.toml: is larger than 1024 KiB, the most that is read",
        "services/folder.toml: cannot be read: it is a folder",
        "services/latin.toml:2: is not UTF-8 text; save it with that encoding",
        "services/lost.toml: cannot be read: No such file or directory (os error 2); the symbolic link leads nowhere",
        "services/socket.toml: cannot be read: it is not a regular file",
    ]);
    assert_eq!(folder.files, 7);
    assert!(!folder.is_gone(&name("lost")));
}

#[test]
fn a_file_of_exactly_the_limit_is_read() {
    let mut trial = Trial::new();
    let mut text = service(1, "a.org");
    text.push_str(&"#".repeat((1 << 20) - text.len()));
    trial.put("a.toml", text);
    trial.expect(&[("a", 1)], &[]);
}

#[test]
fn a_flood_of_problems_keeps_the_first_of_each_file() {
    let mut trial = Trial::new();
    let text: String = (0..150).map(|n| format!("x{n} = 1\n")).collect();
    for n in 0..30 {
        trial.put(&format!("s{n}.toml"), &text);
    }
    assert_eq!(trial.load().problems.len(), 30);
}
