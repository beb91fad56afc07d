//! Times as words.

use minato_config::Timestamp;
use minato_control::clock_text;
use std::time::Duration;

/// `2026-11-22 14:35:01`
pub(super) fn moment(ms: u64) -> String {
    let text = clock_text(Timestamp(ms));
    let text = text.split('.').next().unwrap_or(&text);
    text.replace('T', " ")
}

/// `350 ms`, `12 s`, `5 min`, `3 h`, `9 d`
pub(super) fn span(ms: u64) -> String {
    let seconds = Duration::from_millis(ms).as_secs();
    match seconds {
        0 => format!("{ms} ms"),
        1..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
