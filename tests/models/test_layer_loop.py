"""Layers in a loop or one after another: the same numbers, and a program of bounded size."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core

from transfer.models import forward_pass, initialize, model_layout, scored_pass
from transfer.scaling import Hyperparameters, Recipe

from .drawn import SMALL, TOKENS, draw, jit

INPUTS = jax.ShapeDtypeStruct(TOKENS.shape, TOKENS.dtype)


def loss_and_gradients(config, parameters, multipliers):
    apply = scored_pass(config)

    def loss(parameters):
        scores, _ = apply(parameters, multipliers, {}, TOKENS, TOKENS[:, ::-1], training=True)
        return jnp.mean(scores.losses)

    return jit(jax.value_and_grad(loss))(parameters)


def test_unrolled_layers_have_the_loss_and_the_gradients_of_scanned_ones():
    with jax.enable_x64(True):
        scanned, unrolled = (
            dataclasses.replace(SMALL, layers=3, dtype="float64", layer_loop=loop)
            for loop in ("scan", "unrolled")
        )
        model = draw(scanned)
        one, other = (loss_and_gradients(config, *model) for config in (scanned, unrolled))
        assert jax.tree.structure(one) == jax.tree.structure(other)
        for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-12)


def products(config):
    """How many products a forward pass has, those of a loop's body once."""
    layout, settings = model_layout(config, 8), Hyperparameters(learning_rate=1.0)
    model = jax.eval_shape(
        lambda: initialize(config, layout, Recipe(), settings, jax.random.key(0))
    )
    return _count(jax.make_jaxpr(forward_pass(config))(*model, TOKENS).jaxpr)


def _count(jaxpr):
    bodies = (
        getattr(parameter, "jaxpr", parameter)
        for equation in jaxpr.eqns
        for parameter in equation.params.values()
    )
    own = sum(equation.primitive.name == "dot_general" for equation in jaxpr.eqns)
    return own + sum(_count(body) for body in bodies if isinstance(body, core.Jaxpr))


def test_a_cpu_unrolls_few_layers_and_a_program_stops_growing_with_many():
    on_cpu = {
        layers: products(dataclasses.replace(SMALL, layers=layers).on("cpu", INPUTS))
        for layers in (2, 6, 7, 24)
    }
    scanned = products(dataclasses.replace(SMALL, layers=24, layer_loop="scan"))
    # Nine products a layer, and the readout.
    assert on_cpu == {2: 2 * 9 + 1, 6: 6 * 9 + 1, 7: 10, 24: 10}
    assert scanned == 10


@pytest.mark.parametrize("platform", ["tpu", "gpu", "cuda"])
def test_accelerators_scan(platform):
    assert SMALL.on(platform, INPUTS).layer_loop == "scan"


def test_the_loop_can_be_set():
    for loop in ("scan", "unrolled"):
        set_loop = dataclasses.replace(SMALL, layer_loop=loop)
        assert {set_loop.on(platform, INPUTS).layer_loop for platform in ("cpu", "tpu")} == {loop}
        assert set_loop.plain().layer_loop == "scan"
