//! The metrics page, as Prometheus would read it.

use crate::support::http::get;
use crate::support::site::Site;
use std::collections::{BTreeMap, BTreeSet};

/// One sample: name, labels, value.
type Sample = (String, BTreeMap<String, String>, f64);

#[track_caller]
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let value = value
        .parse()
        .unwrap_or_else(|_| panic!("no number: {line}"));
    let Some((name, labels)) = series.split_once('{') else {
        return (series.to_owned(), BTreeMap::new(), value);
    };
    let labels = labels
        .strip_suffix('}')
        .unwrap_or_else(|| panic!("no end of labels: {line}"));
    let labels = labels.split(',').filter(|it| !it.is_empty()).map(|it| {
        let (name, value) = it
            .split_once('=')
            .unwrap_or_else(|| panic!("no label: {line}"));
        (name.to_owned(), value.trim_matches('"').to_owned())
    });
    (name.to_owned(), labels.collect(), value)
}

#[test]
fn metrics_follow_the_conventions_and_name_no_client() {
    let mut site = Site::new();
    site.write("app", &site.python(2, ""));
    site.start();
    site.wait_ok("app", 2);
    for _ in 0..20 {
        assert_eq!(
            get(site.gateway(), "secret-host.test", "/secret-path")
                .unwrap()
                .status,
            200
        );
    }
    let page = site.api("/metrics");
    assert!(
        page.header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    let text = page.text();
    assert!(text.ends_with('\n'));

    let mut kinds = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(
                kinds.insert(name.to_owned(), kind.to_owned()).is_none(),
                "{name} has two types"
            );
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            helped.insert(rest.split(' ').next().unwrap().to_owned());
        } else if !line.is_empty() {
            samples.push(sample(line));
        }
    }
    for (name, kind) in &kinds {
        assert!(
            name.starts_with("minato_") && helped.contains(name),
            "{name}"
        );
        assert_eq!(
            name.ends_with("_total"),
            kind == "counter",
            "{name} is a {kind}"
        );
    }
    for (name, labels, _) in &samples {
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|it| name.strip_suffix(it))
            .filter(|it| kinds.contains_key(*it));
        assert!(
            kinds.contains_key(family.unwrap_or(name)),
            "{name} has no type"
        );
        for label in labels.keys() {
            assert!(
                matches!(
                    label.as_str(),
                    "service" | "instance" | "code" | "reason" | "level" | "version" | "le"
                ),
                "{name}: {label}"
            );
        }
    }
    assert!(
        !text.contains("secret") && !text.contains("127.0.0.1"),
        "{text}"
    );

    let of = |name: &str| -> Vec<&Sample> {
        let service =
            |it: &&Sample| it.0 == name && it.1.get("service").is_some_and(|it| it == "app");
        samples.iter().filter(service).collect()
    };
    let buckets = of("minato_http_request_duration_seconds_bucket");
    assert!(
        buckets.len() > 5 && buckets.windows(2).all(|it| it[0].2 <= it[1].2),
        "{buckets:?}"
    );
    assert_eq!(buckets.last().unwrap().1["le"], "+Inf");
    assert_eq!(of("minato_http_request_duration_seconds_count")[0].2, 20.0);
    let ok: f64 = of("minato_http_requests_total")
        .iter()
        .filter(|it| it.1["code"] == "2xx")
        .map(|it| it.2)
        .sum();
    assert_eq!(ok, 20.0);
    let upstream = of("minato_upstream_requests_total");
    let instances: BTreeSet<_> = upstream
        .iter()
        .map(|it| it.1["instance"].as_str())
        .collect();
    assert_eq!(instances, BTreeSet::from(["0", "1"]));
    assert_eq!(upstream.iter().map(|it| it.2).sum::<f64>(), 20.0);
}
