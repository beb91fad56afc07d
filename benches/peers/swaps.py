"""The rows `swap` and `upgrade`: latency while the table is changed 1,000 times through the services folder, and while another process
takes over, beside latency without."""

import json
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import load
import report
import rows
from peers import Setting, fill, wait_for

FILES, BATCHES = 20, 50
MOST = (BATCHES + 1) * FILES + 100  # events of a run, about
PAUSE = 0.14  # seconds between batches: the watcher waits for 50 ms of quiet before it reads


def changes(admin):
    """How many times the gateway has told of routes that changed: each is one new table."""
    with urllib.request.urlopen(f"http://{admin}/v1/events?last={2 * MOST}", timeout=5) as answer:
        lines = [json.loads(it) for it in answer.read().decode().splitlines() if it.strip()]
    return sum(it["event"]["kind"] == "routed" for it in lines)


def edit(folder, origin, batch):
    """Gives each of the other services a route that it did not have."""
    for number in range(FILES):
        text = fill("other-service.toml", {"ORIGIN": origin, "NUMBER": f"{number}-{batch}"})
        draft = folder / f".other-{number}.tmp"
        draft.write_text(text)
        draft.rename(folder / f"other-{number}.toml")


def measure(bench, peer):
    origin = f"127.0.0.1:{bench.origin_port}"
    with bench.peer(peer, Setting()) as running:
        folder = Path(bench.run / peer.name / "services")
        edit(folder, origin, "first")
        wait_for("the services are there", lambda: changes(running.admin) >= FILES)
        words = ("path=/small", "connections=64")
        found = rows.saturated(bench, running, lambda seconds, *more: load.client(running.port, seconds, *words, *more))
        words += (f"rate={0.5e6 / report.value(found, 'cpu_us', found.quiet):.0f}",)
        seconds = BATCHES * PAUSE
        still = load.client(running.port, seconds, *words)
        before = changes(running.admin)

        def edits():
            for batch in range(BATCHES):
                edit(folder, origin, batch)
                time.sleep(PAUSE)
        thread = threading.Thread(target=edits)
        window = running.window()
        thread.start()
        with_changes = load.client(running.port, seconds, *words)
        use = window.end()
        thread.join()
        time.sleep(1)
        done = changes(running.admin) - before
    p99, alone = with_changes.said["p99_us"], still.said["p99_us"]
    figures = {"p99_us": p99, "p99_us_still": alone, "ratio": p99 / alone, "more_us": p99 - alone, "swaps": done}
    failed = still.failed + with_changes.failed
    void = f"{failed} requests failed or were not sent" if failed else "" if done >= 0.95 * FILES * BATCHES else f"only {done} changes"
    return rows.Sample(figures, use.proxy_share, rows.client_share(use, found.quiet), found.quiet, void)


AROUND = 3  # seconds before another process takes over, and after


def upgrade(bench, peer):
    """The new process is in the old one's session, so both end with it."""
    with bench.peer(peer, Setting()) as running:
        words = ("path=/small", "connections=64")
        found = rows.saturated(bench, running, lambda seconds, *more: load.client(running.port, seconds, *words, *more))
        words += (f"rate={0.5e6 / report.value(found, 'cpu_us', found.quiet):.0f}",)
        still = load.client(running.port, 2 * AROUND, *words)
        told = []

        def take_over():
            time.sleep(AROUND)
            command = [peer.binary(), "upgrade", "--admin", running.admin]
            told.append(subprocess.run(command, capture_output=True, text=True, check=False))
        thread = threading.Thread(target=take_over)
        thread.start()
        while_upgraded = load.client(running.port, 2 * AROUND, *words)
        thread.join()
    p99, alone = while_upgraded.said["p99_us"], still.said["p99_us"]
    figures = {"p99_us": p99, "p99_us_still": alone, "ratio": p99 / alone, "more_us": p99 - alone}
    failed = still.failed + while_upgraded.failed
    void = f"{failed} requests failed or were not sent" if failed else ""
    if told[0].returncode:
        void = f"no upgrade: {(told[0].stdout + told[0].stderr).strip()[-200:]}"
    return rows.Sample(figures, found.proxy_share, found.client_share, found.quiet, void)
