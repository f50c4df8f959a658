"""Labels by unit that a caller hands over as a Series: is its index one of units?"""

from __future__ import annotations

import pandas as pd

from evalaid.base.names import UNIT
from evalaid.base.texts import counted
from evalaid.did.panel.design import Design


def fault_of_index(index: pd.Index, units: pd.Index) -> str:
    """Return why an index is none of units, in words; "" when it is.

    Numbers that are no unit are row numbers, as of a column of the panel: some of them would be taken for units that bear the same
    numbers. Labels of other units, as text, cannot be mistaken and are left alone.

    Examples
    --------
    >>> fault_of_index(pd.RangeIndex(6), pd.Index([1, 2, 3]))[:82]
    'its index holds 3 numbers that are no unit of the design, for example 0, 4, 5: row'
    """
    if not (pd.api.types.is_numeric_dtype(index) and pd.api.types.is_numeric_dtype(units)):
        return ""
    strange = index[~index.isin(units)].unique()
    if not len(strange):
        return ""
    shown = ", ".join(map(str, strange[:3]))
    return (
        f"its index holds {counted(len(strange), 'number that is', 'numbers that are')} no unit of the design, for example {shown}: row numbers of a table, it "
        "seems; index it by unit (frame.groupby(unit)[column].first(), or frame.set_index(unit)[column]) and keep the design's units"
    )


def stated_units(design: Design) -> pd.Index:
    """Return all units of the caller's table, those that the design leaves out included."""
    stated = pd.Index(design.source[design.panel.names[UNIT]].unique())
    units: pd.Index = stated.append(design.matrices.units).unique()
    return units
