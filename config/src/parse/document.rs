//! One text as TOML: its lines, its syntax errors, and the list that all problems go to.
//!
//! Not here: what the fields mean (`service`, `settings` and below).

use super::field::Section;
use crate::Problem;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::DeTable;

/// Problems listed for one file; the rest is counted.
const MOST_PROBLEMS: usize = 100;

/// Collects the problems of one file.
pub(super) struct Report<'a> {
    file: &'a Path,
    /// Offset at which each line begins.
    starts: Vec<usize>,
    /// Lines with a syntax error: what stands there means nothing.
    broken: BTreeSet<usize>,
    problems: Vec<Problem>,
    unlisted: usize,
}

/// Parses `text`; syntax errors are in the report already, and what could be read of the rest is in the table.
pub(super) fn open<'a, 't>(file: &'a Path, text: &'t str) -> (Report<'a>, Spanned<DeTable<'t>>) {
    let mut report = Report::new(file, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut open_since = None;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let line = report.line(span.start);
        let fresh = report.broken.insert(line);
        // One bracket left open spoils every line below it: say so once.
        let spoiled = error.message().starts_with("missing comma");
        if fresh && !(spoiled && open_since == Some(line - 1)) {
            let message = syntax_message(text, &span, error.message());
            report.problem(line, "", message);
        }
        open_since = spoiled.then_some(line);
    }
    (report, table)
}

impl<'a> Report<'a> {
    fn new(file: &'a Path, text: &str) -> Self {
        let last = text.trim_end_matches(['\n', '\r']).len();
        let ends = text.bytes().enumerate().take(last);
        let starts = ends
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        Self {
            file,
            starts: std::iter::once(0).chain(starts).collect(),
            broken: BTreeSet::new(),
            problems: Vec::new(),
            unlisted: 0,
        }
    }

    /// The line of a byte offset, from 1; never past the last line that holds anything.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).max(1)
    }

    /// Whether this line could not be read.
    pub(super) fn is_broken(&self, line: usize) -> bool {
        self.broken.contains(&line)
    }

    /// Whether the text is TOML throughout: only then does the absence of a field mean something.
    pub(super) fn is_whole(&self) -> bool {
        self.broken.is_empty()
    }

    /// Adds one problem; `line` 0 means the file as a whole.
    pub(super) fn problem(&mut self, line: usize, field: &str, message: impl Into<String>) {
        if self.problems.len() >= MOST_PROBLEMS {
            self.unlisted += 1;
            return;
        }
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line,
            field: field.to_owned(),
            message: message.into(),
        });
    }

    /// All problems, in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|it| it.line);
        if self.unlisted > 0 {
            let message = format!(
                "{} more problems are not listed; mend these first",
                self.unlisted
            );
            let line = self.starts.len();
            self.problems.push(Problem {
                file: self.file.to_owned(),
                line,
                field: String::new(),
                message,
            });
        }
        self.problems
    }

    /// The whole file as a section whose fields are named `path.key`, or `key` where `path` is empty.
    pub(super) fn root<'t>(&self, path: &str, table: &'t Spanned<DeTable<'t>>) -> Section<'t> {
        Section {
            path: path.to_owned(),
            line: 0,
            table: table.get_ref(),
        }
    }
}

/// The parser's words, and where to look.
fn syntax_message(text: &str, span: &Range<usize>, message: &str) -> String {
    let found = text.get(span.clone()).unwrap_or_default().lines().next();
    let found = super::show_text(found.unwrap_or_default());
    let hint = if message.starts_with("missing comma") {
        "; is a bracket or a quote left open above?"
    } else {
        ""
    };
    if found.is_empty() {
        format!("is not TOML: {message}{hint}")
    } else {
        format!("is not TOML at `{found}`: {message}{hint}")
    }
}
