"""The public pictures: axes in, axes out, in the style of the reports."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from support.panels import diagnose, simulate

import evalaid as ea
from evalaid.report.display.canvas import REACH, Look
from evalaid.report.display.specification_figure import draw_specifications

EVENT = pd.DataFrame({
    "event_time": [-2, -1, 0, 1],
    "estimate": [0.001, 0.0, 0.02, 0.03],
    "conf_low": [-0.01, np.nan, 0.01, 0.01],
    "conf_high": [0.012, np.nan, 0.03, 0.05],
    "treated_clusters": [8, 8, 8, 4],
})  # fmt: skip


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def shown(axes, label):
    """The points of the line with this label."""
    line = next(line for line in axes.lines if line.get_label() == label)
    return list(zip(line.get_xdata(), line.get_ydata(), strict=True))


def test_given_axes_are_drawn_on_and_returned_and_settings_stay():
    before = dict(mpl.rcParams)
    _, axes = plt.subplots()
    assert ea.draw.event_study(EVENT, axes) is axes
    assert ea.draw.comparison(EVENT.assign(label="a"), axes) is axes
    assert dict(mpl.rcParams) == before


def test_a_share_is_drawn_in_points_and_another_outcome_as_it_is():
    assert shown(ea.draw.event_study(EVENT), "from the start on") == [(0, 2.0), (1, 3.0)]
    axes = ea.draw.event_study(EVENT, unit="number")
    assert shown(axes, "from the start on") == [(0, 0.02), (1, 0.03)]
    assert "points" not in axes.get_ylabel()


def test_the_reference_period_is_marked_and_the_count_stands_below_each_time():
    axes = ea.draw.event_study(EVENT)
    assert shown(axes, "reference period (0 by definition)") == [(-1, 0)]
    assert [text.get_text().split("\n") for text in axes.get_xticklabels()] == [
        ["\N{MINUS SIGN}2", "8"], ["\N{MINUS SIGN}1", "8"], ["0", "8"], ["+1", "4"],
    ]  # fmt: skip


def test_several_tables_stand_side_by_side_and_none_hides_another():
    axes = ea.draw.event_study({"one": EVENT, "two": EVENT.assign(estimate=EVENT["estimate"] * 2)}, truth=0.02)
    one, two = (shown(axes, name) for name in ("one", "two"))
    assert [y for _, y in two] == [2 * y for _, y in one]
    assert {round(b - a, 9) for (a, _), (b, _) in zip(one, two, strict=True)} == {0.31}
    assert shown(axes, "effect that was put in") == [(-2, 0), (-1, 0), (0, 2), (1, 2)]


def test_an_interval_that_dwarfs_the_estimates_is_cut_and_marked():
    wide = EVENT.assign(conf_high=EVENT["conf_high"].where(EVENT["event_time"] != 1, 2.0))
    axes = ea.draw.event_study(wide)
    limit = REACH * 3.0
    assert axes.get_ylim()[1] == pytest.approx(1.04 * limit)
    arrows = [line for line in axes.lines if line.get_marker() == "^" and len(line.get_xdata())]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in arrows] == [([1.0], [limit])]


def test_the_estimates_of_a_design_are_drawn_whole():
    design = diagnose(simulate(seed=1))
    effects = ea.estimate(design, "callaway_santanna")
    table = ea.infer(effects.aggregate("event_time"), simultaneous=True)
    before = table.copy(deep=True)
    axes = ea.draw.event_study(table)
    known = table[table["conf_low"].notna()]
    drawn = shown(axes, "before the start") + shown(axes, "from the start on")
    assert [y for _, y in drawn] == pytest.approx(list(100 * known["estimate"]))
    pd.testing.assert_frame_equal(table, before)
    assert len(ea.draw.paths(design).lines) == 2 * ea.draw.paths(design).get_legend_handles_labels()[0].__len__()
    labels = [text.get_text() for text in ea.draw.status(design, units="counties").get_yticklabels()]
    assert all("counties: " in label for label in labels)
    curve = ea.specification_curve(design, {"methods": ["twfe", "imputation"]})
    top, below = ea.draw.specifications(curve)
    assert shown(top, "estimate") == list(enumerate(100 * curve.table["estimate"].dropna()))
    assert [text.get_text() for text in below.get_yticklabels()]


def test_the_original_interval_stands_at_no_divergence_in_a_colour_of_its_own():
    event = ea.EventStudy([-3, -2, 0, 1], [0.001, -0.002, 0.01, 0.014], np.diag([4e-6, 3e-6, 5e-6, 6e-6]))
    bounds = ea.honest(event, m=[0, 1, 2])
    axes = ea.draw.honest(bounds)
    original, at_m = (
        next(lines for lines in axes.collections if lines.get_label() == label)
        for label in ("original interval, under parallel trends", "95% interval at M")
    )
    low, high = (100 * float(bounds.original[end].iloc[0]) for end in ("conf_low", "conf_high"))
    (segment,) = original.get_segments()
    assert segment[:, 1] == pytest.approx([low, high])
    assert segment[0, 0] < 0
    assert tuple(original.get_color()[0]) != tuple(at_m.get_color()[0])
    assert [float(line[0, 0]) for line in at_m.get_segments()] == [0, 1, 2]


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(ea.EvalaidError, match=r"table 'b' has no column conf_high; expected event_time, estimate"):
        ea.draw.event_study({"a": EVENT, "b": EVENT.drop(columns="conf_high")})
    with pytest.raises(ea.EvalaidError, match="no row with an estimate: there is nothing to draw"):
        ea.draw.comparison(EVENT.assign(label="a", estimate=np.nan))
    with pytest.raises(ea.EvalaidError, match="unit is 'percent'; use one of pp, number"):
        ea.draw.event_study(EVENT, unit="percent")
    with pytest.raises(ea.EvalaidError, match="two axes, estimates and choices; 1 were given"):
        ea.draw.specifications(EVENT.assign(method="a"), [plt.subplots()[1]])


@pytest.mark.parametrize("side", [-1, 1])
def test_an_axis_that_is_cut_on_one_side_alone_leaves_the_figure_its_room(side):
    ends = np.sort(side * np.array([[2.0, 40.0]] * 6) - side * 3.0)  # one end of each interval lies far out
    rows = {
        "estimate": [1.0, 2, 3, 4, 5, 6],
        "conf_low": ends[:, 0],
        "conf_high": ends[:, 1],
        "method": list("ababab"),
        "is_main": [True] + [False] * 5,
    }
    look = Look("real", "Share", 0.95, "pp", "counties", "areas", "en")
    canvas, _ = draw_specifications(pd.DataFrame(rows), look)
    canvas.canvas.draw()
    top, _ = canvas.axes
    assert (
        top.get_tightbbox().y0 > 1
    )  # nothing of the upper axes lies at the corner of the figure, where marks of no points are
    assert [line.get_marker() for line in top.lines if line.get_marker() in "^v"] == ["^" if side > 0 else "v"]
