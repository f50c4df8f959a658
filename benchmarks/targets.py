"""What the measurements are held against, and the figure that shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks import CURVE, MIXED, SIZES

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
SECONDS = {("L", "Sun-Abraham"): 0.4, ("M", CURVE): 4.0, ("M", MIXED): 10.0}
SMALL = 0.010


def judge(rows: list[Row]) -> list[dict[str, str]]:
    """Say of each target whether it is met: panel, target, found, met (yes, no, or not measured)."""
    verdicts = []
    for row in (row for row in rows if row["library"] == "evalaid"):
        size, task, seconds = row["panel"], row["task"], row["cpu_seconds"]
        same = [other for other in rows if (other["panel"], other["task"]) == (size, task) and other is not row]
        peers = [other for other in same if "cpu_seconds" in other]
        fastest = min(peers, key=lambda other: other["cpu_seconds"], default=None)
        wanted = dict(zip("ML", RATIOS.get(task, (None, None)), strict=True)).get(size)
        if wanted is not None:
            target = f"{task}: {wanted:g} times faster than the fastest peer"
            if fastest is None:
                found, met = f"{seconds:.3f} s, no peer measured", "not measured"
            else:
                ratio = fastest["cpu_seconds"] / seconds
                found, met = f"{ratio:.1f} times ({fastest['library']})", "yes" if ratio >= wanted else "no"
            verdicts.append({"panel": size, "target": target, "found": found, "met": met})
        limit = SECONDS.get((size, task), SMALL if size == "S" else None)
        if limit is not None:
            target = f"{task}: at most {limit:g} s"
            met = "yes" if seconds <= limit else "no"
            verdicts.append({"panel": size, "target": target, "found": f"{seconds:.4f} s", "met": met})
        if size == "L" and fastest is not None and "peak_megabytes" in fastest:
            found = f"{row['peak_megabytes']:.0f} against {fastest['peak_megabytes']:.0f} MB ({fastest['library']})"
            met = "yes" if row["peak_megabytes"] <= fastest["peak_megabytes"] else "no"
            target = f"{task}: no more memory than the fastest peer"
            verdicts.append({"panel": size, "target": target, "found": found, "met": met})
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
