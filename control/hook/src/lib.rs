//! Runs one command of the operator's: no shell, a group of processes of its own, a limit of time, output kept short.
//!
//! What may run stands in this machine's own settings; nothing that a store or a network says becomes part of the command but
//! by variables and input. [`run`] is for what may end with this process; [`Runs`] for what must not, and must be found again.
//! Not here: when it runs, and what its end means.

mod kept;

pub use kept::{
    Progress, RunId, RunRecord, RunState, Runs, Started, Wanted, estimated, keep, masked,
};

use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::VecDeque;
use std::fmt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Of what it writes, the last bytes.
const KEPT: usize = 2_048;
/// Of its last line.
const LINE: usize = 200;

/// How long one that was killed may take to be gone.
const REAPING: Duration = Duration::from_secs(5);

/// One run.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// Program and arguments.
    pub command: &'a [String],
    /// Beside this process's own.
    pub variables: &'a [(&'a str, String)],
    /// What it reads on its standard input; it need not.
    pub input: &'a [u8],
    /// Then it is killed with all that it started.
    pub timeout: Duration,
}

/// How it went, with the last line that it wrote to either stream: at most 200 characters, none of which moves a terminal's
/// cursor.
#[derive(Debug)]
pub enum Ended {
    /// It ended by itself.
    Status(ExitStatus, String),
    /// It was killed.
    TimedOut(Duration, String),
    /// It never ran, and why.
    NotStarted(String),
}

impl Ended {
    /// It ended well.
    pub fn is_well(&self) -> bool {
        matches!(self, Self::Status(status, _) if status.success())
    }
}

/// `failed (exit status: 3); it said last: no quota`
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = match self {
            Self::Status(status, last) if status.success() => {
                f.write_str("ended well")?;
                last
            }
            Self::Status(status, last) => {
                write!(f, "failed ({status})")?;
                last
            }
            Self::TimedOut(limit, last) => {
                write!(f, "was killed: it did not end within {limit:?}")?;
                last
            }
            Self::NotStarted(why) => return write!(f, "could not be run: {why}"),
        };
        match last.as_str() {
            "" => f.write_str("; it said nothing"),
            last => write!(f, "; it said last: {last}"),
        }
    }
}

/// What it started goes with it, also where nobody waits for its end any more.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|it| i32::try_from(it).ok());
        Self(id.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs it to its end. Dropped before that, it kills the command with all that it started.
pub async fn run(call: &Call<'_>) -> Ended {
    let (mut child, mut output) = match start(call) {
        Ok(started) => started,
        Err(error) => return Ended::NotStarted(error.to_string()),
    };
    // Declared after the child, so dropped before it: its number is still its own then.
    let mut group = Group::of(&child);
    let mut said = VecDeque::new();
    let input = child.stdin.take();
    let feed = async {
        if let Some(mut input) = input {
            // One that does not read it closes the pipe, and that is no failure.
            let _ = input.write_all(call.input).await;
        }
    };
    let ended = timeout(call.timeout, async {
        tokio::join!(feed, read(&mut output, &mut said));
        child.wait().await
    })
    .await;
    if ended.is_err() {
        drop(group);
        // One that a dead disk holds in the kernel is left to itself.
        let _ = timeout(REAPING, child.wait()).await;
    } else {
        group.0 = None;
    }
    let said = last_line(said.make_contiguous());
    match ended {
        Ok(Ok(status)) => Ended::Status(status, said),
        Ok(Err(error)) => Ended::NotStarted(error.to_string()),
        Err(_) => Ended::TimedOut(call.timeout, said),
    }
}

/// With what it writes, to either stream, in its order.
fn start(call: &Call<'_>) -> std::io::Result<(Child, Receiver)> {
    let (program, arguments) = call
        .command
        .split_first()
        .ok_or_else(|| std::io::Error::other("no command is given"))?;
    let (output, written) = std::io::pipe()?;
    let output = Receiver::from_owned_fd(output.into())?;
    let child = Command::new(program)
        .args(arguments)
        .envs(call.variables.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(if call.input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(written.try_clone()?)
        .stderr(written)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    Ok((child, output))
}

/// To the end; the last [`KEPT`] bytes stay.
async fn read(output: &mut Receiver, said: &mut VecDeque<u8>) {
    let mut piece = [0; 1_024];
    while let Ok(count @ 1..) = output.read(&mut piece).await {
        said.extend(piece.get(..count).unwrap_or_default());
        let surplus = said.len().saturating_sub(KEPT);
        said.drain(..surplus);
    }
}

fn last_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let last = text.lines().rev().find(|it| !it.trim().is_empty());
    let plain = |it: char| if it.is_control() { ' ' } else { it };
    last.unwrap_or_default()
        .trim()
        .chars()
        .take(LINE)
        .map(plain)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    async fn of(script: &str, input: &[u8], timeout: Duration) -> String {
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        let call = Call {
            command: &command,
            variables: &[("WORD", "value".to_owned())],
            input,
            timeout,
        };
        run(&call).await.to_string()
    }

    #[tokio::test]
    async fn it_reads_its_input_and_its_variables_and_its_last_word_is_kept() {
        let told = of(
            "echo first; read it; echo \"$WORD $it\" >&2",
            b"line\n",
            PATIENCE,
        )
        .await;
        assert_eq!(told, "ended well; it said last: value line");
        let large = vec![b'x'; 1 << 20];
        let told = of("exec <&-; exit 3", &large, PATIENCE).await;
        assert_eq!(told, "failed (exit status: 3); it said nothing");
    }

    #[tokio::test]
    async fn what_hangs_ends_with_its_children_and_what_floods_is_cut() {
        let hung = of(
            "echo begun; sleep 1000 & wait",
            b"",
            Duration::from_millis(300),
        )
        .await;
        assert_eq!(
            hung,
            "was killed: it did not end within 300ms; it said last: begun"
        );
        let flood = of(
            "yes | head -c 300000; printf 'no\\033[2Jquota'",
            b"",
            PATIENCE,
        )
        .await;
        assert_eq!(flood, "ended well; it said last: no [2Jquota");
        let command = ["/nowhere/it".to_owned()];
        let absent = Call {
            command: &command,
            variables: &[],
            input: b"",
            timeout: PATIENCE,
        };
        let absent = run(&absent).await.to_string();
        assert!(
            absent.contains("could not be run: No such file"),
            "{absent}"
        );
    }

    #[tokio::test]
    async fn who_is_no_longer_waited_for_ends_with_its_children() {
        let (told, word) = std::io::pipe().unwrap();
        let word = std::os::fd::OwnedFd::from(word);
        let path = format!("/proc/{}/fd/{}", std::process::id(), {
            use std::os::fd::AsRawFd as _;
            word.as_raw_fd()
        });
        // The child's child holds the pipe open for as long as it lives, and says when it does.
        let script = format!("exec 3>{path}; (echo begun >&3; sleep 1000) & wait");
        let running = tokio::spawn(async move { of(&script, b"", PATIENCE).await });
        let mut told = Receiver::from_owned_fd(told.into()).unwrap();
        let mut begun = [0; 6];
        let said = timeout(PATIENCE, told.read_exact(&mut begun)).await;
        said.expect("it does not begin").unwrap();
        drop(word);
        running.abort();
        let rest = timeout(PATIENCE, told.read(&mut begun)).await;
        assert_eq!(rest.expect("its child lives on").unwrap(), 0);
    }
}
