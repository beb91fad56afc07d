use super::*;

/// Files by service name; returns what is told and, for each, whose files are involved.
#[track_caller]
fn conflicts(files: &[(&str, &str)], settings: &str) -> Vec<(String, Vec<String>)> {
    let settings = minato(settings).unwrap();
    let paths: Vec<_> = files
        .iter()
        .map(|(it, _)| format!("services/{it}.toml"))
        .collect();
    let files = files.iter().zip(&paths);
    let read = files.map(|((service, text), path)| {
        let path = Path::new(path);
        (path, *text, salvage_service(path, &name(service), text))
    });
    let read: Vec<_> = read.collect();
    let wants = read.iter().map(|(path, text, read)| match read {
        Ok(service) => Wants::of(path, text, service),
        Err(salvaged) => salvaged.wants(path, text),
    });
    let wants: Vec<_> = wants.collect();
    let found = find_conflicts(&wants, Some(&settings)).into_iter();
    found
        .map(|it| {
            let services = it.services.iter().map(ToString::to_string).collect();
            (it.problem.to_string(), services)
        })
        .collect()
}

#[track_caller]
fn check(files: &[(&str, &str)], settings: &str, expected: &[(&str, &[&str])]) {
    let found = conflicts(files, settings);
    let found: Vec<_> = found
        .iter()
        .map(|(it, who)| {
            (
                it.as_str(),
                who.iter().map(String::as_str).collect::<Vec<_>>(),
            )
        })
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(it, who)| (*it, who.to_vec()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_route_belongs_to_one_service() {
    check(
        &[
            (
                "a",
                "command = [\"a\"]\nroutes = [\n  \"x.org/a\",\n  \"x.org\",\n]",
            ),
            (
                "b",
                "command = [\"b\"]\n[[route]]\nmatch = \"x.org/a/\"\nstrip = true",
            ),
            (
                "c",
                "command = [\"c\"]\nroutes = [\"x.org/a/b\", \"*.x.org/a\"]",
            ),
        ],
        "",
        &[(
            "services/b.toml:3: service.b.route[0].match: `x.org/a` is a route of service a already (services/a.toml:3); a route leads to one service: leave one of them out",
            &["b", "a"],
        )],
    );
}

#[test]
fn a_port_belongs_to_one_service() {
    let command = |port: u16| format!("command = [\"a\"]\n\nport = {port}");
    let (one, other, third) = (command(5000), command(5000), command(20_500));
    check(
        &[
            ("a", &one),
            ("b", &other),
            ("c", &third),
            ("d", &command(8080)),
            ("e", &command(7070)),
        ],
        "",
        &[
            (
                "services/b.toml:3: service.b.port: 5000 is the port of service a already (services/a.toml:3); choose another, or leave it out",
                &["b", "a"],
            ),
            (
                "services/c.toml:3: service.c.port: 20500 lies in [agent] ports (20000-29999), from which other instances get theirs; choose one outside, or leave it out",
                &["c"],
            ),
            (
                "services/d.toml:3: service.d.port: 8080 is taken by the gateway, which listens on 127.0.0.1:8080; choose another, or leave it out",
                &["d"],
            ),
            (
                "services/e.toml:3: service.e.port: 7070 is taken by the admin's 127.0.0.1:7070; choose another, or leave it out",
                &["e"],
            ),
        ],
    );
}

#[test]
fn endpoints_are_not_the_gateway_itself() {
    check(
        &[(
            "a",
            "endpoints = [\n  \"10.0.0.1:80\",\n  \"127.0.0.1:80\",\n]",
        )],
        "[gateway]\nhttp = [\"0.0.0.0:80\"]",
        &[(
            "services/a.toml:3: service.a.endpoints[1]: 127.0.0.1:80 is this gateway itself, which listens on 0.0.0.0:80: requests would go in a circle; name the server behind it",
            &["a"],
        )],
    );
}

fn redirect(from: &str, to: &str) -> String {
    format!("command = [\"a\"]\n[[route]]\nmatch = \"{from}\"\nredirect = \"{to}\"\n")
}

#[test]
fn redirects_in_a_circle() {
    let own = redirect("x.org/old", "https://x.org/old/new");
    check(
        &[("a", &own)],
        "",
        &[(
            "services/a.toml:3: service.a.route[0].match: redirects in a circle: `x.org/old` to `x.org/old`; lead it to a route that answers",
            &["a"],
        )],
    );
    let there = redirect("x.org", "http://www.x.org");
    let back = redirect("*.x.org", "http://x.org:8080");
    check(
        &[("a", &there), ("b", &back)],
        "",
        &[(
            "services/a.toml:3: service.a.route[0].match: redirects in a circle: `x.org` to `*.x.org` to `x.org`; lead it to a route that answers",
            &["a", "b"],
        )],
    );
}

#[test]
fn redirects_that_end() {
    let longer = redirect("x.org/old", "https://x.org/old/new");
    let taken = "command = [\"a\"]\nroutes = [\"x.org/old/new\"]";
    let elsewhere = redirect("x.org", "http://x.org:9999");
    let away = redirect("*", "https://y.org/z");
    let home = "command = [\"a\"]\nroutes = [\"y.org\"]";
    check(
        &[
            ("a", &longer),
            ("b", taken),
            ("c", &elsewhere),
            ("d", &away),
            ("e", home),
        ],
        "",
        &[],
    );
}

#[test]
fn what_is_readable_of_broken_files_is_compared_too() {
    let bad_redirect = "command = [\"c\"]\n[[route]]\nmatch = \"x.org\"\nredirect = \"nowhere\"";
    let listener = "endpoints = [\n  \"db:80\",\n  \"10.0.0.1:80\",\n  \"127.0.0.1:8080\",\n]";
    check(
        &[
            (
                "a",
                "unknown = 1\ncommand = [\"a\"]\nroutes = [\"x.org\", \"Y.org\"]\nport = 5000",
            ),
            ("b", "command = 7\nreplicas = 2\nport = 5000\nhealth = = 1"),
            ("c", bad_redirect),
            ("d", listener),
            ("e", "command = [\"e\"]\nport = 5000 5000"),
        ],
        "",
        &[
            (
                "services/b.toml:3: service.b.port: 5000 is the port of service a already (services/a.toml:4); choose another, or leave it out",
                &["b", "a"],
            ),
            (
                "services/c.toml:3: service.c.route[0].match: `x.org` is a route of service a already (services/a.toml:3); a route leads to one service: leave one of them out",
                &["c", "a"],
            ),
            (
                "services/d.toml:4: service.d.endpoints[2]: 127.0.0.1:8080 is this gateway itself, which listens on 127.0.0.1:8080: requests would go in a circle; name the server behind it",
                &["d"],
            ),
        ],
    );
}
