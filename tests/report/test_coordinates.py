"""The coordinate check as a table and as a figure, from made-up sizes."""

import io

import numpy as np
import pytest
from rich.console import Console

from transfer.checks import CheckRow, CoordinateCheck
from transfer.report import coordinate_table
from transfer.report.coordinate_figure import coordinate_figure
from transfer.report.style import to_png
from transfer.scaling import Recipe

WIDTHS = (64, 128, 256)
LONG = "blocks.attention.a_rather_long_name_of_a_projection.kernel"


def row(quantity, name, slopes, predicted, step=0):
    sizes = {width: [5 * (width / 64) ** slope for slope in slopes] for width in WIDTHS}
    return CheckRow.of((quantity, name, step), sizes, predicted)


def check(*rows):
    return CoordinateCheck(Recipe("mup"), "entrywise", WIDTHS, rows, ())


RIGHT = (
    row("weight", "up.kernel", [-0.5, -0.5], (-0.5, -0.5)),
    row("gradient", "up.kernel", [-1.0, -1.0], (-1.0, -1.0)),
    row("update", "up.kernel", [-1.0, -1.0], (-1.0, -1.0)),
    row("activation", "up.kernel", [0.0, 0.1], (0.0, 0.0)),
    row("change", "output", [-0.2, -0.2], (-0.5, 0.0)),
    row("change", "output", [-0.2, -0.2], None, step=4),
)
WRONG = (
    row("update", "up.kernel", [0.0, 0.0], (-1.0, -1.0)),
    row("update", LONG, [-0.5, -0.5], (-1.0, -1.0)),
    row("activation", "up.kernel", [-0.5, 0.5], (0.0, 0.0)),
    row("change", "output", [2.0, 2.0], (-0.5, 0.0), step=1),
)


@pytest.fixture(scope="module")
def figure():
    return coordinate_figure({"random init": check(*RIGHT), "zero init": check(*WRONG)})


def curves(axis):
    return [line for line in axis.get_lines() if line.get_linestyle() == "-"]


def test_panels_are_titled_once_and_rows_named_once(figure):
    first, second = figure.axes[:6], figure.axes[6:]
    assert [axis.get_title(loc="left") for axis in first] == [
        "weights",
        "gradients",
        "first updates",
        "activations",
        "changes, first step",
        "changes, 4 steps",
    ]
    assert all(axis.get_title(loc="left") == "" for axis in second)
    labels = [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()]
    assert labels == [f"{name}\nsize / predicted size" for name in ("random init", "zero init")]


def test_what_agrees_is_level_and_what_is_not_judged_is_not_drawn(figure):
    first = figure.axes[:6]
    assert [len(curves(axis)) for axis in first] == [1, 1, 1, 1, 1, 0]
    for axis in (first[0], first[1], first[2], first[4]):
        (curve,) = curves(axis)
        np.testing.assert_allclose(curve.get_ydata(), 1.0, rtol=1e-9)


def test_what_differs_leaves_by_its_error_and_the_worst_is_named(figure):
    axis = figure.axes[6 + 2]
    assert sorted(line.get_ydata()[-1] for line in curves(axis)) == pytest.approx([2.0, 4.0])
    (text,) = axis.texts
    assert text.get_text() == "up.kernel\n+1.00\nand 1 more"
    # Measured against the end of the range that it is nearer to.
    (curve,) = curves(figure.axes[6 + 5])
    assert curve.get_ydata()[-1] == pytest.approx(16.0)


def test_sizes_are_plain_powers_of_two(figure):
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == ["1/2", "1", "2", "4", "8", "16"]


def test_the_claim_counts_what_was_judged(figure):
    # One of the 9 is undecided, which is not to differ.
    assert figure.get_suptitle().startswith("3 of 9 sizes do not follow width as mup+sqrt predicts")
    undecided = coordinate_figure({"random init": check(*RIGHT, WRONG[2])}).get_suptitle()
    assert undecided == "5 of 6 sizes follow width as mup+sqrt predicts, no other differs"
    right = coordinate_figure({"random init": check(*RIGHT)})
    assert right.get_suptitle() == "All 5 sizes follow width as mup+sqrt predicts"


def test_verdicts_are_told_apart_by_colour(figure):
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "agrees",
        "undecided",
        "differs",
        "predicted",
    ]
    colours = {curves(figure.axes[place])[0].get_color() for place in (0, 6 + 2, 6 + 3)}
    assert len(colours) == 3


def test_the_same_checks_give_the_same_picture():
    images = {to_png(coordinate_figure({"random init": check(*RIGHT)})) for _ in range(2)}
    assert len(images) == 1


@pytest.mark.parametrize("columns", [60, 80])
def test_the_table_fits_a_narrow_terminal(columns):
    console = Console(width=columns, file=io.StringIO())
    console.print(coordinate_table(check(*RIGHT, *WRONG)))
    text = console.file.getvalue()
    assert all(len(line) <= columns for line in text.splitlines())
    assert "…" not in text
    words = " ".join(text.split())
    assert "change, 1 step output" in words
    assert "change, 4 steps output" in words
    for verdict in ("agrees", "differs", "undecided", "not judged"):
        assert verdict in text


def test_the_table_leaves_out_what_is_zero_and_shortens_what_stays_unique():
    sizes = {width: [0.0, 0.0] for width in WIDTHS}
    zero = CheckRow.of(("activation", "logits.kernel", 0), sizes, (0.0, 0.0))
    both = [row("weight", f"norm.{name}", [0.0, 0.0], (0.0, 0.0)) for name in ("scale", "bias")]
    console = Console(width=80, file=io.StringIO())
    console.print(coordinate_table(check(*RIGHT, *both, zero)))
    names = [line.split()[0] for line in console.file.getvalue().splitlines() if line.strip()]
    assert "logits" not in names
    assert {"up", "norm.scale", "norm.bias"} <= set(names)
