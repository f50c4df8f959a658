"""The canonical column names, and the only place where a raw name is interpreted."""

from __future__ import annotations

import re

UNIT = "unit"
PERIOD = "period"
OUTCOME = "outcome"
INSIDE = "inside"
TOTAL = "total"
WEIGHT = "weight"
CLUSTER = "cluster"
COHORT = "cohort"

PANEL_COLUMNS = (UNIT, PERIOD, OUTCOME, INSIDE, TOTAL, WEIGHT, CLUSTER)
"""Columns of a canonical panel, in this order; covariates follow under their own names."""

SHARE_WORDS = frozenset({"share", "shares", "rate", "rates", "pct", "percent", "percentage", "proportion", "fraction"})
SHARE_CHARACTERS = ("率", "占比", "이용률", "비율")

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


def names_a_share(column: object) -> bool:
    """Tell whether a column name says that its values are shares.

    Assumes that words in a name are set off by underscores, spaces, digits or capitals, so that "corporate" does not
    count as a "rate".

    Parameters
    ----------
    column : object
        Name of a column, in English, Chinese or Korean.

    Returns
    -------
    bool
        True for names such as ``"inpatient_share"``, ``"share_pct"``, ``"县域内住院率"`` or ``"관내이용률"``.

    Examples
    --------
    >>> names_a_share("acute_inpatient_share_pct"), names_a_share("관내이용률"), names_a_share("corporate_beds")
    (True, True, False)
    """
    text = str(column)
    return any(part in text for part in SHARE_CHARACTERS) or any(
        word.lower() in SHARE_WORDS for word in _WORDS.findall(text)
    )
