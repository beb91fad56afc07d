"""Writes docs/benchmarks.md from target/bench/rows. The part between the marks is written by hand and kept."""

import json

import report
from peers import OUT, ROOT
from rows import ROWS

PATH = ROOT / "docs/benchmarks.md"
BEGIN, END = "<!-- By hand, kept when this file is written again. -->", "<!-- End of what is written by hand. -->"


def by_hand():
    if PATH.exists() and BEGIN in PATH.read_text():
        return PATH.read_text().partition(BEGIN)[2].partition(END)[0].strip()
    return "Nothing has been written here yet."


def write():
    found = [json.loads(path.read_text()) for name in ROWS if (path := OUT / "rows" / f"{name}.json").exists()]
    PATH.write_text(text(found))
    print(f"written: {PATH.relative_to(ROOT)}")


def text(found):
    versions = {name: it for row in found for name, it in row["versions"].items() if it != "missing"}
    named = ", ".join(f"{name} {it}" for name, it in sorted(versions.items()) if name not in ("nginx-again", "haproxy-splice", "traefik-fast"))
    where = 'The whole table has not been taken in one run yet. What was measured in parts stands under "What is not better, and why".'
    if found:
        newest = max(found, key=lambda it: it["at"])
        machine = newest["machine"]
        where = (f"""Machine: {machine["cores"]} cores ({machine["model"]}), {machine["memory_gib"]} GiB, {machine["system"]}, Linux {machine["kernel"]}; """
                 f"""last measured {newest["at"]}.\nVersions: {named}.""")
    return f"""# Benchmarks

minato beside other proxies: one core each, in one run, on one machine. Written by `make bench-peers`; all but the section
"What is not better, and why" is made from what was measured.

    make bench-peers                                                        # everything: about two hours
    make bench-peers ROWS=small,64k PEERS=minato,nginx,haproxy ROUNDS=3 SECONDS=3   # a minute; writes nothing here

{where}

{METHOD}
## Targets

Ratio of minato's figure to the peer's in the same round, median of the rounds; of several peers the one that minato does worst against. *Noise* is
nginx against nginx in the same rounds: a difference from 1.00 that is smaller says nothing.

| work | figure | against | ratio | must | goal | | noise |
|---|---|---|---|---|---|---|---|
{targets(found)}

## What is not better, and why

{BEGIN}

{by_hand()}

{END}

## All figures

{chr(10).join(section(it) for it in found)}"""


def targets(found):
    out, by_row = [], {it["row"]: it["lines"] for it in found}
    for row in ROWS.values():
        lines = by_row.get(row.name, [])
        for figure in (it for it in row.figures if it.target):
            at, spread = report.against(figure, lines), report.noise(figure, lines)
            ratio, peer = (f"{at[0]:.2f}", at[1]) if at else ("not measured", ", ".join(figure.target.against))
            peer += "".join(f", without {it}" for it in report.unmeasured(figure, lines)) if at else ""
            noise = f"{spread:.1%}" if spread is not None else ""
            out.append(f"| {row.title} | {figure.title} | {peer} | {ratio} | {figure.target.must:.2f} | {figure.target.goal:.2f} "
                       f"| {report.reached(figure, lines)} | {noise} |")
    return "\n".join(out)


def section(it):
    row = ROWS[it["row"]]
    how = "by the core's accounting" if it["quiet"] else "by the processes' own accounting, as others used the machine"
    out = [f"### `{row.name}`: {row.title}", "",
           f"{it['at']}, {it['rounds']} rounds of {it['seconds']} s" + (f", CPU {how}" if any(report.is_cpu(f.key) for f in row.figures) else "") + ".",
           "", "| peer | figure | median | min - max | minato / it | proxy's core | client's core | |", "|---|---|---|---|---|---|---|---|"]
    for line in it["lines"]:
        ratio = f"{line['ratio']:.2f}" if line["ratio"] and line["peer"] != "nginx-again" else ""
        shares = (f"{line['proxy']:.0%}", f"{line['client']:.0%}") if line["client"] else ("", "")
        remarks = [*line["note"], *(f"void: {why}" for why in line["void"])]
        if line["rounds"] < line["of"]:
            remarks.append(f"{line['rounds']} of {line['of']} rounds count")
        out.append(f"| {line['peer']} | {line['figure']} | {report.number(line['median'])} {line['unit']} "
                   f"| {report.number(line['min'])} - {report.number(line['max'])} | {ratio} | {shares[0]} | {shares[1]} | {'; '.join(remarks)} |")
    for name, reason in it["missing"].items():
        out.append(f"| {name} | not measured: {reason} | | | | | | |")
    return "\n".join(out) + "\n"


METHOD = """## Method

- **One core for the proxy, one for client and origin**, all on loopback, pinned with `taskset`. Both cores' use is printed. A round in which the
  client's core is above 95 % is void. Where a closed loop would be, the measured window runs at a fixed rate instead, at which the client's
  core is at 90 %: "limited by the client's core". A proxy then has less to do at once than at saturation, which makes each request a little
  dearer for it; only the fastest are limited so.
- **CPU** is user, kernel and softirq time of the proxy's core (`/proc/stat`) over the window, less what others used in a second without
  load, divided by the requests answered. Where the machine was not quiet it is the processes' own user and kernel time (`/proc/PID/stat`)
  instead; both are in the JSON under `target/bench`.
- **Interleaved**: each round measures every peer, started afresh, one at a time, in an order that differs from round to round. Ratios are of the
  same round; medians of all rounds.
- **Load**: `benches/peers/load`, a single-threaded client and origin; rates are constant, and a latency counts from when a request was due, not from when it was sent (no
  coordinated omission). HTTP/2 by h2load. Bodies are sent by `sendfile` and discarded unread, so that the client is not the limit.
- **nginx's capacity** is what it could take if its core were fully used: one second divided by its CPU for each request, measured in the same round.
- **Memory** is PSS of all processes before and after the connections came, each of which got one answer; kernel memory is not in it.
- **TLS**: 1.3, ECDSA P-256, X25519, AES-128-GCM for everyone. A handshake is connect, handshake, tickets, close, without a request. The client does
  not look at the certificate.
- **On in minato**: health checks, limits, retries, metrics, passive ejection, and the strictness of its parser. **On in the peers**: health checks where
  they have them (nginx has none); each tuned by its own manual, in [benches/peers/config](../benches/peers/config). `haproxy-splice` (`option splice-request`, `splice-response`)
  and `traefik-fast` (`experimental.fastProxy`) are the same programs with a setting that may be better; the better one counts.

Multi-core scaling is unmeasured (2-core machine).
"""
