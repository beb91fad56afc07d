//! What a new process writes to standard error until it has taken over: passed on, and its end kept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::ChildStderr;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Bytes that are kept.
const BYTES: usize = 4 << 10;
/// Lines of them that are shown.
const LINES: usize = 12;
/// How long the last ones may take to arrive after the end of who wrote them.
const PARTING: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Words {
    last: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl Words {
    pub(super) fn listen(output: Option<ChildStderr>) -> Self {
        let last = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&last);
        let task = tokio::spawn(async move {
            let Some(mut output) = output else { return };
            let mut bytes = [0; 1024];
            while let Ok(count @ 1..) = output.read(&mut bytes).await {
                let _ = tokio::io::stderr().write_all(&bytes[..count]).await;
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&bytes[..count]);
                let surplus = kept.len().saturating_sub(BYTES);
                kept.drain(..surplus);
            }
        });
        Self { last, task }
    }

    /// The last lines, once all have arrived.
    pub(super) async fn last(&mut self) -> String {
        let _ = timeout(PARTING, &mut self.task).await;
        let kept = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last_lines(&String::from_utf8_lossy(&kept))
    }
}

/// Without control characters: whatever was started may have written it.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|it| !it.trim().is_empty()).collect();
    let lines = &lines[lines.len().saturating_sub(LINES)..];
    let clean = |it: &&str| it.chars().filter(|it| !it.is_control()).collect();
    lines.iter().map(clean).collect::<Vec<String>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_few_and_harmless() {
        let text: String = (0..40).map(|n| format!("line {n}\x1b[2J\n\n")).collect();
        let last = last_lines(&text);
        assert_eq!(last.lines().count(), LINES);
        assert!(
            last.starts_with("line 28[2J\n") && last.ends_with("line 39[2J"),
            "{last:?}"
        );
    }
}
