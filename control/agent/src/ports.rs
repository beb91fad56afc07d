//! Which slot has which port. A slot keeps its port over runs, generations and agents; a freed one goes to no other
//! service for a while, because connections and health of the old one may still be under way.
//! Not here: whether a port is in use on the machine (`socket`), keeping the table on disk (`port_file`).

use minato_config::{PortRange, ServiceName, SlotIndex, Timestamp};
use minato_control::PlaceKey;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a freed port is kept from other services.
pub(crate) const REST: Duration = Duration::from_secs(600);

/// The table. As many entries as there are ports at most.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Ports {
    #[serde(default)]
    held: Vec<Held>,
    #[serde(default)]
    freed: Vec<Freed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    service: ServiceName,
    slot: SlotIndex,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Freed {
    service: ServiceName,
    port: u16,
    at: Timestamp,
}

/// A port, and those that were passed over because something else on the machine has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picked {
    pub(crate) port: u16,
    pub(crate) passed_over: Vec<u16>,
}

/// No port to be had. The sentence goes to the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPort {
    #[error(
        "port {port} is fixed for it, but another program listens there; end that one (`ss -ltnp sport = :{port}`) or change `port`"
    )]
    Taken { port: u16 },
    #[error(
        "port {port} is fixed for it, but {service}/{slot} has it; give one of the two another port"
    )]
    Held {
        port: u16,
        service: ServiceName,
        slot: SlotIndex,
    },
    #[error(
        "all ports from {first} to {last} are used, resting or taken by other programs; widen [agent] ports"
    )]
    AllUsed { first: u16, last: u16 },
}

impl Ports {
    /// The slot's port: the fixed one, else the one it has, else the lowest free one of the range.
    /// `is_taken` asks the machine; it is asked for a few ports only.
    pub(crate) fn pick(
        &mut self,
        (service, slot): &PlaceKey,
        fixed: Option<u16>,
        range: PortRange,
        now: Timestamp,
        mut is_taken: impl FnMut(u16) -> bool,
    ) -> Result<Picked, NoPort> {
        self.freed.retain(|it| now.since(it.at) < REST);
        let is_own = |it: &Held| it.service == *service && it.slot == *slot;
        if let Some(port) = fixed {
            if let Some(other) = self.held.iter().find(|it| it.port == port && !is_own(it)) {
                return Err(NoPort::Held {
                    port,
                    service: other.service.clone(),
                    slot: other.slot,
                });
            }
            if is_taken(port) {
                return Err(NoPort::Taken { port });
            }
            self.hold(service, *slot, port, now);
            return Ok(Picked {
                port,
                passed_over: Vec::new(),
            });
        }
        let mut passed_over = Vec::new();
        let own = self.held.iter().find(|it| is_own(it)).map(|it| it.port);
        let own = own.filter(|it| (range.first..=range.last).contains(it));
        for port in own.into_iter().chain(range.first..=range.last) {
            let held = self.held.iter().any(|it| it.port == port && !is_own(it));
            let resting = self
                .freed
                .iter()
                .any(|it| it.port == port && it.service != *service);
            if held || resting || passed_over.contains(&port) {
                continue;
            }
            if is_taken(port) {
                passed_over.push(port);
                continue;
            }
            self.hold(service, *slot, port, now);
            return Ok(Picked { port, passed_over });
        }
        Err(NoPort::AllUsed {
            first: range.first,
            last: range.last,
        })
    }

    /// The slot has this port from now on; the one it had before rests.
    pub(crate) fn hold(
        &mut self,
        service: &ServiceName,
        slot: SlotIndex,
        port: u16,
        now: Timestamp,
    ) {
        if self
            .held
            .iter()
            .any(|it| it.service == *service && it.slot == slot && it.port == port)
        {
            return;
        }
        self.release(&(service.clone(), slot), now);
        self.freed.retain(|it| it.port != port);
        self.held.push(Held {
            service: service.clone(),
            slot,
            port,
        });
    }

    /// The slot is given up.
    pub(crate) fn release(&mut self, (service, slot): &PlaceKey, now: Timestamp) {
        if let Some(at) = self
            .held
            .iter()
            .position(|it| it.service == *service && it.slot == *slot)
        {
            let Held { service, port, .. } = self.held.swap_remove(at);
            self.freed.push(Freed {
                service,
                port,
                at: now,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: PortRange = PortRange {
        first: 2000,
        last: 2003,
    };

    fn key(service: &str, slot: u16) -> PlaceKey {
        (ServiceName::parse(service).unwrap(), SlotIndex(slot))
    }

    /// `+a0`: pick for slot 0 of a; `-a0`: release; `!2001`: something else takes it; `@600`: seconds pass to there.
    /// Expects a port, or `-`, for each pick.
    #[track_caller]
    fn check(story: &str, expected: &str) {
        let (mut ports, mut now, mut taken, mut got) =
            (Ports::default(), Timestamp(0), Vec::new(), Vec::new());
        for word in story.split(' ') {
            let (verb, rest) = word.split_at(1);
            let place = || key(&rest[..1], rest[1..].parse().unwrap());
            match verb {
                "+" => got.push(
                    match ports.pick(&place(), None, RANGE, now, |it| taken.contains(&it)) {
                        Ok(picked) => picked.port.to_string(),
                        Err(_) => "-".to_owned(),
                    },
                ),
                "-" => ports.release(&place(), now),
                "!" => taken.push(rest.parse().unwrap()),
                "@" => now = Timestamp(rest.parse::<u64>().unwrap() * 1000),
                _ => panic!("{word}"),
            }
            let text = serde_json::to_string(&ports).unwrap();
            assert_eq!(serde_json::from_str::<Ports>(&text).unwrap(), ports);
        }
        assert_eq!(got.join(" "), expected);
    }

    #[test]
    fn a_slot_keeps_its_port() {
        check("+a0 +b0 +a0 +b0 +a1", "2000 2001 2000 2001 2002");
    }

    #[test]
    fn a_freed_port_rests_for_other_services_only() {
        check(
            "+a0 -a0 +b0 +a1 @599 +c0 @600 -b0 +c1",
            "2000 2001 2000 2002 2003",
        );
        check("+a0 -a0 @599 +b0 -b0 @600 +c0", "2000 2001 2000");
    }

    #[test]
    fn what_others_have_is_passed_over() {
        check("!2000 +a0 +a0 !2001 +a0", "2001 2001 2002");
    }

    #[test]
    fn all_used_up_is_said() {
        check("+a0 +a1 +a2 !2003 +b0 +a0", "2000 2001 2002 - 2000");
    }

    #[test]
    fn a_fixed_port_is_that_port_or_none() {
        let (mut ports, now) = (Ports::default(), Timestamp(0));
        let pick = |ports: &mut Ports, place: &str, taken: bool| {
            ports
                .pick(&key(place, 0), Some(9000), RANGE, now, |_| taken)
                .map(|it| it.port)
        };
        assert_eq!(
            pick(&mut ports, "a", true),
            Err(NoPort::Taken { port: 9000 })
        );
        assert_eq!(pick(&mut ports, "a", false), Ok(9000));
        assert_eq!(pick(&mut ports, "a", false), Ok(9000));
        assert!(matches!(
            pick(&mut ports, "b", false),
            Err(NoPort::Held { .. })
        ));
    }
}
