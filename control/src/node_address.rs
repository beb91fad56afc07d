//! Whether others can reach what runs on a machine, as far as its settings and the site say.
//!
//! Not here: whether they do (verdicts of gateways, `node_reach`).

use crate::World;
use minato_config::NodeId;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Names that a sentence shows.
const SHOWN: usize = 3;

/// Why other machines of the site cannot reach the instances of `own`, whose `[agent] advertise` is `address`; `None` where they may, or where
/// there is no other live machine. The sentence changes with the machines that it names.
pub fn out_of_reach(own: &NodeId, address: IpAddr, world: &World) -> Option<String> {
    if !address.is_loopback() {
        return None;
    }
    let nodes = world.nodes.keys().map(|it| it.as_str());
    let gateways = world.gateways.keys().map(|it| it.as_str());
    let others: BTreeSet<&str> = nodes
        .chain(gateways)
        .filter(|it| *it != own.as_str())
        .collect();
    if others.is_empty() {
        return None;
    }
    let mut names: Vec<&str> = others.iter().copied().take(SHOWN).collect();
    if others.len() > SHOWN {
        names.push("...");
    }
    Some(format!(
        "instances of node {own} are told to others at {address}, which is each machine's own, and other machines share this store ({}): they do not reach \
         what runs here; set `advertise` in [agent] to an address of this machine that they reach",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stored;
    use minato_config::{GatewayId, Timestamp};
    use minato_health::GatewayAlive;

    fn world(gateways: &[&str]) -> World {
        let mut world = World::default();
        for it in gateways {
            let value = GatewayAlive {
                v: 1,
                since: Timestamp(1),
            };
            let stored = Stored { value, modified: 1 };
            world.gateways.insert(GatewayId::parse(it).unwrap(), stored);
        }
        world
    }

    #[test]
    fn only_loopback_beside_others_is_told() {
        let own = NodeId::parse("kobe").unwrap();
        for (address, gateways, told) in [
            ("127.0.0.1", [].as_slice(), ""),
            ("127.0.0.1", &["kobe"], ""),
            ("127.0.0.1", &["kobe", "nara"], "(nara)"),
            ("::1", &["nara"], "(nara)"),
            ("127.0.0.1", &["a", "b", "c", "d"], "(a, b, c, ...)"),
            ("10.0.0.2", &["kobe", "nara"], ""),
        ] {
            let found = out_of_reach(&own, address.parse().unwrap(), &world(gateways));
            assert_eq!(found.is_some(), !told.is_empty(), "{address} {gateways:?}");
            let text = found.unwrap_or_default();
            assert!(text.contains(told), "{text}");
        }
    }
}
