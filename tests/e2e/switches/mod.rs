//! Services that another site serves from then on: two sites as real processes, each with a store and an entrance of its own.

mod copied;
mod crash;
mod grown;
mod measured;
mod missed;
mod planned;
mod refused;
mod returned;

use crate::links::Cloud;
use crate::support::clock::{until, within};
use crate::support::http::get;
use crate::support::load::{Ask, Load};
use crate::support::origin::{Origin, ok};
use crate::support::site::text;
use crate::support::tls::Authority;
use serde_json::Value;
use std::process::Output;
use std::time::Duration;

/// Tokyo and osaka, each with instances that answer `/who` with their site and everything else alike.
pub(crate) struct Pair {
    pub(crate) tokyo: Cloud,
    pub(crate) osaka: Cloud,
    origins: Vec<(Origin, Origin)>,
}

fn instance(name: &'static str) -> Origin {
    Origin::start(move |head, wire| match head.path() {
        "/who" => ok(wire, name.as_bytes()),
        _ => ok(wire, b"the page"),
    })
}

impl Pair {
    /// Both run, with `services` that tokyo serves first; `more` is in every file.
    #[track_caller]
    pub(crate) fn start(services: &[&str], more: &str) -> Self {
        let authority = Authority::new("sites");
        let mut pair = Self {
            tokyo: Cloud::new("tokyo", &authority, "tokyo"),
            osaka: Cloud::new("osaka", &authority, "osaka"),
            origins: Vec::new(),
        };
        pair.tokyo.knows(&pair.osaka);
        pair.osaka.knows(&pair.tokyo);
        for service in services {
            let of = (instance("tokyo"), instance("osaka"));
            pair.write(service, &[&of.0], &[&of.1], more);
            pair.origins.push(of);
        }
        pair.tokyo.site.start();
        pair.osaka.site.start();
        pair.tokyo.until_told(&["link to osaka is up"]);
        pair.osaka.until_told(&["link to tokyo is up"]);
        for service in services {
            pair.until_serves("tokyo", service);
            // Which of them a visitor gets says nothing of the one that waits.
            pair.osaka.site.wait_ok(service, 1);
        }
        pair
    }

    fn write(&self, service: &str, tokyo: &[&Origin], osaka: &[&Origin], more: &str) {
        for (cloud, origins) in [(&self.tokyo, tokyo), (&self.osaka, osaka)] {
            let addresses: Vec<String> = (origins.iter())
                .map(|it| format!("\"{}\"", it.address))
                .collect();
            let file = format!(
                "endpoints = [{}]\nroutes = [\"{service}.test\"]\nhealth = {{ kind = \"tcp\", interval = \"1s\", fast = \"200ms\", timeout = \"900ms\" }}\nsites = [\"tokyo\", \"osaka\"]\n{more}",
                addresses.join(", ")
            );
            cloud.site.write(service, &file);
        }
    }

    /// Until the entrances of both sites lead to the instances of `site`.
    #[track_caller]
    pub(crate) fn until_serves(&self, site: &str, service: &str) {
        for cloud in [&self.tokyo, &self.osaka] {
            let mut last = String::new();
            until(
                &format!("{service} to be served by {site} at {}", cloud.name),
                || {
                    let answer = get(cloud.site.gateway(), &format!("{service}.test"), "/who");
                    last = format!("{answer:?}");
                    let answer = answer.ok().filter(|it| it.status == 200)?;
                    (answer.text() == site).then_some(())
                },
            );
        }
    }

    pub(crate) fn load(&self, cloud: &Cloud, service: &str) -> Load {
        let ask = Ask::Get {
            path: "/page".to_owned(),
            body: "the page".to_owned(),
        };
        Load::start(cloud.site.gateway(), &format!("{service}.test"), &ask)
    }
}

/// An operation as its site shows it.
pub(crate) fn operation(cloud: &Cloud, id: u64) -> Value {
    cloud.site.json(&format!("/v1/operations/{id}"))
}

/// Waits until it stands so.
#[track_caller]
pub(crate) fn until_operation(
    cloud: &Cloud,
    id: u64,
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Value {
    let mut last = Value::Null;
    until(
        &format!("operation {id} of {} to be {what}", cloud.name),
        || {
            let answer = cloud.site.api(&format!("/v1/operations/{id}"));
            last = serde_json::from_slice(&answer.body).ok()?;
            is_so(&last).then(|| last.clone())
        },
    )
}

pub(crate) fn has_moved(operation: &Value) -> bool {
    let steps = operation["steps"].as_array().unwrap();
    steps.iter().all(|it| {
        let detail = it["detail"].as_str().unwrap();
        it["state"] == "done" || detail.starts_with("quiet") || detail.starts_with("verify")
    })
}

/// The number of what was begun, as the command says.
#[track_caller]
pub(crate) fn number(printed: &str) -> u64 {
    let words = printed
        .split_whitespace()
        .skip_while(|it| *it != "operation");
    let number = words
        .skip(1)
        .find_map(|it| it.trim_end_matches(':').parse().ok());
    number.unwrap_or_else(|| panic!("no number in {printed}"))
}

#[track_caller]
pub(crate) fn refused(output: &Output, words: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(3),
        "{said}{}",
        text(&output.stdout)
    );
    for word in words {
        assert!(said.contains(word), "`{word}` is not in {said}");
    }
}

/// A time as an operator types it.
pub(crate) fn in_a_month() -> String {
    let mut date = std::process::Command::new("date");
    let date = date.args(["-u", "-d", "+30 days", "+%Y-%m-%d 08:00 UTC"]);
    text(&date.output().unwrap().stdout).trim().to_owned()
}

/// What a site's report says of a service, once it is so.
#[track_caller]
pub(crate) fn until_reported(
    cloud: &Cloud,
    service: &str,
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Value {
    let mut last = Value::Null;
    within(
        Duration::from_secs(60),
        &format!("the report of {} on {service} to have {what}", cloud.name),
        || {
            let all = cloud.site.json("/v1/sites/report");
            let mut services = all["services"].as_array()?.iter();
            last = services.find(|it| it["service"] == service)?.clone();
            is_so(&last).then(|| last.clone())
        },
    )
}

/// A client's longest wait, in words for the log of a test.
pub(crate) fn pause_of(slowest: Duration) -> String {
    format!("{:.0} ms", slowest.as_secs_f64() * 1_000.0)
}
