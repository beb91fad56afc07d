//! Text for people: tables and colour on a terminal, plain text in a pipe.

use std::io::{IsTerminal as _, Write as _};

/// How a word should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Doubtful,
    Bad,
}

/// Writes to standard output. An error says that nobody reads any more (a closed pipe) or that it cannot be kept.
pub(crate) fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Colours a word on a terminal only.
pub(crate) fn paint(text: &str, tone: Tone) -> String {
    let code = match tone {
        Tone::Good => "32",
        Tone::Doubtful => "33",
        Tone::Bad => "1;31",
        Tone::Plain => return text.to_owned(),
    };
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Control characters in what services wrote must not reach the terminal.
pub(crate) fn safe(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// Columns aligned by their widest cell; the last is not padded. Tones colour whole cells.
pub(crate) fn table(rows: &[Vec<(String, Tone)>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|(text, _)| text.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (text, tone)) in row.iter().enumerate() {
            let padding = if column + 1 == row.len() {
                0
            } else {
                widths[column] + 2 - text.chars().count()
            };
            line.push_str(&paint(text, *tone));
            line.push_str(&" ".repeat(padding));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_carry_no_trailing_blanks() {
        let row = |a: &str, b: &str| vec![(a.to_owned(), Tone::Plain), (b.to_owned(), Tone::Plain)];
        assert_eq!(
            table(&[row("service", "up"), row("a", ""), row("library", "2/2")]),
            "service  up\na\nlibrary  2/2\n"
        );
    }

    #[test]
    fn what_a_service_wrote_cannot_steer_the_terminal() {
        assert_eq!(safe("a\x1b[2Jb\r"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
