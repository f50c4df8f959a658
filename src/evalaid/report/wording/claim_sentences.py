"""What a report says of published claims: templates for `Section.say`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalaid.evidence.claims.claim_verdicts import VERDICTS

if TYPE_CHECKING:
    import pandas as pd


def tell_claims(frame: pd.DataFrame) -> tuple[str, ...]:
    """Write the verdict on each claim in one line, with a place for its bounds."""
    lines = []
    for row in frame.to_dict("records"):
        bounds = f" between {{verdicts.{row['key']}.lower:signed}} and {{verdicts.{row['key']}.upper:signed}}"
        where = bounds if row["verdict"] != VERDICTS[-1] else ""
        why = f" ({row['reason']})" if row["reason"] else ""
        lines.append(f"**{row['label']}: {row['verdict']}{where}**{why}. {row['repeat']}")
    return tuple(lines)
