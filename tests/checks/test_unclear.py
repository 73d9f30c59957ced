"""Too few seeds: what they leave open is called unclear, and nothing is accused of it."""

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


def test_an_output_of_few_seeds_is_unclear_and_its_readout_not_accused():
    checked = check(
        build,
        (64, 128),
        base_width=64,
        recipe=Recipe("mup_table3"),
        inputs=X,
        apply=forward,
        seeds=4,
        steps=1,
    )
    row = checked["activation", "output", 0]
    assert row.verdict == "unclear"
    # Wide enough to hold the truth and what a missing multiplier would give.
    assert row.interval[1] - row.interval[0] > 1
    assert not checked.agrees
    assert all(each.verdict != "differs" for each in checked)
    (finding,) = checked.findings
    assert finding.startswith("Seeds leave open whether the slope of the activation of output")
    assert finding.endswith(
        "is within 0.15 of theory; expected more seeds, a longer ladder of widths, or wider ones."
    )
