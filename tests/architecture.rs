//! Which crate may depend on which, as ARCHITECTURE.md says, read from the manifests.
#![allow(
    clippy::unwrap_used,
    reason = "what stands around the tests fails as they do, by a panic"
)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What tests alone need: any may.
const SKIP: &str = "minato-skip";

/// Each crate and those of ours that it may depend on. The root may depend on all, and nothing depends on it.
const EDGES: [(&str, &[&str]); 17] = [
    (SKIP, &[]),
    ("minato-config", &[]),
    ("minato-config-files", &["minato-config"]),
    ("minato-health", &["minato-config"]),
    ("minato-http1", &[]),
    ("minato-http2", &[]),
    ("minato-tls", &["minato-config"]),
    ("minato-link", &["minato-config"]),
    (
        "minato-health-probe",
        &[
            "minato-http1",
            "minato-health",
            "minato-config",
            "minato-tls",
        ],
    ),
    ("minato-proxy", &["minato-health", "minato-config"]),
    (
        "minato-proxy-server",
        &[
            "minato-proxy",
            "minato-http1",
            "minato-http2",
            "minato-health",
            "minato-config",
            "minato-link",
            "minato-tls",
        ],
    ),
    ("minato-control", &["minato-health", "minato-config"]),
    (
        "minato-control-store",
        &["minato-control", "minato-health", "minato-config"],
    ),
    (
        "minato-control-agent",
        &[
            "minato-control",
            "minato-control-store",
            "minato-health",
            "minato-health-probe",
            "minato-config",
        ],
    ),
    ("minato-control-hook", &[]),
    (
        "minato-control-entrance",
        &[
            "minato-control",
            "minato-control-hook",
            "minato-config",
            "minato-tls",
        ],
    ),
    (
        "minato-control-server",
        &[
            "minato-control",
            "minato-control-hook",
            "minato-control-store",
            "minato-config-files",
            "minato-health",
            "minato-config",
        ],
    ),
];

/// No I/O, no runtime, no clock.
const PURE: [&str; 6] = [
    "minato-config",
    "minato-health",
    "minato-http1",
    "minato-http2",
    "minato-proxy",
    "minato-control",
];
/// What gives a crate I/O, a runtime or a log.
const WORLDLY: [&str; 14] = [
    "tokio",
    "hyper",
    "hyper-util",
    "rustix",
    "mio",
    "axum",
    "pingora-core",
    "pingora-http",
    "notify",
    "redb",
    "async-trait",
    "tracing",
    "socket2",
    "libc",
];

/// What holds for what a crate is made of, and what for its tests too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Tests,
}

/// Every crate of the workspace and what it names in its manifest.
fn manifests() -> BTreeMap<String, Vec<(String, Kind)>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| {
                    let kind = if it["kind"] == "dev" {
                        Kind::Tests
                    } else {
                        Kind::Normal
                    };
                    (it["name"].as_str().unwrap().to_owned(), kind)
                });
            (
                package["name"].as_str().unwrap().to_owned(),
                dependencies.collect(),
            )
        })
        .collect()
}

#[test]
fn crates_depend_downwards_only() {
    let manifests = manifests();
    let allowed: BTreeMap<&str, BTreeSet<&str>> = EDGES
        .iter()
        .map(|(name, below)| (*name, below.iter().copied().collect()))
        .collect();
    let mut wrong = Vec::new();
    for (name, dependencies) in manifests.iter().filter(|(name, _)| *name != "minato") {
        let Some(below) = allowed.get(name.as_str()) else {
            wrong.push(format!("{name} is new: say in tests/architecture.rs and ARCHITECTURE.md what it may depend on"));
            continue;
        };
        let ours: BTreeSet<&str> = dependencies
            .iter()
            .map(|(it, _)| it.as_str())
            .filter(|it| it.starts_with("minato"))
            .collect();
        for it in ours.difference(below) {
            // A crate may name itself for its own tests.
            if it != name && *it != SKIP {
                wrong.push(format!("{name} depends on {it}, which is not below it"));
            }
        }
    }
    let missing = allowed.keys().filter(|it| !manifests.contains_key(**it));
    wrong.extend(missing.map(|it| format!("{it} is gone: take it out of tests/architecture.rs")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_crates_do_not_touch_the_world() {
    let manifests = manifests();
    let mut wrong = Vec::new();
    for name in PURE {
        let named = manifests
            .get(name)
            .unwrap_or_else(|| panic!("{name} is gone"));
        let worldly = named
            .iter()
            .filter(|(it, kind)| *kind == Kind::Normal && WORLDLY.contains(&it.as_str()));
        wrong.extend(worldly.map(|(it, _)| format!("{name} is pure and must not depend on {it}; that belongs into a crate nested inside it")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_of_edges_has_no_circle_and_keeps_proxy_and_control_apart() {
    let edges: BTreeMap<&str, &[&str]> = EDGES.into_iter().collect();
    for (name, below) in &edges {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = below.to_vec();
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(edges[next]);
            }
        }
        assert!(!reached.contains(name), "{name} depends on itself");
        let side = |prefix: &str| {
            name.starts_with(prefix) || reached.iter().any(|it| it.starts_with(prefix))
        };
        assert!(
            !(side("minato-proxy") && side("minato-control")),
            "{name} joins proxy and control; only the root may"
        );
    }
}
