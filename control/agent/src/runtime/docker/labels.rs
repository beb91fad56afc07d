//! The name and the labels of a container, and the way back from them. Pure.

use crate::runtime::{RunName, RunOrder};
use minato_config::{Command, NodeId, SiteId};
use std::collections::HashMap;

/// Bytes of the command in its label at most: an agent that lost its records reads it back.
const LONGEST: usize = 256 * 1024;

/// Whose containers are ours: those that this very minato began, by site, node and data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) site: SiteId,
    pub(super) node: NodeId,
    /// The data folder's one absolute name.
    pub(super) data: String,
}

/// What the labels of one of our containers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Labelled {
    pub(super) order: RunOrder,
    /// What its reference meant when it was begun.
    pub(super) image: String,
}

impl Owner {
    /// The one name that the container of a run has.
    pub(super) fn container(&self, run: &RunName) -> String {
        format!("minato.{}.{}.{run}", self.site, self.node)
    }

    /// `image`: the digest that the reference means now.
    pub(super) fn labels(&self, order: &RunOrder, image: &str) -> HashMap<String, String> {
        let name = &order.name;
        let mut labels = self.own();
        let mut add = |key: &str, value: String| {
            labels.insert(key.to_owned(), value);
        };
        add("minato.service", name.service.to_string());
        add("minato.slot", name.slot.to_string());
        add(
            "minato.generation",
            format!("{}.{}", name.generation.era, name.generation.counter),
        );
        add("minato.run", name.run.0.to_string());
        add("minato.name", name.to_string());
        add("minato.digest", order.digest.clone());
        add("minato.port", order.port.to_string());
        add("minato.image", image.to_owned());
        if let Ok(command) = serde_json::to_string(&order.command)
            && command.len() <= LONGEST
        {
            add("minato.command", command);
        }
        labels
    }

    /// What the engine is asked by.
    pub(super) fn filter(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .own()
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        all.sort();
        all
    }

    fn own(&self) -> HashMap<String, String> {
        [
            ("minato.site", self.site.to_string()),
            ("minato.node", self.node.to_string()),
            ("minato.data", self.data.clone()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    pub(super) fn owns(&self, labels: &HashMap<String, String>) -> bool {
        self.own()
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    }

    /// `None` for a container that is not ours, or whose labels say nothing that can be understood.
    pub(super) fn read(&self, labels: &HashMap<String, String>) -> Option<Labelled> {
        let text = |key: &str| labels.get(key).map(String::as_str);
        if !self.owns(labels) {
            return None;
        }
        let command: Command = serde_json::from_str(text("minato.command")?).ok()?;
        Some(Labelled {
            order: RunOrder {
                name: RunName::parse(text("minato.name")?)?,
                command,
                digest: text("minato.digest")?.to_owned(),
                port: text("minato.port")?.parse().ok()?,
            },
            image: text("minato.image").unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::{Generation, Run, ServiceName, SlotIndex};

    fn owner() -> Owner {
        Owner {
            site: SiteId::local(),
            node: NodeId::parse("here").unwrap(),
            data: "/var/lib/minato".to_owned(),
        }
    }

    fn order() -> RunOrder {
        RunOrder {
            name: RunName {
                service: ServiceName::parse("library").unwrap(),
                slot: SlotIndex(2),
                generation: Generation { era: 0, counter: 7 },
                run: Run(3),
            },
            command: Command {
                argv: vec!["serve".into(), "{port}".into()],
                env: [("A".to_owned(), "b".to_owned())].into(),
                directory: None,
                port: None,
                stop: Default::default(),
                image: None,
            },
            digest: "0123".to_owned(),
            port: 20_001,
        }
    }

    #[test]
    fn an_order_survives_its_labels() {
        let (owner, order) = (owner(), order());
        assert_eq!(
            owner.container(&order.name),
            "minato.local.here.library.2.0.7.3"
        );
        let labels = owner.labels(&order, "sha256:1");
        assert_eq!(labels["minato.generation"], "0.7");
        let read = owner.read(&labels).unwrap();
        assert_eq!((read.order, read.image.as_str()), (order, "sha256:1"));
    }

    #[test]
    fn what_is_another_minatos_is_foreign() {
        let labels = owner().labels(&order(), "");
        for other in [
            Owner {
                site: SiteId::parse("osaka").unwrap(),
                ..owner()
            },
            Owner {
                node: NodeId::parse("there").unwrap(),
                ..owner()
            },
            Owner {
                data: "/tmp/other".to_owned(),
                ..owner()
            },
        ] {
            assert_eq!(other.read(&labels), None, "{other:?}");
        }
        for gone in [
            "minato.site",
            "minato.name",
            "minato.command",
            "minato.port",
        ] {
            let mut labels = labels.clone();
            labels.remove(gone);
            assert_eq!(owner().read(&labels), None, "{gone}");
        }
    }
}
