"""The rows of a study's sample: its tables, joined, and what each rule of its file leaves of them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import pandas as pd

from evalaid.base.errors import StudyError
from evalaid.base.periods import parse_periods
from evalaid.base.project import project_root
from evalaid.base.texts import counted
from evalaid.did.panel.design import Design
from evalaid.study.inspection.tidy_panel import without_gaps
from evalaid.study.manifest import hash_file, hash_value
from evalaid.study.sources import load_reading, load_simulation, need_columns, read_file, simulated_name, tidy_layout
from evalaid.study.spec import StudySpec

# Of tables and designs that a process made: the study as it is and the last ones with something changed, so many at least, and more as
# long as they have no more rows than this together.
_KEPT, _KEPT_ROWS = 4, 200_000
_TABLES: dict[str, _Tables] = {}
_Key = TypeVar("_Key")
_Made = TypeVar("_Made")
_SHOWN = 12
ALL_GROUPS = "all"  # an event that concerns every group, such as a national strike


def load_untreated(spec: StudySpec) -> pd.DataFrame:
    """Read and join a study's files as `load_frame` does, without the cohorts and before any cohort is left out."""
    *_, (_, frame) = list_steps(spec)
    return frame


def list_steps(spec: StudySpec) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the joined table of a study, and what is left of it after each rule of the study's file; rows keep their index."""
    key = hash_value(
        [*hash_named(spec.panel, spec.layout, spec.link), spec.link, spec.unit, dict(spec.simulation or {})]
    )
    tables = remember(_TABLES, key, lambda: _read_tables(spec))
    _need_roles(tables.panel, tables.name, spec)
    frame = tables.frame.copy(deep=False)  # whoever changes it changes a copy
    named = [*spec.keep, *(name for entry in spec.leave_out for name in entry), *spec.baseline]
    roles = [name for name in (spec.cluster, spec.stratum, spec.exposure) if name]
    need_columns(frame, "the joined panel", [*named, *roles])
    yield "", frame
    frame, gaps = without_gaps(frame, spec.outcome)
    if gaps:
        yield f"gaps: {spec.outcome}", frame
    left_out = [
        _rows_of(frame, entry) for entry in spec.leave_out
    ]  # of the whole table: a value that it lacks is a slip
    for entry, gone in zip(spec.leave_out, left_out, strict=True):
        frame = frame[~gone.loc[frame.index]]
        said = "; ".join(f"{column} is {', '.join(map(str, values))}" for column, values in entry.items())
        yield f"leave_out: {said}", frame
    if spec.first_period is not None:
        frame = frame[~_ordinals(frame, spec).lt(_ordinal(spec.first_period, frame, spec))]
        yield f"first_period: {spec.first_period}", frame
    if spec.last_period is not None:
        frame = frame[~_ordinals(frame, spec).gt(_ordinal(spec.last_period, frame, spec))]
        yield f"last_period: {spec.last_period}", frame
    for column, allowed in spec.keep.items():
        frame = frame[has_one_of(frame[column], allowed, "keep")]
        yield f"keep: {column} is {', '.join(map(str, allowed))}", frame
    if spec.leave_out_events:
        frame = _without_events(frame, spec)
        yield f"leave_out_events: {', '.join(spec.leave_out_events)}", frame


class _Tables(NamedTuple):
    """The panel of a study, what it is called, and the panel joined with the link file."""

    panel: pd.DataFrame
    name: str
    frame: pd.DataFrame


def _read_tables(spec: StudySpec) -> _Tables:
    panel, name = _read_panel(spec)
    if spec.link is None:
        return _Tables(panel, name, panel)
    _need_roles(panel, name, spec)
    return _Tables(panel, name, _join(panel, read_beside(spec.link, spec.unit, spec), spec))


def _need_roles(panel: pd.DataFrame, name: str, spec: StudySpec) -> None:
    need_columns(
        panel, name, [spec.unit, spec.period, spec.outcome, *(role for role in (spec.inside, spec.total) if role)]
    )


def period_kind(frame: pd.DataFrame, spec: StudySpec) -> str:
    """Return what one period of a study's panel is: year, quarter, month."""
    return str(parse_periods(frame[spec.period]).kind)


def _read_panel(spec: StudySpec) -> tuple[pd.DataFrame, str]:
    """Return the panel of a study and how to call it."""
    if spec.simulation:
        return load_simulation(spec.simulation).frame.copy(), simulated_name(spec.simulation)
    if spec.panel is None:
        raise StudyError(
            f"The study '{spec.study}' has neither panel nor simulation: there are no outcome data to compare. It can "
            "examine published claims (notebook 1_claims), nothing else."
        )
    layout = tidy_layout(spec)
    frame = load_reading(spec).frame.copy() if layout is None else read_file(spec.panel, layout)
    return frame, spec.panel


def read_beside(name: str, column: str | None, spec: StudySpec) -> pd.DataFrame:
    """Read a file that is matched with the panel by a column; beside a panel with a layout its codes are text."""
    table = read_file(name)
    if tidy_layout(spec) is not None or column not in table:
        return table
    codes = table[column]
    whole = pd.api.types.is_float_dtype(codes) and bool((codes.dropna() % 1 == 0).all())
    return table.assign(**{str(column): (codes.astype("Int64") if whole else codes).astype("string").astype(object)})


def _join(frame: pd.DataFrame, link: pd.DataFrame, spec: StudySpec) -> pd.DataFrame:
    need_columns(link, str(spec.link), [spec.unit])
    twice = link[link[spec.unit].duplicated(keep=False)]
    if len(twice):
        raise StudyError(
            f"{spec.link} has {counted(twice[spec.unit].nunique(), 'unit')} in more than one row; one is expected.",
            rows=twice,
        )
    new = [spec.unit, *(column for column in link.columns if column not in frame)]
    joined = frame.merge(link[new], on=spec.unit, how="left", validate="many_to_one", indicator="_found")
    without = joined[joined["_found"] == "left_only"]
    if len(without):
        some = ", ".join(map(str, without[spec.unit].unique()[:3]))
        raise StudyError(
            f"{counted(without[spec.unit].nunique(), 'unit of the panel is', 'units of the panel are')} not in {spec.link}: {some}, ...",
            rows=without,
        )
    return joined.drop(columns="_found")


def _ordinals(frame: pd.DataFrame, spec: StudySpec) -> pd.Series:
    return pd.Series(parse_periods(frame[spec.period]).ordinal, index=frame.index)


def _ordinal(period: int | str, frame: pd.DataFrame, spec: StudySpec) -> int:
    return int(parse_periods(pd.Series([period]), kind=period_kind(frame, spec)).ordinal[0])


def _rows_of(frame: pd.DataFrame, entry: Mapping[str, Sequence[Any]]) -> pd.Series:
    """Return which rows have one of an entry's values in every column that it names."""
    met = [has_one_of(frame[column], values, "leave_out") for column, values in entry.items()]
    return pd.concat(met, axis=1).all(axis=1)


def has_one_of(column: pd.Series, values: Sequence[Any], field: str) -> pd.Series:
    """Return which rows have one of the values; every value must occur."""
    unknown = [value for value in values if not (column == value).any()]
    if unknown:
        known = list(dict.fromkeys(map(str, column.dropna())))
        near = difflib.get_close_matches(str(unknown[0]), known, n=1)
        shown = ", ".join(sorted(known)[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
        meant = f" Did you mean {near[0]!r}?" if near else ""
        named = ", ".join(map(repr, unknown))
        raise StudyError(f"{field}: {column.name} has no value {named}; its values are {shown}.{meant}")
    return column.isin(list(values))


def _without_events(frame: pd.DataFrame, spec: StudySpec) -> pd.DataFrame:
    """Leave out the groups that saw an event of the named kinds; events of all groups leave out none."""
    if spec.events is None or spec.cluster is None:
        raise StudyError("leave_out_events needs events (a file) and cluster (the column that the events name).")
    events = read_file(spec.events)
    need_columns(events, spec.events, ["kind", spec.cluster])
    unknown = set(spec.leave_out_events) - set(events["kind"])
    if unknown:
        known = ", ".join(sorted(events["kind"].unique()))
        raise StudyError(
            f"leave_out_events: {spec.events} has no kind {', '.join(map(repr, unknown))}; kinds are {known}."
        )
    named = events[events["kind"].isin(spec.leave_out_events)][spec.cluster].str.split(";").explode().str.strip()
    return frame[~frame[spec.cluster].isin(set(named) - {ALL_GROUPS})]


def remember(kept: dict[_Key, _Made], key: _Key, make: Callable[[], _Made]) -> _Made:
    """Return what was made of the same before, or make it; those that were used last are kept."""
    made = kept.pop(key, None)
    made = make() if made is None else made
    kept[key] = made
    while len(kept) > _KEPT and sum(map(_count_rows, list(kept.values()))) > _KEPT_ROWS:
        kept.pop(next(iter(kept)), None)
    return made


def _count_rows(made: Any) -> int:
    return int(made.matrices.outcome.size) if isinstance(made, Design) else len(getattr(made, "frame", made))


def hash_named(*names: str | None) -> list[str]:
    """Return the project's folder, and names of files with the hashes of what is there."""
    root = project_root()
    given = [name for name in names if name]
    return [str(root), *given, *(hash_file(root / name) if (root / name).is_file() else "" for name in given)]
