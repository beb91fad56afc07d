//! What is left of one node: promised to instances, and used by whatever runs there.

use minato_config::{Backend, Command, DependencyName, Grant, Service};
use minato_health::{NodeInfo, NodeLoad};
use std::fmt;

/// What an instance that has just been placed is taken to use until its node's load shows it, thousandths of a processor.
const EXPECTED_CPU_MILLI: u64 = 100;
/// A node whose programs leave less than this share of its memory takes nothing more.
const LEAST_FREE_PERMILLE: u64 = 30;

/// What one instance is promised. 0: nothing was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::plan) struct Demand {
    /// Thousandths of a processor.
    pub(in crate::plan) cpu_milli: u64,
    pub(in crate::plan) memory_bytes: u64,
}

impl Demand {
    /// What a container may use. A process is promised nothing: it has what its user may have.
    pub(in crate::plan) fn of(service: &Service, granted: Option<Grant>) -> Self {
        let Backend::Command(Command {
            image: Some(image), ..
        }) = &service.backend
        else {
            return Self::default();
        };
        let resources = image.granted(granted.unwrap_or_default());
        Self {
            cpu_milli: resources.cpu_milli.map_or(0, u64::from),
            memory_bytes: resources.memory_bytes.unwrap_or(0),
        }
    }

    /// What this is more than `other`.
    pub(in crate::plan) fn above(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_sub(other.cpu_milli),
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
        }
    }
}

/// Why a node does not take a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plan) enum Lack {
    /// An operator wants it empty.
    Drained,
    /// The service asks for a label that it does not have, or has with another value.
    Label { name: String, value: String },
    /// The fixed port is taken by another instance of the service.
    Port(u16),
    /// Too much of its processors is promised; thousandths of a processor.
    Cpu { wanted: u64, left: u64 },
    /// Too much of its memory is promised; bytes.
    Memory { wanted: u64, left: u64 },
    /// Its memory is used up, by whatever runs there.
    MemoryInUse,
    /// What the service depends on cannot be used from there.
    Unreached { name: DependencyName, why: String },
}

/// One node's room. A node that says nothing of itself has as much as anybody wants.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    /// May be promised in all.
    capacity: Option<Demand>,
    promised: Demand,
    /// Of the machine as it is, without overcommit.
    machine: Demand,
    load: Option<NodeLoad>,
    /// Instances that the load does not show yet.
    unmeasured: u64,
}

impl Room {
    pub(super) fn of(info: Option<&NodeInfo>, load: Option<&NodeLoad>) -> Self {
        let Some(info) = info else {
            return Self::default();
        };
        let machine = Demand {
            cpu_milli: u64::from(info.cpus).saturating_mul(1_000),
            memory_bytes: info.memory_bytes,
        };
        let percent = |of: u64, percent: u32| {
            let all = u128::from(of) * u128::from(percent) / 100;
            u64::try_from(all).unwrap_or(u64::MAX)
        };
        Self {
            capacity: Some(Demand {
                cpu_milli: percent(machine.cpu_milli, info.overcommit.cpu_percent),
                memory_bytes: percent(machine.memory_bytes, info.overcommit.memory_percent),
            }),
            promised: Demand::default(),
            machine,
            load: load.copied(),
            unmeasured: 0,
        }
    }

    pub(super) fn promise(&mut self, demand: Demand) {
        let it = &mut self.promised;
        it.cpu_milli = it.cpu_milli.saturating_add(demand.cpu_milli);
        it.memory_bytes = it.memory_bytes.saturating_add(demand.memory_bytes);
    }

    pub(super) fn release(&mut self, demand: Demand) {
        let it = &mut self.promised;
        it.cpu_milli = it.cpu_milli.saturating_sub(demand.cpu_milli);
        it.memory_bytes = it.memory_bytes.saturating_sub(demand.memory_bytes);
    }

    /// An instance came that the load does not show.
    pub(super) fn expect_load(&mut self) {
        self.unmeasured += 1;
    }

    /// What is missing for one more.
    pub(super) fn lack(&self, demand: Demand) -> Option<Lack> {
        let capacity = self.capacity?;
        let cpu = capacity.cpu_milli.saturating_sub(self.promised.cpu_milli);
        let memory = capacity
            .memory_bytes
            .saturating_sub(self.promised.memory_bytes);
        if demand.cpu_milli > cpu {
            return Some(Lack::Cpu {
                wanted: demand.cpu_milli,
                left: cpu,
            });
        }
        if demand.memory_bytes > memory {
            return Some(Lack::Memory {
                wanted: demand.memory_bytes,
                left: memory,
            });
        }
        let load = self.load?;
        let free = permille(load.memory_free_bytes, self.machine.memory_bytes);
        let known = self.machine.memory_bytes > 0 && load.memory_free_bytes > 0;
        let short = free < LEAST_FREE_PERMILLE || load.memory_free_bytes < demand.memory_bytes;
        (known && short).then_some(Lack::MemoryInUse)
    }

    /// How busy the node would be with one more: the largest of what is promised and what is used, thousandths.
    pub(super) fn busy_permille(&self, demand: Demand) -> u64 {
        self.busy_with(demand, Demand::default())
    }

    /// How busy the node would be without an instance that is promised and uses so much.
    pub(super) fn busy_without(mut self, demand: Demand, used: Demand) -> u64 {
        self.release(demand);
        self.relieve(used);
        self.busy_permille(Demand::default())
    }

    /// So much less is used than its load says.
    pub(super) fn relieve(&mut self, used: Demand) {
        if let Some(load) = &mut self.load {
            let less = permille(used.cpu_milli, self.machine.cpu_milli);
            let less = u16::try_from(less).unwrap_or(u16::MAX);
            load.cpu_permille = load.cpu_permille.saturating_sub(less);
            load.memory_free_bytes = load.memory_free_bytes.saturating_add(used.memory_bytes);
        }
    }

    /// So much more is used than its load says.
    pub(super) fn burden(&mut self, used: Demand) {
        if let Some(load) = &mut self.load {
            let more = permille_up(used.cpu_milli, self.machine.cpu_milli);
            let more = u16::try_from(more).unwrap_or(u16::MAX);
            load.cpu_permille = load.cpu_permille.saturating_add(more);
            load.memory_free_bytes = load.memory_free_bytes.saturating_sub(used.memory_bytes);
        }
    }

    /// As [`Room::busy_permille`], where it is known what that one uses.
    pub(super) fn busy_with(&self, demand: Demand, also: Demand) -> u64 {
        let Some(capacity) = self.capacity else {
            return 0;
        };
        let with = |promised: u64, more: u64| promised.saturating_add(more);
        let promised_cpu = with(self.promised.cpu_milli, demand.cpu_milli);
        let promised_memory = with(self.promised.memory_bytes, demand.memory_bytes);
        let promised = permille(promised_cpu, capacity.cpu_milli)
            .max(permille(promised_memory, capacity.memory_bytes));
        let used = self.load.map_or(0, |load| {
            let memory = self.machine.memory_bytes;
            let used = memory.saturating_sub(load.memory_free_bytes);
            let used = used.saturating_add(also.memory_bytes);
            let coming = self.unmeasured.saturating_mul(EXPECTED_CPU_MILLI);
            let cpu = u64::from(load.cpu_permille)
                .saturating_add(permille(coming, self.machine.cpu_milli))
                .saturating_add(permille_up(also.cpu_milli, self.machine.cpu_milli));
            cpu.max(permille(used, memory))
        });
        promised.max(used)
    }
}

/// What is expected of a load that is told in whole thousandths: not less than will be told.
fn permille_up(part: u64, whole: u64) -> u64 {
    match part {
        0 => 0,
        part => permille(part, whole) + 1,
    }
}

fn permille(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    let share = u128::from(part) * 1_000 / u128::from(whole);
    u64::try_from(share).unwrap_or(u64::MAX)
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained => f.write_str("drained"),
            Self::Label { name, value } => write!(f, "without the label {name} = \"{value}\""),
            Self::Port(port) => {
                write!(f, "port {port} is fixed, so a node takes one at most")
            }
            Self::Cpu { wanted, left } => {
                write!(
                    f,
                    "processors: {} wanted, {} left",
                    cores(*wanted),
                    cores(*left)
                )
            }
            Self::Memory { wanted, left } => {
                write!(
                    f,
                    "memory: {} wanted, {} left",
                    mebibytes(*wanted),
                    mebibytes(*left)
                )
            }
            Self::MemoryInUse => f.write_str("memory is in use by what runs there"),
            Self::Unreached { name, why } => write!(f, "does not reach {name} ({why})"),
        }
    }
}

/// `0.5`
fn cores(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1_000, milli % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `512 MiB`
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
