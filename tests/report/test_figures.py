"""What is drawn, read from the figures before they become pixels."""

import matplotlib
import numpy as np
import pytest

from transfer.analysis import judge, sweeps_by_recipe
from transfer.analysis.names import short_names
from transfer.report.curves_figure import curves_figure
from transfer.report.loss_figure import loss_figure
from transfer.report.optimum_figure import optimum_figure
from transfer.report.spectrum_figure import spectrum_figure
from transfer.report.style import to_png, width_colours

from .conftest import RECIPES, SUBLAYERS, WIDTHS

NAMES = sorted(recipe.name for recipe in RECIPES)


@pytest.fixture(scope="module")
def verdict(run):
    return judge(run.trials(), run.spectrum(), task="", provenance={})


@pytest.fixture(scope="module")
def figures(run, verdict):
    return {
        "loss": loss_figure(sweeps_by_recipe(run.trials()), verdict),
        "optimum": optimum_figure(verdict),
        "spectrum": spectrum_figure(verdict),
        "curves": curves_figure(run.trials(), run.metrics(), verdict),
    }


def curves_of(axis, style="-"):
    return [line for line in axis.get_lines() if line.get_linestyle() == style]


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def titles_of(figure):
    return [axis.get_title(loc="left") for axis in figure.axes]


def test_loss_has_a_panel_per_recipe_and_a_curve_per_width(figures, verdict):
    figure = figures["loss"]

    assert titles_of(figure) == [
        "mup+constant: transfers",
        "mup+sqrt: transfers",
        "standard: does not transfer",
    ]
    assert all(len(curves_of(axis)) == len(WIDTHS) for axis in figure.axes)
    assert all(len(axis.collections) == len(WIDTHS) for axis in figure.axes)
    assert legend_of(figure)[: len(WIDTHS)] == [f"width {width}" for width in WIDTHS]
    assert "not under standard" in figure.get_suptitle()


def test_loss_marks_optima_the_transferred_setting_and_divergence(figures, verdict):
    constant, flat, standard = figures["loss"].axes
    marks = {
        axis: {m: [li for li in axis.get_lines() if li.get_marker() == m] for m in "o*x"}
        for axis in (constant, flat, standard)
    }

    fitted = [float(line.get_xdata()[0]) for line in marks[flat]["o"]]
    optima = verdict.recipes["mup+sqrt"].optima
    assert fitted == pytest.approx([each.log2_learning_rate.value for each in optima])
    assert len(marks[flat]["*"]) == 1
    assert marks[flat]["*"][0].get_xdata()[0] == pytest.approx(-6.1)
    assert not marks[flat]["x"]
    # Standard's target run diverged: no star, and its diverged points are crosses, not curves.
    assert not marks[standard]["*"]
    assert len(marks[standard]["x"]) == len(WIDTHS)
    for line in curves_of(standard):
        assert np.isfinite(line.get_ydata()).all()


def test_panels_share_a_y_axis_that_shows_every_optimum_and_star(figures):
    low, high = figures["loss"].axes[0].get_ylim()

    for axis in figures["loss"].axes:
        assert axis.get_ylim() == (low, high)
        shown = [line for line in axis.get_lines() if line.get_marker() in ("o", "*")]
        assert all(low < line.get_ydata()[0] < high for line in shown)


def test_optimum_states_every_slope(figures, verdict):
    figure = figures["optimum"]
    labels = legend_of(figure)

    assert len(labels) == len(RECIPES)
    for name, label in zip(NAMES, labels, strict=True):
        assert label.startswith(f"{name}\nslope {verdict.recipes[name].slope.value:z.2f} [")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [
        str(width) for width in WIDTHS
    ]


def test_spectrum_has_a_curve_per_sublayer_and_the_predicted_slope(figures):
    constant, _, standard = figures["spectrum"].axes

    assert all(len(curves_of(axis)) == len(SUBLAYERS) for axis in figures["spectrum"].axes)
    (predicted,) = curves_of(constant, "--")
    rise = np.log2(predicted.get_ydata()[-1] / predicted.get_ydata()[0])
    assert rise / np.log2(WIDTHS[-1] / WIDTHS[0]) == pytest.approx(0.25)
    (predicted,) = curves_of(standard, "--")
    rise = np.log2(predicted.get_ydata()[-1] / predicted.get_ydata()[0])
    assert rise / np.log2(WIDTHS[-1] / WIDTHS[0]) == pytest.approx(0.75)
    assert "attention.query" in legend_of(figures["spectrum"])
    assert "least with width under mup+sqrt" in figures["spectrum"].get_suptitle()


def test_training_curves_include_the_target_unless_it_diverged(figures):
    constant, flat, standard = figures["curves"].axes

    assert len(curves_of(constant)) == len(curves_of(flat)) == len(WIDTHS) + 1
    assert len(curves_of(standard)) == len(WIDTHS)
    assert [text.get_text() for text in standard.texts] == ["diverged: width 512"]
    ends = [line.get_ydata()[-1] for line in curves_of(flat)]
    assert ends == sorted(ends, reverse=True)


def test_text_is_large_enough_and_stays_inside_the_figure(figures):
    for figure in figures.values():
        figure.canvas.draw()
        texts = [*figure.findobj(matplotlib.text.Text)]
        visible = [text for text in texts if text.get_text() and text.get_visible()]
        assert all(text.get_fontsize() >= 9 for text in visible)
        for text in (figure._suptitle, *figure.legends[0].get_texts()):
            box = text.get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.width
            assert box.y1 <= figure.bbox.height


def test_wider_is_darker():
    luminance = [
        0.2126 * red + 0.7152 * green + 0.0722 * blue
        for red, green, blue, _ in width_colours(WIDTHS).values()
    ]
    assert luminance == sorted(luminance, reverse=True)
    assert luminance[0] < 0.75


def test_drawing_leaves_the_callers_settings_alone(verdict):
    before = dict(matplotlib.rcParams)
    to_png(optimum_figure(verdict))
    assert dict(matplotlib.rcParams) == before


def test_single_names_are_kept():
    assert short_names(["up"]) == ["up"]
    assert short_names(["layers.up.kernel"]) == ["kernel"]
