"""minato beside other proxies, on one core each, in one run: `make bench-peers`, or `python3 benches/peers --help`."""

import argparse
import contextlib
import dataclasses
import fcntl
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import document
import load
import peers
import report
import rows
from peers import ADDRESS, CLIENT_CORE, OUT, PEERS, ROOT, Missing, Process, Setting
from rows import IDLE, ROWS

SERVICES = 10_000


class Bench:
    """One run: its origin, its pace, its folder."""

    def __init__(self, arguments):
        self.seconds, self.warm_seconds, self.quiet_seconds = arguments.seconds, 1, 1
        self.idle, self.services = arguments.idle, arguments.services
        self.run = OUT / "run"
        self.origin_port = peers.free_port()
        self.bodies, self.certificates = self.run / "bodies", self.run / "certificates"
        self._capacity = {}
        self.round, self.origin_pid = 0, 0

    @contextlib.contextmanager
    def origin(self):
        shutil.rmtree(self.run, ignore_errors=True)
        self.bodies.mkdir(parents=True)
        self.certificates.mkdir()
        for name, size in load.BODIES.items():
            (self.bodies / name).write_bytes(b"x" * size)
        subprocess.run(
            [peers.program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
             "-subj", "/CN=bench", "-addext", "subjectAltName=DNS:bench,IP:127.0.0.1",
             "-keyout", self.certificates / "bench.key", "-out", self.certificates / "bench.crt"], check=True, capture_output=True)
        command = [peers.program("bench-load"), "origin", f"{ADDRESS}:{self.origin_port}", str(self.bodies)]
        with Process("origin", CLIENT_CORE, command, self.run) as process:
            peers.wait_for("the origin answers", lambda: process.check() or peers.answers(self.origin_port))
            self.origin_pid = process.pid
            yield

    @contextlib.contextmanager
    def peer(self, peer, setting):
        running = peer.start(self, setting)
        try:
            yield running
        finally:
            running.process.stop()

    def capacity(self):
        """Small requests a second at which nginx would use all of its core; measured once in each round."""
        if self.round not in self._capacity:
            with self.peer(PEERS["nginx"], Setting()) as running:
                found = rows.saturated(
                    self, running, lambda seconds, *more: load.client(running.port, seconds, "path=/small", "connections=64", *more))
            self._capacity[self.round] = 1e6 / report.value(found, "cpu_us", found.quiet)
        return self._capacity[self.round]


def chosen(text, known):
    names = text.replace(",", " ").split() or list(known)
    unknown = [it for it in names if it not in known]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    return [known[it] for it in names]


def measure(bench, row, them, rounds):
    """peer -> round -> Sample. Each round takes the peers in another order, so that no one is always first."""
    samples, missing = {it.name: {} for it in them}, {}
    for number in range(rounds):
        bench.round = number
        turn = number % len(them)
        for peer in them[turn:] + them[:turn]:
            if peer.name in missing:
                continue
            try:
                samples[peer.name][number] = row.measure(bench, peer)
            except Missing as reason:
                missing[peer.name] = str(reason)
            except (RuntimeError, OSError) as reason:
                samples[peer.name][number] = rows.Sample({}, void=str(reason)[:300])
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {name: it for name, it in samples.items() if it}, missing


@contextlib.contextmanager
def alone():
    """Two runs on the same cores would measure each other: the second waits."""
    with open(Path(tempfile.gettempdir()) / "minato-bench-peers.lock", "w", encoding="utf-8") as it:
        try:
            fcntl.flock(it, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another run is under way; waiting for its end", file=sys.stderr)
            fcntl.flock(it, fcntl.LOCK_EX)
        yield


def versions(them):
    found = {}
    for it in them:
        try:
            found[it.name] = it.version()
        except (Missing, OSError, IndexError, TypeError):
            found[it.name] = "missing"
    return found


def machine():
    model = next((it.partition(":")[2].strip() for it in Path("/proc/cpuinfo").read_text().splitlines() if it.startswith("model name")), "?")
    release = dict(it.split("=", 1) for it in Path("/etc/os-release").read_text().splitlines() if "=" in it)
    return {"cores": os.cpu_count(), "model": model, "kernel": platform.release(), "system": release.get("PRETTY_NAME", "?").strip('"'),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)}


def main():
    parser = argparse.ArgumentParser(prog="benches/peers", description=__doc__)
    parser.add_argument("--rows", default="", help=f"of: {', '.join(ROWS)}; default: all")
    parser.add_argument("--peers", default="", help=f"of: {', '.join(PEERS)}; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="measured in each round")
    parser.add_argument("--nice", type=int, default=0, help="of everything that is started; below 0, on a shared machine, it goes before others")
    parser.add_argument("--idle", type=int, default=IDLE, help="connections of the row `idle`")
    parser.add_argument("--services", type=int, default=SERVICES, help="of the row `services`")
    parser.add_argument("--document", action="store_true", help="measure nothing; write docs/benchmarks.md from what was measured")
    arguments = parser.parse_args()
    if arguments.document:
        return document.write()
    chosen_rows, them = chosen(arguments.rows, ROWS), chosen(arguments.peers, PEERS)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    peers.go_first(os.getpid(), arguments.nice)
    os.sched_setaffinity(0, {CLIENT_CORE})  # this program's own work is the client's
    (OUT / "rows").mkdir(parents=True, exist_ok=True)

    bench = Bench(arguments)
    with alone(), bench.origin():
        for row in chosen_rows:
            some = rows.for_row(row, them)
            if not some:
                print(f"\n{row.name}: for none of the chosen peers, only {', '.join(row.peers)}")
                continue
            samples, missing = measure(bench, row, some, arguments.rounds)
            lines = report.compare(row, samples)
            print(report.table(row, lines), flush=True)
            for name, reason in missing.items():
                print(f"  {name}: not measured: {reason}")
            found = {
                "row": row.name, "at": time.strftime("%Y-%m-%d %H:%M"), "rounds": arguments.rounds, "seconds": arguments.seconds,
                "quiet": report.quiet(samples), "machine": machine(), "versions": versions(some), "missing": missing, "lines": lines,
                "samples": {p: {n: dataclasses.asdict(it) for n, it in r.items()} for p, r in samples.items()},
            }
            text = json.dumps(found, indent=1)
            (OUT / f"{time.strftime('%Y%m%d-%H%M%S')}-{row.name}.json").write_text(text)
            whole = not arguments.peers and (arguments.idle, arguments.services) == (IDLE, SERVICES)
            if whole:  # what docs/benchmarks.md is made of
                (OUT / "rows" / f"{row.name}.json").write_text(text)
    if not arguments.rows and not arguments.peers:
        document.write()


if __name__ == "__main__":
    main()
