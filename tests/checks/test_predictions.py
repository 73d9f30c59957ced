"""Predicted slopes beyond the table by role: fans that grow otherwise than the width, and ties."""

import math

import pytest

from transfer.checks.predictions import Predictions
from transfer.scaling import Annotated, Axes, Layout, Recipe, Slopes

# A feed-forward size that is rounded to a multiple of 64.
FEED_FORWARD = {64: 192, 96: 256, 128: 384}
# Its slope over log width between 64 and 96, where 192 grows to 256.
GROWTH = math.log(256 / 192) / math.log(96 / 64)


def layout(width, tied=False):
    def declared(n):
        return {
            "table": Annotated(axes=Axes.parse("vocab -> embed"), shape=(9, n), tied=tied),
            "down": Annotated(axes=Axes.parse("ffn -> embed"), shape=(FEED_FORWARD[n], n)),
            "out": Annotated(axes=Axes.parse("embed -> outputs"), shape=(n, 5)),
        }

    return Layout.compare(base=declared(64), probe=declared(128), target=declared(width))


def predictions(widths=(64, 96), recipe="mup", tied=False, zeros=None):
    layouts = {width: layout(width, tied) for width in widths}
    return Predictions(Slopes(Recipe(recipe), "entrywise"), layouts, {}, {}, zeros=zeros)


def test_factors_follow_each_weights_own_fans():
    found = predictions()
    assert found(("weight", "down", 0)) == pytest.approx((-GROWTH / 2,) * 2)
    assert found(("update", "down", 0)) == pytest.approx((-GROWTH,) * 2)
    # Where all grow alike they are the table's, exactly.
    assert predictions(widths=(64, 128))(("weight", "down", 0)) == (-0.5, -0.5)
    assert found(("weight", "table", 0)) == (0.0, 0.0)


def test_a_tied_tables_own_rows_may_keep_the_output_at_order_one():
    assert predictions()(("activation", "output", 0)) == (-0.5, -0.5)
    assert predictions(tied=True)(("activation", "output", 0)) == (-0.5, 0.0)


def test_what_follows_its_law_exactly_is_held_to_it_more_closely():
    found = predictions()
    assert found.tolerance(("weight", "down", 0)) == found.tolerance(("update", "down", 0)) == 1 / 8
    assert found.tolerance(("gradient", "down", 0)) == 1 / 4
