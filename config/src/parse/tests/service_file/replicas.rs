//! How many instances.

use super::*;

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
