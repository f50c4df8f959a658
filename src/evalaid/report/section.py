"""What a notebook works with: its study, its design, and the calls that show and record numbers.

A notebook opens a section with its own variables, then shows tables, figures and sentences. Whatever it shows as a
number is recorded with the cell it came from. Inside a study run (`evalaid.running.notebooks`) tables, figures and numbers are
also written to the run's folder; a notebook opened by hand shows them and writes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalaid.base.effect_columns import ESTIMATE
from evalaid.base.errors import StudyError
from evalaid.did.panel.design import Design
from evalaid.reading.records.identifiers import refuse_identifiers
from evalaid.reading.records.privacy import EPISODES, THRESHOLD, publishable
from evalaid.report.display.canvas import Drawing, Look
from evalaid.report.display.formatted_tables import ColumnFormat, FormattedTable, collect_notes
from evalaid.report.display.rendered_figure import RenderedFigure, draw
from evalaid.report.display.safe_text import csv_text
from evalaid.report.exhibit_list import add_exhibit
from evalaid.report.exhibits import NOTHING_NOTED, NOTHING_TO_DRAW, Drawn, Exhibit, Exported, Tabled, Told
from evalaid.report.questions.places import load_places, name_places
from evalaid.report.questions.put_in import TRUTH
from evalaid.report.questions.units import in_own_unit, unit_of_outcome
from evalaid.report.verdict import smallest_effect
from evalaid.report.wording import prose as filled
from evalaid.study.earlier import EarlierNumbers
from evalaid.study.manifest import NUMBERS_FILE, Number, Recorder, hash_value, read_manifest, short
from evalaid.study.reports import HASHES, NOTEBOOK, PARTS, RUN_FOLDER, report_folder
from evalaid.study.sample import load_design
from evalaid.study.sources import hash_inputs
from evalaid.study.spec import StudySpec, field_names
from evalaid.study.study_fields import SIMULATED

if TYPE_CHECKING:
    import pandas as pd

SMALLEST = "EVALAID_SMALLEST_COUNT"
NUMBERS = "numbers"  # in the metadata of an output: which numbers a text holds


@dataclass(frozen=True, repr=False)
class Prose:
    """Paragraphs whose numbers were filled in from the manifest, and which numbers these are, in their order."""

    text: str
    told: tuple[filled.Told, ...] = ()

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str | tuple[str, dict[str, Any]]:
        return (self.text, {NUMBERS: self.told}) if self.told else self.text


@dataclass(frozen=True)
class Section:
    """A notebook at work.

    Parameters
    ----------
    spec : StudySpec
        The study with the notebook's parameters.
    recorder : Recorder
        Where reported numbers go.
    folder : Path or None
        The run's folder; None when the notebook is read by hand.
    data_kind : str
        What the notebook's tables and figures are made from, when it is not the study's outcome data.
    """

    spec: StudySpec
    recorder: Recorder
    folder: Path | None = None
    data_kind: str = ""

    @property
    def kind(self) -> str:
        """The kind of data that tables and figures are labelled with: the study's, unless the notebook says otherwise."""
        return self.data_kind or self.spec.data_kind

    @cached_property
    def design(self) -> Design:
        """The study's design, loaded once."""
        return load_design(self.spec)

    @cached_property
    def _places(self) -> Mapping[str, str]:
        """Names of places by their codes in the panel."""
        places = load_places(self.spec)
        return {} if places is None else dict(zip(places["place"], places["name"], strict=True))

    @property
    def look(self) -> Look:
        """What all figures have in common."""
        unit, _ = unit_of_outcome(self.spec)
        unit = (self.spec.outcome_measure or unit) if unit == "number" else unit
        words = self._texts
        return Look(
            self.kind,
            self.spec.outcome_label,
            self.spec.level,
            unit,
            words["units"],
            words["clusters"],
            self.spec.language,
        )

    def table(
        self,
        frame: pd.DataFrame,
        name: str,
        columns: Sequence[str],
        caption: str,
        notes: Sequence[str] = (),
        extra: Mapping[str, ColumnFormat] | None = None,
        data_kind: str = "",
    ) -> FormattedTable:
        """Show a tidy frame as a table, record every number in it and write it as csv, LaTeX and Markdown."""
        kind, frame = data_kind or self.kind, name_places(in_own_unit(frame, self.spec), self._places)
        if TRUTH in frame and TRUTH not in columns and ESTIMATE in columns and frame[TRUTH].notna().any():
            before = list(columns).index(ESTIMATE)
            columns = (*columns[:before], TRUTH, *columns[before:])
        shown = FormattedTable(name, frame, "", tuple(columns), extra=dict(extra or {}), words=self._texts, kind=kind)
        people = [column for column in columns if shown.column(column).unit == EPISODES]
        frame = publishable(frame, ["key", *columns], people, f"table '{name}'", self._smallest)
        table = replace(shown, frame=frame)
        made_by = dict(zip(frame["key"].astype(str), frame["made_by"], strict=True)) if "made_by" in frame else {}
        for row, key, value, unit, digits in table.numbers():
            self._record(key, value, unit=unit, digits=digits, method=made_by.get(row, ""))
        self.recorder.save()
        below = (*map(self.words, notes), *collect_notes(frame))
        table = table.under(self.words(caption), below)
        if self.folder is not None:
            place = self.folder / "tables"
            place.mkdir(exist_ok=True)
            _write(place / f"{name}.csv", table.to_csv())
            _write(place / f"{name}.tex", table.to_latex())
            _write(place / f"{name}.md", table.to_markdown())
            files = tuple(f"tables/{name}.{ending}" for ending in ("csv", "tex", "md"))
            add_exhibit(self.folder, self.recorder.notebook, _cell(), files, table.caption)
        return table

    def show(self, *exhibits: Exhibit | Prose | FormattedTable) -> None:
        """Show tables (those that have rows), figures and sentences at once, in this order; what is made already as it is."""
        from IPython.display import display

        for one in exhibits:
            if isinstance(one, Drawn):
                if one.frame.empty and not one.without:
                    continue
                display(self.figure(one.drawing, one.frame, one.name, one.caption, without=one.without))
            elif isinstance(one, Exported):
                self._export(one)
            elif isinstance(one, Told):
                display(self.say(one.template))
            elif isinstance(one, Prose | FormattedTable):
                display(one)
            elif len(one.frame):
                display(self.table(one.frame, one.name, one.columns, one.caption, one.notes, one.extra))

    def _export(self, one: Exported) -> None:
        """Write a frame to the run's folder, with its kind of data."""
        refuse_identifiers(one.frame, where=f"file '{one.file}'")
        if self.folder is not None:
            frame = one.frame.assign(data_kind=self.kind)
            (self.folder / one.file).parent.mkdir(exist_ok=True)
            _write(self.folder / one.file, csv_text(frame))

    def table_if_any(
        self,
        frame: pd.DataFrame,
        name: str,
        columns: Sequence[str],
        caption: str,
        notes: Sequence[str] = (),
        extra: Mapping[str, ColumnFormat] | None = None,
    ) -> None:
        """Show a table, as `table` does, at once when the frame has rows; nothing otherwise."""
        self.show(Tabled(frame, name, columns, caption, notes, extra))

    def figure(
        self, drawing: Drawing, frame: pd.DataFrame, name: str, caption: str, *, without: str = NOTHING_TO_DRAW
    ) -> RenderedFigure | Prose:
        """Draw a tidy frame, show it and write it as svg and png; say ``without`` when there is nothing to draw."""
        if frame.empty or (ESTIMATE in frame and not frame[ESTIMATE].notna().any()):
            return self.say(without)
        refuse_identifiers(frame, where=f"figure '{name}'")
        figure = draw(drawing, name_places(frame, self._places), self.look, name=name, caption=self.words(caption))
        if self.folder is not None:
            place = self.folder / "figures"
            place.mkdir(exist_ok=True)
            (place / f"{name}.svg").write_bytes(figure.svg)
            (place / f"{name}.png").write_bytes(figure.png)
            _write(place / f"{name}.csv", figure.data)
            files = (f"figures/{name}.svg", f"figures/{name}.png", f"figures/{name}.csv")
            add_exhibit(self.folder, self.recorder.notebook, _cell(), files, figure.caption)
        return figure

    def say(self, *templates: str) -> Prose:
        """Show paragraphs; ``{key}`` stands for a recorded number (see `evalaid.report.wording.prose.fill`)."""
        return self._prose("\n\n", templates)

    def _prose(self, between: str, templates: Sequence[str]) -> Prose:
        told: filled.Record = []
        text = between.join(self.words(template, told) for template in templates)
        return Prose(text, tuple(told))

    def list(self, templates: Sequence[str]) -> Prose:
        """Show a bulleted list of sentences with recorded numbers; without any, say that the study's file has none."""
        return self._prose("\n", [f"- {template}" for template in templates] or [NOTHING_NOTED])

    def words(self, template: str, told: filled.Record | None = None) -> str:
        """Fill the places of a template with recorded numbers; ``told`` takes which (`evalaid.report.wording.prose.fill`)."""
        smallest = smallest_effect(self.spec.smallest_effect, unit_of_outcome(self.spec)[0])
        return filled.fill(template, self.recorder.lookup, self.spec.level, self._texts, smallest, told)

    def has(self, key: str) -> bool:
        """Return whether a number of that name was recorded, by this notebook or an earlier one of the same run."""
        return self.recorder.has(key)

    def value(self, key: str) -> int | float | None:
        """Return a recorded number at full precision; None when it does not exist."""
        return self.recorder.lookup(key).value

    def record(self, key: str, value: Any, *, unit: str, digits: int, method: str = "") -> None:
        """Record one number under the cell that is running."""
        self._record(key, value, unit=unit, digits=digits, method=method)
        self.recorder.save()

    def _record(self, key: str, value: Any, *, unit: str, digits: int, method: str) -> None:
        by_hand = self.folder is None
        if unit == EPISODES and value is not None and value < self._smallest:
            value, method = None, f"below {self._smallest}: not shown"
        self.recorder.record(key, value, unit=unit, digits=digits, cell=_cell(), method=method, replace_own=by_hand)

    @property
    def _smallest(self) -> int:
        """Counts of people below this are not written; the environment may raise it."""
        return max(THRESHOLD, int(os.environ.get(SMALLEST, THRESHOLD)))

    @property
    def _texts(self) -> dict[str, str]:
        """The study's words that sentences, headings and figures use."""
        outcome = self.spec.outcome_label
        named = {"outcome": outcome[:1].lower() + outcome[1:], "Outcome": outcome}
        simulated = "the simulated programme" if self.spec.data_kind == SIMULATED else "the programme"
        return {**named, "programme": simulated, "units": self.spec.unit_label, "clusters": self.spec.cluster_label}


def open_section(names: Mapping[str, Any], notebook: str, data_kind: str = "") -> Section:
    """Open the section of a notebook from its variables."""
    refuse_unknown_parameters(names)
    spec = StudySpec.from_names(names)
    run, own = os.environ.get(RUN_FOLDER), os.environ.get(NOTEBOOK, notebook)
    folder, measure = Path(run) if run else None, spec.outcome_measure or ""
    known = folder / PARTS / HASHES if folder else None
    inputs = json.loads(known.read_text(encoding="utf-8")) if known and known.is_file() else hash_inputs(spec)
    hashes = short(spec.hash()), short(hash_value(inputs))
    if folder is None:
        recorder = Recorder(own, *hashes, spec.seed, earlier=_last_numbers(spec, own, hashes), own_unit=measure)
        return Section(spec, recorder, data_kind=data_kind)
    parts = folder / PARTS
    parts.mkdir(exist_ok=True)
    earlier = EarlierNumbers(folder, own)
    recorder = Recorder(
        own, *hashes, spec.seed, parts / f"{own}.json",
        earlier=earlier.numbers, own_unit=measure, wait_for=earlier.wait_for,
    )  # fmt: skip
    return Section(spec, recorder, folder, data_kind)


def refuse_unknown_parameters(names: Mapping[str, Any]) -> None:
    """Raise when the cell that Papermill added sets a name that is no parameter: it would be ignored without a word.

    Papermill's cell begins with ``# Parameters``; IPython keeps the cells that have run in ``In``.
    """
    import ast
    import difflib

    known = [*field_names()]
    for source in names.get("In", ()):
        if not str(source).lstrip().startswith("# Parameters"):
            continue
        given = [
            node.id
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ]
        unknown = [name for name in given if name not in known]
        if unknown:
            near = difflib.get_close_matches(unknown[0], known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise StudyError(f"'{unknown[0]}' is no parameter of a study, so it would change nothing.{hint}")


def _last_numbers(spec: StudySpec, own: str, hashes: tuple[str, str]) -> dict[str, Number]:
    """Return what earlier notebooks recorded in the last run of the same parameters and data, for a notebook read by hand."""
    path = report_folder(spec) / NUMBERS_FILE
    if not path.is_file():
        return {}
    last = read_manifest(path)
    if (short(last.spec_hash), short(last.data_hash)) != hashes:
        return {}
    return {key: number for key, number in last.numbers.items() if number.notebook < own}


def _cell() -> str:
    """Return the running cell as the notebook numbers it: ``In [7]``."""
    try:
        from IPython import get_ipython
    except ImportError:
        return "In [0]"
    shell = get_ipython()
    # The inputs so far, with an empty one in front: some versions of IPython count a cell before it runs, some after.
    return f"In [{len(shell.history_manager.input_hist_raw) - 1}]" if shell is not None else "In [0]"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
