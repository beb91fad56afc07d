//! What this node knows of what services depend on, and what it says of a service that waits.
//!
//! Not here: the checks (`control/agent`), what waiting means for an instance (`node`).

use minato_config::{DependencyName, Service};
use std::collections::BTreeMap;

/// How one dependency stands on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What a sentence calls it: `database`, `server`, `mount`.
    pub noun: &'static str,
    /// Whether it can be used.
    pub state: Usable,
}

/// Whether a dependency can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Usable {
    /// Nobody has answered yet.
    Unknown,
    /// It passes.
    Yes,
    /// It does not: `10.0.0.9:3306 connect refused: connection refused`.
    No(String),
}

/// All that the settings of this node name.
pub type Standings = BTreeMap<DependencyName, Standing>;

/// The first dependency that a service has to wait for, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) name: DependencyName,
    noun: &'static str,
    /// `None` where it is not known yet.
    why: Option<String>,
}

impl Wait {
    /// `None`: nothing keeps it. What the settings do not explain keeps nothing either: see [`unexplained`].
    pub(crate) fn of(service: &Service, standings: &Standings) -> Option<Self> {
        service.depends_on.iter().find_map(|name| {
            let standing = standings.get(name)?;
            let why = match &standing.state {
                Usable::Yes => return None,
                Usable::Unknown => None,
                Usable::No(why) => Some(why.clone()),
            };
            Some(Self {
                name: name.clone(),
                noun: standing.noun,
                why,
            })
        })
    }

    /// `waits for its database library-db: 10.0.0.9:3306 connect refused: connection refused`
    pub(crate) fn waits(&self) -> String {
        let Self { name, noun, why } = self;
        match why {
            Some(why) => format!("waits for its {noun} {name}: {why}"),
            None => format!("waits for its {noun} {name}, which is being checked"),
        }
    }

    /// `its database library-db is down: ...`, of what goes on without it; nothing where it is not known to be down.
    pub(crate) fn lacks(&self) -> String {
        let Self { name, noun, why } = self;
        let why = why
            .as_ref()
            .map(|it| format!("its {noun} {name} is down: {it}"));
        why.unwrap_or_default()
    }

    /// It is known to be down.
    pub(crate) fn is_sure(&self) -> bool {
        self.why.is_some()
    }
}

/// What a service names and this node's settings do not explain.
pub(crate) fn unexplained<'a>(
    service: &'a Service,
    standings: &Standings,
) -> impl Iterator<Item = &'a DependencyName> {
    let names = service.depends_on.iter();
    names.filter(|it| !standings.contains_key(*it))
}
