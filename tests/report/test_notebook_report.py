"""The report as a notebook shows it: the verdict as tables, figures as small PNGs with words."""

import io

import numpy as np
import pytest
from cells import cells_of, text_of
from matplotlib.colors import to_rgb
from PIL import Image
from refusals import refused

from transfer.checks import CoordinateCheck
from transfer.report import Picture, Report, line_chart, size_chart
from transfer.report.decay_figure import decay_figure
from transfer.report.figure_data import decay_maps, scale_end
from transfer.scaling import Recipe

from .conftest import SUBLAYERS, WIDTHS, build_run
from .test_coordinates import RIGHT, row


@pytest.fixture(scope="module")
def report(run):
    return Report.of(run)


@pytest.fixture(scope="module")
def decays(decay_run):
    return Report.of(decay_run)


def test_the_verdict_has_a_table_per_recipe_and_the_reason(report):
    shown = report._repr_html_()
    rows = cells_of(shown)

    assert shown.count("<table>") == 4
    assert "mup+sqrt: transfers" in text_of(shown)
    assert "standard: does not transfer" in text_of(shown)
    assert report.verdict.recipes["standard"].answer.reason in text_of(shown)
    assert rows[0] == ["width", "learning rate", "95 % interval", "loss", "regret"]
    assert rows[-6] == ["width", "parameters", "tokens", "trials", "diverged", "wall time"]
    # Widths that were swept, and in the last table the target too.
    assert [row[0] for row in rows] == [*["width", *map(str, WIDTHS)] * 4, "512"]


def test_the_plain_text_is_the_answers(report):
    assert repr(report) == (
        "Report(mup+constant: transfers; mup+sqrt: transfers; standard: does not transfer)"
    )


def test_sublayers_have_their_verdicts(report):
    rows = cells_of(report.invariance()._repr_html_())

    assert rows[0] == ["sublayer", "slope of sigma_1", "predicted", "verdict", "p", "2p - 1"]
    assert len(rows) == 3 * (1 + len(SUBLAYERS))
    by_name = {row[0]: row for row in rows[1 + len(SUBLAYERS) : 2 * (1 + len(SUBLAYERS))]}
    for name, each in report.verdict.recipes["mup+sqrt"].sublayers.items():
        assert by_name[name][3] == each.invariance.answer == "invariant"
        assert by_name[name][2] == "+0.00"


@pytest.mark.parametrize("draw", ["losses", "best", "singular_values", "curves"])
def test_a_figure_is_a_small_picture_of_the_size_on_the_page(report, draw):
    picture = getattr(report, draw)()
    png, metadata = picture._repr_png_()
    image = Image.open(io.BytesIO(png))

    assert len(png) < 60_000
    assert metadata == {"alt": picture.alt, "width": picture.width, "height": picture.height}
    assert image.size == pytest.approx((1.5 * picture.width, 1.5 * picture.height), abs=2)
    assert 600 < picture.width < 1100


def test_the_words_for_a_picture_are_its_claim_and_titles(report):
    assert report.losses().alt == (
        "The best learning rate transfers across width under mup+constant and mup+sqrt, not under "
        "standard. mup+constant: transfers. mup+sqrt: transfers. standard: does not transfer"
    )


def test_what_was_not_recorded_is_said(tmp_path, report):
    bare = Report.of(build_run(tmp_path, records=False))

    for draw, needed in (
        ("singular_values", "singular values at two widths"),
        ("curves", "training curves"),
        ("decay", "several weight decays"),
    ):
        with refused(needed):
            getattr(bare, draw)()
    assert "no singular values at two widths" in bare.invariance()._repr_html_()


def test_some_trials_can_be_judged_alone(report):
    alone = Report.of_trials([trial for trial in report.trials if trial.width == 32])

    assert {each.answer.transfers for each in alone.verdict.recipes.values()} == {"undecided"}


def test_decay_maps_frame_the_lowest_loss_and_cross_out_what_diverged(decays, decay_run):
    maps = decay_maps(decays.trials, decays.verdict)
    figure = decay_figure(decays.trials, decays.verdict)

    assert [axis.get_title(loc="left") for axis in figure.axes] == [
        f"mup+sqrt, width {width}" for width in WIDTHS[:2]
    ]
    for axis, each in zip(figure.axes, maps, strict=True):
        (lowest,) = [cell for cell in each.cells if cell.lowest]
        assert lowest.excess == 0.0
        (frame,) = [patch for patch in axis.patches if not patch.get_fill()]
        rates = sorted({cell.rate for cell in each.cells})
        column = frame.get_x() + frame.get_width() / 2
        assert round(column) == rates.index(lowest.rate)
        texts = [text.get_text() for text in axis.texts]
        gone = sum(cell.excess is None for cell in each.cells)
        assert texts.count("×") == gone > 0
        assert len(texts) == len(each.cells)


def test_numbers_of_a_decay_map_stand_out_from_their_cells(decays):
    figure = decay_figure(decays.trials, decays.verdict)

    for axis in figure.axes:
        cells = [patch for patch in axis.patches if patch.get_fill()]
        for cell, text in zip(cells, axis.texts, strict=True):
            back, ink = (luminance(each) for each in (cell.get_facecolor()[:3], text.get_color()))
            assert (max(back, ink) + 0.05) / (min(back, ink) + 0.05) >= 3.0  # WCAG, graphics


def luminance(colour):
    """Return the relative luminance of the WCAG."""
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_a_run_of_one_decay_has_no_map(report):
    assert decay_figure(report.trials, report.verdict) is None
    assert scale_end([]) == 1.0


@pytest.fixture
def figures(monkeypatch):
    """The matplotlib figures that become pictures."""
    drawn = []
    of = Picture.of

    def remember(figure):
        drawn.append(figure)
        return of(figure)

    monkeypatch.setattr(Picture, "of", remember)
    return drawn


def test_a_line_chart_shades_widths_and_keys_each_name_once(figures):
    curves = {64: ([0, 1], [3.0, 2.0]), 128: ([0, 1], [3.0, 1.5]), "tuned": ([0, 1], [2.0, 1.0])}

    picture = line_chart({"left": curves, "right": curves}, claim="It falls", x="step", y="loss")

    (figure,) = figures
    left, _ = figure.axes
    assert picture.alt == "It falls. left. right"
    keys = [text.get_text() for text in figure.legends[0].get_texts()]
    assert keys == ["width 64", "width 128", "tuned"]
    assert [list(line.get_ydata()) for line in left.get_lines()] == [[3, 2], [3, 1.5], [2, 1]]
    narrow, wide, _ = (luminance(line.get_color()) for line in left.get_lines())
    assert narrow > wide


def test_a_line_chart_may_be_logarithmic(figures):
    chart = {"": {"a": ((64, 128, 256), (1.0, 0.5, 0.25))}}

    line_chart(chart, claim="c", x="width", y="size", log="xy", marks=True)

    (axis,) = figures[0].axes
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in axis.get_xticklabels()] == ["64", "128", "256"]
    assert {"0.4", "0.8"} <= {text.get_text() for text in axis.get_yticklabels()}


def test_a_line_chart_with_many_powers_of_two_is_labelled_by_them(figures):
    line_chart({"": {"a": ((1, 2), (0.1, 20.0))}}, claim="c", x="step", y="size", log="y")

    (axis,) = figures[0].axes
    assert [text.get_text() for text in axis.get_yticklabels()] == [
        *("1/8", "1/4", "1/2", "1", "2", "4", "8", "16"),
    ]


def test_a_close_up_leaves_out_what_is_far_above(figures):
    line_chart(
        {"": {"a": ((1, 2, 3), (2.0, 2.5, 40.0))}}, claim="c", x="rate", y="loss", close_up=1.0
    )

    (axis,) = figures[0].axes
    assert axis.get_ylim() == pytest.approx((1.94, 3.0))


@pytest.mark.parametrize("reach", [1.01, 1.3, 2.0, 5.0, 100.0, 1e6])
def test_a_logarithmic_axis_has_ticks_to_read_from(figures, reach):
    line_chart({"": {"a": ((1, 2), (3.0, 3.0 * reach))}}, claim="c", x="step", y="size", log="y")

    (axis,) = figures[0].axes
    low, high = axis.get_ylim()
    assert high / low >= 2.0 - 1e-9
    ticks = [tick for tick in axis.get_yticks() if low <= tick <= high]
    assert 3 <= len(ticks) <= 10


def coordinates(slope):
    rows = (*RIGHT[:3], row("change", "up.kernel", [slope, slope], (0.0, 0.0)))
    return CoordinateCheck(Recipe("mup"), "entrywise", (64, 128, 256), rows, ())


def test_a_size_chart_shows_sizes_and_predictions_from_one(figures):
    checks = {"right": coordinates(0.0), "wrong": coordinates(1.0)}

    size_chart(checks, {"features": ("change", "up.kernel", 0)}, claim="One grows")

    (axis,) = figures[0].axes
    solid = [line for line in axis.get_lines() if line.get_linestyle() == "-"]
    dashed = [line for line in axis.get_lines() if line.get_linestyle() == "--"]
    assert [line.get_ydata()[-1] for line in solid] == pytest.approx([1.0, 4.0])
    assert [line.get_ydata()[-1] for line in dashed] == pytest.approx([1.0, 1.0])


def test_a_size_that_theory_does_not_speak_of_is_refused():
    silent = row("change", "loss", [0.0, 0.0], None)
    check = CoordinateCheck(Recipe("mup"), "entrywise", (64, 128, 256), (silent,), ())

    with refused("loss", "right"):
        size_chart({"right": check}, {"loss": ("change", "loss", 0)}, claim="")
