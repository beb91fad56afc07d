"""Who used the processors: the kernel's own figures for a core and for a tree of processes. Starts and pins nothing."""

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
BUSY = ("user", "nice", "system", "irq", "softirq")
FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def core_seconds(core):
    """Seconds since boot by kind, of one core."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *values = line.split()
        if name == f"cpu{core}":
            return dict(zip(FIELDS, (int(it) / TICK for it in values)))
    raise RuntimeError(f"no core {core}")


def tree(pid):
    """The process and all below it."""
    found, rest = [], [pid]
    while rest:
        pid = rest.pop()
        found.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                children = Path(f"/proc/{pid}/task/{task}/children").read_text()
                rest += [int(it) for it in children.split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def process_seconds(pids):
    """User and kernel time of living processes; on a tick-accounting kernel the sum is exact, the split is not."""
    total = 0
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = stat.rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def memory_kib(pids):
    """(PSS, RSS) in KiB of user memory: what is shared counts once in PSS. Kernel memory (socket buffers) is not in it."""
    pss = rss = 0
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in rollup.splitlines():
            if line.startswith("Pss:"):
                pss += int(line.split()[1])
            elif line.startswith("Rss:"):
                rss += int(line.split()[1])
    return pss, rss


@dataclass(frozen=True)
class Use:
    """What a window of time cost."""

    seconds: float
    proxy_core: float  # busy seconds
    client_core: float
    processes: float  # seconds of the proxy's own processes
    clients: float  # seconds of origin and load tools
    stolen: float  # seconds that the host took from either core

    @property
    def proxy_share(self):
        return self.proxy_core / self.seconds

    @property
    def client_share(self):
        return self.client_core / self.seconds


def ended_seconds():
    """User and kernel time of child processes that have ended: the load tools within a window."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Window:
    """Measures from its creation to `end`. `pid` is the proxy's, `origin` the origin's."""

    def __init__(self, cores, pid, origin):
        self.cores, self.pids, self.origin = cores, tree(pid), [origin]
        self.start = self._now()

    def _now(self):
        clients = process_seconds(self.origin) + ended_seconds()
        return time.monotonic(), [core_seconds(it) for it in self.cores], process_seconds(self.pids), clients

    def end(self):
        (t0, before, p0, c0), (t1, after, p1, c1) = self.start, self._now()
        busy = [sum(b[it] - a[it] for it in BUSY) for a, b in zip(before, after)]
        stolen = sum(b["steal"] - a["steal"] for a, b in zip(before, after))
        return Use(t1 - t0, busy[0], busy[1], p1 - p0, c1 - c0, stolen)
