"""What a report says of the scales of a share and of the counts behind it: templates for `Section.say`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalaid.base.effect_columns import CONF_HIGH, CONF_LOW, ESTIMATE

if TYPE_CHECKING:
    import pandas as pd


def tell_counts(frame: pd.DataFrame, outcome_unit: str) -> str:
    """Return with which count the share moved, or why that cannot be said."""
    if frame.empty and outcome_unit != "fraction":
        return "The outcome is no share, so there are no counts behind it."
    if frame.empty:
        return (
            "The panel of this study holds shares and no counts. Whether more were treated inside or fewer outside cannot be told "
            "from it."
        )
    rows = frame.set_index("key")
    unknown = rows[[CONF_LOW, CONF_HIGH]].isna().any(axis=1)
    if unknown.any():
        missing = ", ".join(str(label).lower() for label in rows.loc[unknown, "label"])
        return f"There is no interval for {missing}, so it cannot be said whether more were treated inside or fewer outside."
    moved = (rows[CONF_LOW] > 0) | (rows[CONF_HIGH] < 0)
    found = "{inside}: {{counts.inside:effect}}. {outside}: {{counts.outside:effect}}. ".format(**rows["label"])
    if not moved["share"]:
        return f"{found}The interval for the share itself holds zero."
    if moved["inside"] and not moved["outside"]:
        return (
            f"{found}**The share moved, and no change in {str(rows.loc['outside', 'label']).lower()} is shown, nor that there is none.** A "
            "share rises, too, when more are counted inside while as many as before are counted outside; then nobody was kept who "
            "would have left."
        )
    if moved["outside"]:
        return f"{found}The share moved with " + (
            "both numbers." if moved["inside"] else "the second number, not the first."
        )
    return f"{found}**The share moved, but neither number by itself can be told from no change.**"


def tell_scales(frame: pd.DataFrame) -> str:
    """Write whether the scales agree on the sign of the effect."""
    known = frame[frame[ESTIMATE].notna()]
    if len(known) < 2:
        return "Fewer than two scales give an estimate here, so nothing can be said on the choice of the scale."
    said = ", ".join(f"{{scales.{row.key}.estimate:signed}} ({str(row.label).lower()})" for row in known.itertuples())
    if known[ESTIMATE].min() < 0 < known[ESTIMATE].max():
        return f"**The scales disagree on the sign of the effect**: {said}. Without a reason to prefer one, neither sign is shown."
    return f"On the scales that have a value the estimates have the same sign: {said}."
