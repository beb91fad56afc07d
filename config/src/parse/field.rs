//! Walks a TOML table field by field: each value with its line, its dotted path and the type that was wanted.

use super::document::Report;
use super::{duration, size};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// A table with the dotted path that leads to it.
pub(super) struct Section<'t> {
    pub(super) path: String,
    /// 0 for the file as a whole.
    pub(super) line: usize,
    pub(super) table: &'t DeTable<'t>,
}

/// One value with its place.
pub(super) struct Field<'t> {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) value: &'t DeValue<'t>,
}

/// What an operator said of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given<T> {
    /// Nothing.
    Absent,
    /// Something that is reported already; checks against it would only confuse.
    Wrong,
    /// This.
    Right(T),
}

impl<T> Given<T> {
    /// The value where it is right, else `default`.
    pub(super) fn or(self, default: T) -> T {
        match self {
            Self::Right(value) => value,
            Self::Absent | Self::Wrong => default,
        }
    }

    /// What is in force: `default` where nothing was said, `None` where it is wrong.
    pub(super) fn in_force(self, default: T) -> Option<T> {
        match self {
            Self::Right(value) => Some(value),
            Self::Absent => Some(default),
            Self::Wrong => None,
        }
    }

    pub(super) fn right(self) -> Option<T> {
        match self {
            Self::Right(value) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<'t> Section<'t> {
    /// The dotted path of a key of this table.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            super::show_text(key)
        } else {
            format!("{}.{}", self.path, super::show_text(key))
        }
    }

    /// One value by its key.
    pub(super) fn get(&self, report: &Report<'_>, key: &str) -> Option<Field<'t>> {
        let (name, value) = self.table.get_key_value(key)?;
        let at = match value.get_ref() {
            DeValue::Table(_) | DeValue::Array(_) => name.span().start,
            // What stands in for a broken value may lie anywhere.
            _ => value.span().start.max(name.span().start),
        };
        Some(Field {
            path: self.path_of(key),
            line: report.line(at),
            value: value.get_ref(),
        })
    }

    /// All values, sorted by key.
    pub(super) fn fields(&self, report: &Report<'_>) -> Vec<(&'t str, Field<'t>)> {
        let keys = self.table.keys().map(|it| it.get_ref().as_ref());
        keys.filter_map(|key| self.get(report, key).map(|it| (key, it)))
            .collect()
    }

    /// Reads one key with `read`, which reports what is wrong and then returns `None`.
    pub(super) fn read<T>(
        &self,
        report: &mut Report<'_>,
        key: &str,
        read: impl FnOnce(&Field<'t>, &mut Report<'_>) -> Option<T>,
    ) -> Given<T> {
        match self.get(report, key) {
            None => Given::Absent,
            Some(field) if report.is_broken(field.line) => Given::Wrong,
            Some(field) => read(&field, report).map_or(Given::Wrong, Given::Right),
        }
    }
}

impl<'t> Field<'t> {
    /// Reports `message` for this field; `None`, so that readers can return it.
    pub(super) fn problem<T>(
        &self,
        report: &mut Report<'_>,
        message: impl Into<String>,
    ) -> Option<T> {
        report.problem(self.line, &self.path, message);
        None
    }

    /// `must be WANTED, got ...`
    pub(super) fn wrong<T>(&self, report: &mut Report<'_>, wanted: &str) -> Option<T> {
        let message = format!("must be {wanted}, got {}", describe(self.value));
        self.problem(report, message)
    }

    /// A string.
    pub(super) fn text(&self, report: &mut Report<'_>, wanted: &str) -> Option<&'t str> {
        match self.value {
            DeValue::String(text) => Some(text.as_ref()),
            _ => self.wrong(report, wanted),
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, report: &mut Report<'_>) -> Option<bool> {
        match self.value {
            DeValue::Boolean(it) => Some(*it),
            _ => self.wrong(report, "true or false"),
        }
    }

    /// A whole number within `range`.
    pub(super) fn number<N: TryFrom<u64>>(
        &self,
        report: &mut Report<'_>,
        range: RangeInclusive<u64>,
    ) -> Option<N> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let value = integer(self.value).and_then(|it| u64::try_from(it).ok());
        let value = value.filter(|it| range.contains(it));
        match value.and_then(|it| N::try_from(it).ok()) {
            Some(value) => Some(value),
            None => self.wrong(report, &wanted),
        }
    }

    /// A list of `count` items, each with its own line.
    pub(super) fn items(
        &self,
        report: &mut Report<'_>,
        wanted: &str,
        count: RangeInclusive<usize>,
    ) -> Option<Vec<Field<'t>>> {
        let DeValue::Array(array) = self.value else {
            return self.wrong(report, wanted);
        };
        if array.is_empty() && *count.start() > 0 {
            return self.problem(report, format!("must be {wanted}, got an empty list"));
        }
        if !count.contains(&array.len()) {
            let message = format!(
                "at most {} may stand here, got {}",
                count.end(),
                array.len()
            );
            return self.problem(report, message);
        }
        let item = |(n, value): (usize, &'t toml::Spanned<DeValue<'t>>)| Field {
            path: format!("{}[{n}]", self.path),
            line: report.line(value.span().start).max(self.line),
            value: value.get_ref(),
        };
        let items: Vec<_> = array.iter().enumerate().map(item).collect();
        Some(
            items
                .into_iter()
                .filter(|it| !report.is_broken(it.line))
                .collect(),
        )
    }

    /// A table.
    pub(super) fn section(&self, report: &mut Report<'_>, wanted: &str) -> Option<Section<'t>> {
        match self.value {
            DeValue::Table(table) => Some(Section {
                path: self.path.clone(),
                line: self.line,
                table,
            }),
            _ => self.wrong(report, wanted),
        }
    }

    /// The values of a table with names of the operator's, at most `most`, each read with `read`; `None` where one is wrong.
    pub(super) fn table<T>(
        &self,
        report: &mut Report<'_>,
        wanted: &str,
        most: usize,
        mut read: impl FnMut(&str, &Field<'_>, &mut Report<'_>) -> Option<T>,
    ) -> Option<BTreeMap<String, T>> {
        let section = self.section(report, wanted)?;
        let fields = section.fields(report);
        if fields.len() > most {
            let message = format!("at most {most} may stand here, got {}", fields.len());
            return self.problem(report, message);
        }
        let mut all = Some(BTreeMap::new());
        for (name, value) in fields {
            match (read(name, &value, report), all.as_mut()) {
                (Some(it), Some(all)) => {
                    all.insert(name.to_owned(), it);
                }
                _ => all = None,
            }
        }
        all
    }

    /// A duration within `range`, written like `"2s"`.
    pub(super) fn duration(
        &self,
        report: &mut Report<'_>,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let (first, last) = (duration::show(*range.start()), duration::show(*range.end()));
        let DeValue::String(text) = self.value else {
            let hint = match integer(self.value) {
                Some(number) if number > 0 => format!("\"{number}s\" or \"{number}ms\""),
                _ => "\"2s\" or \"500ms\"".to_owned(),
            };
            return self.wrong(report, &format!("a duration with its unit, like {hint}"));
        };
        match duration::parse(text) {
            Ok(it) if range.contains(&it) => Some(it),
            Ok(it) => {
                let got = duration::show(it);
                self.problem(report, format!("must be from {first} to {last}, got {got}"))
            }
            Err(hint) => {
                let message = format!("must be a duration, got {}: {hint}", describe(self.value));
                self.problem(report, message)
            }
        }
    }

    /// Bytes within `range`: `"100MiB"`, or a plain number.
    pub(super) fn size(&self, report: &mut Report<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        let value = match self.value {
            DeValue::String(text) => match size::parse(text) {
                Ok(it) => Some(it),
                Err(hint) => {
                    let got = describe(self.value);
                    return self.problem(report, format!("must be a size, got {got}: {hint}"));
                }
            },
            value => integer(value).and_then(|it| u64::try_from(it).ok()),
        };
        match value {
            Some(it) if range.contains(&it) => Some(it),
            Some(it) => {
                let (first, last) = (size::show(*range.start()), size::show(*range.end()));
                let got = size::show(it);
                self.problem(report, format!("must be from {first} to {last}, got {got}"))
            }
            None => self.wrong(report, "a size like \"100MiB\", or a number of bytes"),
        }
    }
}

fn integer(value: &DeValue<'_>) -> Option<i128> {
    match value {
        DeValue::Integer(it) => i128::from_str_radix(it.as_str(), it.radix()).ok(),
        _ => None,
    }
}

/// Type and value as they stand in the file, on one line and short.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(it) => format!("\"{}\"", super::show_text(it)),
        DeValue::Integer(it) => match integer(value) {
            Some(number) => format!("the number {number}"),
            None => format!("the number {}", super::show_text(it.as_str())),
        },
        DeValue::Float(it) => format!("the number {}", super::show_text(it.as_str())),
        DeValue::Boolean(it) => it.to_string(),
        DeValue::Datetime(it) => format!("the date {it}"),
        DeValue::Array(it) if it.is_empty() => "an empty list".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
