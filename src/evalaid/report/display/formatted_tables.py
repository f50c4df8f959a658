"""Tidy frame -> table in HTML, CSV, LaTeX, Markdown and Word. Labels, units and digits of the fixed columns are here, and only here.

A table computes nothing: it selects, orders and formats. Files hold the full precision (csv), the page and LaTeX the
digits that are shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from evalaid.base.effect_columns import (
    BAND_HIGH,
    BAND_LOW,
    CONF_HIGH,
    CONF_LOW,
    ESTIMATE,
    N_CLUSTERS,
    P_VALUE,
    STD_ERROR,
    TREATED_CLUSTERS,
)
from evalaid.report.display.safe_text import csv_text
from evalaid.report.display.table_files import TableGrid, latex_table, markdown_table, word_table
from evalaid.report.wording.prose import data_label, format_value

if TYPE_CHECKING:
    import pandas as pd

# Two columns that are shown as one: "from to".
PAIRS = {
    CONF_LOW: (CONF_HIGH, "interval"),
    BAND_LOW: (BAND_HIGH, "band"),
    "low": ("high", "Range left by rounding"),
    "lower": ("upper", "Bounds"),
}
IN_ORDER = {"period", "event_time"}  # a frame with one of these columns has its rows in the order of time
RUN = 3  # rows that are shown as one, or named by their first and last
_PERIOD = re.compile(r"\b(?:19|20)\d{2}(?:[QH]\d|-\d{2})?\b")
OUTCOME = "outcome"  # the unit of the effect: the frame's own column `unit` says which


@dataclass(frozen=True)
class ColumnFormat:
    """How a column of a tidy frame is shown: heading, unit (None for text), digits (None: the row's own), and its sign."""

    heading: str
    unit: str | None = None
    digits: int | None = 0
    signed: bool = False


COLUMNS: dict[str, ColumnFormat] = {
    "label": ColumnFormat(""),
    "cohort_label": ColumnFormat("Cohort"),
    "method": ColumnFormat("Method"),
    "comparison": ColumnFormat("Comparison"),
    "reason": ColumnFormat("Why not"),
    "what": ColumnFormat("What"),
    "where": ColumnFormat("Where"),
    "why": ColumnFormat("Why"),
    "what_could_be_done": ColumnFormat("What could be done"),
    "value": ColumnFormat("Value", OUTCOME, 2),
    "period": ColumnFormat("Period", "year"),
    "event_time": ColumnFormat("Periods since start", "number", 0, signed=True),
    "mean": ColumnFormat("Mean", "%", 1),
    ESTIMATE: ColumnFormat("Estimate", OUTCOME, 2, signed=True),
    STD_ERROR: ColumnFormat("Standard error", OUTCOME, 2),
    CONF_LOW: ColumnFormat("Interval from", OUTCOME, 2, signed=True),
    CONF_HIGH: ColumnFormat("to", OUTCOME, 2, signed=True),
    BAND_LOW: ColumnFormat("Band from", OUTCOME, 2, signed=True),
    BAND_HIGH: ColumnFormat("to", OUTCOME, 2, signed=True),
    P_VALUE: ColumnFormat("p", "p", 3),
    "shift": ColumnFormat("Away from main", OUTCOME, 2, signed=True),
    "truth": ColumnFormat("Put in", OUTCOME, 2, signed=True),
    "n_units": ColumnFormat("{Units}", "count"),
    N_CLUSTERS: ColumnFormat("{Clusters}", "count"),
    "n_treated": ColumnFormat("Treated {units}", "count"),
    "n_comparison": ColumnFormat("Comparison {units}", "count"),
    TREATED_CLUSTERS: ColumnFormat("Treated {clusters}", "count"),
    "comparison_clusters": ColumnFormat("Comparison {clusters}", "count"),
    "never_treated": ColumnFormat("Never treated", "count"),
    "not_yet_treated": ColumnFormat("Not yet treated", "count"),
    "treated": ColumnFormat("Treated", "count"),
    "pre_periods": ColumnFormat("Periods before", "count"),
    "post_periods": ColumnFormat("Periods from the start on", "count"),
    "by_package": ColumnFormat("By the package", OUTCOME, 4, signed=True),
    "by_hand": ColumnFormat("By the identity", OUTCOME, 4, signed=True),
    "claim": ColumnFormat("As published"),
    "limits": ColumnFormat("What stands against it"),
    "earlier": ColumnFormat("Earlier figure"),
    "claimed": ColumnFormat("Claimed figure"),
    "unit_text": ColumnFormat("Unit"),
    "when": ColumnFormat("When"),
    "base": ColumnFormat("Base"),
    "date": ColumnFormat("Date"),
    "alike": ColumnFormat("Like for like"),
    "remark": ColumnFormat("To be said with it"),
    "sign": ColumnFormat("Sign"),
    "verdict": ColumnFormat("Verdict"),
    "repeat": ColumnFormat("What may be said"),
    "settle": ColumnFormat("What would settle it"),
    "source": ColumnFormat("Source"),
    "assumption_label": ColumnFormat("Assumption"),
    "m": ColumnFormat("M", OUTCOME, 1),
    "low": ColumnFormat("from", OUTCOME, 2),
    "high": ColumnFormat("to", OUTCOME, 2),
    "lower": ColumnFormat("from", OUTCOME, 2, signed=True),
    "upper": ColumnFormat("to", OUTCOME, 2, signed=True),
    "largest_gap": ColumnFormat("Largest difference", OUTCOME, 10),
    "cells": ColumnFormat("Cells compared", "count"),
}


@dataclass(frozen=True, repr=False)
class FormattedTable:
    """A tidy frame with what is needed to show it.

    Parameters
    ----------
    name : str
        File name without ending and first part of the keys of its numbers.
    frame : pandas.DataFrame
        One row for each row shown; the column ``key`` names the row; ``unit`` (optional) is the unit of effects;
        ``digits`` (optional) the digits of ``value``.
    caption : str
        What the table shows, of whom, in which unit.
    columns : tuple of str
        The columns shown, in this order; each is in `COLUMNS` or in ``extra``.
    notes : tuple of str
        Sentences below the table.
    extra : dict
        Columns that are not among the fixed ones (covariates in a baseline table).
    words : dict
        What ``units`` and ``clusters`` are called in headings.
    kind : str
        Kind of data; any other than "real" is said below the table, in the csv and in LaTeX.
    """

    name: str
    frame: pd.DataFrame
    caption: str
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()
    extra: dict[str, ColumnFormat] | None = None
    words: dict[str, str] | None = None
    kind: str = "real"

    def column(self, name: str) -> ColumnFormat:
        """Return how a column is shown."""
        return (self.extra or {}).get(name) or COLUMNS[name]

    def numbers(self) -> Iterator[tuple[str, str, Any, str, int]]:
        """Yield (row, key, value, unit, digits) of every number, row by row.

        The key is ``table.row.column``, and ``table.row`` for the column ``value`` of a list of single numbers.
        """
        for row in self._records:
            for name in self.columns:
                column = self.column(name)
                if column.unit is not None:
                    unit, digits = _unit_of(column, name, row)
                    key = f"{self.name}.{row['key']}" + ("" if name == "value" else f".{name}")
                    yield str(row["key"]), key, row[name], unit, digits

    def under(self, caption: str, notes: tuple[str, ...]) -> FormattedTable:
        """Return the table under a caption and above notes; its rows are not taken from the frame again."""
        made = replace(self, caption=caption, notes=notes)
        vars(made)["_records"] = self._records
        return made

    def to_html(self) -> str:
        """Return the table with caption, header scopes and notes."""
        shown = self._shown()
        heads = ""
        for name in shown:
            heading = escape(self._heading(name))
            tag, scope = ("th", ' scope="col"') if heading else ("td", "")  # an empty cell heads nothing
            heads += f'<{tag}{scope}{_side(self.column(name))} data-column="{name}">{heading}</{tag}>'
        body = []
        for key, row in self._rows:
            cells = []
            for place, (name, text) in enumerate(zip(shown, row, strict=True)):
                tag, scope = ("th", ' scope="row"') if place == 0 else ("td", "")
                cells.append(f"<{tag}{scope}{_side(self.column(name))}>{escape(text)}</{tag}>")
            named = f' data-row="{escape(key)}"' if key else ""
            body.append(f"<tr{named}>{''.join(cells)}</tr>")
        if not body:
            body.append(f'<tr><td colspan="{len(shown)}">Nothing of this kind.</td></tr>')
        notes = "".join(f'<p class="note">{escape(note)}</p>' for note in self._below())
        rows = "\n".join(body)
        return (
            f'<div class="table" id="table-{escape(self.name)}"><div class="wide" tabindex="0" role="region" '
            f'aria-label="Table: {escape(self.name.replace("_", " "))}"><table>\n'
            f"<caption>{escape(self.caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n"
            f"<tbody>\n{rows}\n</tbody></table></div>{notes}</div>"
        )

    def to_csv(self) -> str:
        """Return the shown columns at full precision."""
        kept = ["key", *self.columns, *(["unit"] if "unit" in self.frame else [])]
        marked = {} if self.kind == "real" else {"data_kind": self.kind}
        return csv_text(self.frame[kept].assign(**marked))

    @cached_property
    def grid(self) -> TableGrid:
        """The cells as they are shown, for files of other kinds."""
        shown = self._shown()
        kind = "" if self.kind == "real" else data_label(self.kind).capitalize()
        return TableGrid(
            self.name,
            self.caption,
            kind,
            tuple(self._heading(name) for name in shown),
            tuple(tuple(row) for _, row in self._rows),
            tuple(self.column(name).unit is not None for name in shown),
            tuple(name == STD_ERROR for name in shown),
            self.notes,
        )

    def to_latex(self) -> str:
        """Return the table for LaTeX, see `evalaid.report.display.table_files.latex_table`."""
        return latex_table(self.grid)

    def to_markdown(self) -> str:
        """Return the table for Markdown."""
        return markdown_table(self.grid)

    def to_word(self) -> bytes:
        """Return a Word document with the table (`evalaid[word]`)."""
        return word_table(self.grid)

    def __repr__(self) -> str:
        return f"Table '{self.name}': {self.caption}"

    def _repr_html_(self) -> str:
        return self.to_html()

    def _below(self) -> tuple[str, ...]:
        """The notes; what is not real data says so first."""
        return self.notes if self.kind == "real" else (data_label(self.kind).capitalize() + ".", *self.notes)

    def _shown(self) -> tuple[str, ...]:
        """The columns as they are shown: the upper end of an interval stands with its lower end; reasons, where there is one."""
        left_out = {upper for lower, (upper, _) in PAIRS.items() if lower in self.columns}
        if "reason" in self.columns and not self.frame["reason"].fillna("").astype(bool).any():
            left_out.add("reason")
        return tuple(name for name in self.columns if name not in left_out)

    @cached_property
    def _records(self) -> list[dict[Any, Any]]:
        return self.frame.to_dict("records")

    @cached_property
    def _units(self) -> set[str]:
        """The units of its effects."""
        return set(self.frame["unit"].dropna())

    @cached_property
    def _rows(self) -> list[tuple[str, list[str]]]:
        """The key and the cells of each row as text; of three or more periods in a row without any estimate one row is left."""
        shown = self._shown()
        rows = [(str(row["key"]), [self._cell(name, row) for name in shown]) for row in self._records]
        if ESTIMATE not in self.frame or not IN_ORDER & set(self.frame.columns):
            return rows
        runs: list[tuple[bool, list[tuple[str, list[str]]]]] = []
        for row, empty in zip(rows, self.frame[ESTIMATE].isna(), strict=True):
            if not (runs and empty and runs[-1][0] and runs[-1][1][-1][1][1:] == row[1][1:]):
                runs.append((bool(empty), []))
            runs[-1][1].append(row)
        kept = []
        for _, run in runs:
            cells = [cells for _, cells in run]
            kept += run if len(run) < RUN else [("", [f"{cells[0][0]} to {cells[-1][0]}", *cells[0][1:]])]
        return kept

    def _heading(self, name: str) -> str:
        column = self.column(name)
        unit = column.unit
        if unit == OUTCOME:
            unit = next(iter(self._units)) if len(self._units) == 1 else None
        heading = column.heading
        if name in PAIRS and PAIRS[name][0] in self.columns:
            level = f"{self.frame['level'].iloc[0] * 100:g}% " if "level" in self.frame and len(self.frame) else ""
            heading = f"{level}{PAIRS[name][1]}"
        words = {"units": "units", "clusters": "clusters", **(self.words or {})}
        words |= {word.capitalize(): text[:1].upper() + text[1:] for word, text in words.items()}
        # A heading may be text of the study's file: what is no word of ours stays as it is.
        heading = re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], found[0]), heading)
        return heading + (f" ({unit})" if unit in {"pp", "%"} and f"({unit})" not in heading else "")

    def _cell(self, name: str, row: dict[str, Any]) -> str:
        column = self.column(name)
        several = column.unit == OUTCOME and len(self._units) > 1
        if name in PAIRS and PAIRS[name][0] in self.columns and not math.isnan(row[name]):
            upper = PAIRS[name][0]
            if name == "low" and row[name] == row[upper]:
                return "none"
            if name == "low" and math.isnan(row[upper]):
                return f"{_cell(column, name, row, with_unit=several)} or more"
            return f"{_cell(column, name, row)} to {_cell(self.column(upper), upper, row, with_unit=several)}"
        return _cell(column, name, row, with_unit=several)


def collect_notes(frame: pd.DataFrame) -> tuple[str, ...]:
    """Gather the notes of a frame's rows, each once, with the rows that it is about unless it is about all.

    Examples
    --------
    >>> import pandas as pd
    >>> collect_notes(pd.DataFrame({"label": ["a", "b", "c"], "note": ["CR1", "CR1; few", "CR1"]}))
    ('CR1', 'few (b)')
    """
    if "note" not in frame:
        return ()
    about: dict[str, list[int]] = {}
    for row, note in enumerate(frame["note"]):
        for part in dict.fromkeys(str(note).split("; ")) if note else ():
            about.setdefault(part, []).append(row)
    names = [str(name) for name in frame["label"]]
    known: Iterable[bool] = frame[ESTIMATE].notna() if ESTIMATE in frame else []
    estimated = {row for row, here in enumerate(known) if here}
    every = estimated or set(range(len(frame)))
    in_order = bool(IN_ORDER & set(frame.columns))
    notes = []
    for part, rows in (_merge_periods(about) if in_order else about).items():
        others = sorted(every - set(rows))
        if not others and (set(rows) <= every or len(rows) == len(frame)):
            notes.append(part)
            continue
        short = set(rows) <= every and 0 < len(others) < len(rows)
        named = _name_rows(others if short else rows, names, in_order=in_order)
        repeated = len(set(names)) < len(names) and {names[row] for row in rows} == set(names)
        where = f"{len(rows)} of {len(frame)} rows" if repeated else f"all but: {named}" if short else named
        notes.append(f"{part} ({where})")
    return tuple(notes)


def _merge_periods(about: dict[str, list[int]]) -> dict[str, list[int]]:
    """Join statements that differ in one period only: "no unit is untreated in 2020Q1 to 2025Q4"."""
    alike: dict[str, list[str]] = {}
    for part in about:
        alike.setdefault(_PERIOD.sub("{}", part) if len(_PERIOD.findall(part)) == 1 else part, []).append(part)
    merged: dict[str, list[int]] = {}
    for pattern, parts in alike.items():
        if len(parts) < RUN:
            merged |= {part: about[part] for part in parts}
            continue
        periods = sorted(_PERIOD.findall(part)[0] for part in parts)
        rows = sorted({row for part in parts for row in about[part]})
        merged[pattern.replace("{}", f"{periods[0]} to {periods[-1]}")] = rows
    return merged


def _name_rows(rows: Sequence[int], names: Sequence[str], *, in_order: bool) -> str:
    """List the rows by name; in the order of time three or more that follow each other by the first and the last."""
    runs: list[list[int]] = []
    for row in rows:
        if in_order and runs and row == runs[-1][-1] + 1:
            runs[-1].append(row)
        else:
            runs.append([row])
    texts = []
    for run in runs:
        texts += [f"{names[run[0]]} to {names[run[-1]]}"] if len(run) >= RUN else [names[row] for row in run]
    return ", ".join(dict.fromkeys(texts))


def _unit_of(column: ColumnFormat, name: str, row: dict[str, Any]) -> tuple[str, int]:
    unit = str(row["unit"]) if column.unit == OUTCOME else str(column.unit)
    own = "digits" in row and (name == "value" or column.digits is None)
    return unit, int(row["digits"]) if own else column.digits or 0


def _cell(column: ColumnFormat, name: str, row: dict[str, Any], *, with_unit: bool = False) -> str:
    value = row[name]
    if column.unit is None:
        return value if isinstance(value, str) else ""
    unit, digits = _unit_of(column, name, row)
    return format_value(value, unit, digits, signed=column.signed, with_unit=with_unit or name == "value")


def _side(column: ColumnFormat) -> str:
    return "" if column.unit is None else ' class="n"'
