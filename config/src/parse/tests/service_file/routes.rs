//! Routes, short and long.

use super::*;

#[test]
fn routes_that_no_request_can_match() {
    for (route, hint) in [
        (
            "https://example.org/a",
            "a route has no scheme; write `example.org/a`",
        ),
        ("/a", "the host is missing; `*` is any host; write `*/a`"),
        ("", "the host is missing; `*` is any host; write `*`"),
        (
            "example.org:8080/a",
            "a route takes every port and names none; write `example.org/a`",
        ),
        (
            "[::1]:80",
            "a route takes every port and names none; write `[::1]`",
        ),
        (
            "[::0:1]",
            "clients write this address in its shortest form; write `[::1]`",
        ),
        ("::1", "an IPv6 address stands in brackets; write `[::1]`"),
        (
            "example.org.",
            "hosts are matched without the final dot; write `example.org`",
        ),
        (
            "www.*.org",
            "`*` may only be the whole first label, as in `*.example.org`",
        ),
        (
            "w*.example.org",
            "`*` may only be the whole first label, as in `*.example.org`",
        ),
        (
            "*.*.org",
            "`*` may only be the whole first label, as in `*.example.org`",
        ),
        (
            "*.10.0.0.1",
            "an IP address has no subdomains; write `10.0.0.1`",
        ),
        (
            "図書館.example",
            "write the host as it goes over the wire, in punycode (`xn--...`)",
        ),
        (
            "a..b",
            "a host is labels of a-z, 0-9, `-` and `_` with dots between, at most 253 bytes",
        ),
        (
            "-a.b",
            "a host is labels of a-z, 0-9, `-` and `_` with dots between, at most 253 bytes",
        ),
        (
            "a.b/c/../d",
            "dot segments are resolved before matching; write `a.b/d`",
        ),
        (
            "a.b/.",
            "dot segments are resolved before matching; write `a.b`",
        ),
        (
            "a.b/%2E%2e/d",
            "dot segments are resolved before matching; write `a.b/d`",
        ),
        ("a.b/c%2ed", "clients send `.` as it is; write `a.b/c.d`"),
        ("a.b//", "no segment may be empty; write `a.b`"),
        (
            "a.b/c?d=e",
            "queries and fragments are not matched; write `a.b/c`",
        ),
        (
            "a.b/c#d",
            "queries and fragments are not matched; write `a.b/c`",
        ),
        (
            "a.b/c/*",
            "a path takes everything below it without `*`; write `a.b/c`",
        ),
        ("a.b/c d", "clients send ` ` as `%20`; write `a.b/c%20d`"),
        ("a.b/é", "clients send `é` as `%C3%A9`; write `a.b/%C3%A9`"),
        ("a.b/%zz", "`%` must be followed by two hexadecimal digits"),
        ("a.b/%é", "`%` must be followed by two hexadecimal digits"),
        ("a.b/%00", "`%00` is refused in requests"),
    ] {
        wrong(
            &format!("routes = [\"{route}\"]"),
            &format!("routes[0]: no request can match \"{route}\": {hint}"),
        );
    }
    wrong(
        "routes = ['a.b/c\\d']",
        "routes[0]: no request can match \"a.b/c\\d\": backslashes are refused in requests",
    );
    wrong(
        "routes = \"a.b\"",
        "routes: must be a list of hosts and paths, like [\"example.org/library\"], got \"a.b\"",
    );
}

/// What stands after `write` is the whole route or redirect, right in every part.

#[test]
fn a_suggestion_is_the_whole_text() {
    for (route, right) in [
        ("example.org:80/b", Some("example.org/b")),
        (
            "HTTPS://user@Example.org.:443//b/?q#f",
            Some("example.org/b"),
        ),
        ("http://", Some("*")),
        ("https://*.Example.org/b/*", Some("*.example.org/b")),
        ("Example.org/Å b/%7e", Some("example.org/%C3%85%20b/~")),
        ("[::0:1]:80/b", Some("[::1]/b")),
        ("::1/b", Some("[::1]/b")),
        ("*.10.0.0.1/b", Some("10.0.0.1/b")),
        ("example.org?q", Some("example.org")),
        ("Example.org/a\\\\b", None),
        ("Example.org/%z/%é", None),
        ("http://図書館.example/b", None),
        ("Example.org/*/b", None),
    ] {
        let problems = library(&format!("{COMMAND}routes = [\"{route}\"]")).expect_err(route);
        let suggested = problems[0].message.split_once("; write `");
        let suggested = suggested.map(|(_, it)| it.trim_end_matches('`'));
        assert_eq!(suggested, right, "{route}: {}", problems[0]);
    }
    for (url, right) in [
        ("HTTP://x.org/b", Some("http://x.org/b")),
        ("https://X.org.:8443/b?q", Some("https://x.org:8443/b")),
        ("https://u:p@x.org/b//c/", Some("https://x.org/b/c")),
        ("ftp://x.org", None),
        ("https://x.org:99999/B", None),
        ("https:///b", None),
    ] {
        let text = format!("{COMMAND}[[route]]\nmatch = \"a.b\"\nredirect = \"{url}\"");
        let problems = library(&text).expect_err(url);
        let suggested = problems[0].message.split_once("; write `");
        let suggested = suggested.map(|(_, it)| it.trim_end_matches('`'));
        assert_eq!(suggested, right, "{url}: {}", problems[0]);
    }
    let long = format!("{COMMAND}routes = [\"X.org/{}\"]", "é".repeat(300));
    let problems = library(&long).expect_err("capitals");
    assert!(
        problems[0].message.ends_with("in lower case"),
        "{}",
        problems[0]
    );
}

#[test]
fn routes_in_their_one_form() {
    let text = "\
endpoints = [\"10.0.0.1:80\"]
routes = [\"example.org/library/\", \"*.example.org\", \"*\", \"127.0.0.1/a%20b\", \"[::1]\", \"example.org\"]
[[route]]
match = \"example.org/old/\"
redirect = \"https://library.example.org:8443/new/\"
[[route]]
match = \"example.org/api\"
strip = true
";
    let routes = library(text).unwrap().routes;
    let shown: Vec<_> = routes.iter().map(|it| it.pattern.to_string()).collect();
    let expected = [
        "127.0.0.1/a%20b",
        "[::1]",
        "example.org",
        "example.org/api",
        "example.org/library",
        "example.org/old",
        "*.example.org",
        "*",
    ];
    assert_eq!(shown, expected);
    assert_eq!(routes[3].action, RouteAction::Forward { strip: true });
    let to = "https://library.example.org:8443/new".to_owned();
    assert_eq!(routes[5].action, RouteAction::Redirect { to });
    assert_eq!(
        routes[6].pattern.host,
        HostPattern::Wildcard("example.org".to_owned())
    );
}

#[test]
fn long_routes() {
    let long = |body: &str| format!("{COMMAND}[[route]]\n{body}\n");
    for (body, expected) in [
        (
            "strip = true",
            ":2: service.library.route[0]: needs `match`, like match = \"example.org/old\"",
        ),
        (
            "match = \"a.b\"\nstirp = true",
            ":4: service.library.route[0].stirp: unknown key; did you mean `strip`?",
        ),
        (
            "match = \"a.b\"\nstrip = true\nredirect = \"http://c.d\"",
            ":4: service.library.route[0].strip: does nothing beside `redirect`, which always replaces the prefix; leave it out",
        ),
        (
            "match = \"a.b\"\n[[route]]\nmatch = \"a.b/\"",
            ":5: service.library.route[1].match: `a.b` stands in line 3 already; leave one of them out",
        ),
        (
            "match = \"a.b\"\nredirect = \"c.d\"",
            ":4: service.library.route[0].redirect: cannot redirect to \"c.d\": write an absolute URL, like `https://example.org/new`",
        ),
        (
            "match = \"a.b\"\nredirect = \"ftp://c.d\"",
            ":4: service.library.route[0].redirect: cannot redirect to \"ftp://c.d\": write an absolute URL, like `https://example.org/new`; only http and https",
        ),
        (
            "match = \"a.b\"\nredirect = \"http://u@c.d\"",
            ":4: service.library.route[0].redirect: cannot redirect to \"http://u@c.d\": user names and passwords do not belong in a redirect; leave them out; write `http://c.d`",
        ),
        (
            "match = \"a.b\"\nredirect = \"http://c.d:x\"",
            ":4: service.library.route[0].redirect: cannot redirect to \"http://c.d:x\": the port must be a number from 1 to 65535",
        ),
        (
            "match = \"a.b\"\nredirect = \"http://c.d/e?f\"",
            ":4: service.library.route[0].redirect: cannot redirect to \"http://c.d/e?f\": the request's own query is appended; leave `?` and `#` out; write `http://c.d/e`",
        ),
        (
            "match = \"a.b\"\nredirect = \"http://c.d/\\r\\nX: y\"",
            ":4: service.library.route[0].redirect: cannot redirect to \"http://c.d/\\r\\nX: y\": clients send `\\r` as `%0D`; write `http://c.d/%0D%0AX:%20y`",
        ),
    ] {
        wrong_file(&long(body), &[expected]);
    }
}
