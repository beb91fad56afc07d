"""What is measured: one function for each row, from a running peer to figures. Comparing and writing is report.py's."""

import time
from dataclasses import dataclass, field

import load
from peers import Setting

VOID = 0.95  # busy share of the client's core past which the client, not the proxy, may be the limit


@dataclass
class Sample:
    """One measurement of one peer. A `cpu_us` figure is kept twice: by core and by process."""

    figures: dict
    proxy_share: float = 0.0
    client_share: float = 0.0
    quiet: bool = True
    void: str = ""


@dataclass(frozen=True)
class Target:
    must: float
    goal: float
    against: tuple  # ratio to the best of these peers


@dataclass(frozen=True)
class Figure:
    key: str
    title: str
    unit: str
    target: Target = None


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    measure: object  # (bench, peer) -> Sample
    figures: tuple
    setting: Setting = field(default_factory=Setting)


def quiet_before(bench, running):
    """A second without load: what else uses the cores, per second, and whether the machine is quiet."""
    window = running.window()
    time.sleep(bench.quiet_seconds)
    use = window.end()
    foreign = use.proxy_core - use.processes
    return foreign / use.seconds, foreign / use.seconds < 0.03 and use.client_share < 0.05


def per_request(bench, running, work):
    """Runs `work(seconds) -> Answered` to warm up, then measured; CPU for each request by core and by process."""
    idle, quiet = quiet_before(bench, running)
    work(bench.warm_seconds)
    window = running.window()
    answered = work(bench.seconds)
    use = window.end()
    if not answered.requests:
        return Sample({}, void="nothing was answered")
    core = max(use.proxy_core - idle * use.seconds, 0) if quiet else use.proxy_core
    figures = {
        "cpu_us_core": core / answered.requests * 1e6,
        "cpu_us_process": use.processes / answered.requests * 1e6,
        "per_second": answered.requests / answered.seconds,
    }
    void = ""
    if answered.failed > answered.requests / 1000:
        void = f"{answered.failed} requests failed"
    elif use.client_share > VOID and use.proxy_share < VOID:
        void = f"client core {use.client_share:.0%} busy"
    return Sample(figures, use.proxy_share, use.client_share, quiet and use.stolen < 0.05 * use.seconds, void)


def closed_loop(path, connections=64, headers=(), setting=Setting()):
    def measure(bench, peer):
        with bench.peer(peer, setting) as running:
            return per_request(
                bench, running, lambda seconds: load.wrk(running.port, path, seconds, connections, headers))
    return measure


IDLE = 9_000


def idle(bench, peer):
    with bench.peer(peer, Setting()) as running:
        load.wrk(running.port, "/small", 1, 16)
        time.sleep(1)
        before, before_rss = running.memory_kib()
        clients = load.Idle(running.port, bench.idle)
        try:
            time.sleep(3)
            after, after_rss = running.memory_kib()
            still = clients.still_open()
        finally:
            clients.close()
        figures = {
            "kib": (after - before) / bench.idle,
            "kib_rss": (after_rss - before_rss) / bench.idle,
            "total_kib": after / bench.idle,
        }
        return Sample(figures, void="" if still == bench.idle else f"only {still} of {bench.idle} stayed open")


CPU = "CPU each"
ROWS = {it.name: it for it in (
    Row("small", "small kept-alive request, 64 connections, saturation", closed_loop("/small"),
        (Figure("cpu_us", CPU, "us", Target(0.90, 0.85, ("nginx",))), Figure("per_second", "requests", "/s"))),
    Row("64k", "64 KiB response, 64 connections", closed_loop("/64k"),
        (Figure("cpu_us", CPU, "us", Target(0.80, 0.75, ("haproxy",))),)),
    Row("newconn", "new connection for each request, 64 at once", closed_loop("/small", headers=("Connection: close",)),
        (Figure("cpu_us", CPU, "us", Target(1.0, 0.9, ("nginx", "haproxy"))),)),
    Row("idle", "memory for each idle kept-alive connection", idle,
        (Figure("kib", "grown by, PSS", "KiB", Target(1.0, 0.8, ("haproxy",))),
         Figure("total_kib", "whole process", "KiB"))),
)}
