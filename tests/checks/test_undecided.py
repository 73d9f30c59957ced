"""Too few seeds: what they leave open is called undecided, and nothing is accused of it."""

import jax
import jax.numpy as jnp

from transfer.checks import check
from transfer.scaling import Recipe

X = jax.random.normal(jax.random.key(0), (1, 16))


def build(width, seed):
    """Inits as the recipe wants them, and one output: at init a single Gaussian number per seed."""
    first, second, third = jax.random.split(jax.random.key(seed), 3)
    return {
        "up": jax.random.normal(first, (16, width)) / 4,
        "mix": jax.random.normal(second, (width, width)) / width**0.5,
        "down": jax.random.normal(third, (width, 1)) * 8 / width,
    }


def forward(parameters, x):
    hidden = jnp.tanh(jnp.tanh(x @ parameters["up"]) @ parameters["mix"])
    return hidden @ parameters["down"]


def checked(widths, inputs=X, seeds=4):
    return check(
        build,
        widths,
        base_width=64,
        recipe=Recipe("mup_table3"),
        inputs=inputs,
        apply=forward,
        seeds=seeds,
        steps=1,
    )


def test_an_output_of_few_seeds_is_undecided_and_its_readout_not_accused():
    found = checked((64, 128))
    row = found["activation", "output", 0]
    assert row.verdict == "undecided"
    # Wide enough to hold the truth and what a missing multiplier would give.
    assert row.interval[1] - row.interval[0] > 1
    assert found.outcome == "undecided"
    assert found.findings == ()
    widths, seeds = found.limits
    assert widths.startswith("The 2 widths 64, 128 do not show whether a slope still bends")
    assert seeds.startswith("The slope of the ")
    assert "seeds instead of 4" in seeds


def test_a_batch_of_zeros_is_told_and_accuses_nothing_but_inits():
    found = checked((64, 128), inputs=jnp.zeros_like(X), seeds=2)
    assert found.limits[0].startswith("The inputs are zero everywhere")
    assert {row.quantity for row in found if row.verdict == "agrees"} == {"weight"}
    assert found.findings == ()
    assert found.outcome == "undecided"


def test_widths_of_few_terms_and_less_than_a_doubling_are_told():
    narrow, few, near, *_ = checked((8, 12), seeds=2).limits
    assert narrow.startswith("The widths 8, 12 are narrow: in their middle sums have 10 terms")
    assert "do not show whether" in few
    assert "span less than a doubling" in near
