"""One model written in nnx, in linen and as a plain tree: the same rows, however it is written."""

import functools

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx

from transfer.checks import check
from transfer.optim import sgd
from transfer.scaling import Recipe

RECIPE = Recipe("mup_table3")
FEATURES, OUTPUTS, BASE_WIDTH = 16, 32, 64
WIDTHS = (64, 256)
# With 16 inputs and 32 outputs a root mean square over them hardly depends on the seed.
X = jax.random.normal(jax.random.key(0), (16, FEATURES))
# Of the default initializers of Flax only the readout's differs from what the recipe wants.
READOUT = nnx.initializers.normal


class Linen(linen.Module):
    width: int

    @linen.compact
    def __call__(self, x):
        x = linen.gelu(linen.Dense(self.width, use_bias=False, name="first")(x))
        x = linen.gelu(linen.Dense(self.width, use_bias=False, name="second")(x))
        return linen.Dense(OUTPUTS, False, kernel_init=READOUT(8 / self.width), name="third")(x)


class Nnx(nnx.Module):
    def __init__(self, width, rngs):
        self.first = nnx.Linear(FEATURES, width, use_bias=False, rngs=rngs)
        self.second = nnx.Linear(width, width, use_bias=False, rngs=rngs)
        init = READOUT(8 / width)
        self.third = nnx.Linear(width, OUTPUTS, use_bias=False, kernel_init=init, rngs=rngs)

    def __call__(self, x):
        return self.third(nnx.gelu(self.second(nnx.gelu(self.first(x)))))


def tree(width, seed):
    return nnx.to_pure_dict(nnx.state(Nnx(width, nnx.Rngs(seed)), nnx.Param))


def forward(parameters, x):
    for name in ("first", "second"):
        x = jax.nn.gelu(x @ parameters[name]["kernel"])
    return x @ parameters["third"]["kernel"]


@functools.cache
def measured(kind, family="entrywise"):
    build, apply = {
        "linen": (lambda width, seed: Linen(width), None),
        "nnx": (lambda width, seed: Nnx(width, nnx.Rngs(seed)), None),
        "tree": (tree, forward),
    }[kind]
    return check(
        build,
        WIDTHS,
        base_width=BASE_WIDTH,
        recipe=RECIPE,
        inputs=X,
        apply=apply,
        family=family,
        make_optimizer=(lambda layout: sgd(1.0, layout=layout, recipe=RECIPE))
        if family == "linear"
        else None,
        steps=1,
    )


@pytest.mark.parametrize("kind", ["nnx", "linen", "tree"])
def test_a_right_model_agrees(kind):
    checked = measured(kind)
    assert checked.findings == ()
    assert checked.outcome == "agrees"


def test_a_right_model_agrees_under_sgd():
    checked = measured("tree", "linear")
    assert checked.findings == ()
    assert checked["update", "first.kernel", 0].expected == "+0.00"


def test_a_tree_of_the_same_arrays_gives_the_same_numbers():
    module, plain = measured("nnx"), measured("tree")
    assert [row.name for row in plain] == [row.name for row in module]
    for row in module:
        # The order of a gradient's sums may differ between the two compiled programs.
        expected = pytest.approx(row.slope, abs=1e-3)
        assert plain[row.quantity, row.name, row.step].slope == expected


def test_rows_are_found_by_what_they_are_of():
    checked = measured("linen")
    row = checked["weight", "third.kernel", 0]
    assert (row.expected, row.verdict) == ("-1.00", "agrees")
    assert row.sizes[64] == pytest.approx(8 / 64, rel=0.05)
    assert jnp.isclose(checked["activation", "first.kernel", 0].slope, 0, atol=0.1)
    assert str(checked) == checked.answer
    assert checked.to_json()["outcome"] == "agrees"


def test_of_the_output_of_a_model_without_a_sum_over_width_theory_says_nothing():
    def build(width, seed):
        return nnx.Linear(FEATURES, width, rngs=nnx.Rngs(seed))

    checked = check(
        build,
        (8, 16),
        base_width=8,
        recipe=RECIPE,
        inputs=X,
        apply=lambda model, x: model(x).mean(axis=-1),
        steps=1,
    )
    assert checked["activation", "output", 0].verdict == "not judged"


class Bottleneck(nnx.Module):
    """A map to a fixed size in the middle, which vanishes with width as a readout does."""

    def __init__(self, width, rngs):
        sizes = [(FEATURES, width), (width, 4), (4, width), (width, OUTPUTS)]
        self.layers = nnx.List([nnx.Linear(*each, use_bias=False, rngs=rngs) for each in sizes])

    def __call__(self, x):
        enter, narrow, widen, leave = self.layers
        return leave(nnx.relu(widen(narrow(nnx.relu(enter(x))))))


def narrowed(**settings):
    return check(
        lambda width, seed: Bottleneck(width, nnx.Rngs(seed)),
        WIDTHS,
        base_width=BASE_WIDTH,
        recipe=RECIPE,
        inputs=X,
        steps=1,
        **settings,
    )


def test_after_an_inner_map_to_a_fixed_size_activations_may_vanish_with_width():
    checked = narrowed(rescale=True)
    assert checked.findings == ()
    assert checked["activation", "output", 0].slope == pytest.approx(-1.0, abs=0.2)
    # Before it they may not, and its own init is judged as any other.
    assert checked["activation", "layers.0.kernel", 0].expected == "+0.00"
    assert checked["activation", "layers.2.kernel", 0].expected == "-0.50"
    assert checked["weight", "layers.1.kernel", 0].expected == "-1.00"
    wrong = narrowed()
    assert wrong["weight", "layers.1.kernel", 0].verdict == "differs"


def test_vectors_that_are_not_drawn_have_no_law():
    """Slopes of heads: their root mean square follows width, because there are more of them."""

    def build(width, seed):
        count = width // 8
        slopes = 2.0 ** (-8.0 * jnp.arange(1, count + 1) / count)
        drawn = 0.1 * jax.random.normal(jax.random.key(seed), count)
        return {**tree(width, seed), "slopes": slopes, "drawn": drawn}

    def apply(parameters, x):
        x = jax.nn.gelu(x @ parameters["first"]["kernel"])
        for name in ("slopes", "drawn"):
            x = x * jnp.repeat(1.0 + parameters[name], 8)
        return jax.nn.gelu(x @ parameters["second"]["kernel"]) @ parameters["third"]["kernel"]

    checked = check(
        build, WIDTHS, base_width=BASE_WIDTH, recipe=RECIPE, inputs=X, apply=apply, steps=1
    )
    assert checked["weight", "slopes", 0].verdict == "not judged"
    assert checked["weight", "drawn", 0].verdict != "not judged"
