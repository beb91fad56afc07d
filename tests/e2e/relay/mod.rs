//! Relays to real databases, with real replication: the primary is demoted, killed, frozen, and comes back.
//!
//! The servers are the tests' own: their data in a folder of the test's, their ports on loopback.

mod mariadb;
mod postgresql;
mod upgrade;
mod waits;
mod writer;

pub(crate) use mariadb::Pair as MariaDbPair;

use crate::support::clock::until;
use crate::support::site::Site;
use serde_json::Value;
use std::process::Command;

/// Whether these programs are here; under CI=true they must be.
pub(crate) fn are_here(programs: &[&str]) -> bool {
    let missing: Vec<&&str> = programs
        .iter()
        .filter(|it| {
            let found = Command::new(it).arg("--version").output();
            found.is_err()
        })
        .collect();
    if missing.is_empty() {
        return true;
    }
    minato_skip::skip(format_args!(
        "{missing:?} missing: scripts/install-needed.sh --tests installs it"
    ));
    false
}

/// `dependencies` of the API by name.
#[track_caller]
fn dependency(site: &Site, name: &str) -> Value {
    let all = site.json("/v1/dependencies");
    let all = all["dependencies"].as_array().unwrap();
    all.iter().find(|it| it["name"] == name).unwrap().clone()
}

/// Waits until the relay leads there.
#[track_caller]
fn wait_current(site: &Site, name: &str, port: u16) {
    let wanted = format!("127.0.0.1:{port}");
    until(&format!("the relay to lead to {wanted}"), || {
        let it = dependency(site, name);
        (it["relay"]["current"] == wanted.as_str()).then_some(())
    });
}
