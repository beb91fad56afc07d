//! What /proc says of processes. A process is named by its id and its start time, so that a reused id is no other's.

use crate::runtime::Usage;
use minato_health::Flow;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use std::fs;
use std::time::Duration;

/// Ticks of /proc times in a second: USER_HZ, fixed at 100 on every architecture that Linux offers Rust on.
const TICKS: u64 = 100;

/// One process, for as long as the machine is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Field 22 of /proc/PID/stat: ticks since boot.
    pub(crate) start: u64,
}

/// What /proc/PID/stat says.
struct Stat {
    state: char,
    parent: u32,
    group: u32,
    session: u32,
    start: u64,
}

impl Process {
    /// The process that has this id now; `None` when there is none, or only its remains.
    pub(crate) fn find(pid: u32) -> Option<Self> {
        let stat = stat(pid)?;
        (!matches!(stat.state, 'Z' | 'X')).then_some(Self {
            pid,
            start: stat.start,
        })
    }

    /// Whether it still lives (stopped counts, a zombie does not).
    pub(crate) fn is_alive(self) -> bool {
        Self::find(self.pid) == Some(self)
    }

    /// Since its start; zero where the machine does not say.
    pub(crate) fn age(self) -> Duration {
        let uptime = fs::read_to_string("/proc/uptime")
            .ok()
            .and_then(|it| it.split(' ').next()?.parse::<f64>().ok())
            .unwrap_or(0.0);
        let start = Duration::from_millis(self.start.saturating_mul(1000 / TICKS));
        Duration::try_from_secs_f64(uptime)
            .unwrap_or_default()
            .saturating_sub(start)
    }

    /// What it used since its start, children that it has buried included, and its resident memory without what it shares;
    /// `None` when it is gone.
    pub(crate) fn usage(self) -> Option<Usage> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let ticks = processor_ticks(&text)?;
        let pages = fs::read_to_string(format!("/proc/{}/statm", self.pid)).ok()?;
        let mut pages = pages.split_ascii_whitespace().skip(1);
        let mut count = || pages.next()?.parse::<u64>().ok();
        let own = count()?.saturating_sub(count()?);
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4_096);
        let disk = fs::read_to_string(format!("/proc/{}/io", self.pid)).ok();
        let usage = Usage {
            cpu: Duration::from_millis(ticks.saturating_mul(1_000 / TICKS)),
            memory_bytes: own.saturating_mul(page),
            disk: disk.as_deref().and_then(disk_bytes),
            network: None,
        };
        self.is_alive().then_some(usage)
    }

    /// For signals; `None` for ids that no process has.
    pub(crate) fn id(self) -> Option<Pid> {
        id(self.pid)
    }
}

/// Of `/proc/PID/stat` fields 14 to 17: user and system time of the process, and of the children that it has buried.
fn processor_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let times = rest.split_ascii_whitespace().skip(11).take(4);
    let times: Option<Vec<u64>> = times.map(|it| it.parse().ok()).collect();
    let times = times.filter(|it| it.len() == 4)?;
    times.into_iter().try_fold(0_u64, u64::checked_add)
}

/// Of `/proc/PID/io`, what went from and to the disks themselves.
fn disk_bytes(io: &str) -> Option<Flow> {
    let field = |name: &str| {
        let line = io.lines().find_map(|it| it.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    Some(Flow {
        inward: field("read_bytes:")?,
        outward: field("write_bytes:")?,
    })
}

/// Ids 0 and 1 name no instance, and must never be signalled.
pub(crate) fn id(pid: u32) -> Option<Pid> {
    i32::try_from(pid)
        .ok()
        .filter(|it| *it > 1)
        .and_then(Pid::from_raw)
}

/// Changes with every start of the machine; empty where it cannot be read.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|it| it.trim().to_owned())
        .unwrap_or_default()
}

/// Every process id.
pub(crate) fn all() -> Vec<u32> {
    let Ok(folder) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    folder
        .filter_map(|it| it.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// The children of `parent`, zombies included.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let mut found = all();
    found.retain(|it| stat(*it).is_some_and(|stat| stat.parent == parent));
    found
}

/// Living processes in the session that `keeper` began or in the process group that `instance` began, whatever they
/// made of their environment; the two themselves are among them.
///
/// The kernel gives an id to nobody else while a session or a group still bears it. Where it has been given to another
/// leader since, whoever belongs to that one is left alone.
pub(crate) fn belonging(keeper: Option<Process>, instance: Option<Process>) -> Vec<Process> {
    let ours = |leader: &Process| Process::find(leader.pid).is_none_or(|it| it == *leader);
    let (keeper, instance) = (keeper.filter(ours), instance.filter(ours));
    let belongs = |stat: &Stat| {
        let session = keeper.is_some_and(|it| it.pid == stat.session && it.start <= stat.start);
        let group = instance.is_some_and(|it| it.pid == stat.group && it.start <= stat.start);
        session || group
    };
    let living = |pid: u32| {
        let stat = stat(pid)?;
        let lives = !matches!(stat.state, 'Z' | 'X');
        (lives && belongs(&stat)).then_some(Process {
            pid,
            start: stat.start,
        })
    };
    all().into_iter().filter_map(living).collect()
}

/// Living processes whose environment has `name`, with its value.
pub(crate) fn with_variable(name: &str) -> Vec<(Process, String)> {
    let prefix = format!("{name}=");
    let value = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        environment
            .split(|byte| *byte == 0)
            .find_map(|it| it.strip_prefix(prefix.as_bytes()))
            .map(|it| String::from_utf8_lossy(it).into_owned())
    };
    all()
        .iter()
        .filter_map(|pid| Some((Process::find(*pid)?, value(pid)?)))
        .collect()
}

fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command's name stands in parentheses and may hold anything, so fields are counted from the last one.
fn parse(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    Some(Stat {
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
        session: fields.next()?.parse().ok()?,
        start: fields.nth(15)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_named_to_deceive_is_read_right() {
        let text = "7 (a) R 1 (b) S 42 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 1";
        let stat = parse(text).unwrap();
        assert_eq!((stat.state, stat.parent, stat.start), ('S', 42, 987_654));
    }

    #[test]
    fn this_process_is_found_and_young() {
        let me = Process::find(std::process::id()).unwrap();
        assert!(me.is_alive());
        assert!(me.age() < Duration::from_secs(3600), "{:?}", me.age());
        assert!(
            !Process {
                start: me.start + 1,
                ..me
            }
            .is_alive()
        );
    }

    #[test]
    fn ids_that_mean_more_than_one_process_are_never_signalled() {
        assert_eq!((id(0), id(1), id(u32::MAX)), (None, None, None));
    }
}
