use super::*;
use crate::sample::{entry, name, pattern, service};

mod model;

fn table(services: &[(&str, &[&str])]) -> Table {
    services
        .iter()
        .fold(Table::default(), |table, (named, routes)| {
            table.with(entry(service(named, routes), Vec::new()))
        })
}

fn find(table: &Table, host: &str, path: &str) -> String {
    table
        .find(host, path)
        .map_or(String::new(), |it| it.route.pattern.to_string())
}

#[test]
fn hosts_from_exact_to_any_and_prefixes_from_long_to_short() {
    let table = table(&[
        (
            "exact",
            &["a.example.org", "a.example.org/x/y", "example.org/only"],
        ),
        ("wild", &["*.example.org", "*.b.example.org/p", "*.org"]),
        ("any", &["*", "*/any/where"]),
    ]);
    for (host, path, expected) in [
        ("a.example.org", "/", "a.example.org"),
        ("a.example.org", "/x", "a.example.org"),
        ("a.example.org", "/x/y", "a.example.org/x/y"),
        ("a.example.org", "/x/y/", "a.example.org/x/y"),
        ("a.example.org", "/x/y/z", "a.example.org/x/y"),
        ("a.example.org", "/x/yz", "a.example.org"),
        ("a.example.org", "/x//y", "a.example.org"),
        ("a.example.org", "//x/y", "a.example.org"),
        ("a.example.org", "/X/y", "a.example.org"),
        // The host has no such prefix: on to the next pattern that takes it.
        ("example.org", "/only", "example.org/only"),
        ("example.org", "/only/this", "example.org/only"),
        ("example.org", "/onlythis", "*.org"),
        ("example.org", "/", "*.org"),
        // Wildcards: one or more labels, the longest suffix first.
        ("c.example.org", "/", "*.example.org"),
        ("d.c.example.org", "/", "*.example.org"),
        ("c.b.example.org", "/p/q", "*.b.example.org/p"),
        ("c.b.example.org", "/q", "*.example.org"),
        ("b.example.org", "/p", "*.example.org"),
        ("aexample.org", "/", "*.org"),
        ("org", "/", "*"),
        ("", "/", "*"),
        (".example.org", "/", "*.org"),
        ("[::1]", "/any/where/else", "*/any/where"),
        ("[::1]", "/any", "*"),
        // Not in the form of a request: no answer is promised but the one for any host, and no panic.
        ("a.example.org", "", "a.example.org"),
        ("a.example.org", "x/y", "a.example.org"),
        ("a.example.org", "/ü/y", "a.example.org"),
    ] {
        assert_eq!(find(&table, host, path), expected, "{host} {path}");
    }
    assert_eq!(find(&Table::default(), "a", "/"), "");
}

#[test]
fn nothing_taken_is_nothing_found() {
    let table = table(&[("a", &["a.example/p/q", "*.b.example/r"])]);
    for (host, path) in [
        ("a.example", "/"),
        ("a.example", "/p"),
        ("b.example", "/r"),
        ("x.b.example", "/"),
    ] {
        assert_eq!(find(&table, host, path), "", "{host} {path}");
    }
}

#[test]
fn the_first_to_claim_a_pattern_keeps_it_and_the_next_inherits_it() {
    let owner = |table: &Table| {
        let found = table
            .find("a.example", "/p")
            .map(|it| it.route.service.service.name.clone());
        let owner = table
            .owner(&pattern("a.example/p"))
            .map(|it| it.service.service.name.clone());
        assert_eq!(found, owner);
        found.map_or(String::new(), |it| it.to_string())
    };
    let add = |table: &Table, named: &str| {
        table.with(entry(service(named, &["a.example/p"]), Vec::new()))
    };
    let one = add(&Table::default(), "one");
    let both = add(&add(&one, "another"), "third");
    assert_eq!(owner(&both), "one");
    // Its own changes do not cost it its place, nor do those of the others.
    let again = add(&add(&both, "one"), "another");
    assert_eq!(owner(&again), "one");
    let other_route = again.with(entry(service("one", &["a.example/q"]), Vec::new()));
    assert_eq!(owner(&other_route), "another");
    assert_eq!(owner(&add(&other_route, "one")), "another");
    assert_eq!(owner(&again.without(&name("another"))), "one");
    let third = again.without(&name("one")).without(&name("another"));
    assert_eq!(owner(&third), "third");
    assert_eq!(owner(&third.without(&name("third"))), "");
    // The old tables are as they were.
    assert_eq!(
        (owner(&one).as_str(), owner(&both).as_str()),
        ("one", "one")
    );
}

#[test]
fn a_change_leaves_the_routes_of_others_untouched() {
    let before = table(&[
        ("a", &["x.example/a", "*.example"]),
        ("b", &["x.example/b", "*.example/b", "*"]),
    ]);
    let after = before.with(entry(service("b", &["x.example/b2", "*"]), Vec::new()));
    for (host, path) in [("x.example", "/a"), ("y.example", "/")] {
        let (old, new) = (
            before.find(host, path).unwrap(),
            after.find(host, path).unwrap(),
        );
        assert!(Arc::ptr_eq(&old.route, &new.route), "{host} {path}");
    }
    assert!(Arc::ptr_eq(
        before.service(&name("a")).unwrap(),
        after.service(&name("a")).unwrap()
    ));
    assert_eq!(find(&after, "x.example", "/b2"), "x.example/b2");
    assert_eq!(find(&after, "x.example", "/b"), "*.example");
    // Same pattern, new version of the service.
    let (old, new) = (
        before.find("z", "/").unwrap(),
        after.find("z", "/").unwrap(),
    );
    assert!(!Arc::ptr_eq(&old.route.service, &new.route.service));
    assert!(Arc::ptr_eq(
        &new.route.service,
        after.service(&name("b")).unwrap()
    ));
}

#[test]
fn what_a_service_leaves_behind_is_nothing() {
    let full = table(&[("a", &["x.example/a/b/c", "*.example/q", "*/r", "x.example"])]);
    let empty = full.without(&name("a"));
    assert!(empty.is_empty() && empty.exact.is_empty() && empty.wildcard.is_empty());
    assert!(empty.any.is_empty());
    assert_eq!(full.len(), 1);
    assert_eq!(empty.without(&name("a")).len(), 0);
}

#[test]
fn services_are_listed_by_name() {
    let table = table(&[
        ("zoo", &[]),
        ("library", &[]),
        ("archive", &[]),
        ("library", &[]),
    ]);
    let names: Vec<_> = table
        .services()
        .iter()
        .map(|it| it.service.name.to_string())
        .collect();
    assert_eq!(names, ["archive", "library", "zoo"]);
}

#[test]
fn a_pattern_given_twice_in_one_service_counts_once() {
    let mut twice = service("a", &["x.example", "x.example"]);
    twice.routes[1].action = RouteAction::Redirect {
        to: "https://y.example".to_owned(),
    };
    let table = Table::default().with(entry(twice, Vec::new()));
    let found = table.find("x.example", "/").unwrap();
    assert_eq!(found.route.action, RouteAction::Forward { strip: false });
    assert!(table.without(&name("a")).find("x.example", "/").is_none());
}

/// A request holds its route, not the table it was found in.
#[test]
fn a_match_pins_no_table() {
    let before = table(&[("a", &["a.example"]), ("b", &["b.example"])]);
    let other = Arc::downgrade(before.service(&name("b")).unwrap());
    let found = before.find("a.example", "/").unwrap();
    drop(before);
    assert!(other.upgrade().is_none());
    assert_eq!(found.route.service.service.name, name("a"));
}
