"""Tests of the periods before treatment: do trends differ there, and how large a difference can be ruled out?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtr, stdtrit

from evalaid.base.effect_columns import DISTRIBUTION, ESTIMATE, N_CLUSTERS, P_VALUE, STATISTIC, STD_ERROR, VCOV
from evalaid.base.errors import InferenceError
from evalaid.base.texts import counted, join_texts
from evalaid.did.effects.effects import Effects
from evalaid.did.effects.notebook_view import NotebookView
from evalaid.did.inference.default_rule import shift_of
from evalaid.did.inference.infer import infer
from evalaid.did.inference.intervals import degrees_of, name_distributions
from evalaid.did.inference.options import check_effects, check_options
from evalaid.did.inference.variance.cluster import clusters_of
from evalaid.did.inference.variance.jackknife import joint_covariance
from evalaid.did.sensitivity.trends.coefficients import EventStudy, JointVcov

Floats = NDArray[np.float64]

# Eigenvalues of the correlation matrix below this share of the largest: some combination has no visible variance.
SINGULAR = 1e-10
COLUMNS = ["test", "null", STATISTIC, DISTRIBUTION, P_VALUE, "bound", "periods", N_CLUSTERS, VCOV, "note"]
DIFFER, EQUAL = "no difference in trends before treatment", "a difference in trends at least as large as the bound"


@dataclass(frozen=True, eq=False)
class PretrendTest(NotebookView):
    """Tests of the coefficients before treatment.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per test: ``test``, ``null`` (the hypothesis that it can reject), ``statistic``, ``distribution``, ``p_value``, ``bound`` (of
        tests of equivalence, in the scale of the effects: the smallest for which "no difference larger than this" holds with
        confidence ``level``), ``periods`` (number of coefficients), ``n_clusters``, ``vcov``, ``note``.
    coefficients : pandas.DataFrame
        The rows of the event study that are tested, as from :func:`evalaid.infer`.
    level : float
        One less the size of the tests.
    """

    table: pd.DataFrame
    coefficients: pd.DataFrame
    level: float

    def describe(self) -> str:
        """Describe it in a few sentences, in the scale of the effects."""
        tests = self.table.set_index("test")
        p_values, bound = tests[P_VALUE].to_dict(), tests["bound"].to_dict()["equivalence, every period"]
        said = [f"{name}: p = {p_values[name]:.3g}" for name in ("Wald", "sup-t") if not np.isnan(p_values[name])]
        said.append(f"with confidence {self.level:.0%} no period before treatment differs by more than {bound:.4g}")
        return f"{len(self.coefficients)} periods before treatment. {'; '.join(said)}."


def pretrend_test(
    event: Effects | EventStudy,
    *,
    level: float = 0.95,
    vcov: JointVcov = "auto",
    cluster: pd.Series | None = None,
    anticipation: int = 0,
    draws: int = 9999,
    seed: int = 1,
) -> PretrendTest:
    """Test the coefficients before treatment: all zero (Wald, sup-t), or at most so large (equivalence).

    A test that does not reject zero is no proof of parallel trends: it may lack power. A test of equivalence turns the burden of
    proof around: its bound is the largest difference that the data cannot rule out.

    Parameters
    ----------
    event : Effects or EventStudy
        Effects by event time, or by cohort and period; all periods before treatment are tested, a reference period that is
        zero by construction excepted. Or published coefficients with their covariance.
    level : float
        One less the size of the tests.
    vcov : {"auto", "reference", "CR0", "CR1", "CR3"}
        As in :func:`evalaid.infer`.
    cluster : pandas.Series, optional
        Coarser clusters, indexed by unit; the design's by default.
    anticipation : int
        Periods just before the start in which units may react already: not tested.
    draws, seed
        Of the sup-t test.

    Returns
    -------
    PretrendTest

    Raises
    ------
    InferenceError
        When there is no coefficient before treatment, or none with an error.

    Notes
    -----
    Wald: ``W = b'V^-1 b``; with nu degrees of freedom behind V, ``W (nu - K + 1) / (nu K)`` is held against F(K, nu - K + 1) (Hotelling); with the
    normal convention of a reference (R ``did``) W against chi2(K). nu is the least of the coefficients'. sup-t: the largest |t|
    against draws of the joint distribution, as the bands of :func:`evalaid.infer`. Equivalence, every period: every two one-sided
    tests reject, ``max_k |b_k| + t^-1_nu(level) se_k`` (Hartman and Hidalgo 2018, doi:10.1111/ajps.12387), and the same for
    the mean of the coefficients. Equivalence, maximum: every |b_k| is below the ``1 - level`` quantile of a folded distribution
    around the bound (Dette and Schumann 2024, doi:10.1080/07350015.2024.2308121, their intersection-union test, here with t
    quantiles).

    Examples
    --------
    >>> study = EventStudy([-3, -2, 0, 1], [0.1, -0.2, 1.0, 1.4], np.diag([0.04, 0.03, 0.05, 0.06]))
    >>> found = pretrend_test(study)
    >>> found.table["test"].tolist()
    ['Wald', 'sup-t', 'equivalence, every period', 'equivalence, maximum', 'equivalence, mean']
    >>> found.describe()
    '2 periods before treatment. Wald: p = 0.453; sup-t: p = ...; with confidence 95% no period before treatment differs by more than 0.4849.'
    """
    check_options(level=level, draws=draws, seed=seed)
    rows, covariance, degrees, shift = _gather(event, level, vcov, cluster, anticipation)
    value, error = rows[ESTIMATE].to_numpy(dtype=float), np.sqrt(np.diag(covariance))
    least = None if degrees is None else float(degrees.min())
    said = dict.fromkeys(part for note in rows["note"] for part in note.split("; "))
    noted = join_texts(part for part in said if not part.startswith(f"{rows[VCOV].iloc[0]}, t("))
    statistic, p_value, distribution, why = _wald(value, covariance, least)
    supremum, p_supremum = _supremum(value / error, covariance, degrees, shift=shift, draws=draws, seed=seed)
    mean, spread = float(value.mean()), float(np.sqrt(covariance.mean()))
    freedom = np.full(len(value), np.nan) if degrees is None else degrees
    every = max(abs(b) + _quantile(level, nu) * se for b, se, nu in zip(value, error, freedom, strict=True))
    folded = max(_folded_bound(b, se, nu, level) for b, se, nu in zip(value, error, freedom, strict=True))
    about_mean = abs(mean) + _quantile(level, np.nan if least is None else least) * spread
    near = (
        ""
        if folded > np.abs(value).max()
        else "the estimates are so near zero that this test accepts any bound above them"
    )
    named = name_distributions(least, 1)[0]
    found = [
        ("Wald", DIFFER, statistic, distribution, p_value, np.nan, why),
        ("sup-t", DIFFER, supremum, f"{draws} draws, seed {seed}", p_supremum, np.nan, ""),
        ("equivalence, every period", EQUAL, np.nan, named, np.nan, every, ""),
        ("equivalence, maximum", EQUAL, np.nan, named, np.nan, folded, near),
        ("equivalence, mean", EQUAL, abs(mean), named, np.nan, about_mean, ""),
    ]
    table = pd.DataFrame(found, columns=["test", "null", STATISTIC, DISTRIBUTION, P_VALUE, "bound", "note"])
    clusters = rows[N_CLUSTERS].iloc[0] if N_CLUSTERS in rows else None
    table = table.assign(periods=len(value), **{N_CLUSTERS: clusters, VCOV: rows[VCOV].iloc[0]})
    table["note"] = [join_texts((text, noted)) for text in table["note"]]
    return PretrendTest(table[COLUMNS], rows, level)


def _gather(
    event: Effects | EventStudy, level: float, vcov: JointVcov, cluster: pd.Series | None, anticipation: int
) -> tuple[pd.DataFrame, Floats, Floats | None, bool]:
    """Return the coefficients before treatment, their covariance and degrees of freedom, and whether few clusters count for less."""
    if isinstance(event, EventStudy):
        kept = np.flatnonzero(event.event_time < min(event.reference, -anticipation))
        covariance = event.covariance[np.ix_(kept, kept)]
        rows = pd.DataFrame({
            "event_time": event.event_time[kept], ESTIMATE: event.estimate[kept], STD_ERROR: np.sqrt(np.diag(covariance)),
            N_CLUSTERS: event.n_clusters, VCOV: event.vcov, "note": join_texts(event.notes),
        })  # fmt: skip
        freedom = event.degrees_of_freedom
        return rows, covariance, None if freedom is None else np.full(len(kept), float(freedom)), False
    check_effects(event)
    if "event_time" not in event.cells:
        raise InferenceError(
            f"{event.method} gives no estimates by event time: nothing before treatment can be tested."
        )
    before = event.cells["event_time"].to_numpy() < -anticipation
    if not before.any():
        early = f" and its {counted(anticipation, 'period')} of anticipation" if anticipation else ""
        raise InferenceError(
            f"{event.method} gives no estimate before treatment{early}. Use a method "
            "that does, for example event_study, sun_abraham, callaway_santanna, or imputation with pretrends='leads'."
        )
    table = infer(event, level, vcov, cluster=cluster)
    kept = np.flatnonzero(before & table[STD_ERROR].notna().to_numpy())
    if not len(kept):
        notes = join_texts(table.loc[before, "note"])
        raise InferenceError(f"No estimate before treatment has an error: {notes or 'nothing varies'}.")
    chosen = event.select(np.isin(np.arange(len(event)), kept))
    covariance = joint_covariance(chosen, clusters_of(event, cluster), vcov)
    rows = table.iloc[kept].reset_index(drop=True)
    named = [degrees_of(text) for text in rows[DISTRIBUTION]]
    degrees = None if any(one is None for one in named) else np.array(named, dtype=float)
    return rows, covariance, degrees, vcov == "auto"


def _wald(value: Floats, covariance: Floats, degrees: float | None) -> tuple[float, float, str, str]:
    """Test that all coefficients are zero; no test where the covariance does not have their rank."""
    size, scale = len(value), np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    if np.linalg.eigvalsh(correlation)[0] <= SINGULAR:
        return (
            np.nan,
            np.nan,
            "",
            f"no Wald test: the covariance of {size} coefficients is singular; test fewer periods",
        )
    standard = value / scale
    wald = float(standard @ np.linalg.solve(correlation, standard))
    if degrees is None:
        return wald, float(chdtrc(size, wald)), f"chi2({size})", ""
    left = degrees - size + 1
    if left <= 0:
        return (
            wald,
            np.nan,
            "",
            f"no Wald test: {size} coefficients from {degrees:.1f} degrees of freedom; test fewer periods",
        )
    found = wald * left / (degrees * size)
    return found, float(fdtrc(size, left, found)), f"F({size}, {left:.2f})".replace(".00)", ")"), ""


def _supremum(
    t: Floats, covariance: Floats, degrees: Floats | None, *, shift: bool, draws: int, seed: int
) -> tuple[float, float]:
    """Test the largest |t|: its p-value is one less the level of the narrowest band that leaves out zero."""
    scale = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    largest = np.sort(np.abs(np.random.default_rng(seed).standard_normal((draws, len(t))) @ root.T).max(axis=1))
    size = np.abs(t)
    # Tails from below: above, the largest t have a probability of one in double precision.
    z = size if degrees is None else -ndtri(np.maximum(stdtr(degrees, -size), 1e-300))
    part = shift_of(degrees) if shift and degrees is not None else np.zeros(len(t))

    def outside(alpha: float) -> bool:
        joint = largest[min(int(np.ceil((1 - alpha) * draws)), draws) - 1 if alpha < 1 else 0]
        apart = float(-ndtri((1 - (1 - alpha) ** (1 / len(t))) / 2)) if alpha < 1 else 0.0
        return bool((z > joint + part * max(apart - joint, 0.0)).any())

    low, high = 1, draws
    if outside(low / (draws + 1)):
        return float(size.max()), 1 / (draws + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if outside(middle / (draws + 1)) else (middle, high)
    return float(size.max()), high / (draws + 1)


def _quantile(level: float, degrees: float) -> float:
    return float(ndtri(level) if np.isnan(degrees) else stdtrit(degrees, level))


def _folded_bound(value: float, error: float, degrees: float, level: float) -> float:
    """Find the bound at which ``P(|bound + error T| <= |value|) = 1 - level``; at least the estimate's own size."""
    distribution: Callable[[float], float] = ndtr if np.isnan(degrees) else lambda x: float(stdtr(degrees, x))
    size = abs(value)

    def below(bound: float) -> float:
        return float(distribution((size - bound) / error) - distribution((-size - bound) / error)) - (1 - level)

    if below(size) <= 0:
        return size
    return float(brentq(below, size, size + 2 * _quantile(level, degrees) * error + error))
