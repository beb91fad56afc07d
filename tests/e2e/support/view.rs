//! What a site says of itself: status, events, metrics.

use super::clock::{PATIENCE, now, pause, until};
use super::http::{self, Answer};
use super::load::{Ask, Load};
use super::site::Site;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

/// One event, as `minato events --json` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) seq: u64,
    pub(crate) at_ms: u64,
    pub(crate) kind: String,
    pub(crate) service: String,
    pub(crate) slot: Option<u64>,
    pub(crate) run: Option<u64>,
    pub(crate) message: String,
}

impl Site {
    #[track_caller]
    pub(crate) fn api(&self, path: &str) -> Answer {
        let ask = || http::get(self.admin(), &self.admin().to_string(), path);
        // A process that hands over closes its API while it is asked; the next one answers.
        ask().or_else(|_| ask()).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.api(path).body).unwrap()
    }

    #[track_caller]
    pub(crate) fn service(&self, name: &str) -> Value {
        self.json(&format!("/v1/services/{name}"))
    }

    #[track_caller]
    pub(crate) fn instance(&self, name: &str, slot: u64) -> Option<Value> {
        let service = self.service(name);
        service["instances"]
            .as_array()?
            .iter()
            .find(|it| it["slot"] == slot && it["removed"] == false)
            .cloned()
    }

    /// Waits until `count` instances are up and nothing else is under way.
    #[track_caller]
    pub(crate) fn wait_ok(&self, name: &str, count: u64) {
        let mut last = Value::Null;
        let began = now();
        while began.elapsed() < PATIENCE {
            last = self.service(name);
            if last["state"] == "ok" && last["up"] == count {
                return;
            }
            pause(Duration::from_millis(30));
        }
        panic!(
            "{name} did not become ok with {count} instances: {last:#}\n{}",
            self.log_text()
        );
    }

    /// The pids of a service's instances by slot, once each has one.
    #[track_caller]
    pub(crate) fn pids(&self, name: &str) -> Vec<u32> {
        until("a process for each instance", || {
            let service = self.service(name);
            let pid = |it: &Value| u32::try_from(it["pid"].as_u64()?).ok();
            service["instances"].as_array()?.iter().map(pid).collect()
        })
    }

    #[track_caller]
    pub(crate) fn address(&self, name: &str, slot: u64) -> SocketAddr {
        self.instance(name, slot).unwrap()["address"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Event> {
        let printed = self.api("/v1/events?last=1000").text();
        printed.lines().map(event).collect()
    }

    /// Those of one slot after number `after`.
    #[track_caller]
    pub(crate) fn events_of(&self, name: &str, slot: u64, after: u64) -> Vec<Event> {
        let mut events = self.events();
        events.retain(|it| it.seq > after && it.service == name && it.slot == Some(slot));
        events
    }

    /// The number of the newest event.
    #[track_caller]
    pub(crate) fn latest_event(&self) -> u64 {
        self.events().last().map_or(0, |it| it.seq)
    }

    #[track_caller]
    pub(crate) fn wait_event(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let mut seen = Vec::new();
        let began = now();
        while began.elapsed() < PATIENCE {
            seen = self.events();
            if let Some(found) = seen.iter().find(|it| wanted(it)) {
                return found.clone();
            }
            pause(Duration::from_millis(30));
        }
        panic!("no event in {PATIENCE:?}: {what}; seen: {seen:#?}");
    }

    /// GETs of `/page`, which every instance of `service.py` answers alike.
    pub(crate) fn load(&self) -> Load {
        let ask = Ask::Get {
            path: "/page".to_owned(),
            body: "the page".to_owned(),
        };
        Load::start(self.gateway(), "e2e.test", &ask)
    }

    /// A value of the metrics page; `None` where the line is not there.
    #[track_caller]
    pub(crate) fn metric(&self, line: &str) -> Option<f64> {
        let page = self.api("/metrics").text();
        page.lines()
            .find_map(|it| it.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
    }
}

#[track_caller]
pub(crate) fn event(line: &str) -> Event {
    let line: Value = serde_json::from_str(line).unwrap();
    let it = &line["event"];
    let word = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
    Event {
        seq: line["seq"].as_u64().unwrap(),
        at_ms: it["at"].as_u64().unwrap(),
        kind: word("kind"),
        service: word("service"),
        slot: it["instance"]["slot"].as_u64(),
        run: it["instance"]["run"].as_u64(),
        message: word("message"),
    }
}
