//! Why a request was not simply answered by its instance: a word of the access log and the label of a metric.

use crate::answer::Reason;

/// Nothing to say, or one of a fixed set of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Note {
    /// An instance answered, and the answer arrived.
    #[default]
    None,
    /// The client left before its answer was whole.
    ClientGone,
    /// The instance broke off within its answer.
    BrokeOff,
    /// The client broke the rules of HTTP/2 so that its connection had to end.
    BrokeRules,
    /// The client made work instead of asking (a flood), so that its connection had to end.
    Flooded,
    /// minato answered in the instance's place.
    Own(Reason),
}

impl Note {
    /// All that say something.
    pub(crate) const ALL: [Self; 4 + Reason::ALL.len()] = {
        let mut all = [Self::ClientGone; 4 + Reason::ALL.len()];
        all[1] = Self::BrokeOff;
        all[2] = Self::BrokeRules;
        all[3] = Self::Flooded;
        let mut index = 0;
        while index < Reason::ALL.len() {
            all[index + 4] = Self::Own(Reason::ALL[index]);
            index += 1;
        }
        all
    };

    /// Its place in [`Note::ALL`].
    pub(crate) fn index(self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::ClientGone => Some(0),
            Self::BrokeOff => Some(1),
            Self::BrokeRules => Some(2),
            Self::Flooded => Some(3),
            Self::Own(reason) => Some(4 + reason as usize),
        }
    }

    /// Empty for [`Note::None`].
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::None => "",
            Self::ClientGone => "client_gone",
            Self::BrokeOff => "broke_off",
            Self::BrokeRules => "broke_rules",
            Self::Flooded => "flooded",
            Self::Own(reason) => reason.label(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_place_and_word() {
        for (place, note) in Note::ALL.iter().enumerate() {
            assert_eq!(note.index(), Some(place), "{note:?}");
            let same = Note::ALL.iter().filter(|it| it.label() == note.label());
            assert_eq!(same.count(), 1, "{note:?}");
        }
    }
}
