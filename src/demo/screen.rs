//! What the demo prints as it goes: plain lines, and on a terminal colour and one line of progress that is overwritten.

use crate::demo::report::StepReport;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

/// Standard output. A reader that has gone away is no reason to stop before everything is put away.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: bool,
    colour: bool,
    progress: String,
    /// Left out of notes.
    folder: String,
}

/// What a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Title,
    Good,
    Bad,
    Faint,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
        Self {
            terminal,
            colour: terminal && !plain,
            progress: String::new(),
            folder: String::new(),
        }
    }

    /// Paths in this folder are shown without it.
    pub(crate) fn leave_out(&mut self, folder: &Path) {
        self.folder = format!("{}/", folder.display());
    }

    /// A whole line.
    pub(crate) fn line(&mut self, tone: Tone, text: impl Display) {
        self.wipe();
        let painted = self.paint(tone, &text.to_string());
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{painted}");
        let _ = out.flush();
    }

    /// Where it stands; on a terminal it overwrites itself, elsewhere only a change is a new line.
    pub(crate) fn progress(&mut self, text: &str) {
        if text == self.progress {
            return;
        }
        let mut out = std::io::stdout().lock();
        if self.terminal {
            let short: String = text.chars().take(110).collect();
            let _ = write!(out, "\r\x1b[K   {short}");
        } else {
            let _ = writeln!(out, "   {text}");
        }
        let _ = out.flush();
        text.clone_into(&mut self.progress);
    }

    fn wipe(&mut self) {
        if self.terminal && !self.progress.is_empty() {
            let _ = write!(std::io::stdout().lock(), "\r\x1b[K");
        }
        self.progress.clear();
    }

    fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Title => "1",
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Faint => "2",
        };
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// A finished step with its timeline.
    pub(crate) fn step(&mut self, report: &StepReport) {
        for mark in &report.marks {
            let note = one_line(&mark.note).replace(&self.folder, "");
            let note: String = note.chars().take(140).collect();
            let line = format!(
                "   {:>8} ms  {:<14} {note}",
                mark.after.as_millis(),
                mark.what
            );
            self.line(Tone::Plain, line.trim_end());
        }
        let counts = &report.counts;
        let mut parts = Vec::new();
        parts.extend(report.eject.map(|it| format!("ejected in {}", seconds(it))));
        let whole = match report.victim {
            Some(_) => "whole again in",
            None => "true after",
        };
        parts.extend(report.whole.map(|it| format!("{whole} {}", seconds(it))));
        parts.push(format!("{} requests", counts.requests));
        parts.push(format!("{} failed", counts.failed));
        if report.excused {
            let bound = counts.cut_bound;
            parts.push(format!(
                "{} POSTs cut in flight (at most {bound})",
                counts.cut
            ));
        }
        parts.push(format!("longest latency {}", seconds(counts.longest)));
        let tone = match (&report.trouble, counts.failed) {
            (None, 0) => Tone::Good,
            _ => Tone::Bad,
        };
        self.line(tone, format!("   {}", parts.join(" · ")));
        for (reason, times) in &counts.reasons {
            self.line(Tone::Bad, format!("      {times} x {reason}"));
        }
        if let Some(trouble) = &report.trouble {
            self.line(Tone::Bad, format!("   {trouble}"));
        }
        for remark in &report.remarks {
            self.line(Tone::Faint, format!("   {remark}"));
        }
    }
}

/// `1.24 s`
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect()
}
