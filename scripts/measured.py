#!/usr/bin/env python3
"""Runs a command again and again and adds up what it measured.

    scripts/measured.py RUNS COMMAND...

Tests print lines like `measured | row 1, an instance killed | detected | 0.12 s`. Printed here: median and worst of each figure, as tests/faults
does. The first run that fails ends it, with all that the run said, and with the figures of those before.
"""

import subprocess
import sys

MARK = "measured | "


def main(runs, command):
    figures, status = {}, 0
    for run in range(1, runs + 1):
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = ended.stdout.splitlines()
        if ended.returncode != 0:
            print(ended.stdout)
            print(f"run {run} of {runs} failed: {' '.join(command)}", file=sys.stderr)
            status = ended.returncode
            break
        for line in lines:
            if line.startswith("skipped"):
                print(line)
            # What a test harness prints first stands before it.
            _, mark, rest = line.partition(MARK)
            if mark:
                row, name, figure = (it.strip() for it in rest.split(" | "))
                number, _, unit = figure.partition(" ")
                figures.setdefault((row, name, unit), []).append(float(number))
    if not figures and not status:
        print(f"nothing was measured by {' '.join(command)}", file=sys.stderr)
        return 1
    for (row, name, unit), all in figures.items():
        all.sort()
        text = [f"{it:.2f} {unit}" if unit == "s" else f"{it:g} {unit}".strip() for it in (all[len(all) // 2], all[-1])]
        print(f"{row}: {name}: median {text[0]}, worst {text[1]}, {len(all)} runs", flush=True)
    return status


if __name__ == "__main__":
    if len(sys.argv) < 3 or not sys.argv[1].isdigit() or sys.argv[1] == "0":
        sys.exit(__doc__)
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
