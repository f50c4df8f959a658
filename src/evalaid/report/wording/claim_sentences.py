"""What a report says of published claims: templates for `Section.say`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def tell_claims(frame: pd.DataFrame) -> tuple[str, ...]:
    """Write the verdict on each claim in one line, with a place for its bounds."""
    lines = []
    for row in frame.to_dict("records"):
        bounds = f", published figures leave {{verdicts.{row['key']}.lower:signed}} to {{verdicts.{row['key']}.upper:signed}}"
        where = "" if math.isnan(row["lower"]) else bounds
        why = f" ({row['reason']})" if row["reason"] else ""
        lines.append(f"**{row['label']}: {row['verdict']}{where}**{why}. {row['repeat']}")
    return tuple(lines)
