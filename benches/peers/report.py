"""Medians and ratios from samples, as a table, JSON and docs/benchmarks.md. Runs nothing."""

import statistics


def value(sample, key, by_core):
    if key == "cpu_us":
        key = "cpu_us_core" if by_core else "cpu_us_process"
    return sample.figures.get(key)


def usable(samples):
    return [it for it in samples if not it.void]


def by_core(samples):
    """Whether the core's own accounting is to be believed: in most samples nobody else used the cores."""
    all_of = [it for rounds in samples.values() for it in rounds.values()]
    return bool(all_of) and sum(it.quiet for it in all_of) >= 0.8 * len(all_of)


def compare(row, samples):
    """One line for each figure and peer. `samples` is peer -> round -> Sample; ratios are minato's to the peer's in the same round."""
    core, lines = by_core(samples), []
    for figure in row.figures:
        ours = {n: value(it, figure.key, core) for n, it in samples.get("minato", {}).items() if not it.void}
        for peer, rounds in samples.items():
            values = {n: value(it, figure.key, core) for n, it in rounds.items() if not it.void}
            values = {n: it for n, it in values.items() if it is not None}
            voids = sorted({it.void for it in rounds.values() if it.void})
            ratios = [ours[n] / it for n, it in values.items() if it and ours.get(n) is not None]
            lines.append({
                "row": row.name, "title": row.title, "figure": figure.title, "key": figure.key, "unit": figure.unit, "peer": peer,
                "by": ("core" if core else "process") if figure.key == "cpu_us" else "",
                "rounds": len(values), "void": voids,
                "median": statistics.median(values.values()) if values else None,
                "min": min(values.values(), default=None), "max": max(values.values(), default=None),
                "ratio": statistics.median(ratios) if ratios and peer != "minato" else None,
                "proxy": statistics.median([it.proxy_share for it in rounds.values()] or [0]),
                "client": statistics.median([it.client_share for it in rounds.values()] or [0]),
            })
    return lines


def number(it):
    if it is None:
        return "-"
    return f"{it:,.0f}" if abs(it) >= 1000 else f"{it:.3g}" if abs(it) < 100 else f"{it:.0f}"


def table(row, lines):
    """The terminal's table of one row."""
    out = [f"\n{row.name}: {row.title}",
           f"  {'peer':<12}{'figure':<16}{'median':>10}{'min':>9}{'max':>9}  {'unit':<5}{'minato/it':>10}{'proxy':>7}{'client':>7}"]
    for it in lines:
        ratio = f"{it['ratio']:.2f}" if it["ratio"] else ""
        share = f"{it['proxy']:>7.0%}{it['client']:>7.0%}" if it["client"] else ""
        by = f" ({it['by']})" if it["by"] else ""
        out.append(f"  {it['peer']:<12}{it['figure']:<16}{number(it['median']):>10}{number(it['min']):>9}{number(it['max']):>9}"
                   f"  {it['unit']:<5}{ratio:>10}{share}{by}")
        out += [f"    void: {reason}" for reason in it["void"]]
    for figure in row.figures:
        verdict = judged(figure, lines)
        if verdict:
            out.append(f"  {verdict}")
    return "\n".join(out)


def against(figure, lines):
    """(ratio, peer) of minato to the best of the target's peers, or None."""
    if not figure.target:
        return None
    found = [(it["ratio"], it["peer"]) for it in lines
             if it["key"] == figure.key and it["peer"] in figure.target.against and it["ratio"]]
    return max(found) if found else None


def judged(figure, lines):
    found = against(figure, lines)
    if not found:
        return ""
    ratio, peer = found
    word = "goal reached" if ratio <= figure.target.goal else "must reached" if ratio <= figure.target.must else "NOT reached"
    return f"{figure.title}: {ratio:.2f} of {peer} (must {figure.target.must:.2f}, goal {figure.target.goal:.2f}): {word}"
