"""Words, tables, figures and pages show what the frames hold, and nothing else."""

import re
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from evalaid.report.display import curves, divergence_figure, exclusion_figure, figures, fonts, synthetic_figure
from evalaid.report.display.canvas import Look
from evalaid.report.display.formatted_tables import COLUMNS, ColumnFormat, FormattedTable, collect_notes
from evalaid.report.display.rendered_figure import draw
from evalaid.report.site.blocks import to_html
from evalaid.report.wording.language import list_languages, load_catalogue
from evalaid.report.wording.prose import fill, format_value

EFFECTS = pd.DataFrame({
    "key": ["-2", "-1", "0", "1"],
    "label": ["-2", "-1", "0", "+1"],
    "event_time": [-2, -1, 0, 1],
    "estimate": [-0.5, 0.0, 1.25, 0.004],
    "std_error": [0.4, np.nan, 0.5, 1.0],
    "conf_low": [-1.3, np.nan, 0.2, -2.0],
    "conf_high": [0.3, np.nan, 2.2, 2.0],
    "band_low": [-1.6, np.nan, -0.1, -2.5],
    "band_high": [0.6, np.nan, 2.5, 2.5],
    "n_treated": [8, 8, 8, 4],
    "unit": "pp",
    "level": 0.95,
    "note": ["CR1, t(40)", "base period; CR1, t(40)", "CR1, t(40)", "few; CR1, t(40)"],
})  # fmt: skip
STATUS = pd.DataFrame({
    "cohort_label": ["Cohort 2021"] * 2 + ["Never treated"] * 2,
    "cluster": ["대구서남"] * 2 + ["서울동북"] * 2,
    "period_label": ["2020", "2021"] * 2,
    "start_label": ["2021"] * 2 + [""] * 2,
    "status": ["not yet treated", "treated", "never treated", "never treated"],
    "n_units": [4, 4, 5, 5],
    "n_clusters": 2,
    "mean": [40.0, 41.5, 80.0, 79.25],
})  # fmt: skip
LOOK = Look("simulated", "Inpatient share", 0.95)
DRAWINGS = {
    figures.draw_status_map: STATUS,
    figures.draw_assignment: STATUS,
    figures.draw_means: STATUS,
    figures.draw_event_study: EFFECTS,
    figures.draw_comparison: EFFECTS,
    exclusion_figure.draw_leave_out: EFFECTS.assign(
        left_out=["a", "b", "c", "d"], first_order=[1.0, 0.4, np.nan, 0.2], full=0.5, note=["", "", "no estimate: none", ""],
    ),
    curves.draw_dose: EFFECTS.assign(dose=[1.0, 2.0, 3.0, 4.0], dose_label="Experts per 10,000 residents").dropna(),
    curves.draw_bounds: pd.DataFrame({
        "claim": "Share in 2020", "assumption_label": ["at most M", "at most M", "trend"], "m": [0.0, 1.0, np.nan],
        "lower": [4.6, 2.6, -1.0], "upper": [4.8, 6.8, 3.0], "alike": "no",
    }),
    curves.draw_placebos: pd.DataFrame({"test": "Others", "estimate": [0.1, -0.4, 2.0], "actual": [False, False, True]}),
    curves.draw_permutations: pd.DataFrame({"estimate": [0.1, -0.4, 2.0, 0.3], "actual": 1.0, "p_value": 0.25}),
    synthetic_figure.draw_synthetic: pd.DataFrame({
        "panel": "Synthetic control", "kind": ["treated"] * 3 + ["comparison"] * 3 + ["weight"] * 4, "start_label": "2020",
        "label": [*["2018", "2019", "2020"] * 2, "C01", "C02", "C03", "others"],
        "value": [40.0, 41.0, 45.0, 40.1, 40.9, 42.0, 40.0, 20.0, 10.0, 30.0], "more": [0] * 9 + [3],
    }),
    curves.draw_recovery: pd.DataFrame({"label": ["a", "b"], "bias": [0.2, np.nan], "sd": [0.4, np.nan]}),
    curves.draw_forest: EFFECTS.assign(
        data_kind=["real", "simulated"] * 2, truth=[np.nan, 1.0, np.nan, np.nan], estimate=[0.5, 1.1, np.nan, 0.2],
    ),
    divergence_figure.draw_honest: pd.DataFrame({
        "kind": ["usual", "bounds", "bounds"], "m": [np.nan, 0.0, 1.0], "estimate": [1.0, np.nan, np.nan],
        "conf_low": [0.2, 0.2, -0.9], "conf_high": [1.8, 1.8, 2.9], "identified_low": [np.nan, 1.0, 0.0],
        "identified_high": [np.nan, 1.0, 2.0], "restriction": "relative_magnitude", "breakdown": 0.25,
    }),
}  # fmt: skip
every_drawing = pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda drawing: drawing.__name__)


def test_the_axis_of_doses_says_what_a_dose_is_and_its_unit():
    canvas, alt = curves.draw_dose(DRAWINGS[curves.draw_dose], LOOK)
    assert canvas.axes[0].get_xlabel() == "Experts per 10,000 residents"
    assert "(Experts per 10,000 residents)" in alt


def lookup_in(**values):
    def lookup(key):
        value, unit, digits = values[key.replace(".", "_")]
        return SimpleNamespace(value=value, unit=unit, digits=digits)

    return lookup


def effect(estimate, low, high):
    return lookup_in(main_estimate=(estimate, "pp", 2), main_conf_low=(low, "pp", 2), main_conf_high=(high, "pp", 2))


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ((0.4321, "pp", 2), {"signed": True, "with_unit": True}, "+0.43 points"),
        ((-0.4321, "pp", 2), {}, "−0.43"),
        ((-0.001, "pp", 2), {"signed": True}, "0.00"),
        ((1234.0, "count", 0), {}, "1,234"),
        ((2021, "year", 0), {}, "2021"),
        ((0.0004, "p", 3), {}, "<0.001"),
        ((32.14, "%", 1), {"with_unit": True}, "32.1%"),
        ((None, "pp", 2), {}, "–"),
        ((float("nan"), "pp", 2), {"signed": True}, "–"),
    ],
)
def test_a_number_is_written_with_sign_digits_and_unit(arguments, options, text):
    assert format_value(*arguments, **options) == text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        (
            (1.2, 0.3, 2.1),
            "The outcome is estimated to be 1.20 percentage points higher than without the programme (95% interval +0.30 to +2.10).",
        ),
        (
            (-1.2, -2.1, -0.3),
            "The outcome is estimated to be 1.20 percentage points lower than without the programme (95% interval −2.10 to −0.30).",
        ),
        (
            (0.8, -0.6, 2.2),
            (
                "The data do not tell an effect of the programme on the outcome from none: effects from −0.60 to +2.20 percentage "
                "points are not excluded (95% interval; the estimate is +0.80 percentage points)."
            ),
        ),
        ((None, None, None), "There is no estimate: the comparison is not there."),
        (
            (0.8, None, None),
            (
                "The estimate of the effect on the outcome is +0.80 percentage points, without an interval: the data do not tell it "
                "from none."
            ),
        ),
    ],
)
def test_the_sentence_follows_the_interval(numbers, text):
    assert fill("{main:reading}", effect(*numbers), 0.95) == text


def test_a_template_takes_numbers_effects_and_words():
    lookup = lookup_in(n=(0, "count", 0), a_b=(1.25, "pp", 2))
    assert (
        fill("{n:counted} of {n:bare}, {a.b} or {a.b:signed}", lookup, 0.9) == "none of 0, 1.25 points or +1.25 points"
    )
    assert fill("The {outcome}", lookup, 0.9, {"outcome": "share"}) == "The share"
    assert fill("{main:effect}", effect(0.5, -1.0, 2.0), 0.9) == "+0.50 points (90% interval −1.00 to +2.00)"
    with pytest.raises(ValueError, match="unknown format 'loud', use one of plain"):
        fill("{n:loud}", lookup, 0.9)


def table(**changes):
    columns = ("label", "estimate", "conf_low", "conf_high", "n_treated")
    made = {"name": "event", "frame": EFFECTS, "caption": "Effect <by> time & place", "columns": columns}
    return FormattedTable(**{**made, **changes})


def test_a_table_yields_every_number_with_its_key_and_unit():
    numbers = list(table().numbers())
    assert len(numbers) == 16
    assert numbers[0] == ("-2", "event.-2.estimate", -0.5, "pp", 2)
    listed = pd.DataFrame({"key": ["units"], "label": ["Units"], "value": [12], "unit": ["count"], "digits": [0]})
    assert list(FormattedTable("sample", listed, "", ("label", "value")).numbers()) == [
        ("units", "sample.units", 12, "count", 0)
    ]


def test_a_table_has_caption_scopes_units_and_one_column_for_an_interval():
    html = table(notes=("A < B",)).to_html()
    assert "<caption>Effect &lt;by&gt; time &amp; place</caption>" in html
    assert '<td data-column="label"></td>' in html  # an empty cell heads nothing
    assert re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', html) == [
        "Estimate (pp)",
        "95% interval (pp)",
        "Treated units",
    ]
    assert html.count('<th scope="row">') == 4
    assert "+0.20 to +2.20" in html
    assert "A &lt; B" in html


def test_an_empty_table_says_so():
    frame = pd.DataFrame(columns=["key", "what", "why"])
    assert "Nothing of this kind." in FormattedTable("limits", frame, "Limits", ("what", "why")).to_html()


def test_headings_use_the_words_of_the_study():
    html = table(words={"units": "counties"}).to_html()
    assert "Treated counties" in html


def test_csv_keeps_the_precision_and_latex_what_is_shown():
    assert "0.004" in table().to_csv()
    latex = table(extra={"label": ColumnFormat("50% & more_")}).to_latex()
    assert r"\begin{tabular}{lrrr}" in latex.splitlines()
    assert r"\shortstack{50\% \& \\ more\_}" in latex
    assert r"$-$0.50" in latex
    assert latex.count(r"\\") == 5 + 4  # rows, and heads of two lines


def test_notes_are_said_once_with_their_rows():
    assert collect_notes(EFFECTS) == ("CR1, t(40)", "base period (-1)", "few (+1)")


def test_every_fixed_column_has_a_known_unit():
    assert {column.unit for column in COLUMNS.values()} <= {None, "outcome", "pp", "%", "count", "year", "number", "p"}


@every_drawing
@pytest.mark.crossed(2)
def test_a_figure_says_what_it_shows_and_is_the_same_twice(drawing):
    frame = DRAWINGS[drawing]
    before = frame.copy(deep=True)
    made = [draw(drawing, frame, LOOK, name="x", caption="What it shows.") for _ in range(2)]
    assert made[0].svg == made[1].svg
    assert made[0].png == made[1].png
    pd.testing.assert_frame_equal(frame, before)
    assert "(simulated data)" in made[0].alt
    html = made[0].to_html()
    assert len(re.findall(r'<svg viewBox="[^"]+" role="img" aria-label="[^"]{40,}"', html)) == 2  # page and phone
    assert "<figcaption>What it shows.</figcaption>" in html
    assert b"<dc:date>" not in made[0].svg


@every_drawing
@pytest.mark.parametrize("found", [True, False])
@pytest.mark.crossed(3)
def test_labels_in_any_script_are_drawn_or_romanised(drawing, found, monkeypatch):
    if not found:
        monkeypatch.setattr(fonts, "find_family", lambda _: None)
    frame = DRAWINGS[drawing].copy()
    frame.loc[frame.index[-4:], "label"] = ["县域", "대구", "a", "b"][: len(frame)]
    frame[[name for name in ("claim", "test") if name in frame]] = "县域"
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*[Gg]lyph.*missing")
        draw(drawing, frame, LOOK, name="x", caption="")


def test_without_a_font_korean_is_romanised_and_chinese_numbered(monkeypatch):
    monkeypatch.setattr(fonts, "find_family", lambda _: None)
    assert fonts.drawable(["서울 동북", "Paris", "县域"]) == ["Seoul dongbuk", "Paris", "no. 3"]
    assert fonts.families(["서울"]) == ["DejaVu Sans"]
    assert fonts.drawable(["Zürich −1"]) == ["Zürich −1"]


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    draw(figures.draw_event_study, EFFECTS, LOOK, name="x", caption="")
    assert dict(mpl.rcParams) == before


def test_a_share_keeps_its_ceiling_in_view():
    import matplotlib.pyplot as plt

    canvas, alt = figures.draw_means(STATUS, LOOK)
    whole, enlarged = canvas.axes
    assert whole.get_ylim() == (0, 100)
    assert "cut" in enlarged.get_title(loc="left")
    assert "40.0% to 41.5%" in alt
    plt.close(canvas)


def test_a_figure_has_a_title_axis_labels_and_the_kind_of_data():
    import matplotlib.pyplot as plt

    canvas, alt = figures.draw_event_study(EFFECTS, LOOK)
    axes = canvas.axes[0]
    seen, drawn, kind = [text.get_text() for text in canvas.texts]
    assert seen.startswith("0.00 to +1.25 after the start")
    assert "95% intervals" in drawn
    assert kind == "simulated data"
    assert "percentage points" in axes.get_ylabel().replace("\n", " ")
    assert axes.get_xlabel()
    assert "0: +1.25 (+0.20 to +2.20)" in alt
    plt.close(canvas)


def test_estimates_without_an_interval_are_drawn_where_they_are():
    import matplotlib.pyplot as plt

    ends = dict.fromkeys(["std_error", "conf_low", "conf_high", "band_low", "band_high"], np.nan)
    canvas, alt = figures.draw_event_study(EFFECTS.assign(**ends), LOOK)
    axes = canvas.axes[0]
    drawn = {value for line in axes.lines if line.get_marker() == "o" for value in np.asarray(line.get_ydata())}
    assert drawn == {-0.5, 1.25, 0.004}
    assert "no intervals" in canvas.texts[1].get_text()
    assert "0: +1.25" in alt
    plt.close(canvas)


def test_a_period_without_a_comparison_is_no_reference_period():
    import matplotlib.pyplot as plt

    canvas, _ = figures.draw_event_study(EFFECTS.assign(estimate=[-0.5, 0.0, 1.25, np.nan], conf_low=np.nan), LOOK)
    axes = canvas.axes[0]
    drawn = {line.get_label(): list(line.get_xdata()) for line in axes.lines}
    assert drawn["reference period (0 by definition)"] == [-1]
    assert drawn["no estimate: no comparison"] == [1]
    plt.close(canvas)


def test_a_comparison_names_what_has_no_estimate():
    import matplotlib.pyplot as plt

    frame = EFFECTS.assign(estimate=[0.5, np.nan, 1.0, 2.0])
    canvas, _ = figures.draw_comparison(frame, LOOK)
    assert [text.get_text() for text in canvas.axes[0].texts] == ["not identified"]
    plt.close(canvas)


def test_markdown_tables_are_allowed_and_raw_html_is_not():
    assert "<table>" in to_html("| a |\n|---|\n| 1 |")
    assert "&lt;b&gt;" in to_html("<b>x</b>")


def quarters(estimates):
    """Effects by quarter, from 2019Q3 on; those without an estimate say why."""
    labels = [f"{year}Q{quarter}" for year in (2019, 2020, 2021) for quarter in (1, 2, 3, 4)][2 : 2 + len(estimates)]
    return pd.DataFrame({
        "key": labels,
        "label": labels,
        "period": range(len(labels)),
        "estimate": estimates,
        "n_treated": [0 if np.isnan(value) else 8 for value in estimates],
        "unit": "pp",
        "note": [f"no unit is untreated in {name}" if np.isnan(value) else "CR1, t(9)"
                 for name, value in zip(labels, estimates, strict=True)],
    })  # fmt: skip


def test_periods_in_a_row_without_any_estimate_are_one_row_and_one_note():
    frame = quarters([1.0, 2.0, np.nan, np.nan, np.nan, np.nan])
    built = FormattedTable("by_period", frame, "By quarter", ("label", "estimate", "n_treated"), collect_notes(frame))
    assert built.notes == ("CR1, t(9)", "no unit is untreated in 2020Q1 to 2020Q4 (2020Q1 to 2020Q4)")
    assert re.findall(r'<th scope="row">(.*?)</th>', built.to_html()) == ["2019Q3", "2019Q4", "2020Q1 to 2020Q4"]
    assert "2020Q1 to 2020Q4 & -- & 0" in built.to_latex()
    assert built.to_csv().count("\n") == 1 + len(frame)  # the file keeps every row
    assert len(list(built.numbers())) == 2 * len(frame)  # and so does the record of the numbers


def test_two_rows_without_an_estimate_and_methods_are_never_joined():
    two = quarters([1.0, np.nan, np.nan])
    assert FormattedTable("by_period", two, "By quarter", ("label", "estimate")).to_html().count("<tr") == 4
    methods = quarters([1.0, *[np.nan] * 4]).drop(columns="period")
    assert FormattedTable("methods", methods, "By method", ("label", "estimate")).to_html().count("<tr") == 6
    assert len(collect_notes(methods)) == 5


def test_a_range_without_width_or_without_an_end_is_said_in_words():
    frame = pd.DataFrame({
        "key": ["rank", "growth", "share"], "label": ["Rank", "Growth", "Share"], "value": [446.0, 69.8, 82.2],
        "low": [446.0, 69.8, 82.1], "high": [446.0, np.nan, 82.3], "unit": ["number", "%", "%"], "digits": [0, 1, 1],
    })  # fmt: skip
    text = FormattedTable("claims", frame, "Figures", ("label", "value", "low", "high")).to_html()
    cells = re.findall(r'<td class="n">(.*?)</td>', text)
    assert cells == ["446", "none", "69.8%", "69.80% or more", "82.2%", "82.10 to 82.30%"]


def test_a_number_in_a_figure_keeps_its_digits_in_the_picture():
    made = draw(
        figures.draw_event_study, EFFECTS.assign(estimate=[-0.5, 0.0, 1.2345, 0.004]), LOOK, name="x", caption=""
    )
    for picture in (made.svg, made.phone):
        assert "+1.23 after the start" in re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", picture.decode("utf-8")))
    assert "1.2345" in made.data
    assert made.data.splitlines()[1].endswith(",simulated")


@pytest.mark.parametrize("language", [name for name in list_languages() if not load_catalogue(name).has("covers")])
@every_drawing
@pytest.mark.crossed(3)
def test_every_letter_of_a_phone_is_nine_pixels_and_text_stays_text(drawing, language):
    made = draw(drawing, DRAWINGS[drawing], replace(LOOK, language=language), name="x", caption="")
    text = made.phone.decode("utf-8")
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', text).group(1))
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", text)]
    assert sizes
    assert min(sizes) * 354 / width >= 9  # 390 less the margins of the page
    assert "<use" not in re.sub(r'<use xlink:href="#m[^>]*>', "", text)  # markers alone are drawn by reference


def test_the_fonts_of_the_package_draw_every_letter_of_catalogues_and_data():
    from pathlib import Path

    root = Path(__file__).parents[2]
    places = ["src/evalaid/report/wording/catalogue/*.yaml", "data/published/guangdong_*.csv", "data/korea/*.csv"]
    text = "".join(path.read_text(encoding="utf-8") for place in places for path in root.glob(place))
    letters = "".join(sorted({letter for letter in text if fonts.is_foreign(letter)}))
    assert fonts.find_family(letters) == fonts.OWN
    assert fonts.OWN_FILE.stat().st_size < 600_000
