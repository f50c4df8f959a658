"""What the measurements are held against, and the figure that shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks import CURVE, MIXED, SIZES, UNBALANCED, UNBALANCED_AVERAGE, WILD, WILD_AVERAGE

Row = dict[str, Any]

# How many times the CPU seconds of the fastest peer exceed ours at least, on panel M and on panel L.
RATIOS = {
    "two-way fixed effects": (2, 5),
    "event study": (20, 40),
    "Callaway-Sant'Anna": (3, 3),
    "Callaway-Sant'Anna, regression": (5, 4),
    "Callaway-Sant'Anna, doubly robust": (5, 4),
    "Callaway-Sant'Anna, doubly robust, not yet treated": (4, 2.5),
    "imputation, all horizons": (5, 10),
    "Sun-Abraham": (50, None),
    "extended two-way fixed effects, linear": (50, 200),
    "local projections": (5, 5),
    "Goodman-Bacon decomposition": (3, 3),
}
# CPU seconds at most.
SECONDS = {
    ("L", "Sun-Abraham"): 0.4,
    ("M", CURVE): 4.0,
    ("M", MIXED): 10.0,
    ("S", WILD): 0.1,
    ("S", WILD_AVERAGE): 0.1,
    ("M", WILD): 0.5,
    ("M", WILD_AVERAGE): 0.1,
    ("M", UNBALANCED): 0.5,
    ("M", UNBALANCED_AVERAGE): 0.8,
    ("L", WILD): 10.0,
    ("L", WILD_AVERAGE): 10.0,
}
SMALL = 0.010
# What memory may grow by beyond the rows: the panels differ in periods, and the square of the units would be 1,276 times.
SLACK = 2.0


def judge(rows: list[Row]) -> list[dict[str, str]]:
    """Say of each target whether it is met: panel, target, found, met (met, not met, or not measured)."""
    verdicts = []

    def say(size: str, target: str, found: str, *, met: bool | None) -> None:
        word = "not measured" if met is None else "met" if met else "not met"
        verdicts.append({"panel": size, "target": target, "found": found, "met": word})

    ours = [row for row in rows if row["library"] == "evalaid"]
    for row in ours:
        size, task, seconds = row["panel"], row["task"], row["cpu_seconds"]
        same = [other for other in rows if (other["panel"], other["task"]) == (size, task) and other is not row]
        peers = [other for other in same if "cpu_seconds" in other]
        fastest = min(peers, key=lambda other: other["cpu_seconds"], default=None)
        wanted = dict(zip("ML", RATIOS.get(task, (None, None)), strict=True)).get(size)
        if wanted is not None:
            target = f"{task}: {wanted:g} times faster than the fastest peer"
            if fastest is None:
                say(size, target, f"{seconds:.3f} s, no peer measured", met=None)
            else:
                ratio = fastest["cpu_seconds"] / seconds
                say(size, target, f"{ratio:.1f} times ({fastest['library']})", met=ratio >= wanted)
        limit = SECONDS.get((size, task), SMALL if size == "S" else None)
        if limit is not None:
            say(size, f"{task}: at most {limit:g} s", f"{seconds:.4f} s", met=seconds <= limit)
        if size in "ML" and fastest is not None:
            target = f"{task}: no more memory than the fastest peer"
            if {"peak_megabytes"} <= row.keys() & fastest.keys():
                pair = row["peak_megabytes"], fastest["peak_megabytes"]
                found = f"{pair[0]:.0f} against {pair[1]:.0f} MB ({fastest['library']})"
                say(size, target, found, met=pair[0] <= pair[1])
            else:
                say(size, target, f"not measured for {fastest['library']}", met=None)
    peak = {(row["panel"], row["task"]): row["peak_megabytes"] for row in ours if "peak_megabytes" in row}
    both = [task for size, task in peak if size == "L" and ("M", task) in peak]
    if both:
        growth = SIZES["L"][0] * SIZES["L"][1] / (SIZES["M"][0] * SIZES["M"][1])
        ratio, task = max((peak["L", task] / peak["M", task], task) for task in both)
        target = f"memory grows from M to L as the rows ({growth:.0f} times), not as the square of the units"
        say("L", target, f"at most {ratio:.0f} times ({task})", met=ratio <= growth * SLACK)
    return verdicts


def plot(rows: list[Row], path: Path) -> str:
    """Draw CPU seconds by task, panel and library on a log scale; give the caption."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    measured = [row for row in rows if "cpu_seconds" in row]
    sizes = [size for size in SIZES if any(row["panel"] == size for row in measured)]
    tasks = list(dict.fromkeys(row["task"] for row in measured))[::-1]
    libraries = list(dict.fromkeys(row["library"] for row in measured))
    figure, axes = plt.subplots(
        1,
        len(sizes),
        figsize=(4 + 3 * len(sizes), 1.2 + 0.3 * len(tasks)),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, size in zip(axes[0], sizes, strict=True):
        for library, marker, colour in zip(
            libraries, "osD^vP", ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#555"), strict=False
        ):
            here = [row for row in measured if (row["panel"], row["library"]) == (size, library)]
            axis.plot(
                [row["cpu_seconds"] for row in here], [tasks.index(row["task"]) for row in here],
                linestyle="", marker=marker, color=colour, label=library,
            )  # fmt: skip
        units, periods = SIZES[size]
        axis.set(xscale="log", xlabel="CPU seconds (log scale)", title=f"{size}: {units:,} units x {periods} periods")
        axis.set_yticks(range(len(tasks)), tasks)
        axis.grid(visible=True, axis="both", color="#dddddd", linewidth=0.5)
    handles, labels = axes[0][-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(libraries), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return (
        "CPU seconds of each task on simulated panels, from the data frame to the table of estimates and errors: median after a "
        "warm-up, one thread for linear algebra, log scale. A missing mark means that the library has no such task, failed, or was "
        "left out."
    )
