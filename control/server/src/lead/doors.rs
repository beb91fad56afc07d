//! The names that lead visitors to a site, as the runner of a switch asks for them. The root package has the entrance.

use minato_config::{EntranceName, ServiceName, SiteId, Timestamp};
use minato_control::World;
use minato_control::operation::switch::Entrance;
use std::collections::BTreeMap;

/// One name of this process's entrance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// NAME of the settings.
    pub name: EntranceName,
    /// The host that it is the address of; `None`: a hook, which stands for the whole site.
    pub host: Option<String>,
    /// Of the word that it follows.
    pub number: u64,
    /// Why it is not so yet; `None`: it is, since then.
    pub trouble: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// The entrance of this process.
pub trait Doors: Send + Sync + std::fmt::Debug {
    /// Every name of it.
    fn doors(&self) -> Vec<Door>;
    /// Makes a name lead here. Its number; the error says why not.
    fn publish(&self, name: &EntranceName, who: &str) -> Result<u64, String>;
}

/// What the runner has asked for in this term.
#[derive(Debug, Default)]
pub(super) struct Asked(BTreeMap<EntranceName, u64>);

impl Asked {
    /// How the names of a service stand.
    pub(super) fn seen(&self, doors: &[Door]) -> Entrance {
        if doors.is_empty() {
            return Entrance::None;
        }
        let mut since = Timestamp(0);
        for door in doors {
            let Some(number) = self.0.get(&door.name) else {
                return Entrance::Unasked;
            };
            // A newer word of a person is theirs to see through.
            if let (Some(why), true) = (&door.trouble, door.number == *number) {
                return Entrance::Trying(format!("{}: {why}", door.name));
            }
            since = since.max(door.since);
        }
        Entrance::Done(since)
    }

    /// Asks for those that were not.
    pub(super) fn ask(&mut self, all: &dyn Doors, doors: &[Door], who: &str) {
        for door in doors {
            if self.0.contains_key(&door.name) {
                continue;
            }
            match all.publish(&door.name, who) {
                Ok(number) => drop(self.0.insert(door.name.clone(), number)),
                Err(why) => tracing::warn!(name = %door.name, why, "a name is not published"),
            }
        }
    }

    /// Another switch asks anew.
    pub(super) fn forget(&mut self, doors: &[Door]) {
        for door in doors {
            self.0.remove(&door.name);
        }
    }
}

/// Those of `all` that lead to `service`: names by one of its hosts; hooks once nothing is left that `from` comes first for.
pub(super) fn of_service(
    all: &[Door],
    world: &World,
    service: &ServiceName,
    from: &SiteId,
    left: &BTreeMap<SiteId, Vec<ServiceName>>,
) -> Vec<Door> {
    let Some(record) = world.services.get(service) else {
        return Vec::new();
    };
    let routes = &record.value.service.routes;
    let leads = |door: &Door| match &door.host {
        Some(host) => routes.iter().any(|it| it.pattern.host.takes(host)),
        None => !left.contains_key(from),
    };
    all.iter().filter(|it| leads(it)).cloned().collect()
}
