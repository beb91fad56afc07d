//! What gateways did, look by look, and what must hold of it whatever was broken.

use crate::network::Host;
use crate::support::clock::{now, pause};
use crate::support::http;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(25);

/// One service as one gateway had it in its table.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) at: Instant,
    pub(crate) wanted: u64,
    pub(crate) instances: Vec<Routed>,
}

/// One instance in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Routed {
    pub(crate) slot: u64,
    pub(crate) generation: String,
    pub(crate) node: String,
    pub(crate) run: u64,
    /// Requests are sent to it.
    pub(crate) serves: bool,
    /// It was told to end, and may still be draining.
    pub(crate) leaves: bool,
    /// It is doubted, and gets requests only while no other serves.
    pub(crate) spare: bool,
}

/// Looks at a gateway until it is told to stop.
pub(crate) struct Recorder {
    stop: Arc<AtomicBool>,
    looking: JoinHandle<Vec<Look>>,
}

impl Recorder {
    pub(crate) fn start(gateway: &Host, service: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, path) = (Arc::clone(&stop), format!("/v1/services/{service}"));
        let looking = gateway.inside(|| {
            std::thread::spawn(move || {
                let mut looks: Vec<Look> = Vec::new();
                while !ended.load(Ordering::SeqCst) {
                    let seen = match look(&path) {
                        Seen::Nothing => None,
                        Seen::Service(look) => Some(look),
                        // It was there: that it is not is a look, too.
                        Seen::NoService => looks.last().map(|it| Look {
                            at: now(),
                            wanted: it.wanted,
                            instances: Vec::new(),
                        }),
                    };
                    looks.extend(seen);
                    pause(LOOK);
                }
                looks
            })
        });
        Self { stop, looking }
    }

    pub(crate) fn stop(self) -> Vec<Look> {
        self.stop.store(true, Ordering::SeqCst);
        self.looking.join().unwrap()
    }
}

enum Seen {
    /// The gateway does not answer, or not in time.
    Nothing,
    /// It answers that it has no such service.
    NoService,
    Service(Look),
}

fn look(path: &str) -> Seen {
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, 7070));
    match http::get(admin, &admin.to_string(), path) {
        Ok(answer) if answer.status == 404 => Seen::NoService,
        Ok(answer) => service(&answer.body).map_or(Seen::Nothing, Seen::Service),
        Err(_) => Seen::Nothing,
    }
}

fn service(body: &[u8]) -> Option<Look> {
    let service: Value = serde_json::from_slice(body).ok()?;
    let instances = service["instances"].as_array()?.iter();
    let routed = |it: &Value| {
        let standing = it["standing"].as_str();
        Routed {
            slot: it["slot"].as_u64().unwrap_or_default(),
            generation: it["generation"].as_str().unwrap_or_default().to_owned(),
            node: it["node"].as_str().unwrap_or_default().to_owned(),
            run: it["run"].as_u64().unwrap_or_default(),
            leaves: it["removed"] == true,
            serves: matches!(standing, Some("serving" | "held")),
            spare: standing == Some("suspect"),
        }
    };
    Some(Look {
        at: now(),
        wanted: service["wanted"].as_u64()?,
        instances: instances.map(routed).collect(),
    })
}

/// At most one generation of each slot gets requests, and a slot's generation never goes back.
#[track_caller]
pub(crate) fn one_generation_of_each_slot(gateway: &str, looks: &[Look]) {
    // While the store is away a look takes two seconds.
    assert!(
        looks.len() > 2,
        "too few looks at {}: {}",
        gateway,
        looks.len()
    );
    let mut newest: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for look in looks {
        let mut serving: BTreeMap<u64, &Routed> = BTreeMap::new();
        for it in look.instances.iter().filter(|it| it.serves) {
            if let Some(other) = serving.insert(it.slot, it) {
                panic!(
                    "{} serves two of slot {}: {it:?}, {other:?}",
                    gateway, it.slot
                );
            }
            let generation = number(&it.generation);
            let newest = newest.entry(it.slot).or_insert(generation);
            assert!(*newest <= generation, "{} goes back: {it:?}", gateway);
            *newest = generation;
        }
    }
}

/// Never no instance to send requests to: each row breaks fewer than all, so that one is healthy throughout. Also while its record is
/// lost, while the gateway is cut off, and from the first word of one that was restarted.
#[track_caller]
pub(crate) fn never_none(gateway: &str, looks: &[Look]) {
    for look in looks {
        assert!(
            look.instances.iter().any(|it| it.serves || it.spare),
            "{} has nobody to send requests to: {look:?}",
            gateway
        );
    }
}

/// Never more instances get requests than wanted and one more. How many processes there are is `census`'s.
#[track_caller]
pub(crate) fn never_too_many(gateway: &str, looks: &[Look], surge: u64) {
    // While a record is lost nobody knows how many are wanted.
    for look in looks.iter().filter(|it| it.wanted > 0) {
        let serving = look.instances.iter().filter(|it| it.serves).count();
        let most = look.wanted + surge;
        assert!(
            serving as u64 <= most,
            "{} serves {serving} of {most}: {look:?}",
            gateway
        );
    }
}

/// Instances that served anywhere and serve nowhere in the end: their requests under way went with them.
pub(crate) fn gone(looks: &[Vec<Look>]) -> u64 {
    let name = |it: &Routed| (it.slot, it.generation.clone(), it.run);
    let all = looks.iter().flatten().flat_map(|it| &it.instances);
    let served: BTreeSet<_> = all.filter(|it| it.serves).map(name).collect();
    let last = looks.iter().filter_map(|it| it.last());
    let left = last.flat_map(|it| &it.instances).filter(|it| it.serves);
    let left: BTreeSet<_> = left.map(name).collect();
    served.difference(&left).count() as u64
}

/// How long until `gateway` served from none of `node`, and from all that are wanted again, counted from `since`.
pub(crate) fn moved_away(
    looks: &[Look],
    node: &str,
    since: Instant,
) -> Option<(Duration, Duration)> {
    let after = || looks.iter().filter(|it| it.at >= since);
    let gone = |it: &&Look| !it.instances.iter().any(|it| it.serves && it.node == node);
    let detected = after().find(gone)?;
    let whole = |it: &&Look| {
        it.at >= detected.at
            && it.instances.iter().filter(|it| it.serves).count() as u64 >= it.wanted
            && gone(it)
    };
    let recovered = after().find(whole)?;
    Some((detected.at - since, recovered.at - since))
}

/// `2.17` as two numbers.
fn number(generation: &str) -> (u64, u64) {
    let (era, counter) = generation.split_once('.').unwrap_or_default();
    (
        era.parse().unwrap_or_default(),
        counter.parse().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `0.7 up` is what slot 0 has under that assignment; looks are separated by semicolons.
    fn looks(text: &str) -> Vec<Look> {
        let instance = |it: &str| {
            let (name, standing) = it.trim().split_once(' ').unwrap();
            let (slot, counter) = name.split_once('.').unwrap();
            Routed {
                slot: slot.parse().unwrap(),
                generation: format!("0.{counter}"),
                node: "node-1".to_owned(),
                run: 1,
                leaves: false,
                serves: standing == "up",
                spare: standing == "suspect",
            }
        };
        let look = |it: &str| Look {
            at: now(),
            wanted: 2,
            instances: it
                .split(',')
                .filter(|it| !it.trim().is_empty())
                .map(instance)
                .collect(),
        };
        text.split(';').map(look).collect()
    }

    fn holds(judge: impl FnOnce() + std::panic::UnwindSafe) -> bool {
        std::panic::catch_unwind(judge).is_ok()
    }

    #[test]
    fn what_no_gateway_may_do_is_found() {
        for (text, generation, many, none) in [
            ("0.1 up, 1.1 up; 0.1 up; 0.1 up", true, true, true),
            ("0.1 up; 0.1 suspect; 0.1 up", true, true, true),
            ("0.1 up; 0.1 out; 0.1 up", true, true, false),
            ("0.1 up; ; 0.1 up", true, true, false),
            ("0.1 up, 1.1 up, 2.1 up; 0.1 up; 0.1 up", true, true, true),
            (
                "0.1 up, 1.1 up, 2.1 up, 3.1 up; 0.1 up; 0.1 up",
                true,
                false,
                true,
            ),
            ("0.1 up, 0.2 up; 0.2 up; 0.2 up", false, true, true),
            ("0.2 up; 0.1 up; 0.1 up", false, true, true),
            ("0.2 up; 0.1 out, 0.2 up; 0.2 up", true, true, true),
        ] {
            let looks = looks(text);
            let of = |judge: fn(&str, &[Look])| holds(|| judge("one", &looks));
            assert_eq!(of(one_generation_of_each_slot), generation, "{text}");
            assert_eq!(of(|it, looks| never_too_many(it, looks, 1)), many, "{text}");
            assert_eq!(of(never_none), none, "{text}");
        }
    }

    #[test]
    fn what_went_is_counted_once() {
        let both = [
            looks("0.1 up, 1.1 up; 0.1 up"),
            looks("0.1 up, 1.1 up; 0.2 up, 1.1 out, 2.1 out"),
        ];
        assert_eq!(gone(&both), 1, "1.1 went; 0.1 serves at the first");
    }
}
