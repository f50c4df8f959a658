"""The canonical column names. The words that stand for them in files are data of `evalaid.reading.words`."""

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
TREATED = "treated"
PARTIAL = "partial"
STRATUM = "stratum"
EXPOSURE = "exposure"
PATH = "path"

FIRST_TREATED = "first_treated"
"""The column in which a roster's cohorts join a panel: never a word that a source uses for something else."""

PARTLY_TREATED = "partly_treated"
"""The column that marks, with 1, the period in which a unit's start falls, where that period does not count."""

TREATED_PART = "treated_part"
"""The column of the part of each period in which a unit is treated, where the dates of a roster say it."""

NEVER = "never treated"
"""What stands where others have a cohort: a missing cohort, never a number (0, 1000 or infinity would be read as a time)."""

PANEL_COLUMNS = (UNIT, PERIOD, OUTCOME, INSIDE, TOTAL, WEIGHT, CLUSTER, TREATED, PARTIAL, STRATUM, EXPOSURE, PATH)
"""Columns of a canonical panel, in this order; covariates follow under their own names."""

SHARE_WORDS = frozenset({"share", "shares", "rate", "rates", "pct", "percent", "percentage", "proportion", "fraction"})
SHARE_CHARACTERS = ("率", "占比", "이용률", "비율")

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_PER = re.compile(r"(?<![a-z])per[ _-]?(?!cent)(?:\d|[a-z])", re.IGNORECASE)


def names_a_share(column: object) -> bool:
    """Return whether a column name says that its values are shares.

    Assumes that words in a name are set off by underscores, spaces, digits or capitals, so that "corporate" does not
    count as a "rate".

    Examples
    --------
    >>> names_a_share("acute_inpatient_share_pct"), names_a_share("관내이용률"), names_a_share("corporate_beds")
    (True, True, False)
    >>> names_a_share("rate_per_1000"), names_a_share("rate per cent")
    (False, True)
    """
    text = str(column)
    if _PER.search(text):
        return False
    return any(part in text for part in SHARE_CHARACTERS) or any(
        word.lower() in SHARE_WORDS for word in _WORDS.findall(text)
    )


NAME, CODE, SHARE, OUTSIDE = "name", "code", "share", "outside"
YEAR, PART = "year", "part of a year"
CITY, PROVINCE, SERIAL, INDICATOR, EDITION, BASE = "city", "province", "serial", "indicator", "edition", "base"
MEASURE = "measure"
NOTHING, FIGURE, CITY_SHARE = "nothing", "figure", "city_share"
"""A column that is not read, one with figures of the variable that its row names, and the share that a city's counties have in common."""

KEY_ROLES = (CODE, CITY, PROVINCE, NAME, PERIOD, YEAR, SERIAL, INDICATOR, MEASURE, EDITION, BASE)
"""Roles of columns that say what a row is."""

HOSPITAL, RECIPIENT, START, END, SPELL = "hospital", "recipient", "start", "end", "spell"
ANNOUNCED, AGREED, ARRIVED, MECHANISM = "announced", "agreed", "arrived", "mechanism"
EXPERTS, DEPARTMENTS = "experts", "departments"

SHARES = (SHARE, "visit_share", "primary_share", "fund_share", CITY_SHARE, "share_65", "surgery_share")
COUNTS = (INSIDE, OUTSIDE, TOTAL, "out_severe", "expert_days")
"""Counts of events in a period: they add up over periods, so that cumulative ones can be differenced."""
