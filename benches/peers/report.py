"""Medians and ratios from samples, and the terminal's table. Runs nothing; docs/benchmarks.md is document.py's."""

import statistics


def value(sample, key, core):
    """A CPU figure is by the core's accounting where the machine was quiet, else by that of the process."""
    way = "core" if core else "process"
    if key == "cpu_us":
        key = f"cpu_us_{way}"
    elif key in ("cpu_one", "cpu_many"):
        key = f"{way}_{key.removeprefix('cpu_')}"
    elif key == "ratio" and "ratio" not in sample.figures:
        key = f"ratio_{way}"
    return sample.figures.get(key)


def is_cpu(key):
    return key.startswith("cpu_")


def quiet(samples):
    """In most samples nobody else used the cores."""
    all_of = [it for rounds in samples.values() for it in rounds.values()]
    return bool(all_of) and sum(it.quiet for it in all_of) >= 0.8 * len(all_of)


def middle(values, default=None):
    values = [it for it in values if it is not None]
    return statistics.median(values) if values else default


def compare(row, samples):
    """One line for each figure and peer. `samples` is peer -> round -> Sample; a ratio is minato's to the peer's in the same round."""
    core, lines = quiet(samples), []
    for figure in row.figures:
        ours = {n: value(it, figure.key, core) for n, it in samples.get("minato", {}).items() if not it.void}
        first = {n: value(it, figure.key, core) for n, it in samples.get("nginx", {}).items() if not it.void}
        for peer, rounds in samples.items():
            values = {n: value(it, figure.key, core) for n, it in rounds.items() if not it.void}
            values = {n: it for n, it in values.items() if it is not None}
            of = first if peer == "nginx-again" else ours
            ratios = [of[n] / it for n, it in values.items() if it and of.get(n) is not None] if peer != "minato" else []
            lines.append({
                "figure": figure.title, "key": figure.key, "unit": figure.unit, "peer": peer,
                "by": ("core" if core else "process") if is_cpu(figure.key) else "",
                "rounds": len(values), "of": len(rounds),
                "median": middle(values.values()), "min": min(values.values(), default=None), "max": max(values.values(), default=None),
                "ratio": middle(ratios), "ratio_min": min(ratios, default=None), "ratio_max": max(ratios, default=None),
                "deviation": middle([abs(it - 1) for it in ratios]),
                "proxy": middle([it.proxy_share for it in rounds.values()], 0),
                "client": middle([it.client_share for it in rounds.values()], 0),
                "void": sorted({it.void for it in rounds.values() if it.void}),
                "note": sorted({it.note for it in rounds.values() if it.note}),
            })
    return lines


def noise(figure, lines):
    """How far nginx is from nginx in the same round: the larger of the median's distance and the median distance."""
    again = [it for it in lines if it["key"] == figure.key and it["peer"] == "nginx-again" and it["ratio"]]
    return max(abs(again[0]["ratio"] - 1), again[0]["deviation"]) if again else None


def against(figure, lines):
    """(ratio, peer) where minato does worst among the target's peers; the median of itself where the figure is the ratio."""
    if not figure.target:
        return None
    if figure.target.against == ("itself",):
        found = [(it["median"], "itself") for it in lines if it["key"] == figure.key and it["peer"] == "minato" and it["median"]]
    else:
        found = [(it["ratio"], it["peer"]) for it in lines
                 if it["key"] == figure.key and it["peer"] in figure.target.against and it["ratio"]]
    return max(found) if found else None


def unmeasured(figure, lines):
    """Peers of the target that were asked but gave no figure: the comparison is without them."""
    return [it["peer"] for it in lines if it["key"] == figure.key and it["peer"] in figure.target.against and not it["ratio"]]


def reached(figure, lines):
    """`goal`, `must`, `not reached`, or "" where nothing can be said."""
    found = against(figure, lines)
    if not found:
        return ""
    if found[0] <= figure.target.goal:
        return "goal"
    if found[0] <= figure.target.must:
        return "must"
    if figure.target.unless:
        key, most = figure.target.unless
        other = [it["median"] for it in lines if it["key"] == key and it["peer"] == "minato"]
        if other and other[0] is not None and other[0] <= most:
            return "must"
    return "not reached"


def number(it):
    if it is None:
        return "-"
    return f"{it:,.0f}" if abs(it) >= 1000 else f"{it:.0f}" if abs(it) >= 100 else f"{it:.1f}" if abs(it) >= 10 else f"{it:.2f}"


def table(row, lines):
    """The terminal's table of one row."""
    out = [f"\n{row.name}: {row.title}",
           f"  {'peer':<15}{'figure':<14}{'median':>11}{'min':>11}{'max':>11}  {'unit':<7}{'minato/it':>9}{'proxy':>7}{'client':>7}"]
    for it in lines:
        ratio = f"{it['ratio']:.2f}" if it["ratio"] and it["peer"] != "nginx-again" else ""
        share = f"{it['proxy']:>7.0%}{it['client']:>7.0%}" if it["client"] else ""
        by = f" by {it['by']}" if it["by"] else ""
        out.append(f"  {it['peer']:<15}{it['figure']:<14}{number(it['median']):>11}{number(it['min']):>11}{number(it['max']):>11}"
                   f"  {it['unit']:<7}{ratio:>9}{share}{by}{''.join(f'; {note}' for note in it['note'])}")
        out += [f"      void: {reason}" for reason in it["void"] if it["key"] == row.figures[0].key]
    for figure in row.figures:
        found, spread = against(figure, lines), noise(figure, lines)
        if found:
            at_most = f"must {figure.target.must:.2f}, goal {figure.target.goal:.2f}"
            without = "".join(f", without {it}" for it in unmeasured(figure, lines))
            out.append(f"  => {figure.title}: {found[0]:.2f} of {found[1]} ({at_most}): {reached(figure, lines)}{without}")
        if spread is not None and figure.target:
            out.append(f"     {figure.title}, noise (nginx against nginx): {spread:.1%}")
    return "\n".join(out)
