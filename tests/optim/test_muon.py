"""Muon's effective step by the spectral condition: |A dW|_2 follows sqrt(m_out / m_in), no more."""

import jax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest

from transfer import optim
from transfer.scaling import Annotated, Axes, Layout, Recipe

LR, BASE = 0.1, 8
# (fan-in, fan-out) by m; the last two change from one side of fan-in = fan-out to the other.
SHAPES = {
    "square": lambda m: (BASE * m, BASE * m),
    "down": lambda m: (4 * BASE * m, BASE * m),
    "up": lambda m: (BASE * m, 4 * BASE * m),
    "widening": lambda m: (2 * BASE * m, BASE * m * m),
    "narrowing": lambda m: (BASE * m * m, 2 * BASE * m),
}
WIDTHS = (1, 4)
shaped = pytest.mark.parametrize("shape", SHAPES)
# Five Newton-Schulz iterations send the largest singular value of a matrix to 1.0 to 1.2.
BAND = (1.0, 1.25)


def layout(shape, m):
    def declared(size):
        fan_in, fan_out = size
        axes = Axes.parse("layers | heads head_dim -> ffn")
        return {"w": Annotated(axes=axes, shape=(2, fan_in // 4, 4, fan_out), gain=1.0)}

    base = SHAPES[shape](1)
    return Layout.compare(
        base=declared(base),
        probe=declared(tuple(2 * side for side in base)),
        target=declared(SHAPES[shape](m)),
    )


def steps(tx, parameter, gradient):
    """The first step of each weight of the stack, as a matrix."""
    parameters = {"w": jnp.zeros(parameter.shape)}
    updates, _ = tx.update({"w": gradient}, tx.init(parameters), parameters)
    return np.asarray(updates["w"]).reshape(2, parameter.fan_in, parameter.fan_out)


def gaussian(parameter):
    return jax.random.normal(jax.random.key(0), parameter.shape)


def effective_norms(shape, m, recipe, gradient=gaussian, **settings):
    """|A dW|_2 of both weights over lr sqrt(m_out / m_in), and over optax's factor at the base."""
    parameter = layout(shape, m)["w"]
    tx = optim.muon(LR, layout=layout(shape, m), recipe=recipe, **settings)
    fan_in, fan_out = SHAPES[shape](1)
    unit = LR * (parameter.m_out / parameter.m_in) ** 0.5 * max(1.0, fan_out / fan_in) ** 0.5
    moved = steps(tx, parameter, gradient(parameter))
    return recipe.multiplier(parameter) * np.linalg.norm(moved, 2, axis=(1, 2)) / unit


def within(values):
    return all(BAND[0] < value < BAND[1] for value in values)


@shaped
@pytest.mark.parametrize("form", ["mup", "mean_field", "ntk"])
def test_the_effective_step_follows_the_spectral_condition(shape, form):
    for m in WIDTHS:
        assert within(effective_norms(shape, m, Recipe(form, rates="full")))


class ScaledTwice(Recipe):
    """Gives Muon Adam's exponents, as if its steps grew with width by themselves."""

    def rule(self, parameter, family="entrywise"):
        del family
        return super().rule(parameter, "entrywise")


@shaped
def test_scaling_it_twice_breaks_the_condition(shape):
    assert within(effective_norms(shape, 1, ScaledTwice("mup")))
    assert not within(effective_norms(shape, 4, ScaledTwice("mup")))


@shaped
def test_optax_alone_meets_the_condition_where_the_sides_grow_alike(shape):
    """Its shape factor stops at fan-out = fan-in, so that it has to be taken at the base width."""
    parameter = layout(shape, 4)["w"]
    theirs = optax.contrib.muon(
        LR,
        muon_weight_dimension_numbers={
            "w": optax.contrib.MuonDimensionNumbers(reduction_axis=(1, 2), output_axis=3)
        },
    )
    ours = optim.muon(LR, layout=layout(shape, 4), recipe=Recipe("mup"))
    one, other = (steps(tx, parameter, gaussian(parameter)) for tx in (ours, theirs))
    if parameter.m_in == parameter.m_out:
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    else:
        # fan-in 2 to fan-out 1 at the base, 1 to 2 at four times the width, and the reverse.
        off = {"widening": 2**-0.5, "narrowing": 2**0.5}[shape]
        np.testing.assert_allclose(other, off * one, rtol=1e-4, atol=1e-6)


@shaped
@pytest.mark.parametrize("form", ["mup", "mean_field"])
def test_epsilon_stays_as_large_beside_the_gradient(shape, form):
    """Under a coherent gradient, each entry of the size that the recipe expects."""
    recipe = Recipe(form)

    def coherent(parameter):
        return jnp.full(parameter.shape, recipe.rule(parameter, "spectral").epsilon)

    # A thousand times the gradient's norm at the base width, so that the iterations start at 1e-3
    # and end at 3.4445^5 * 1e-3 = 0.48, but for a cubic term of a few percent.
    settings = {"eps": 1e3 * np.prod(SHAPES[shape](1)) ** 0.5, "nesterov": False}
    first, other = (effective_norms(shape, m, recipe, coherent, **settings) for m in WIDTHS)
    np.testing.assert_allclose(first, 0.48, rtol=0.1)
    # Float32, five times through a slope of 3.4.
    np.testing.assert_allclose(other, first, rtol=1e-4)
