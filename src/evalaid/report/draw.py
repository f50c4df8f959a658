"""Pictures of the tables that the package returns, in the style of its reports: axes in, axes out.

`import evalaid as ea; ea.draw.event_study(ea.infer(effects.aggregate("event_time"), simultaneous=True))`. Tables are in the scale of the outcome;
effects on a share are drawn in percentage points. Nothing is computed but that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from evalaid.base.effect_columns import BAND_HIGH, BAND_LOW, CONF_HIGH, CONF_LOW, ESTIMATE, LEVEL
from evalaid.base.errors import EvalaidError
from evalaid.report.display import divergence_figure, event_figure, figures, specification_figure
from evalaid.report.display.canvas import PAGE_WIDTH, Look, add_legend, height_of
from evalaid.report.display.rendered_figure import style_of
from evalaid.report.questions.describe import average_outcome, map_status

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from evalaid.did.panel.design import Design
    from evalaid.did.sensitivity.choices.specifications import SpecificationCurve
    from evalaid.did.sensitivity.trends.honest import HonestBounds

__all__ = ["comparison", "event_study", "honest", "paths", "specifications", "status"]

Unit = Literal["pp", "number"]
_FACTOR = {"pp": 100.0, "number": 1.0}
_EFFECTS = (ESTIMATE, CONF_LOW, CONF_HIGH, BAND_LOW, BAND_HIGH)


def event_study(
    table: pd.DataFrame | Mapping[str, pd.DataFrame],
    axes: Axes | None = None,
    *,
    unit: Unit = "pp",
    truth: float | None = None,
    outcome: str = "outcome",
) -> Axes:
    """Draw effects by time since the start, of one table or of several side by side.

    Intervals that go beyond three times the largest estimate are cut and marked by an arrow.

    Parameters
    ----------
    table : pandas.DataFrame or mapping of str to pandas.DataFrame
        ``event_time``, ``estimate``, ``conf_low``, ``conf_high`` and, if there are, ``band_low``, ``band_high`` and
        ``treated_clusters``, as :func:`evalaid.infer` returns them; a mapping names each method whose table is drawn.
    axes : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.
    unit : {"pp", "number"}
        "pp" draws fractions as percentage points, "number" draws effects as they are.
    truth : float, optional
        The effect from the start on that is known of simulated data, in the scale of the outcome.
    outcome : str
        What the outcome is called on the axis.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    EvalaidError
        If a column is missing or no row has an estimate.

    Examples
    --------
    >>> import evalaid as ea
    >>> table = pd.DataFrame({"event_time": [-1, 0, 1], "estimate": [0, 0.01, 0.02], "conf_low": [np.nan, 0.0, 0.01],
    ...                       "conf_high": [np.nan, 0.02, 0.03]})
    >>> ea.draw.event_study({"one": table, "other": table}).get_xlabel()
    'Periods since the first treated period'

    Several tables stand side by side, each with its own colour and marker:

    >>> axes = ea.draw.event_study({"one": table, "two": table.assign(estimate=table["estimate"] + 0.01)}, truth=0.02)
    >>> [name for name in axes.get_legend_handles_labels()[1] if name in ("one", "two")]
    ['one', 'two']
    """
    named = table if isinstance(table, Mapping) else {"": table}
    parts = [
        _scaled(one, ("event_time", ESTIMATE, CONF_LOW, CONF_HIGH), unit, f"table '{name}'" if name else "table")
        for name, one in named.items()
    ]
    frame = pd.concat(
        [part.assign(**{event_figure.SERIES_COLUMN: name}) for part, name in zip(parts, named, strict=True)],
        ignore_index=True,
    )
    if truth is not None:
        frame = frame.assign(truth=np.where(frame["event_time"] >= 0, truth * _FACTOR[unit], 0.0))
    with _canvas(frame, axes, 4.2, outcome) as drawn:
        event_figure.plot_event_study(drawn, event_figure.in_window(frame), _look(unit, outcome))
        _legend(drawn)
    return drawn


def comparison(table: pd.DataFrame, axes: Axes | None = None, *, unit: Unit = "pp", label: str = "label") -> Axes:
    """Draw estimates of one effect below one another, the first row as the main one.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per estimate: ``label``, ``estimate``, ``conf_low``, ``conf_high``; optional ``truth``.
    axes : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.
    unit : {"pp", "number"}
        "pp" draws fractions as percentage points.
    label : str
        Column that names the rows.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    EvalaidError
        If a column is missing or no row has an estimate.

    Examples
    --------
    >>> import evalaid as ea
    >>> table = pd.DataFrame({"label": ["main", "other"], "estimate": [0.03, 0.02], "conf_low": [0.01, 0.0],
    ...                       "conf_high": [0.05, 0.04]})
    >>> ea.draw.comparison(table).get_xlabel()
    'Effect (percentage points)'
    """
    frame = _scaled(table, (label, ESTIMATE, CONF_LOW, CONF_HIGH), unit, "table").assign(label=table[label].astype(str))
    with _canvas(frame, axes, height_of(len(frame), _look(unit))) as drawn:
        event_figure.plot_comparison(drawn, frame, _look(unit))
    return drawn


def specifications(
    curve: SpecificationCurve | pd.DataFrame, axes: Sequence[Axes] | None = None, *, unit: Unit = "pp"
) -> Sequence[Axes]:
    """Draw every specification, sorted by its estimate, above the choices behind it.

    Parameters
    ----------
    curve : SpecificationCurve or pandas.DataFrame
        The result of :func:`evalaid.specification_curve`, or its table; a column ``is_main`` marks the main one.
    axes : sequence of two matplotlib.axes.Axes, optional
        For the estimates and for the choices; default: a new figure.
    unit : {"pp", "number"}
        "pp" draws fractions as percentage points.

    Returns
    -------
    sequence of two matplotlib.axes.Axes

    Raises
    ------
    EvalaidError
        If a column is missing, no row has an estimate, or ``axes`` are not two.

    Examples
    --------
    >>> import evalaid as ea
    >>> table = pd.DataFrame({"method": ["a", "b"], "estimate": [0.01, 0.02], "conf_low": [0, 0], "conf_high": [0.02, 0.04]})
    >>> top, below = ea.draw.specifications(table)
    >>> [text.get_text() for text in below.get_yticklabels()]
    ['method: a', 'method: b']
    """
    table = curve if isinstance(curve, pd.DataFrame) else curve.table
    frame = _scaled(table, (ESTIMATE, CONF_LOW, CONF_HIGH), unit, "curve")
    frame = frame[frame[ESTIMATE].notna()].sort_values(ESTIMATE, kind="stable", ignore_index=True)
    rows = len(specification_figure.list_choices(frame))
    with _styled(frame):
        if axes is None:
            import matplotlib.pyplot as plt

            _, axes = plt.subplots(
                2, 1, figsize=(PAGE_WIDTH, 3.6 + 0.24 * rows), layout="constrained", sharex=True,
                height_ratios=[3.0, max(0.24 * rows, 0.3)],
            )  # fmt: skip
        if len(axes) != 2:
            raise EvalaidError(f"specifications draws on two axes, estimates and choices; {len(axes)} were given.")
        specification_figure.plot_specifications(axes, frame, _look(unit))
        _legend(axes[0])
    return axes


def honest(bounds: HonestBounds, axes: Axes | None = None, *, unit: Unit = "pp") -> Axes:
    """Draw the interval of an effect by how far trends may diverge, with the original interval at M = 0.

    Parameters
    ----------
    bounds : HonestBounds
        The result of :func:`evalaid.honest`.
    axes : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure. Effects are cut at three times the estimate.
    unit : {"pp", "number"}
        "pp" draws fractions as percentage points.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import evalaid as ea
    >>> event = ea.EventStudy([-2, 0, 1], [0.001, 0.02, 0.03], np.diag([1e-4, 1e-4, 1e-4]))
    >>> ea.draw.honest(ea.honest(event, m=[0, 1])).get_ylabel()
    'Effect (percentage points)'
    """
    frame = bounds.curve(_FACTOR[unit])
    with _canvas(frame, axes, 4.0) as drawn:
        divergence_figure.plot_honest(drawn, frame, _look(unit, level=float(bounds.original[LEVEL].iloc[0])))
        _legend(drawn)
    return drawn


def status(design: Design, axes: Axes | None = None, *, units: str = "units", clusters: str = "clusters") -> Axes:
    """Draw which cohort is treated when.

    Parameters
    ----------
    design : Design
        The result of :func:`evalaid.diagnose`.
    axes : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.
    units, clusters : str
        What units and clusters are called.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import evalaid as ea
    >>> panel = pd.DataFrame({"county": list("aabbcc"), "year": [2019, 2020] * 3, "share": [0.80, 0.86, 0.80, 0.82, 0.70, 0.74],
    ...                       "start": [2020, 2020, None, None, None, None]})
    >>> design = ea.diagnose(panel, unit="county", period="year", outcome="share", cohort="start")
    >>> [text.get_text().splitlines()[0] for text in ea.draw.status(design, units="counties").get_yticklabels()]
    ['Cohort 2020', 'Never treated']
    """
    frame = map_status(design)
    look = Look("real", "outcome", 0.95, units=units, clusters=clusters)
    with _canvas(frame, axes, height_of(frame["cohort_label"].nunique(), look, 0.5)) as drawn:
        figures.plot_status(drawn, frame, look)
    return drawn


def paths(design: Design, axes: Axes | None = None, *, outcome: str = "Outcome") -> Axes:
    """Draw the mean outcome of every cohort by period, with a ring at its first treated period.

    Parameters
    ----------
    design : Design
        The result of :func:`evalaid.diagnose`; a share is drawn in per cent.
    axes : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.
    outcome : str
        What the outcome is called on the axis.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import evalaid as ea
    >>> panel = pd.DataFrame({"county": list("aabbcc"), "year": [2019, 2020] * 3, "share": [0.80, 0.86, 0.80, 0.82, 0.70, 0.74],
    ...                       "start": [2020, 2020, None, None, None, None]})
    >>> design = ea.diagnose(panel, unit="county", period="year", outcome="share", cohort="start")
    >>> ea.draw.paths(design, outcome="Inpatient share").get_ylabel()
    'Inpatient share (%)'
    """
    frame = average_outcome(design)
    unit: Unit = "pp" if design.outcome_unit == "fraction" else "number"
    with _canvas(frame, axes, 4.0, outcome) as drawn:
        figures.plot_paths(drawn, frame, _look(unit, outcome))
        _legend(drawn)
    return drawn


def _scaled(table: pd.DataFrame, needed: Sequence[str], unit: Unit, what: str) -> pd.DataFrame:
    """Return the table with its effects in the unit that is drawn; raise where there is nothing to draw."""
    if unit not in _FACTOR:
        raise EvalaidError(f"unit is '{unit}'; use one of {', '.join(_FACTOR)}.")
    missing = [name for name in needed if name not in table]
    if missing:
        raise EvalaidError(
            f"The {what} has no column {', '.join(missing)}; expected {', '.join(needed)}, as evalaid.infer returns them."
        )
    if not table[ESTIMATE].notna().any():
        raise EvalaidError(f"The {what} has no row with an estimate: there is nothing to draw.")
    own = [name for name in (*_EFFECTS, "truth") if name in table]
    return table.assign(**{name: table[name] * _FACTOR[unit] for name in own})


def _look(unit: Unit, outcome: str = "outcome", level: float = 0.95) -> Look:
    return Look("real", outcome, level, unit)


def _styled(frame: pd.DataFrame, *words: str) -> AbstractContextManager[Any]:
    import matplotlib as mpl

    texts = [str(item) for column in frame.select_dtypes(exclude="number") for item in frame[column].unique()]
    return mpl.rc_context(style_of("".join([*texts, *words])))


@contextmanager
def _canvas(frame: pd.DataFrame, axes: Axes | None, height: float, *words: str) -> Iterator[Axes]:
    """Yield the axes that were given, or those of a new figure, in the style and with the letters of what is drawn."""
    import matplotlib.pyplot as plt

    with _styled(frame, *words):
        yield plt.subplots(figsize=(PAGE_WIDTH, height), layout="constrained")[1] if axes is None else axes


def _legend(axes: Axes) -> None:
    """Put a legend below, where the figure is laid out for one; else inside the axes."""
    canvas: Any = axes.figure
    if canvas.get_layout_engine() is not None and len(canvas.axes) <= 2:
        add_legend(canvas, _look("pp"), most=3)
    elif axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
