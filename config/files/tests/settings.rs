//! Settings on disk, and the check of everything that they lead to.

use minato_config_files::{check, locate, read, read_or_default, read_sorry_page};
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
    assert_eq!(check(&file), []);
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
    assert_eq!(told(&check(&file), &home), expected);
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
    let problems = check(&home.path().join("minato.toml"));
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
