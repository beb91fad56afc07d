//! Service files with `image`.

use super::*;
use crate::{Access, Backend, Command, Grant, Image, Pull, Resources, SecretForm};

/// An image, and one more line.
#[track_caller]
fn wrong(line: &str, expected: &str) {
    let text = format!("image = \"a/b:1\"\nport = 80\n{line}\n");
    let problems = library(&text).expect_err(line);
    let expected = format!("services/library.toml:3: service.library.{expected}");
    assert_eq!(told(&problems), [expected], "{line}");
}

#[track_caller]
fn right(text: &str) -> (Command, Image) {
    let service = library(text).unwrap();
    let Backend::Command(command) = service.backend else {
        panic!("{text}");
    };
    let image = *command.image.clone().unwrap();
    (command, image)
}

#[test]
fn everything_of_a_container() {
    let (command, image) = right(
        r#"
image = "registry.example:5000/library:3.2"
command = ["serve", "--port", "{port}"]
port = 8080
replicas = 4
pull = "always"
init = true
user = "1000:1000"
env = { A = "b" }
secrets = { DB = "library-db", KEY = { name = "key", as = "variable" } }
volumes = { "/data" = "library-data", "/etc/x" = { name = "x", access = "ro" } }
resources = { cpu = 0.5, cpu_limit = 2, memory = "512MiB" }
"#,
    );
    assert_eq!(
        (command.argv.len(), command.port, image.port),
        (3, None, Some(8080))
    );
    assert_eq!(
        (image.pull, image.init, image.network.as_str()),
        (Pull::Always, true, "bridge")
    );
    let forms: Vec<_> = image
        .secrets
        .values()
        .map(|it| (it.name.as_str(), it.as_what))
        .collect();
    assert_eq!(
        forms,
        [
            ("library-db", SecretForm::File),
            ("key", SecretForm::Variable)
        ]
    );
    let mounts: Vec<_> = image
        .volumes
        .values()
        .map(|it| (it.volume.as_str(), it.access))
        .collect();
    assert_eq!(
        mounts,
        [("library-data", Access::ReadWrite), ("x", Access::ReadOnly)]
    );
    let resources = Resources {
        cpu_milli: Some(500),
        cpu_limit_milli: Some(2_000),
        memory_bytes: Some(512 << 20),
    };
    assert_eq!(image.resources, resources);
}

#[test]
fn what_may_be_raised_lies_above_what_is_given() {
    let (_, image) = right(
        "image = \"a\"\nport = 80\nresources = { cpu = 0.5, cpu_max = 2, memory = \"512MiB\", memory_max = \"1GiB\" }",
    );
    let grant = |cpu_milli, mib: u64| Grant {
        cpu_milli: Some(cpu_milli),
        memory_bytes: Some(mib << 20),
    };
    assert_eq!(image.ceiling, grant(2_000, 1_024));
    // What was granted counts within the file's bounds of today.
    for (granted, cpu, mib) in [
        (Grant::default(), 500, 512),
        (grant(800, 600), 800, 600),
        (grant(9_000, 9_000), 2_000, 1_024),
        (grant(1, 1), 500, 512),
    ] {
        let it = image.granted(granted);
        assert_eq!(
            (it.cpu_milli, it.memory_bytes),
            (Some(cpu), Some(mib << 20)),
            "{granted:?}"
        );
    }
    for (line, expected) in [
        (
            "resources = { cpu_max = 2 }",
            "resources.cpu_max: needs `cpu`, from which it is raised",
        ),
        (
            "resources = { cpu = 2, cpu_max = 2 }",
            "resources.cpu_max: must be above `cpu`, which is raised up to it",
        ),
        (
            "resources = { cpu = 1, cpu_max = 3, cpu_limit = 2 }",
            "resources.cpu_max: must not be above `cpu_limit`, which is never raised",
        ),
        (
            "resources = { memory = \"1GiB\", memory_max = \"64MiB\" }",
            "resources.memory_max: must be above `memory`, which is raised up to it",
        ),
    ] {
        wrong(line, expected);
    }
}

#[test]
fn an_image_alone_starts_what_it_says() {
    let (command, image) = right("image = \"a\"\nport = 80");
    assert_eq!((command.argv.len(), image.pull), (0, Pull::Missing));
    let (_, image) = right("image = \"a\"\nnetwork = \"host\"");
    assert_eq!(image.port, None);
}

/// What may change while it runs makes no other version; everything else does.
#[test]
fn the_digest_is_that_of_the_version() {
    let digest = |line: &str| {
        right(&format!("image = \"a\"\nport = 80\n{line}"))
            .0
            .digest()
    };
    let plain = digest("");
    assert_eq!(digest("resources = { memory = \"64MiB\" }"), plain);
    assert_eq!(digest("pull = \"never\""), plain);
    let mut all = vec![
        plain,
        right("image = \"a:1\"\nport = 80").0.digest(),
        right("image = \"a\"\nport = 81").0.digest(),
    ];
    for line in [
        "init = true",
        "user = \"a\"",
        "network = \"x\"",
        "env = { A = \"b\" }",
        "command = [\"a\"]",
        "secrets = { A = \"b\" }",
        "secrets = { A = { name = \"b\", as = \"variable\" } }",
        "volumes = { \"/a\" = \"b\" }",
        "volumes = { \"/a\" = { name = \"b\", access = \"ro\" } }",
    ] {
        all.push(digest(line));
    }
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn what_is_wrong_with_a_container() {
    wrong(
        "network = \"none\"",
        "network: must be \"bridge\", \"host\", or a network of the engine by its name; without a network nobody can reach it",
    );
    wrong(
        "pull = \"allways\"",
        "pull: must be \"missing\", \"always\" or \"never\" (did you mean \"always\"?), got \"allways\"",
    );
    wrong(
        "user = \"a:b:c\"",
        "user: must be a user, or user and group, like \"1000:1000\", got \"a:b:c\"",
    );
    wrong(
        "secrets = { A = \"../b\" }",
        "secrets.A: must be the name of a secret: letters, digits, `.`, `_` and `-`, got \"../b\"",
    );
    wrong(
        "secrets = { A = { as = \"file\" } }",
        "secrets.A: needs `name`, the secret's",
    );
    wrong(
        "secrets = { PORT = \"b\" }",
        "secrets.PORT: is set by minato for each instance; for one fixed port write `port` outside of env",
    );
    wrong(
        "secrets = { A = \"b\" }\nenv = { A = \"c\" }",
        "secrets: `A` stands in `env` as well; leave one of them out",
    );
    for path in ["data", "/", "/a/../b", "/a/", "/a:ro", "//a"] {
        wrong(
            &format!("volumes = {{ \"{path}\" = \"b\" }}"),
            &format!("volumes.{path}: the path inside must be absolute and plain, like \"/data\""),
        );
    }
    wrong(
        "volumes = { \"/data\" = \"/srv/data\" }",
        "volumes./data: must be the name of a volume, which [agent.docker.volumes] of the machine leads to a folder, got \"/srv/data\"",
    );
    wrong(
        "resources = { cpu = \"1\" }",
        "resources.cpu: must be a number of processors from 0.01 to 1024, like 0.5, got \"1\"",
    );
    wrong(
        "resources = { memory = \"1MiB\" }",
        "resources.memory: must be from 6MiB to 16TiB, got 1MiB",
    );
    wrong(
        "resources = { cpus = 1 }",
        "resources.cpus: unknown key; did you mean `cpu`?",
    );
    wrong(
        "endpoints = [\"10.0.0.1:1\"]",
        "endpoints: stands beside `image`; a service has one of the two",
    );
    let problems = library("image = \"Library\"\nnetwork = \"host\"\nport = 80").unwrap_err();
    assert_eq!(
        told(&problems),
        [
            "services/library.toml:1: service.library.image: \"Library\" is no image: its path is not a-z, 0-9, `.`, `_` and `-` between slashes, in lower case; write it like \"registry.example/library:3.2\" or \"library@sha256:...\"",
            "services/library.toml:3: service.library.port: in the machine's own network each instance gets a port of its own, as PORT and {port}; leave `port` out",
        ]
    );
}
