"""What is measured: one function for each row, from a running peer to figures. Comparing and writing is report.py's."""

import time
from dataclasses import dataclass

import load
from peers import Setting

VOID = 0.95  # busy share of the client's core past which the client, not the proxy, may be the limit
ATTEMPTS = 3  # at a rate at which the client's core has room
SLOWER = 0.9  # from one to the next
NEAR = 0.90  # the share that a limited run aims at


@dataclass
class Sample:
    """One measurement of one peer. `cpu_us` is kept twice, `cpu_us_core` and `cpu_us_process`: see report.value."""

    figures: dict
    proxy_share: float = 0.0
    client_share: float = 0.0
    quiet: bool = True
    void: str = ""
    note: str = ""


@dataclass(frozen=True)
class Target:
    """minato's ratio to the best of `against` in the same round; for `itself` the figure is the ratio."""

    must: float
    goal: float
    against: tuple
    """Another figure, and what it may be at most for the target to be reached all the same."""
    unless: tuple = ()


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
    peers: tuple = ()  # those it is for, beside which none is asked; empty: all but the variants for large bodies
    method: str = ""


def quiet_before(bench, running):
    """Waits until the peer has settled, then a second without load: CPU a second that others use, and whether the cores are quiet."""
    for _ in range(60):
        window = running.window()
        time.sleep(bench.quiet_seconds)
        use = window.end()
        if use.processes < 0.1 * use.seconds:
            break
    foreign = max(use.proxy_core - use.processes, 0) / use.seconds
    return foreign, foreign < 0.03 and use.client_core < 0.05 * use.seconds


def client_share(use, quiet):
    """How much of its core the client took, as far as that can be told from what others took."""
    return use.client_share if quiet else use.clients / use.seconds


def sample(foreign, quiet, use, answered, each):
    """CPU for each unit by core and by process; `each` is what a request counts as (1, or MiB)."""
    if not answered.requests:
        return Sample({}, void="nothing was answered")
    units = answered.requests * each
    core = max(use.proxy_core - foreign * use.seconds, 0)
    figures = {
        "cpu_us_core": core / units * 1e6,
        "cpu_us_process": use.processes / units * 1e6,
        "per_second": answered.requests / answered.seconds,
    }
    quiet = quiet and use.stolen < 0.05 * use.seconds
    void = ""
    if answered.failed > answered.requests / 1000:
        void = f"{answered.failed} of {answered.requests + answered.failed} requests failed or were not sent"
    elif client_share(use, quiet) > VOID:
        void = f"client's core {client_share(use, quiet):.0%} busy"
    return Sample(figures, use.proxy_share, client_share(use, quiet), quiet, void)


def saturated(bench, running, work, each=1):
    """Closed loop, and where that takes all of the client's core, the rate at which it would be at 90 %.

    `work(seconds, *words)` sends. The peers that are limited so run a little below saturation, where a request costs a little more: the
    comparison is against whoever is fast enough to be limited.
    """
    foreign, quiet = quiet_before(bench, running)
    window = running.window()
    answered = work(bench.warm_seconds)
    warm = window.end()
    words, note = (), ""
    share = client_share(warm, quiet)
    rate = answered.requests / answered.seconds * NEAR / share if share > NEAR and answered.requests else 0
    # Paced work may cost the client more for each request than a closed loop does: slower, until its core has room.
    for _ in range(ATTEMPTS):
        if rate:
            words, note = (f"rate={rate:.0f}",), "limited by the client's core"
        window = running.window()
        answered = work(bench.seconds, *words)
        use = window.end()
        result = sample(foreign, quiet, use, answered, each)
        share = client_share(use, quiet)
        if share <= VOID or not answered.requests:
            break
        rate = answered.requests / answered.seconds * SLOWER
    result.note = note
    return result


def closed_loop(*words, connections=64, each=1, setting=Setting(), port="port"):
    def measure(bench, peer):
        with bench.peer(peer, setting) as running:
            def work(seconds, *more):
                return load.client(getattr(running, port), seconds, f"connections={connections}", *words, *more)
            return saturated(bench, running, work, each)
    return measure


def at_rate(share):
    """At a share of what nginx can take, measured in the same round: CPU for each request, and latency from when each was due."""
    def measure(bench, peer):
        rate = bench.capacity() * share
        with bench.peer(peer, Setting()) as running:
            foreign, quiet = quiet_before(bench, running)
            words = ("path=/small", "connections=64", f"rate={rate:.0f}")
            load.client(running.port, bench.warm_seconds, *words)
            window = running.window()
            answered = load.client(running.port, bench.seconds, *words)
            result = sample(foreign, quiet, window.end(), answered, 1)
        for it in ("p50_us", "p99_us", "p999_us"):
            result.figures[it] = answered.said[it]
        result.figures["rate"] = rate
        if answered.said["unsent"] > 0.01 * rate * bench.seconds:
            result.note, result.void = "cannot take the rate", ""
        return result
    return measure


def uploads(bench, peer):
    with bench.peer(peer, Setting()) as running:
        def work(seconds, *more):
            return load.client(running.port, seconds, "path=/upload", f"upload={bench.bodies}/10m", "connections=8", *more)
        return saturated(bench, running, work, each=10)


def http2(bench, peer):
    with bench.peer(peer, Setting(tls=True)) as running:
        return saturated(bench, running, lambda seconds, *more: load.h2load(running.tls_port, "/small", seconds, *more))


def handshakes(kind):
    def measure(bench, peer):
        with bench.peer(peer, Setting(tls=True)) as running:
            last = {}

            def work(seconds, *more):
                answered = load.client(running.tls_port, seconds, f"tls={kind}", "connections=32", *more)
                last.update(answered.said)
                return answered
            result = saturated(bench, running, work)
        # Each run begins without tickets, so that the first on each connection is a full one.
        wrong = last["resumed"] if kind == "full" else last["full"] - 32
        if wrong > 0.01 * last["requests"]:
            result.void = f"{last['full']} full and {last['resumed']} resumed handshakes"
        return result
    return measure


IDLE = 9_000


def idle(bench, peer):
    with bench.peer(peer, Setting()) as running:
        load.client(running.port, 1, "path=/small", "connections=16")
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


def services(bench, peer):
    """The same program with 1 and with 10,000 services, one after the other."""
    found = {}
    for count in (1, bench.services):
        with bench.peer(peer, Setting(services=count)) as running:
            found[count] = saturated(
                bench, running, lambda seconds, *more: load.client(running.port, seconds, "path=/small", "connections=64", *more))
    one, many = found[1], found[bench.services]
    figures = {f"{key}_{name}": it.figures.get(f"cpu_us_{key}")
               for name, it in (("one", one), ("many", many)) for key in ("core", "process")}
    for key in ("core", "process"):
        if figures[f"{key}_one"] and figures[f"{key}_many"]:
            figures[f"ratio_{key}"] = figures[f"{key}_many"] / figures[f"{key}_one"]
    return Sample(figures, many.proxy_share, many.client_share, one.quiet and many.quiet, one.void or many.void, many.note)


def swap(bench, peer):
    import swaps  # it uses this module
    return swaps.measure(bench, peer)


def upgrade(bench, peer):
    import swaps
    return swaps.upgrade(bench, peer)


CPU = "CPU"
BOTH = ("nginx", "haproxy", "haproxy-splice")
ALL = ("nginx", "haproxy", "envoy", "traefik", "traefik-fast", "caddy")
LARGE = ("minato", "nginx", "haproxy", "haproxy-splice", "envoy", "traefik", "traefik-fast", "caddy", "nginx-again")


def cpu(unit="us", target=None):
    return Figure("cpu_us", CPU, unit, target)


LATENCY = (Figure("p50_us", "p50", "us"), Figure("p99_us", "p99", "us", Target(1.0, 0.9, ALL)), Figure("p999_us", "p99.9", "us"), cpu())
ROWS = {it.name: it for it in (
    Row("small", "small response (1 KiB), kept alive, 64 connections, saturation", closed_loop("path=/small"),
        (cpu(target=Target(0.90, 0.85, ("nginx",))), Figure("per_second", "requests", "/s"))),
    Row("rate20", "the same at 20 % of nginx's capacity", at_rate(0.2), (cpu(),)),
    Row("rate50", "the same at 50 % of nginx's capacity", at_rate(0.5), (cpu(),)),
    Row("rate80", "the same at 80 % of nginx's capacity", at_rate(0.8), (cpu(),)),
    Row("log", "small response, access log on", closed_loop("path=/small", setting=Setting(access_log=True)),
        (cpu(target=Target(0.95, 0.85, ("nginx",))),), ("minato", "nginx", "nginx-again")),
    Row("p60", "latency at 60 % of nginx's capacity, constant rate", at_rate(0.6), LATENCY),
    Row("p85", "latency at 85 % of nginx's capacity, constant rate", at_rate(0.85), LATENCY),
    Row("64k", "64 KiB response, 64 connections", closed_loop("path=/64k"),
        (cpu(target=Target(0.80, 0.75, ("haproxy", "haproxy-splice"))),), LARGE),
    Row("10m", "10 MiB download, 8 connections, for each MiB", closed_loop("path=/10m", connections=8, each=10),
        (cpu("us/MiB", Target(0.95, 0.80, BOTH)),), LARGE),
    Row("upload", "10 MiB upload, 8 connections, for each MiB", uploads, (cpu("us/MiB", Target(0.95, 0.80, BOTH)),), LARGE),
    Row("idle", f"memory for each of {IDLE:,} idle kept-alive connections", idle,
        (Figure("kib", "grown by", "KiB", Target(1.0, 0.8, ("haproxy",))), Figure("total_kib", "whole process", "KiB"))),
    Row("newconn", "a new connection for each small request, 64 at once", closed_loop("path=/small", "close"),
        (cpu(target=Target(1.0, 0.9, ("nginx", "haproxy"))), Figure("per_second", "connections", "/s"))),
    Row("tls-full", "TLS 1.3 full handshake, ECDSA P-256, X25519", handshakes("full"),
        (cpu(target=Target(1.0, 0.9, ("nginx", "haproxy"))), Figure("per_second", "handshakes", "/s"))),
    Row("tls-resumed", "TLS 1.3 resumed handshake (ticket, X25519)", handshakes("resumed"),
        (cpu(target=Target(1.0, 0.9, ("nginx", "haproxy"))), Figure("per_second", "handshakes", "/s"))),
    Row("tls", "small response over TLS 1.3, kept alive, AES-128-GCM",
        closed_loop("path=/small", "tls", setting=Setting(tls=True), port="tls_port"),
        (cpu(target=Target(0.95, 0.85, ("nginx",))),)),
    Row("http2", "small response over HTTP/2 and TLS, 16 connections of 16 streams (h2load)", http2,
        (cpu(target=Target(1.3, 1.0, ("nginx", "haproxy"))),)),
    Row("swap", "p99 while 1,000 changes of the table are made, beside p99 without, at 50 % of its capacity", swap,
        (Figure("p99_us_still", "p99 without", "us"), Figure("p99_us", "p99 with", "us"),
         Figure("ratio", "with / without", "", Target(1.05, 1.05, ("itself",), ("more_us", 200))),
         Figure("more_us", "more", "us"), Figure("swaps", "changes", "")), ("minato",)),
    Row("upgrade", "p99 of 6 s in which another process takes over, beside p99 without, at 50 % of its capacity", upgrade,
        (Figure("p99_us_still", "p99 without", "us"), Figure("p99_us", "p99 with", "us"),
         Figure("ratio", "with / without", "", Target(1.05, 1.05, ("itself",), ("more_us", 200))), Figure("more_us", "more", "us")), ("minato",)),
    Row("services", "CPU with 10,000 services loaded against 1", services,
        (Figure("cpu_one", "CPU, 1", "us"), Figure("cpu_many", "CPU, 10,000", "us"),
         Figure("ratio", "10,000 / 1", "", Target(1.05, 1.02, ("itself",)))), ("minato",)),
)}


def for_row(row, them):
    """Those of `them` that the row is for."""
    if row.peers:
        return [it for it in them if it.name in row.peers]
    return [it for it in them if it.name != "haproxy-splice"]
