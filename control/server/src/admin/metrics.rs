//! This crate's own metrics, Prometheus text format 0.0.4. No URL, host or client is ever a label. Pure.

use crate::journal::EventCounts;
use std::fmt::Write;

/// What is shown.
#[derive(Debug)]
pub(super) struct Numbers<'a> {
    pub(super) version: &'a str,
    pub(super) files: usize,
    pub(super) problems: usize,
    pub(super) revision: Option<u64>,
    pub(super) writable: bool,
    pub(super) leading: bool,
    pub(super) events: EventCounts,
}

/// The text, each line ended.
pub(super) fn text(numbers: &Numbers<'_>) -> String {
    let mut out = String::with_capacity(1024);
    let mut gauge = |name: &str, help: &str, value: u64| {
        let _ = write!(
            out,
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"
        );
    };
    let count = |it: usize| u64::try_from(it).unwrap_or(u64::MAX);
    gauge(
        "minato_config_files",
        "Service files found in the watched folder.",
        count(numbers.files),
    );
    gauge(
        "minato_config_problems",
        "Problems in the files; the last good state serves on.",
        count(numbers.problems),
    );
    gauge(
        "minato_config_last_apply_success",
        "1 if the last reading of the folder had no problem.",
        u64::from(numbers.problems == 0),
    );
    gauge(
        "minato_leader",
        "1 if this process leads its site.",
        u64::from(numbers.leading),
    );
    gauge(
        "minato_store_up",
        "1 if the store answered this scrape.",
        u64::from(numbers.revision.is_some()),
    );
    gauge(
        "minato_store_writable",
        "0 while the store takes no writes: a full or failing disk.",
        u64::from(numbers.writable),
    );
    if let Some(revision) = numbers.revision {
        gauge(
            "minato_store_revision",
            "Newest revision of the store.",
            revision,
        );
    }
    let _ = writeln!(
        out,
        "# HELP minato_events_total Events of this node since its start."
    );
    let _ = writeln!(out, "# TYPE minato_events_total counter");
    let EventCounts { info, warn, error } = numbers.events;
    for (level, value) in [("info", info), ("warn", warn), ("error", error)] {
        let _ = writeln!(out, "minato_events_total{{level=\"{level}\"}} {value}");
    }
    let _ = writeln!(out, "# HELP minato_build_info The version that runs.");
    let _ = writeln!(out, "# TYPE minato_build_info gauge");
    let version = escape(numbers.version);
    let _ = writeln!(out, "minato_build_info{{version=\"{version}\"}} 1");
    out
}

/// A label's value.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(revision: Option<u64>) -> String {
        text(&Numbers {
            version: "1.0 \"beta\"\\\n",
            files: 3,
            problems: 1,
            revision,
            writable: revision.is_some(),
            leading: true,
            events: EventCounts {
                info: 5,
                warn: 2,
                error: 1,
            },
        })
    }

    #[test]
    fn values_and_escapes() {
        let text = numbers(Some(42));
        for line in [
            "minato_config_files 3",
            "minato_config_problems 1",
            "minato_config_last_apply_success 0",
            "minato_leader 1",
            "minato_store_up 1",
            "minato_store_writable 1",
            "minato_store_revision 42",
            "minato_events_total{level=\"warn\"} 2",
            r#"minato_build_info{version="1.0 \"beta\"\\\n"} 1"#,
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in {text}");
        }
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn an_unknown_revision_is_left_out_rather_than_zero() {
        let text = numbers(None);
        assert!(!text.contains("minato_store_revision"), "{text}");
        assert!(text.contains("\nminato_store_up 0\n"), "{text}");
        assert!(text.contains("\nminato_store_writable 0\n"), "{text}");
    }
}
