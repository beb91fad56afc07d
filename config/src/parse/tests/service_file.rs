use super::*;
use crate::{
    Backend, Health, HealthProbe, HostPattern, RouteAction, Scale, StatusRange, UpdateOrder,
    UpdatePolicy, Upstream, UpstreamProtocol, UpstreamTls, Verify,
};
use std::time::Duration;

const COMMAND: &str = "command = [\"./server\"]\n";

/// One line after a command, and the one problem it must give, without file and line.
#[track_caller]
fn wrong(line: &str, expected: &str) {
    let problems = library(&format!("{COMMAND}{line}\n")).expect_err(line);
    let expected = format!("services/library.toml:2: service.library.{expected}");
    assert_eq!(told(&problems), [expected], "{line}");
}

/// As [`wrong`], for a file of its own.
#[track_caller]
fn wrong_file(text: &str, expected: &[&str]) {
    let problems = library(text).expect_err(text);
    let at = |it: &&str| format!("services/library.toml{it}");
    assert_eq!(
        told(&problems),
        expected.iter().map(at).collect::<Vec<_>>(),
        "{text}"
    );
}

#[test]
fn a_timeout_beside_its_interval() {
    let text = "\
# The library.
command = [
    \"./library\",
    \"--port\",
    \"{port}\",
]
replicas = 2
routes = [
    \"library.example.org\",
]

[health]
interval = \"2s\"
timeout = \"3s\"
";
    let expected = ":14: service.library.health.timeout: must be below interval (2s), got 3s";
    wrong_file(text, &[expected]);
}

#[test]
fn every_problem_in_one_run() {
    let text = "\
command = [\"./server\"]
replicas = 0
intervall = \"2s\"
routes = [\"Example.org\", \"example.org//a\"]
health = { intervl = \"1s\", timeout = 3 }
port = = 3
retries = 9
";
    wrong_file(
        text,
        &[
            ":2: service.library.replicas: must be at least 1, got 0; to stop serving type `minato drain`, to change the number for a while `minato scale`, to end the service delete its file",
            ":3: service.library.intervall: unknown key; known here: command, image, endpoints, port, replicas, routes, route, health, protocol, tls, limits, timeouts, retries, nodes, env, directory, stop, network, pull, init, user, secrets, volumes, resources",
            ":4: service.library.routes[0]: no request can match \"Example.org\": hosts are matched in lower case; write `example.org`",
            ":4: service.library.routes[1]: no request can match \"example.org//a\": no segment may be empty; write `example.org/a`",
            ":5: service.library.health.intervl: unknown key; did you mean `interval`?",
            ":5: service.library.health.timeout: must be a duration with its unit, like \"3s\" or \"3ms\", got the number 3",
            ":6: is not TOML at `=`: extra `=`, expected nothing",
            ":7: service.library.retries: must be a whole number from 0 to 3, got the number 9",
        ],
    );
}

#[test]
fn keys() {
    wrong(
        "comand = []",
        "comand: unknown key; did you mean `command`?",
    );
    wrong(
        "interval = \"2s\"",
        "interval: unknown key; did you mean `health.interval`?",
    );
    wrong(
        "image = \"x\"",
        "image: needs `port`: where the program in the image listens, like port = 8080",
    );
    wrong(
        "sites = [\"a\"]",
        "sites: is not served by this version; more than one site comes later: leave it out",
    );
    wrong(
        "resources = {}",
        "resources: belongs to an `image`; a process has what its user may have",
    );
    wrong(
        "secrets = {}",
        "secrets: belongs to an `image`; a process has what its user may have",
    );
}

#[test]
fn backends() {
    let needs = ": service.library: needs `command`, like command = [\"./server\", \"--port\", \"{port}\"], `image`, like image = \"registry.example/library:3.2\", or `endpoints`, like endpoints = [\"10.0.0.7:8080\"]";
    wrong_file("", &[needs]);
    wrong_file(
        "endpoints = []",
        &[
            ":1: service.library.endpoints: must be a list of addresses, like [\"10.0.0.7:8080\", \"10.0.0.8:8080\"], got an empty list",
        ],
    );
    wrong(
        "endpoints = [\"10.0.0.1:1\"]",
        "endpoints: stands beside `command`; a service has one of the two",
    );
    for (endpoint, hint) in [
        (
            "db.example:80",
            "must be IP:port, like \"10.0.0.7:8080\" or \"[fd00::7]:8080\", got \"db.example:80\"; this version does not look up host names",
        ),
        (
            "http://10.0.0.1:80",
            "must be IP:port, like \"10.0.0.7:8080\" or \"[fd00::7]:8080\", got \"http://10.0.0.1:80\"; leave the scheme and the path out",
        ),
        (
            "10.0.0.1",
            "must be IP:port, like \"10.0.0.7:8080\" or \"[fd00::7]:8080\", got \"10.0.0.1\"; the port is missing",
        ),
        (
            "10.0.0.1:65536",
            "must be IP:port, like \"10.0.0.7:8080\" or \"[fd00::7]:8080\", got \"10.0.0.1:65536\"; ports end at 65535",
        ),
        (
            "[fd00::1]:99999",
            "must be IP:port, like \"10.0.0.7:8080\" or \"[fd00::7]:8080\", got \"[fd00::1]:99999\"; ports end at 65535",
        ),
        (
            "10.0.0.1:0",
            "must name a port from 1 to 65535, got \"10.0.0.1:0\"",
        ),
        (
            "0.0.0.0:80",
            "must be an address that can be connected to, got \"0.0.0.0:80\"; on this machine that is \"127.0.0.1\" or \"[::1]\"",
        ),
        (
            "224.0.0.1:80",
            "must be the address of one machine, got \"224.0.0.1:80\", which is multicast",
        ),
    ] {
        wrong_file(
            &format!("endpoints = [\"{endpoint}\"]"),
            &[&format!(":1: service.library.endpoints[0]: {hint}")],
        );
    }
    wrong_file(
        "endpoints = [\n  \"10.0.0.1:80\",\n  \"[::ffff:10.0.0.1]:80\",\n]\nreplicas = 2",
        &[
            ":3: service.library.endpoints[1]: 10.0.0.1:80 is `service.library.endpoints[0]` already; leave one of them out",
            ":5: service.library.replicas: belongs to a `command`; endpoints are started, stopped and counted by someone else",
        ],
    );
    let two = library("endpoints = [\"10.0.0.1:80\", \"[fd00::1]:80\"]").unwrap();
    assert_eq!(two.replicas, 2);
    assert!(matches!(two.backend, Backend::Endpoints(it) if it.len() == 2));
}

#[test]
fn replicas_between_bounds() {
    let scaled = |text: &str| {
        let service = library(&format!("command = [\"a\"]\nreplicas = {text}")).unwrap();
        (service.replicas, service.scale)
    };
    let scale = |max, in_flight, p95: Option<u64>| {
        Some(Scale {
            max,
            in_flight,
            p95: p95.map(Duration::from_millis),
            cpu_percent: None,
        })
    };
    assert_eq!(scaled("3"), (3, None));
    assert_eq!(
        scaled("{ min = 2, max = 8, in_flight = 40 }"),
        (2, scale(8, Some(40), None))
    );
    assert_eq!(
        scaled("{ max = 2, p95 = \"500ms\" }"),
        (1, scale(2, None, Some(500)))
    );
    for (text, expected) in [
        (
            "{ min = 1, max = 3 }",
            "replicas: needs a target, like in_flight = 40 (requests that each instance should have at once) or p95 = \"500ms\"",
        ),
        (
            "{ in_flight = 40 }",
            "replicas: needs `max`, the most instances there may be",
        ),
        (
            "{ min = 3, max = 3, in_flight = 40 }",
            "replicas.max: must be above min (3), got 3; for a fixed number write `replicas = 3`",
        ),
        (
            "{ max = 3, in_flight = 0 }",
            "replicas.in_flight: must be a whole number from 1 to 100000, got the number 0",
        ),
        (
            "{ max = 3, p95 = \"2m\" }",
            "replicas.p95: must be from 1ms to 1m, got 2m",
        ),
        (
            "{ max = 3, cpu = 0.7 }",
            "replicas.cpu: is not served by this version; scaling by processor time comes later: use `in_flight` or `p95`",
        ),
        (
            "{ maximum = 3, max = 4, in_flight = 1 }",
            "replicas.maximum: unknown key; known here: min, max, in_flight, p95",
        ),
    ] {
        wrong(&format!("replicas = {text}"), expected);
    }
    wrong_file(
        "command = [\"a\"]\nreplicas = { max = 4, in_flight = 1 }\nport = 80",
        &[
            ":3: service.library.port: one port cannot serve 4 replicas; leave `port` out, and each gets its own as PORT and {port}",
        ],
    );
}

#[test]
fn updates() {
    let update = |text: &str| {
        let service = library(&format!("command = [\"a\"]\nupdate = {text}"));
        service.unwrap().update
    };
    let default = UpdatePolicy::default();
    assert_eq!(library("command = [\"a\"]").unwrap().update, default);
    assert_eq!(update("{}"), default);
    assert_eq!(
        update("{ healthy = \"1s\", deadline = \"90s\", parallel = 3, order = \"stop-first\" }"),
        UpdatePolicy {
            healthy: Duration::from_secs(1),
            deadline: Duration::from_secs(90),
            parallel: 3,
            order: UpdateOrder::StopFirst,
        }
    );
    for (text, expected) in [
        (
            "{ healthy = \"6m\" }",
            "update.healthy: must be below deadline (5m), got 6m: no new instance could be healthy in time",
        ),
        (
            "{ deadline = \"10s\" }",
            "update.deadline: must be above healthy (10s), got 10s: no new instance could be healthy in time",
        ),
        (
            "{ parallel = 0 }",
            "update.parallel: must be a whole number from 1 to 100, got the number 0",
        ),
        (
            "{ order = \"first\" }",
            "update.order: must be \"start-first\" (one more than wanted meanwhile) or \"stop-first\" (each in its place), got \"first\"",
        ),
        (
            "{ delay = \"1s\" }",
            "update.delay: unknown key; known here: healthy, deadline, parallel, order",
        ),
    ] {
        wrong(&format!("update = {text}"), expected);
    }
    wrong_file(
        "endpoints = [\"10.0.0.7:80\"]\nupdate = {}",
        &[
            ":2: service.library.update: belongs to a `command`; endpoints are started, stopped and counted by someone else",
        ],
    );
}

#[test]
fn commands() {
    wrong_file(
        "command = \"python3 -m http.server\"",
        &[
            ":1: service.library.command: must be a list of program and arguments, got \"python3 -m http.server\"; no shell reads it: write [\"python3\", \"-m\", \"http.server\"]",
        ],
    );
    wrong_file(
        "command = []",
        &[
            ":1: service.library.command: must be a list of program and arguments, got an empty list",
        ],
    );
    wrong_file(
        "command = [\"\"]",
        &[":1: service.library.command[0]: the program is empty; write its name or path"],
    );
    wrong_file(
        "command = [\"a\",\n 1]",
        &[":2: service.library.command[1]: must be a string, got the number 1"],
    );
    wrong_file(
        "command = [\"a\\u0000\"]",
        &[":1: service.library.command[0]: holds a zero byte, which no argument can"],
    );
    wrong(
        "port = 0",
        "port: must be a whole number from 1 to 65535, got the number 0",
    );
    wrong(
        "port = \"80\"",
        "port: must be a whole number from 1 to 65535, got \"80\"",
    );
    wrong(
        "replicas = 1001",
        "replicas: must be a whole number from 1 to 1000, got the number 1001",
    );
    wrong(
        "env = { PORT = \"1\" }",
        "env.PORT: is set by minato for each instance; for one fixed port write `port` outside of env",
    );
    wrong(
        "env = { A = 1 }",
        "env.A: must be a string, like \"1\", got the number 1",
    );
    wrong(
        "env = { \"A=B\" = \"1\" }",
        "env.A=B: a variable's name is letters, digits and `_`, not beginning with a digit",
    );
    wrong(
        "env = { MINATO_X = \"1\" }",
        "env.MINATO_X: names that begin with MINATO_ are minato's own; choose another",
    );
    wrong(
        "directory = \"srv\"",
        "directory: must be an absolute path, like \"/srv/library\", got \"srv\"",
    );
    wrong(
        "stop = { grace = \"2h\" }",
        "stop.grace: must be from 0s to 1h, got 2h",
    );
    wrong(
        "stop = \"10s\"",
        "stop: must be a table, like { drain = \"30s\", grace = \"10s\" }, got \"10s\"",
    );
    wrong_file(
        "command = [\"a\"]\nreplicas = 2\nport = 80",
        &[
            ":3: service.library.port: one port cannot serve 2 replicas; leave `port` out, and each gets its own as PORT and {port}",
        ],
    );
    let long = format!("command = [\"a\", \"{}\"]", "x".repeat(97 * 1024));
    wrong_file(
        &long,
        &[
            ":1: service.library.command: arguments and `env` may have 96 KiB together, got 99331 bytes; put the rest into a file",
        ],
    );
}

#[test]
fn placeholders() {
    for (argument, word) in [
        ("{prt}", Some("prt")),
        ("--listen=127.0.0.1:{Port}", Some("Port")),
        ("{PORT}", Some("PORT")),
        ("{port}:{prot}", Some("prot")),
        ("{ports}", Some("ports")),
        ("{port_}", Some("port_")),
        ("{a{prt}", Some("prt")),
        ("{port}", None),
        ("--{port}--{port}", None),
        ("{}", None),
        ("{print}", None),
        ("{name}", None),
        ("{prt", None),
        ("{prt é}", None),
        ("{é", None),
        ("${PORT}", None),
        ("%{prt}", None),
        ("{{prt}}", None),
        ("{{port}}", None),
        ("{post,part}", None),
        ("{ sort; }", None),
        ("{'port': 1, 'a': {'prt': 2}}", None),
    ] {
        let read = library(&format!("command = [\"a\",\n \"{argument}\"]"));
        let told = read.map_or_else(|problems| told(&problems), |_| Vec::new());
        let expected = word.map(|it| format!("services/library.toml:2: service.library.command[1]: `{{{it}}}` stands for nothing; did you mean `{{port}}`?"));
        assert_eq!(told, expected.into_iter().collect::<Vec<_>>(), "{argument}");
    }
}

#[test]
fn health() {
    wrong(
        "health = false",
        "health: must be \"off\", \"tcp\" or a table, like { path = \"/healthz\", interval = \"2s\" }, got false; write \"off\"",
    );
    wrong(
        "health = \"/up\"",
        "health: must be \"off\", \"tcp\" or a table, like { path = \"/healthz\", interval = \"2s\" }, got \"/up\"; write { path = \"/up\" }",
    );
    wrong(
        "health = { timeout = \"2s\" }",
        "health.timeout: must be below interval (2s, the default), got 2s",
    );
    wrong(
        "health = { fast = \"3s\", interval = \"2500ms\" }",
        "health.fast: must not be above interval (2s500ms), got 3s",
    );
    wrong(
        "health = { interval = \"0s\" }",
        "health.interval: must be from 10ms to 1h, got 0s",
    );
    wrong(
        "health = { interval = \"2\" }",
        "health.interval: must be a duration, got \"2\": the unit is missing; \"2s\" or \"2ms\"?",
    );
    wrong(
        "health = { fall = 0 }",
        "health.fall: must be a whole number from 1 to 100, got the number 0",
    );
    wrong(
        "health = { rise = 1.5 }",
        "health.rise: must be a whole number from 1 to 100, got the number 1.5",
    );
    wrong(
        "health = { kind = \"htp\" }",
        "health.kind: must be \"http\" or \"tcp\" (did you mean \"http\"?), got \"htp\"",
    );
    wrong(
        "health = { kind = \"off\" }",
        "health.kind: must be \"http\" or \"tcp\", got \"off\"; write health = \"off\" instead of the table",
    );
    wrong(
        "health = { kind = \"tcp\", path = \"/\" }",
        "health.path: belongs to kind = \"http\"; a TCP probe only connects",
    );
    wrong(
        "health = { path = \"up\" }",
        "health.path: must be a path with an optional query, like \"/healthz\", got \"up\"",
    );
    wrong(
        "health = { path = \"http://a/up\" }",
        "health.path: must be a path with an optional query, like \"/healthz\", got \"http://a/up\"; the address is each instance's own; for another Host header add `host`",
    );
    wrong(
        "health = { host = \"a b\" }",
        "health.host: must be the Host header to send, like \"example.org\", got \"a b\"",
    );
    wrong(
        "health = { status = 200 }",
        "health.status: must be a list, like [200, \"300-399\"], got the number 200",
    );
    wrong(
        "health = { status = [\"399-200\"] }",
        "health.status[0]: must be a status from 100 to 599, or a range like \"200-399\", got \"399-200\"",
    );
}

#[test]
fn probes() {
    wrong(
        "health = { headers = { \"a b\" = \"c\" } }",
        "health.headers.a b: is not a header's name: letters, digits and `-`",
    );
    wrong(
        "health = { headers = { a = \"c\\nd\" } }",
        "health.headers.a: must be a header's value: one line, at most 1,024 bytes, got \"c\\nd\"",
    );
    wrong(
        "health = { headers = { a = \"1\", A = \"2\" } }",
        "health.headers.a: `a` stands here twice, in capitals and not; leave one out",
    );
    wrong(
        "health = { body = \"\" }",
        "health.body: must be text of 1 to 1,024 bytes that the answer must hold, got \"\"",
    );
    let text = "endpoints = [\"10.0.0.1:1\"]\nhealth = { path = \"/up?x=1\", host = \"a.b:80\", status = [204, \"300-399\"], headers = { Server = \"x\" }, body = \"fine\", interval = \"100ms\" }";
    let Health::On {
        probe: HealthProbe::Http(probe),
        timing,
    } = library(text).unwrap().health
    else {
        panic!("an HTTP probe");
    };
    assert_eq!(
        (probe.path.as_str(), probe.host.as_deref()),
        ("/up?x=1", Some("a.b:80"))
    );
    let ranges = [
        StatusRange {
            first: 204,
            last: 204,
        },
        StatusRange {
            first: 300,
            last: 399,
        },
    ];
    assert_eq!(probe.status, ranges);
    assert_eq!(probe.headers.get("server").map(String::as_str), Some("x"));
    assert_eq!(probe.body.as_deref(), Some("fine"));
    assert_eq!(timing.interval, Duration::from_millis(100));
}

#[test]
fn timings_that_are_not_given_fit_the_interval() {
    for (interval, fast, timeout) in [
        ("2s", 500, 1_000),
        ("400ms", 400, 200),
        ("10ms", 10, 5),
        ("1h", 500, 1_000),
    ] {
        let text = format!("{COMMAND}health = {{ interval = \"{interval}\" }}");
        let Health::On { timing, .. } = library(&text).unwrap().health else {
            panic!("on");
        };
        let expected = (Duration::from_millis(fast), Duration::from_millis(timeout));
        assert_eq!((timing.fast, timing.timeout), expected, "{interval}");
        assert!(timing.timeout < timing.interval && timing.fast <= timing.interval);
    }
}

#[test]
fn limits_and_timeouts() {
    wrong(
        "limits = { queue = 5 }",
        "limits.queue: does nothing without `in_flight`: requests wait only where their number is limited",
    );
    wrong(
        "limits = { body = \"100M\" }",
        "limits.body: must be a size, got \"100M\": write \"100MiB\" (1024) or \"100MB\" (1000)",
    );
    wrong(
        "limits = { body = -1 }",
        "limits.body: must be a size like \"100MiB\", or a number of bytes, got the number -1",
    );
    wrong(
        "limits = { in_flight = 1_000_001 }",
        "limits.in_flight: must be a whole number from 0 to 1000000, got the number 1000001",
    );
    wrong(
        "limits = { queue_timeout = \"1h\" }",
        "limits.queue_timeout: must be from 10ms to 10m, got 1h",
    );
    wrong(
        "timeouts = { connect = \"0s\" }",
        "timeouts.connect: must be from 10ms to 1m, got 0s",
    );
    wrong(
        "timeouts = { conect = \"1s\" }",
        "timeouts.conect: unknown key; did you mean `connect`?",
    );
    let text = format!(
        "{COMMAND}limits = {{ in_flight = 0x10, queue = 2, body = 7 }}\ntimeouts = {{ idle = \"1m30s\" }}\nretries = 0"
    );
    let service = library(&text).unwrap();
    assert_eq!(
        (
            service.limits.in_flight,
            service.limits.queue,
            service.limits.body_bytes
        ),
        (16, 2, 7)
    );
    assert_eq!(service.timeouts.idle, Duration::from_secs(90));
    assert_eq!(service.retries, 0);
}

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

#[test]
fn towards_instances() {
    let upstream = |line: &str| library(&format!("{COMMAND}{line}\n")).unwrap().upstream;
    assert_eq!(upstream(""), Upstream::default());
    assert_eq!(upstream("tls = false"), Upstream::default());
    assert_eq!(
        upstream("protocol = \"h2\"\ntls = { ca = \"/ca.pem\", sni = \"db.example.org\" }"),
        Upstream {
            protocol: UpstreamProtocol::Http2,
            tls: Some(UpstreamTls {
                ca: Some("/ca.pem".into()),
                sni: Some("db.example.org".to_owned()),
                verify: Verify::On,
            }),
        }
    );
    let tls = |line: &str| upstream(line).tls.unwrap();
    assert_eq!(tls("tls = true"), tls("tls = {}"));
    assert_eq!(tls("tls = { verify = false }").verify, Verify::Off);
    for (line, expected) in [
        (
            "protocol = \"h2c\"",
            "protocol: must be \"http1\" or \"h2\" (\"h2\" without `tls` is h2c), got \"h2c\"",
        ),
        (
            "protocol = \"grpc\"",
            "protocol: must be \"http1\" or \"h2\" (did you mean \"h2\"?), got \"grpc\"",
        ),
        (
            "tls = \"yes\"",
            "tls: must be true, false or a table, like { ca = \"/etc/minato/ca.pem\", sni = \"db.example.org\" }, got \"yes\"",
        ),
        (
            "tls = { ca = \"ca.pem\" }",
            "tls.ca: must be an absolute path of a PEM file, like \"/etc/minato/ca.pem\", got \"ca.pem\"",
        ),
        (
            "tls = { sni = \"10.0.0.1\" }",
            "tls.sni: must be the DNS name in the instance's certificate, like \"db.example.org\", got \"10.0.0.1\": an address is no name; leave `sni` out, and the certificate must hold the address",
        ),
        (
            "tls = { sni = \"Example.org\" }",
            "tls.sni: must be the DNS name in the instance's certificate, like \"db.example.org\", got \"Example.org\": hosts are matched in lower case",
        ),
        (
            "tls = { ca = \"/ca.pem\", verify = false }",
            "tls.ca: does nothing beside verify = false, which believes everyone; leave one of the two out",
        ),
        (
            "tls = { name = \"a\" }",
            "tls.name: unknown key; known here: ca, sni, verify",
        ),
        (
            "limits = { idle = -1 }",
            "limits.idle: must be a whole number from 0 to 100000, got the number -1",
        ),
    ] {
        wrong(line, expected);
    }
}
