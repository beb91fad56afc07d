//! Checks and their timings.

use super::*;

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
