"""What a report advises for the day when a real panel arrives, from how methods did on simulated ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def advise(frame: pd.DataFrame) -> tuple[str, ...]:
    """Write what to run when the real panel arrives, best first."""
    groups = {
        "use": "**To run when the real panel arrives:**",
        "careful": "**To run with reservations (they lean, or need other intervals, such as placebo or wild bootstrap):**",
        "avoid": "**Not to rely on, because they miss the effect:**",
        "not possible": "**Not possible on this design:**",
    }
    kinds = frame["advice"].str.split(":").str[0]
    ordered = frame.assign(kind=kinds).sort_values("rmse", kind="stable")
    found = {kind: list(ordered.loc[ordered["kind"] == kind, "label"]) for kind in groups}
    said = [f"{head} {'; '.join(found[kind])}." for kind, head in groups.items() if found[kind]]
    if not found["use"] and not found["careful"]:
        said.insert(0, "**No method tried here recovers the effect under this design.**")
    return tuple(said)
