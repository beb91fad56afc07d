//! The one deterministic name of a run.

use minato_config::{Generation, Run, ServiceName, SlotIndex};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Names one run on one node: `<service>.<n>.<era>.<counter>.<run>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunName {
    /// Of what.
    pub service: ServiceName,
    /// Which place.
    pub slot: SlotIndex,
    /// Under which assignment.
    pub generation: Generation,
    /// Which start.
    pub run: Run,
}

impl RunName {
    /// Takes a name apart; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let [service, slot, era, counter, run] = parts.as_slice() else {
            return None;
        };
        let name = Self {
            service: ServiceName::parse(service).ok()?,
            slot: SlotIndex(slot.parse().ok()?),
            generation: Generation {
                era: era.parse().ok()?,
                counter: counter.parse().ok()?,
            },
            run: Run(run.parse().ok()?),
        };
        // Only the one spelling: `01` or `+1` name nothing.
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            service,
            slot,
            generation: Generation { era, counter },
            run,
        } = self;
        write!(f, "{service}.{slot}.{era}.{counter}.{run}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_text() {
        let name = RunName {
            service: ServiceName::parse("library").unwrap(),
            slot: SlotIndex(3),
            generation: Generation { era: 1, counter: 7 },
            run: Run(12),
        };
        assert_eq!(name.to_string(), "library.3.1.7.12");
        assert_eq!(RunName::parse("library.3.1.7.12"), Some(name));
        for bad in [
            "",
            "library",
            "library.3.1.7",
            "library.03.1.7.12",
            "Library.3.1.7.12",
            "library.3.1.7.-1",
            "library.3.1.7.12.1",
        ] {
            assert_eq!(RunName::parse(bad), None, "{bad}");
        }
    }
}
