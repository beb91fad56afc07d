//! Settings on disk, and the check of everything that they lead to.

use minato_config_files::{inspect, locate, read, read_or_default, read_sorry_page};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn told(problems: &[minato_config::Problem], home: &TempDir) -> Vec<String> {
    let home = format!("{}/", home.path().display());
    problems
        .iter()
        .map(|it| it.to_string().replace(&home, ""))
        .collect()
}

#[test]
fn the_examples_have_no_problem() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/minato.toml");
    assert_eq!(inspect(&file).problems, []);
    let settings = read(&file).unwrap();
    assert!(settings.services.ends_with("examples/services/"));
}

#[test]
fn a_settings_file_that_is_named_must_be_there() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("minato.toml");
    assert_eq!(locate(Some(&file)), Some(file.clone()));
    let expected = ["minato.toml: cannot be read: No such file or directory (os error 2)"];
    assert_eq!(told(&read(&file).unwrap_err(), &home), expected);
    assert_eq!(
        told(&read_or_default(Some(&file)).unwrap_err(), &home),
        expected
    );
    assert_eq!(told(&inspect(&file).problems, &home), expected);
}

#[test]
fn a_check_tells_everything_at_once() {
    let home = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
    fs::create_dir(home.path().join("apps")).unwrap();
    put(
        "minato.toml",
        "services = \"apps\"\nsiet = \"a\"\n[gateway]\nhttp = [\"127.0.0.1:81\"]\nsorry_page = \"sorry.html\"\n",
    );
    put(
        "apps/a.toml",
        "command = [\"a\"]\nport = 81\nroutes = [\"x.org\"]",
    );
    put("apps/b.toml", "command = [\"b\"]\nroutes = [\"x.org\"]");
    put("apps/c.toml", "command = [\"c\"\nretries = 7");
    let problems = inspect(&home.path().join("minato.toml")).problems;
    assert_eq!(
        told(&problems, &home),
        [
            "minato.toml:2: siet: unknown key; did you mean `site`?",
            "sorry.html: gateway.sorry_page: cannot be read: No such file or directory (os error 2)",
            "apps/a.toml: service.a: does not apply as it stands, because of apps/b.toml:2",
            "apps/a.toml:2: service.a.port: 81 is taken by the gateway, which listens on 127.0.0.1:81; choose another, or leave it out",
            "apps/b.toml:2: service.b.routes[0]: `x.org` is a route of service a already (apps/a.toml:3); a route leads to one service: leave one of them out",
            "apps/c.toml:2: is not TOML: missing comma between array elements, expected `,`; is a bracket or a quote left open above?",
        ]
    );
}

/// Each file has a fault of its own, and one that only shows beside the others.
#[test]
fn no_problem_hides_behind_another() {
    let home = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
    fs::create_dir(home.path().join("services")).unwrap();
    put(
        "minato.toml",
        "[gateway]\nhttp = [\"127.0.0.1:99999\", \"127.0.0.1:81\"]\n[admin]\nlisten = \"0.0.0.0:7071\"\n",
    );
    put(
        "services/a.toml",
        "comand = 1\ncommand = [\"a\"]\nport = 5000\nroutes = [\"x.org\"]\n",
    );
    put(
        "services/b.toml",
        "command = [\"b\"]\nport = 5000\nroutes = [\"x.org\"]\nretries = 7\n",
    );
    put(
        "services/c.toml",
        "command = [\"c\"]\nport = 20001\nhealth = \"on\"\n",
    );
    put(
        "services/d.toml",
        "command = [\"d\"]\ntimeouts = { idle = 3 }\n[[route]]\nmatch = \"y.org\"\nredirect = \"https://z.org\"\n",
    );
    put(
        "services/e.toml",
        "command = [\"e\"]\n[[route]]\nmatch = \"z.org\"\nredirect = \"https://y.org\"\n",
    );
    put(
        "services/f.toml",
        "command = [\"f\"]\nport = 81\nretries = = 1\n",
    );
    put(
        "services/g.toml",
        "command = [\"g\"]\nport = 7071\nreplicas = 2\nhealth = { kind = \"htp\", path = \"up\" }\n",
    );
    // What might stand for a listener that cannot be read is no reason to complain.
    put("services/h.toml", "command = [\"h\"]\nport = 8080\n");
    let found = inspect(&home.path().join("minato.toml"));
    let services = found
        .problems
        .iter()
        .position(|it| it.file.ends_with("services/a.toml"));
    let told = told(&found.problems, &home);
    let expected = [
        "minato.toml:2: gateway.http[0]: must be an address to listen on, like \"127.0.0.1:8080\" or \"[::]:80\", got \"127.0.0.1:99999\"; ports end at 65535",
        "minato.toml:4: admin.listen: must be on loopback, since this version asks for no password, got \"0.0.0.0:7071\"; write \"127.0.0.1:7071\", and reach it from elsewhere through ssh -L",
        "services/a.toml:1: service.a.comand: unknown key; did you mean `command`?",
        "services/b.toml:2: service.b.port: 5000 is the port of service a already (services/a.toml:3); choose another, or leave it out",
        "services/b.toml:3: service.b.routes[0]: `x.org` is a route of service a already (services/a.toml:4); a route leads to one service: leave one of them out",
        "services/b.toml:4: service.b.retries: must be a whole number from 0 to 3, got the number 7",
        "services/c.toml:2: service.c.port: 20001 lies in [agent] ports (20000-29999), from which other instances get theirs; choose one outside, or leave it out",
        "services/c.toml:3: service.c.health: must be \"off\", \"tcp\" or a table, like { path = \"/healthz\", interval = \"2s\" }, got \"on\"",
        "services/d.toml:2: service.d.timeouts.idle: must be a duration with its unit, like \"3s\" or \"3ms\", got the number 3",
        "services/d.toml:4: service.d.route[0].match: redirects in a circle: `y.org` to `z.org` to `y.org`; lead it to a route that answers",
        "services/f.toml:2: service.f.port: 81 is taken by the gateway, which listens on 127.0.0.1:81; choose another, or leave it out",
        "services/f.toml:3: is not TOML at `=`: extra `=`, expected nothing",
        "services/g.toml:2: service.g.port: 7071 is taken by the admin's 0.0.0.0:7071; choose another, or leave it out",
        "services/g.toml:2: service.g.port: one port cannot serve 2 replicas; leave `port` out, and each gets its own as PORT and {port}",
        "services/g.toml:4: service.g.health.kind: must be \"http\" or \"tcp\" (did you mean \"http\"?), got \"htp\"",
        "services/g.toml:4: service.g.health.path: must be a path with an optional query, like \"/healthz\", got \"up\"",
    ];
    assert_eq!(told, expected);
    assert_eq!((services, found.services), (Some(2), 8));
    assert_eq!(found.folder, Some(home.path().join("services/")));
}

#[test]
fn a_check_says_how_many_services_it_read() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("minato.toml");
    fs::write(&file, "services = \"apps\"\n").unwrap();
    let apps = home.path().join("apps");
    let missing = inspect(&file);
    assert_eq!(
        told(&missing.problems, &home),
        [
            "apps: the folder of service files does not exist; make it, or name another as `services` in minato.toml"
        ]
    );
    assert_eq!(
        (missing.services, missing.folder.as_deref()),
        (0, Some(apps.as_path()))
    );
    fs::create_dir(&apps).unwrap();
    let empty = inspect(&file);
    assert_eq!((empty.problems, empty.services), (Vec::new(), 0));
    fs::write(apps.join("a.toml"), "command = [\"a\"]\n").unwrap();
    assert_eq!(inspect(&file).services, 1);
    fs::write(&file, "services = apps\n").unwrap();
    let unknown = inspect(&file);
    assert_eq!((unknown.problems.len(), unknown.folder), (1, None));
}

#[test]
fn a_sorry_page_is_read() {
    let home = tempfile::tempdir().unwrap();
    fs::write(
        home.path().join("minato.toml"),
        "[gateway]\nsorry_page = \"sorry.html\"\n",
    )
    .unwrap();
    fs::write(home.path().join("sorry.html"), "<p>Sorry.").unwrap();
    let settings = read(&home.path().join("minato.toml")).unwrap();
    assert_eq!(read_sorry_page(&settings), Ok(Some("<p>Sorry.".to_owned())));
    let none = minato_config::Settings::default();
    assert_eq!(read_sorry_page(&none), Ok(None));
    assert_eq!(none.services, PathBuf::from("services/"));
}
