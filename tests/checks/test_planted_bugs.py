"""Mistakes that users make, planted one at a time: each is caught, and named in a sentence."""

import re

import optax
import pytest
from refusals import refused

from .language_model import (
    FLAX_DEFAULT,
    HEADS,
    measured,
    over_root,
)

READOUT = ("readout.kernel",)


def plain_adam(layout):
    """One learning rate for all parameters, at every width."""
    return optax.adam(2.0**-8, eps=1e-20)


def wrong_rows(check):
    return {(row.quantity, row.name) for row in check if row.verdict == "differs"}


# The negative controls: what is said below is said of nothing that is right.
@pytest.mark.parametrize(
    "right",
    [
        pytest.param({"recipe": "mup_table3"}, id="mup_table3"),
        pytest.param(
            {"recipe": "mup", "readout_exponent": -1, "multiplied": READOUT},
            id="mup with its multiplier",
            marks=pytest.mark.full,
        ),
        pytest.param({"recipe": "standard", "rescale": False}, id="standard"),
        pytest.param({"heads": HEADS}, id="growing heads"),
        pytest.param({"heads": -1}, id="a fixed head dimension", marks=pytest.mark.full),
    ],
)
def test_of_a_right_model_there_is_nothing_to_say(right):
    checked = measured(**right)
    assert checked.outcome == "agrees"
    assert checked.findings == ()


def test_flaxs_default_embedding_init():
    checked = measured(embedding_init=FLAX_DEFAULT, rescale=False)
    (finding,) = [each for each in checked.findings if "embedding" in each]
    assert finding.startswith("The init of the input weight embedding.embedding follows width^-0.")
    assert checked["weight", "embedding.embedding", 0].error == pytest.approx(-0.5, abs=0.05)
    assert "as flax's embeddings do by default" in finding
    assert ("weight", "embedding.embedding") in wrong_rows(checked)
    assert checked.outcome == "differs"


def test_a_missing_readout_multiplier():
    checked = measured(recipe="mup", multiplied=READOUT)
    (finding,) = checked.findings
    assert finding.startswith("The activation of the output follows width^")
    assert checked["activation", "output", 0].error == pytest.approx(1.0, abs=0.1)
    assert "readout.kernel's forward multiplier is missing; multiply its logits" in finding
    assert checked.outcome == "differs"


def test_a_recipe_whose_multiplier_nobody_claims_to_apply_is_refused():
    with refused("readout.kernel", "mup_table3"):
        measured(recipe="mup")


def test_a_root_of_the_growing_head_dimension_under_attention():
    checked = measured(heads=HEADS, scale=over_root)
    (finding,) = checked.findings
    assert " of the attention logits (contraction 1, over a growing head dimension)" in finding
    assert re.search(r"they are scaled by head_dim\^-0\.(4|5)", finding)
    assert "expected head_dim^-1.00 (1/d under muP, not 1/sqrt(d))" in finding
    assert checked["activation", "contraction 1", 0].error == pytest.approx(0.5, abs=0.15)
    assert "contraction 1" in {name for _, name in wrong_rows(checked)}


def test_an_optimizer_without_the_recipes_learning_rates():
    checked = measured(make_optimizer=plain_adam)
    hidden, output = (
        next(each for each in checked.findings if f"learning rate of the {role}" in each)
        for role in ("hidden", "output")
    )
    assert "is off by width^+1.0: updates follow width^+0.00, expected width^-1.00" in output
    assert "hidden.kernel is off by width^+1.0" in hidden
    assert "make the optimizer from this layout and recipe" in hidden


def test_a_readout_that_is_scaled_twice():
    checked = measured(readout_exponent=-1)
    (finding,) = checked.findings
    assert finding.startswith("The activation of the output follows width^")
    assert checked["activation", "output", 0].error == pytest.approx(-1.0, abs=0.1)
    assert "readout.kernel is scaled twice" in finding


def test_the_rates_of_mup_on_a_model_initialized_as_standard():
    checked = measured(rescale=False)
    assert checked.findings[0] == (
        "The model is initialized as under standard and not as under mup_table3+sqrt "
        "(readout.kernel): pass its parameters through transfer.rescale_init before training."
    )
    assert checked.outcome == "differs"


def test_the_same_model_under_the_recipe_it_was_made_for_is_right():
    # The negative control of the one above: what is wrong is the pairing.
    checked = measured(recipe="standard", rescale=False)
    assert checked.findings == ()
