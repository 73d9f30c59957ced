"""What cannot be checked is refused in one sentence."""

import jax
import jax.numpy as jnp
import pytest
from refusals import refused

from transfer.checks import check
from transfer.scaling import Recipe

RECIPE = Recipe("mup_table3")
X = jnp.ones((2, 4))


def tree(width, seed):
    first, second = jax.random.split(jax.random.key(seed))
    return {
        "up": jax.random.normal(first, (4, width)) / 2,
        "down": jax.random.normal(second, (width, 3)) / width,
    }


def forward(parameters, x):
    return jnp.tanh(x @ parameters["up"]) @ parameters["down"]


def require_refusal(*names, build=tree, widths=(8, 16), apply=forward, **options):
    with refused(*names):
        check(build, widths, base_width=8, recipe=RECIPE, inputs=X, apply=apply, **options)


@pytest.mark.parametrize(
    ("options", "counted"),
    [
        ({"widths": (8,)}, "1 widths, 8 seeds and 4 steps"),
        ({"widths": (8, 8)}, "1 widths, 8 seeds and 4 steps"),
        ({"widths": ()}, "0 widths, 8 seeds and 4 steps"),
        ({"seeds": 1}, "2 widths, 1 seeds and 4 steps"),
        ({"steps": 0}, "2 widths, 8 seeds and 0 steps"),
    ],
)
def test_what_gives_no_slope_or_no_interval(options, counted):
    require_refusal(counted, **options)


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        (lambda tree, x: (forward(tree, x), x), "tuple"),
        (lambda tree, x: {"logits": forward(tree, x)}, "dict"),
    ],
)
def test_an_output_of_several_parts(output, kind):
    require_refusal(kind, apply=output)


def test_a_tree_without_a_forward_pass():
    require_refusal("apply=", apply=None, axes={"up": "0 -> 1", "down": "0 -> 1"})
