//! Keys that a table may hold, and what to say of those that it may not.

use super::document::Report;
use super::field::Section;

/// The keys of one table.
pub(super) struct Keys {
    /// Served.
    pub(super) known: &'static [&'static str],
    /// Known to the design, not served by this version: the key, and what to do instead.
    pub(super) later: &'static [(&'static str, &'static str)],
    /// Tables below this one whose keys people write one level too high.
    pub(super) below: &'static [(&'static str, &'static Keys)],
}

impl Keys {
    /// Only `known`.
    pub(super) const fn known(known: &'static [&'static str]) -> Self {
        Self {
            known,
            later: &[],
            below: &[],
        }
    }

    /// Reports every key of `section` that is not served.
    pub(super) fn check(&self, section: &Section<'_>, report: &mut Report<'_>) {
        for name in section.table.keys() {
            let key = name.get_ref().as_ref();
            let line = report.line(name.span().start);
            if self.known.contains(&key) || report.is_broken(line) {
                continue;
            }
            let message = match self.later.iter().find(|(later, _)| *later == key) {
                Some((_, instead)) => format!("is not served by this version; {instead}"),
                None => self.unknown(key),
            };
            report.problem(line, &section.path_of(key), message);
        }
    }

    fn unknown(&self, key: &str) -> String {
        if let Some(near) = nearest(key, self.known) {
            return format!("unknown key; did you mean `{near}`?");
        }
        let below = self.below.iter();
        let mut homes = below.filter(|(_, keys)| keys.known.contains(&key));
        match homes.next() {
            Some((table, _)) => format!("unknown key; did you mean `{table}.{key}`?"),
            None => format!("unknown key; known here: {}", self.known.join(", ")),
        }
    }
}

/// The nearest of `words`, if it is near enough to be a slip of the finger.
pub(super) fn nearest<'w>(text: &str, words: &[&'w str]) -> Option<&'w str> {
    let far = text.len() > 64;
    let slips = |word: &str| match word.len() {
        0..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    let words = words.iter().filter(|_| !far);
    let near = words.map(|word| (distance(text, word), *word));
    let near = near.filter(|(distance, word)| *distance <= slips(word) && *distance < word.len());
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.to_lowercase().chars().collect();
    let other: Vec<char> = other.chars().collect();
    let width = other.len() + 1;
    let mut table = vec![0; (one.len() + 1) * width];
    let at = |row: usize, column: usize| row * width + column;
    for row in 0..=one.len() {
        for column in 0..=other.len() {
            table[at(row, column)] = if row == 0 || column == 0 {
                row + column
            } else {
                let same = one[row - 1] == other[column - 1];
                let replaced = table[at(row - 1, column - 1)] + usize::from(!same);
                let shifted = table[at(row - 1, column)].min(table[at(row, column - 1)]) + 1;
                let swap = row > 1
                    && column > 1
                    && one[row - 1] == other[column - 2]
                    && one[row - 2] == other[column - 1];
                let swapped = if swap {
                    table[at(row - 2, column - 2)] + 1
                } else {
                    usize::MAX
                };
                replaced.min(shifted).min(swapped)
            };
        }
    }
    table[at(one.len(), other.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, other, expected) in [
            ("", "", 0),
            ("interval", "interval", 0),
            ("intervall", "interval", 1),
            ("intreval", "interval", 1),
            ("Interval", "interval", 0),
            ("kitten", "sitting", 3),
            ("abc", "", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn only_slips_are_taken_for_words() {
        let words = ["path", "port", "interval", "rise"];
        for (text, expected) in [
            ("intervl", Some("interval")),
            ("pth", Some("path")),
            ("zzz", None),
            ("completely", None),
            ("rize", Some("rise")),
        ] {
            assert_eq!(nearest(text, &words), expected, "{text}");
        }
    }
}
