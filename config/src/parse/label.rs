//! What machines are and what services ask of them: labels, and how far a machine may be promised.

use super::document::Report;
use super::field::{Field, Given, Section, describe};
use super::key::Keys;
use crate::Overcommit;
use std::collections::BTreeMap;
use toml::de::DeValue;

/// Of `overcommit`.
pub(super) const OVERCOMMIT_KEYS: Keys = Keys::known(&["cpu", "memory"]);

/// Labels of one machine or service.
const MOST: usize = 16;
/// Hundredths of what the machine has: a tenth to a hundred times.
const PERCENT: std::ops::RangeInclusive<u32> = 10..=10_000;

/// `{ zone = "a", disk = "ssd" }`
pub(super) fn read(field: &Field<'_>, report: &mut Report<'_>) -> Option<BTreeMap<String, String>> {
    let section = field.section(report, "a table of labels, like { zone = \"a\" }")?;
    let fields = section.fields(report);
    if fields.len() > MOST {
        let message = format!("at most {MOST} labels may stand here, got {}", fields.len());
        return field.problem(report, message);
    }
    let mut all = Some(BTreeMap::new());
    for (name, value) in fields {
        match (label(name, &value, report), all.as_mut()) {
            (Some(text), Some(labels)) => {
                labels.insert(name.to_owned(), text);
            }
            _ => all = None,
        }
    }
    all
}

fn label(name: &str, value: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str = "1 to 63 letters, digits, `-`, `_` and `.`";
    if !is_word(name) {
        return value.problem(report, format!("a label's name is {FORM}"));
    }
    let wanted = format!("a string of {FORM}");
    let text = value.text(report, &wanted)?;
    if is_word(text) {
        Some(text.to_owned())
    } else {
        value.wrong(report, &wanted)
    }
}

fn is_word(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=63).contains(&text.len()) && text.bytes().all(letter)
}

/// `{ cpu = 2.0, memory = 1.0 }`: factors.
pub(super) fn overcommit(field: &Field<'_>, report: &mut Report<'_>) -> Option<Overcommit> {
    let section = field.section(report, "a table, like { cpu = 2.0, memory = 1.0 }")?;
    OVERCOMMIT_KEYS.check(&section, report);
    let default = Overcommit::default();
    let factor = |section: &Section<'_>, report: &mut Report<'_>, key, default| {
        let given: Given<u32> = section.read(report, key, factor);
        given.in_force(default)
    };
    let cpu = factor(&section, report, "cpu", default.cpu_percent);
    let memory = factor(&section, report, "memory", default.memory_percent);
    Some(Overcommit {
        cpu_percent: cpu?,
        memory_percent: memory?,
    })
}

/// A factor as hundredths.
fn factor(field: &Field<'_>, report: &mut Report<'_>) -> Option<u32> {
    const FORM: &str = "a factor from 0.1 to 100, like 1.5";
    let text = match field.value {
        DeValue::Float(it) => it.as_str(),
        DeValue::Integer(it) => it.as_str(),
        _ => return field.wrong(report, FORM),
    };
    match hundredths(text).filter(|it| PERCENT.contains(it)) {
        Some(it) => Some(it),
        None => {
            let got = describe(field.value);
            field.problem(report, format!("must be {FORM}, got {got}"))
        }
    }
}

/// `1.5` as 150; `None` for what is no plain number of at most two decimals.
fn hundredths(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit());
    let part = part.trim_end_matches('0');
    if !digits(whole) || part.len() > 2 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part: u32 = format!("{part:0<2}").parse().ok()?;
    whole
        .parse::<u32>()
        .ok()?
        .checked_mul(100)?
        .checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::hundredths;

    #[test]
    fn factors_are_read_without_rounding() {
        for (text, expected) in [
            ("2", Some(200)),
            ("2.0", Some(200)),
            ("1.5", Some(150)),
            ("0.25", Some(25)),
            ("1.500", Some(150)),
            ("1.555", None),
            ("-1", None),
            ("1e2", None),
            ("inf", None),
            ("99999999999", None),
        ] {
            assert_eq!(hundredths(text), expected, "{text}");
        }
    }
}
