"""The table of slopes against networks: GELU, 2 hidden layers, wide enough for the limits.

A smaller version of experiments/coordinate_check: changes by an infinitesimal step, and the output
at init.
"""

import functools

import jax
import pytest

from transfer import optim
from transfer.checks import built_in_model, check_coordinates
from transfer.checks.measured_sizes import LOSS
from transfer.models import MLPConfig
from transfer.scaling import Hyperparameters, Recipe

# Between wide networks slopes are closer to their limits than between narrow ones.
WIDTHS = (256, 1024)
# A change by SGD varies more from seed to seed than one by the signs of gradients.
SEEDS = {"entrywise": 12, "linear": 48}
X = jax.random.normal(jax.random.key(1), (1, 16))
HIDDEN = ("layers.0.linear.kernel", "layers.1.linear.kernel")
HALF = 0.5
TOLERANCE = 0.12

ROWS = [
    ("standard", "entrywise", (0, 1, 1.5)),
    ("standard/full", "entrywise", (0, 0, HALF)),
    ("ntk", "linear", (-HALF, -HALF, 0)),
    ("mup", "entrywise", (0, 0, 0)),
]


@functools.cache
def measured(recipe, family):
    model = built_in_model(
        MLPConfig(layers=2, features=16, outputs=1, activation="gelu"),
        base_width=WIDTHS[0],
        recipe=Recipe.parse(recipe),
        inputs=X,
        hyperparameters=Hyperparameters(learning_rate=1.0),
    )
    return check_coordinates(model, WIDTHS, family=family, seeds=SEEDS[family], steps=1)


@pytest.mark.parametrize(("recipe", "family", "expected"), ROWS)
def test_changes_of_a_wide_network_follow_width_as_the_table_says(recipe, family, expected):
    checked = measured(recipe, family)
    for name, slope in zip((*HIDDEN, LOSS), expected, strict=True):
        row = checked["change", name, 0]
        assert row.predicted == (slope, slope)
        assert row.slope == pytest.approx(slope, abs=TOLERANCE)
        assert row.verdict in ("agrees", "undecided")


def test_the_callers_own_learning_rate_may_follow_width():
    """Under one learning rate of 1/n the first layer stands still and the second learns."""
    recipe = Recipe("standard")

    def make_optimizer(layout):
        growth = float(layout[HIDDEN[1]].m_in)
        return optim.adamw(2.0**-8 / growth, layout=layout, recipe=recipe, eps=1e-20)

    model = built_in_model(
        MLPConfig(layers=2, features=16, outputs=1),
        base_width=WIDTHS[0],
        recipe=recipe,
        inputs=X,
        hyperparameters=Hyperparameters(learning_rate=1.0),
    )
    checked = check_coordinates(
        model,
        WIDTHS,
        make_optimizer=make_optimizer,
        learning_rate_exponent=-1.0,
        seeds=SEEDS["entrywise"],
        steps=1,
    )
    for name, slope in zip((*HIDDEN, LOSS), (-1, 0, HALF), strict=True):
        assert checked["change", name, 0].slope == pytest.approx(slope, abs=TOLERANCE)
