//! The keeper of one run: parent of the instance, reader of its output, writer of its record. Outlives minato.
//!
//! Its own session, so that no terminal reaches it; subreaper, so that every process of the run stays below it. When
//! the instance ends it ends what is left of the run, writes down how it ended, and goes.
//! Not here: when to start or stop (`control`), finding keepers again (`runtime`).

mod instance;
mod order;
mod output;
mod resolve;

pub(crate) use instance::marker;
pub(crate) use order::{Answer, LONGEST_ORDER, Order};
pub(crate) use output::{LastLine, Log};

use crate::proc::{self, Process};
use crate::runtime::{Ended, Exit, Record, Records};
use instance::Instance;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The name of the variable that every process of a run has: `<run name>@<data folder>`.
pub const INSTANCE_VARIABLE: &str = "MINATO_INSTANCE";

/// The hidden subcommand. Takes its order as JSON on standard input and answers with one line on standard output;
/// `args` (those after the subcommand) only name the run for `ps`.
///
/// Exit: 0 when the run was kept to its end, 1 when nothing was started.
pub fn run(_args: Vec<OsString>) -> ExitCode {
    // Fails only for the leader of a process group, which no agent makes of it.
    let _ = rustix::process::setsid();
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let Ok(_deaf) = Deaf::new() else {
        return ExitCode::FAILURE;
    };
    // An agent that died before it had said all has not given the order.
    let Some(order) = read_order() else {
        return ExitCode::FAILURE;
    };
    match keep(&order) {
        Ok(()) => ExitCode::SUCCESS,
        Err(answer) => {
            answer_agent(&answer);
            ExitCode::FAILURE
        }
    }
}

fn read_order() -> Option<Order> {
    let mut text = Vec::new();
    io::stdin()
        .take(LONGEST_ORDER)
        .read_to_end(&mut text)
        .ok()?;
    serde_json::from_slice(&text).ok()
}

/// The agent may be gone; the run goes on without it.
fn answer_agent(answer: &Answer) {
    let line = serde_json::to_string(answer).unwrap_or_default();
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

fn keep(order: &Order) -> Result<(), Answer> {
    let machine = |doing: &str| {
        let doing = doing.to_owned();
        move |cause: io::Error| Answer::Machine(format!("{doing}: {cause}"))
    };
    let records = Records::open(&order.data).map_err(machine("opening the folder of records"))?;
    let _lock = take_place(&records, order)?;
    let me = Process::find(std::process::id())
        .ok_or_else(|| Answer::Machine("/proc does not show this process".to_owned()))?;
    let mut record = Record {
        keeper: Some(me),
        ..order.record.clone()
    };
    records
        .write(&record)
        .map_err(machine("writing the run's record"))?;
    let began = now();
    let instance = match Instance::start(order, &records) {
        Ok(instance) => instance,
        Err(answer) => {
            record.ended = Some(Ended::by(Exit::NotStarted(answer.to_string())));
            let _ = records.write(&record);
            return Err(answer);
        }
    };
    record.instance = Some(instance.process);
    if let Err(cause) = records.write(&record) {
        instance.end();
        return Err(machine("writing the run's record")(cause));
    }
    answer_agent(&Answer::Started {
        pid: instance.process.pid,
    });
    let exit = instance.wait();
    let lasted = now().saturating_duration_since(began);
    let last_output = instance.end();
    record.ended = Some(Ended {
        exit,
        lasted_ms: Some(u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX)),
        last_output,
    });
    // Should the disk be full, the next agent finds the run dead without knowing how it ended.
    let _ = records.write(&record);
    Ok(())
}

/// One keeper for each slot. The one before may need a moment to go.
fn take_place(records: &Records, order: &Order) -> Result<File, Answer> {
    use rustix::fs::{FlockOperation, flock};
    let name = &order.record.name;
    let path = records.lock(&name.service, name.slot);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|cause| Answer::Machine(format!("opening {}: {cause}", path.display())))?;
    let began = now();
    while let Err(cause) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if now().saturating_duration_since(began) > Duration::from_secs(3) {
            return Err(Answer::Machine(format!(
                "{} is held by the keeper of another run: {cause}",
                path.display()
            )));
        }
        pause(Duration::from_millis(10));
    }
    Ok(file)
}

/// Ends everything below this process: what is killed hands its children up to us, until there are none.
fn end_descendants(patience: Duration) {
    use rustix::process::{Signal, WaitOptions, kill_process, wait};
    let began = now();
    while now().saturating_duration_since(began) < patience {
        for pid in proc::children(std::process::id()) {
            if let Some(pid) = proc::id(pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
        pause(Duration::from_millis(5));
    }
}

/// Signals that are sent to every process named minato, or to a terminal's, do not end a run: only the agent does, by
/// signalling the instance. Handlers, not ignored signals, because an instance would inherit those.
struct Deaf {
    _signals: Vec<Signal>,
    _runtime: tokio::runtime::Runtime,
}

impl Deaf {
    fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let guard = runtime.enter();
        let signals = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
            SignalKind::quit(),
        ]
        .into_iter()
        .map(signal)
        .collect::<io::Result<Vec<_>>>()?;
        drop(guard);
        Ok(Self {
            _signals: signals,
            _runtime: runtime,
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "the keeper's one clock")]
fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the kernel tells of neither a freed lock nor a new child; callers look again, bounded"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
