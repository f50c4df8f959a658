"""An event study as its coefficients and their covariance: what sensitivity analyses of trends work on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from evalaid.base.effect_columns import (
    CONF_HIGH,
    CONF_LOW,
    DISTRIBUTION,
    ESTIMATE,
    N_CLUSTERS,
    P_VALUE,
    STATISTIC,
    STD_ERROR,
    VCOV,
)
from evalaid.base.errors import InferenceError
from evalaid.base.texts import join_texts, noun
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.notebook_view import NotebookView
from evalaid.did.inference.cluster_counts import treated_clusters
from evalaid.did.inference.infer import infer
from evalaid.did.inference.intervals import degrees_of, name_distributions
from evalaid.did.inference.variance.cluster import Clusters, clusters_of
from evalaid.did.inference.variance.jackknife import joint_covariance
from evalaid.did.panel.few import FEW_CLUSTERS, FEW_TREATED

Floats = NDArray[np.float64]
Weights = ArrayLike | Mapping[int, float] | pd.Series
JointVcov = Literal["auto", "reference", "CR0", "CR1", "CR3"]

# Smallest eigenvalue of the correlation matrix: below it some combination of coefficients has no visible variance.
SINGULAR = 1e-10
# A published covariance has few digits: half of the last one leaves it unsymmetric by this share of its scale.
SYMMETRIC = 1e-6
FEW_CLUSTERS_EACH = 3


@dataclass(frozen=True, eq=False, repr=False)
class EventStudy(NotebookView):
    """Event-study coefficients with their covariance, also from a publication.

    Every coefficient is a deviation from one reference period, whose own coefficient is zero and left out.

    Parameters
    ----------
    event_time : sequence of int
        Periods relative to the start, ascending; with the reference they are consecutive.
    estimate : sequence of float
        Coefficients, in the unit of the outcome.
    covariance : square array
        Of the estimates.
    reference : int
        The reference period.
    degrees_of_freedom : float, optional
        Of the t distribution that a single coefficient is held against; None = normal.
    vcov : str
        How the covariance was made, for the result.
    n_clusters : int, optional
        Clusters behind it.
    notes : tuple of str
        What a reader of any result should know.

    Raises
    ------
    InferenceError
        For coefficients that do not fit together, periods that are not consecutive, no period before or after the
        reference, or a covariance that is not one or is singular; all faults at once.

    Examples
    --------
    >>> study = EventStudy([-3, -2, 0, 1], [0.1, -0.2, 1.0, 1.4], np.diag([0.04, 0.03, 0.05, 0.06]))
    >>> study
    <EventStudy: event times -3 to 1, reference -1>
    """

    event_time: NDArray[np.int64]
    estimate: Floats
    covariance: Floats
    reference: int = -1
    degrees_of_freedom: float | None = None
    vcov: str = "given"
    n_clusters: int | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        time, estimate, covariance = (
            np.array(values, dtype=float) for values in (self.event_time, self.estimate, self.covariance)
        )
        faults = _list_faults(time, estimate, covariance, int(self.reference))
        if faults:
            raise InferenceError("This event study cannot be used: " + "; ".join(faults) + ".")
        object.__setattr__(self, "event_time", time.astype(np.int64))
        object.__setattr__(self, "estimate", estimate)
        object.__setattr__(self, "covariance", (covariance + covariance.T) / 2)
        if problem := _explain_singular(self):
            raise InferenceError(problem)

    def __repr__(self) -> str:
        times = {self.reference, *self.event_time.tolist()}
        return f"<EventStudy: event times {min(times)} to {max(times)}, reference {self.reference}>"

    @property
    def n_pre(self) -> int:
        """Coefficients before the reference."""
        return int((self.event_time < self.reference).sum())

    @property
    def n_post(self) -> int:
        """Coefficients after the reference."""
        return len(self.event_time) - self.n_pre

    def critical_value(self, level: float) -> float:
        """Return the two-sided critical value of one coefficient."""
        upper, freedom = (1 + level) / 2, self.degrees_of_freedom
        return float(ndtri(upper) if freedom is None else stdtrit(freedom, upper))

    def weigh(self, weights: Weights | None) -> Floats:
        """Return the weight of every coefficient after the reference, (n_post,); None averages event times 0 and later."""
        return _weigh(self.event_time[self.n_pre :], weights)


def _weigh(times: NDArray[np.int64], weights: Weights | None) -> Floats:
    treated = times >= min(0, int(times[-1]))
    if weights is None:
        return np.asarray(treated / treated.sum())
    named = pd.Series(weights, dtype=float) if isinstance(weights, Mapping | pd.Series) else None
    given = np.asarray(weights if named is None else named, dtype=float)
    expected = ", ".join(map(str, times[treated]))
    if named is not None and (unknown := [key for key in named.index if key not in times]):
        raise InferenceError(
            f"weights name {noun(len(unknown), 'event time')} {', '.join(map(str, unknown))}; after the reference there are {expected}."
        )
    if named is None and given.shape != (int(treated.sum()),):
        raise InferenceError(
            f"weights has shape {given.shape}; one weight for each of the event times {expected} is expected."
        )
    if not np.isfinite(given).all() or not given.any():
        raise InferenceError("weights holds missing or infinite numbers, or only zeros; give finite weights.")
    found = np.zeros(len(times))
    found[treated if named is None else np.searchsorted(times, named.index)] = given
    return found


def _list_faults(time: Floats, estimate: Floats, covariance: Floats, reference: int) -> list[str]:
    size = len(time) if time.ndim == 1 else 0
    if time.ndim != 1 or estimate.shape != (size,) or covariance.shape != (size, size):
        hint = " (standard errors alone do not say how the estimates move together)" if covariance.ndim == 1 else ""
        shapes = f"event_time has shape {time.shape}, estimate {estimate.shape}, covariance {covariance.shape}"
        return [f"{shapes}; n, n and (n, n) are expected{hint}"]
    faults = []
    if not all(np.isfinite(values).all() for values in (time, estimate, covariance)):
        return ["missing or infinite numbers; leave out the periods that have no estimate"]
    if reference in time:
        faults.append(f"the reference period {reference} is among the coefficients; leave it out, it is zero")
    whole = np.union1d(time, [reference])
    if (np.diff(time) <= 0).any():
        faults.append("event times are not ascending")
    elif (np.diff(whole) != 1).any():
        gaps = np.setdiff1d(np.arange(whole[0], whole[-1] + 1), whole)
        faults.append(
            f"event times are not consecutive (missing: {', '.join(f'{gap:g}' for gap in gaps)}), so that neighbouring "
            "coefficients are not one period apart; keep a run without gaps, or estimate the missing ones"
        )
    if not (time < reference).any():
        faults.append(
            f"no coefficient before the reference period {reference}, so nothing says how far trends diverge; estimate periods "
            "before treatment"
        )
    if not (time > reference).any():
        faults.append(f"no coefficient after the reference period {reference}")
    scale = np.abs(covariance).max(initial=0.0)
    if np.abs(covariance - covariance.T).max(initial=0.0) > SYMMETRIC * scale:
        faults.append("the covariance is not symmetric")
    if (np.diag(covariance) <= 0).any():
        flat = ", ".join(f"{value:g}" for value in time[np.diag(covariance) <= 0])
        faults.append(f"no variance at {noun(int((np.diag(covariance) <= 0).sum()), 'event time')} {flat}")
    return faults


def _explain_singular(study: EventStudy) -> str:
    """Return why a covariance cannot be used and what to leave out; "" when it can."""
    spread = np.sqrt(np.diag(study.covariance))
    values = np.linalg.eigvalsh(study.covariance / np.outer(spread, spread))
    if values[0] < -SYMMETRIC:
        return "The covariance has negative eigenvalues: it is no covariance. Check its order and its signs."
    rank = int((values > SINGULAR).sum())
    size = len(values)
    if rank == size:
        return ""
    order = np.argsort(np.abs(study.event_time - study.reference), kind="stable")
    kept = np.sort(study.event_time[order[:rank]])
    why = f" with {study.n_clusters} clusters, too few for so many" if study.n_clusters else ""
    return (
        f"The covariance of the {size} coefficients has rank {rank}{why}: some combination of them would count as known without "
        f"error. Keep at most {rank} coefficients, the nearest to the reference first: event times {_runs(kept, study.reference)} "
        "(event.select(event_time=...), with the reference). Single estimates and their intervals (infer) remain valid."
    )


def _runs(kept: NDArray[np.int64], reference: int) -> str:
    whole = np.union1d(kept, [reference])
    return f"{whole[0]} to {whole[-1]}"


@dataclass(frozen=True, eq=False)
class Gathered:
    """Coefficients, the weights of the effect, and the effect as it is without sensitivity analysis (one row).

    ``few`` names the clusters when they are too few for anything that is fitted to their covariance; "" otherwise.
    """

    study: EventStudy
    weights: Floats
    original: pd.DataFrame
    few: str = ""


def gather(
    event: Effects | EventStudy,
    weights: Weights | None,
    level: float,
    vcov: JointVcov = "auto",
    cluster: pd.Series | None = None,
) -> Gathered:
    """Take the coefficients of an event study, their joint covariance and the usual interval of the effect."""
    if not 0.5 < level < 1:
        raise InferenceError(f"level={level} found; a coverage between 0.5 and 1 is expected, for example 0.95.")
    if isinstance(event, EventStudy):
        found = event.weigh(weights)
        return Gathered(event, found, _usual_interval(event, found, level))
    if not isinstance(event, Effects):
        raise InferenceError(f"{type(event).__name__} found; Effects by event time or an EventStudy is expected.")
    reference = _find_reference(event)
    cells, times = event.cells, event.cells["event_time"].to_numpy(dtype=np.int64)
    order = np.argsort(times, kind="stable")
    order = order[order != reference]
    if missing := [f"{times[k]} ({cells['reason'].iloc[k]})" for k in order if np.isnan(event.value[k])]:
        raise InferenceError(
            f"No estimate at {noun(len(missing), 'event time')} {', '.join(missing)}; keep a run of event times without gaps "
            "(event.select(event_time=...), with the reference)."
        )
    after = times[order][times[order] > times[reference]]
    found = _weigh(after, weights) if len(after) else np.zeros(0)
    effect = np.concatenate([np.zeros(len(order) - len(after)), found])
    picked = np.eye(len(event))[:, order]
    together = event.combine(np.column_stack([picked, picked @ effect]))
    clusters = clusters_of(event, cluster)
    table = infer(together, level, vcov, cluster=cluster)
    if table[STD_ERROR].iloc[:-1].isna().any():
        notes = dict.fromkeys(note for note in table["note"] if note)
        raise InferenceError(f"There is no covariance to work with: {join_texts(notes) or 'nothing varies'}.")
    freedom = degrees_of(str(table[DISTRIBUTION].iloc[-1]))  # of the effect
    steps, holes = _close_holes(event, times)
    study = EventStudy(
        event_time=steps[order],
        estimate=together.value[:-1],
        covariance=joint_covariance(together, clusters, vcov)[:-1, :-1],
        reference=int(steps[reference]),
        degrees_of_freedom=freedom,
        vcov=str(table[VCOV].iloc[0]),
        n_clusters=len(clusters),
        notes=(*holes, *_remark(event, cells.iloc[order], len(clusters))),
    )
    return Gathered(study, found, table.iloc[[-1]].reset_index(drop=True), _few(together, clusters))


def _few(effects: Effects, clusters: Clusters) -> str:
    treated = int(treated_clusters(effects, clusters).min())
    enough = len(clusters) >= FEW_CLUSTERS and treated >= FEW_TREATED
    return "" if enough else f"{len(clusters)} clusters, {treated} of them treated"


def _find_reference(event: Effects) -> int:
    """Find the one cell that is zero by construction."""
    cells = event.cells
    if "event_time" not in cells or {"cohort", "period"} & set(cells) or cells["event_time"].duplicated().any():
        raise InferenceError(
            f"Cells by {', '.join(name for name in ('cohort', 'period', 'event_time', 'parameter') if name in cells) or 'nothing'} "
            "found; one row per event time is expected. Use effects.aggregate('event_time'), or method event_study."
        )
    moved = np.abs(event.influence.matrix()).max(axis=0, initial=0.0)
    fixed = np.flatnonzero((moved == 0) & (event.value == 0))
    if len(fixed) == 1:
        return int(fixed[0])
    times = cells["event_time"]
    if len(fixed) == len(times):
        found, advice = "every estimate is zero and no unit moves any", "The outcome does not vary; check the column"
    elif not (times < 0).any():
        found = f"{event.method} gives no estimates before treatment"
        advice = "Use one that does, for example event_study, sun_abraham, callaway_santanna with base_period='universal', or imputation with pretrends='leads'"
    elif event.method == "callaway_santanna":
        found = "with base_period='varying' an estimate before treatment is the change from the period before it, not a deviation from one reference period"
        advice = "Estimate with base_period='universal'; summing the changes would be the same only for one comparison group throughout"
    elif event.method == "dcdh" or len(fixed) == 0:
        found = "none of the cells is a reference period (zero by construction)"
        advice = "Keep it in the selection, or use a method whose estimates are deviations from one period"
    else:
        found = f"event times {', '.join(str(times.iloc[k]) for k in fixed)} are all zero by construction"
        advice = "Keep one reference period"
    raise InferenceError(f"The trend before treatment cannot be compared with the one after it: {found}. {advice}.")


def _close_holes(event: Effects, times: NDArray[np.int64]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Number event times without those that no cohort can be observed at, because the panel has holes there, and say so."""
    missing = np.setdiff1d(np.arange(times.min(), times.max() + 1), times)
    periods, cohorts = event.population.periods, event.population.cohorts
    if not len(missing) or periods is None:
        return times, ()
    clock = event.population.clock
    if np.isin(missing, clock.count(periods) - clock.count(cohorts)[:, None]).any():
        return times, ()
    rank = np.argsort(np.argsort(times)) - int((times < 0).sum())
    named = ", ".join(map(str, missing))
    return rank, (
        f"no cohort is observed at {noun(len(missing), 'event time')} {named}: the neighbours count as one step apart",
    )


def _remark(event: Effects, cells: pd.DataFrame, n_clusters: int) -> tuple[str, ...]:
    """Return what weakens the analysis: two references, few clusters for so many coefficients, event times of different units."""
    remarks = [event.convention.remark] if event.convention.remark else []
    if event.method == "imputation":
        remarks.append(
            "coefficients before treatment are deviations from the last period before it, effects from all periods before it: the "
            "step from one to the other is no step of one path"
        )
    if n_clusters < FEW_CLUSTERS_EACH * len(cells):
        remarks.append(
            f"a covariance of {len(cells)} coefficients from {n_clusters} clusters is imprecise: keep fewer event times beside it"
        )
    counts = cells["n_treated"].to_numpy()
    if counts.min() < counts.max():
        remarks.append(
            f"event times rest on {counts.min()} to {counts.max()} treated units, so steps between them also hold changes of cohorts"
        )
    return tuple(remarks)


def _usual_interval(study: EventStudy, weights: Floats, level: float) -> pd.DataFrame:
    """Return the row that `infer` would give."""
    full = np.concatenate([np.zeros(study.n_pre), weights])
    estimate, std_error = float(full @ study.estimate), float(np.sqrt(full @ study.covariance @ full))
    freedom, critical = study.degrees_of_freedom, study.critical_value(level)
    statistic = estimate / std_error
    tail = ndtr(-abs(statistic)) if freedom is None else stdtr(freedom, -abs(statistic))
    row: dict[str, Any] = {
        ESTIMATE: estimate,
        STD_ERROR: std_error,
        STATISTIC: statistic,
        P_VALUE: 2 * float(tail),
        CONF_LOW: estimate - critical * std_error,
        CONF_HIGH: estimate + critical * std_error,
        "level": level,
        VCOV: study.vcov,
        DISTRIBUTION: name_distributions(freedom, 1)[0],
        N_CLUSTERS: study.n_clusters,
        "note": "",
    }
    return pd.DataFrame([row])
