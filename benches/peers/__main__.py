"""minato beside other proxies, on one core each, in one run: `make bench-peers`, or `python3 benches/peers --help`."""

import argparse
import contextlib
import dataclasses
import json
import os
import resource
import shutil
import sys
import time

import peers
import report
from peers import ADDRESS, CLIENT_CORE, PEERS, ROOT, Missing, Process
from rows import IDLE, ROWS

OUT = ROOT / "target/bench"


class Bench:
    """One run: its origin, its pace, its folder."""

    def __init__(self, arguments):
        self.seconds, self.warm_seconds, self.quiet_seconds = arguments.seconds, 1, 1
        self.idle = arguments.idle
        self.run = OUT / "run"
        self.origin_port = peers.free_port()

    @contextlib.contextmanager
    def origin(self):
        bodies = os.path.join("/dev/shm" if os.path.isdir("/dev/shm") else str(self.run), f"minato-bench-{os.getpid()}")
        shutil.rmtree(self.run, ignore_errors=True)
        self.run.mkdir(parents=True)
        os.makedirs(bodies)
        try:
            for name, size in (("64k", 64 << 10), ("10m", 10 << 20)):
                with open(os.path.join(bodies, name), "wb") as it:
                    it.write(b"x" * size)
            config = self.run / "origin.conf"
            config.write_text(peers.fill("origin.conf", {
                "RUN": self.run, "ORIGIN": f"{ADDRESS}:{self.origin_port}", "BODIES": bodies, "SMALL": "x" * 1024}))
            command = [peers.program("nginx"), "-p", str(self.run), "-c", str(config)]
            with Process("origin", CLIENT_CORE, command, self.run) as process:
                peers.wait_for("the origin answers", lambda: process.check() or peers.answers(self.origin_port))
                yield
        finally:
            shutil.rmtree(bodies, ignore_errors=True)

    @contextlib.contextmanager
    def peer(self, peer, setting):
        running = peer.start(self, setting)
        try:
            yield running
        finally:
            running.process.stop()


def chosen(text, known):
    names = [it for it in text.replace(",", " ").split()] or list(known)
    unknown = [it for it in names if it not in known]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    return [known[it] for it in names]


def measure(bench, row, them, rounds):
    """peer -> round -> Sample. Each round takes the peers in another order, so that no one is always first."""
    samples = {it.name: {} for it in them}
    missing = {}
    for number in range(rounds):
        turn = number % len(them)
        for peer in them[turn:] + them[:turn]:
            if peer.name in missing:
                continue
            try:
                samples[peer.name][number] = row.measure(bench, peer)
            except Missing as reason:
                missing[peer.name] = str(reason)
            except RuntimeError as reason:
                print(f"  {row.name}, {peer.name}, round {number + 1}: {reason}", file=sys.stderr)
            print(".", end="", flush=True)
    print()
    return {name: it for name, it in samples.items() if it}, missing


def main():
    default = os.environ.get
    parser = argparse.ArgumentParser(prog="benches/peers", description=__doc__)
    parser.add_argument("--rows", default=default("ROWS", ""), help=f"of: {', '.join(ROWS)}")
    parser.add_argument("--peers", default=default("PEERS", ""), help=f"of: {', '.join(PEERS)}")
    parser.add_argument("--rounds", type=int, default=int(default("ROUNDS") or 5))
    parser.add_argument("--seconds", type=int, default=int(default("WINDOW") or 5), help="measured in each round")
    parser.add_argument("--idle", type=int, default=int(default("IDLE") or IDLE), help="connections of the row `idle`")
    arguments = parser.parse_args()
    rows, them = chosen(arguments.rows, ROWS), chosen(arguments.peers, PEERS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    OUT.mkdir(parents=True, exist_ok=True)

    bench, all_lines, raw = Bench(arguments), [], {}
    with bench.origin():
        for row in rows:
            samples, missing = measure(bench, row, them, arguments.rounds)
            lines = report.compare(row, samples)
            print(report.table(row, lines))
            for name, reason in missing.items():
                print(f"  {name}: not measured: {reason}")
            all_lines += lines
            raw[row.name] = {p: {n: dataclasses.asdict(it) for n, it in r.items()} for p, r in samples.items()}
    path = OUT / f"peers-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({"lines": all_lines, "samples": raw}, indent=1))
    print(f"\nwritten: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
