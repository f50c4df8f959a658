"""Sentences that depend on the result: what is said when there is an estimate, and what when there is none.

Each function looks at what the section has recorded and returns templates for `Section.say`.
"""

from __future__ import annotations

from typing import Protocol

from evalaid.study.spec import StudySpec
from evalaid.study.study_fields import SIMULATED

SIMULATED_ONLY = (
    "**Simulated data.** The panel was drawn by a computer around the published figures, with an effect that is known. The "
    "numbers show what this design and these methods could tell from a real panel. They say nothing about what the programme "
    "did."
)
SIMULATED_FILES = (
    "**Simulated data.** The files hold figures that a computer drew. The numbers show what this design and these methods make of "
    "such files. They say nothing about any programme."
)
NOT_IDENTIFIED = (
    "**Not identified.** The comparison that the main method needs is not in this panel, so there is no estimate of what the "
    "programme did. That is the result; the reasons stand in the section on the main estimate. A number could still be "
    "computed, but it would not be an effect."
)

NOT_SIMULATED = (
    "No effect of any size that was tried would be found in four of five samples, or it cannot be simulated: the main method gives "
    "no estimate by cohort and period, or no standard error, on this design."
)
FOUND_BY_SIMULATION = (
    "An effect of {detectable.effect}, on a mean outcome of {sample.mean}, would be found in four of five samples by the interval "
    "that is reported; where there is no effect it finds one in {detectable.size} of samples. An interval that holds zero excludes "
    "what lies outside it; it does not show that there is no effect."
)


class Numbers(Protocol):
    """What a sentence needs of a section: its study, and which numbers were recorded."""

    @property
    def spec(self) -> StudySpec:
        """The study."""

    def has(self, key: str) -> bool:
        """Return whether a number of that name was recorded."""

    def value(self, key: str) -> int | float | None:
        """Return a recorded number; None when it does not exist."""


def introduce_main(section: Numbers) -> tuple[str, ...]:
    """Write what the main estimate means, or that there is none."""
    if not _has(section, "overall.main.estimate"):
        return (*_simulated(section), NOT_IDENTIFIED)
    return (
        *_simulated(section),
        _put_in(section) + "{overall.main:reading} " + _could_find(section) + _compatible(section),
    )


def tell_detectable(section: Numbers) -> tuple[str, ...]:
    """Write which effect the design could find, with what risk of finding one where none is, or why that is not known."""
    if not section.has("detectable.effect") or not _has(section, "detectable.effect"):
        return (NOT_SIMULATED,)
    return (FOUND_BY_SIMULATION,)


def tell_before(section: Numbers) -> tuple[str, ...]:
    """Write how the estimates before the start bear on the assumption."""
    if not section.value("before.periods"):
        return (
            (
                "There is no estimate before the start with a standard error: nothing in this panel speaks for or against the "
                "assumption."
            ),
        )
    against = (
        "hold that against the main estimate of {overall.main.estimate:signed}, which rests on the assumption that the "
        "difference is zero."
    )
    start = "units may react" if section.has("before.reaction") else "the start"
    return (
        f"Before {start} "
        "the largest estimate is {before.largest} without its sign; of {before.periods:bare} bands "
        "{before.excluding:counted} exclude zero. A band that holds zero does not show that trends were parallel. These reach "
        "from {before.band_low:signed} to {before.band_high:signed}: "
        + (against if _has(section, "overall.main.estimate") else "no estimate stands beside them."),
    )


def sum_up(section: Numbers) -> tuple[str, ...]:
    """Write the result of the study in short: the main estimate beside all others, or the refusal."""
    count = section.value("agreement.estimates")
    if not _has(section, "overall.main.estimate"):
        others = (
            "Of the other methods and scenarios {agreement.estimates:bare} give a number; they answer another question or "
            "assume what the main method would have had to show."
            if count
            else "No other method or scenario of the study gives one either."
        )
        return (*_simulated(section), f"{NOT_IDENTIFIED} {others}", *section.spec.summary)
    return (
        *_simulated(section),
        _put_in(section)
        + "{overall.main:reading} "
        + _agreement(section)
        + " They lie between {agreement.smallest:signed} and {agreement.largest:signed}. They share data and are no independent "
        "confirmations of each other, and how many of them lie on one side depends on the list.",
        *_starts(section),
        *section.spec.summary,
    )


def _agreement(section: Numbers) -> str:
    """Count intervals above, below and around zero; say when estimates have none."""
    estimates, *counts = (section.value(f"agreement.{name}") or 0 for name in ("estimates", "above", "below", "around"))
    if not sum(counts):
        return "None of the {agreement.estimates:bare} estimates, this one included, has an interval."
    without = "" if sum(counts) == estimates else "; the others have no interval"
    return (
        "Of the {agreement.estimates:bare} different estimates of this effect, this one included, the interval lies above zero in "
        "{agreement.above:counted}, below zero in {agreement.below:counted}, and holds zero in {agreement.around:counted}"
        + without
        + "."
    )


def _starts(section: Numbers) -> tuple[str, ...]:
    """Write how far the main estimate depends on dates that are not exact."""
    if not section.has("starts.smallest.estimate"):
        return ()
    return (
        (
            "**Dates that are not exact.** Over every start that the roster leaves open the main estimate goes from "
            "{starts.smallest:effect} to {starts.largest:effect}."
        ),
    )


def _simulated(section: Numbers) -> tuple[str, ...]:
    if section.spec.data_kind != SIMULATED:
        return ()
    return (SIMULATED_ONLY if section.spec.panel is None else SIMULATED_FILES,)


def _put_in(section: Numbers) -> str:
    """Write the effect that was put into a simulated panel, before any estimate of it."""
    known = section.has("overall.main.truth") and _has(section, "overall.main.truth")
    return "The effect that was put in is {overall.main.truth:signed}. " if known else ""


def _has(section: Numbers, key: str) -> bool:
    return section.value(key) is not None


def _could_find(section: Numbers) -> str:
    if not section.has("detectable.effect") or not _has(section, "detectable.effect"):
        return ""
    return (
        "By simulation, the design finds an effect of {detectable.effect} or more in four of five samples, and one where there is "
        "none in {detectable.size} of samples. "
    )


def _compatible(section: Numbers) -> str:
    if not _has(section, "overall.main.conf_low"):
        return "How far the number may be off is a question for the placebo tests."
    return (
        "Effects outside the interval are not compatible with this comparison at its level; effects inside it all are."
    )
