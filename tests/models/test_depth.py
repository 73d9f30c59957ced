"""A model of another depth: what its layout says, and that its residual stream stays in size."""

import dataclasses
import functools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from refusals import refused

from transfer import optim
from transfer.models import TransformerConfig, model_layout
from transfer.models.functional import _filled
from transfer.models.variables import Multiplier
from transfer.scaling import Recipe, Rule

from .drawn import MLP, SMALL, draw, jit

pytestmark = pytest.mark.sampled

DEEP = dataclasses.replace(SMALL, layers=8)
COMPLETEP, DEPTH_MUP = (Recipe("mup", depth=rule) for rule in ("completep", "depth_mup"))


def test_blocks_alone_know_the_depth():
    layout = model_layout(DEEP, 8, base_layers=2)
    for path, parameter in {**layout.parameters, **layout.multipliers}.items():
        assert parameter.m_depth == (4 if path.startswith("blocks") else 1), path
    shallow = model_layout(dataclasses.replace(SMALL, layers=1), 8, base_layers=2)
    assert shallow.parameters["blocks.attention.out.kernel"].m_depth == Fraction(1, 2)


def test_the_base_depth_is_the_models_own_unless_it_is_given():
    assert model_layout(DEEP, 8) == model_layout(DEEP, 8, base_layers=8)


def test_branches_start_as_in_the_base_model():
    """GPT-2's rule divides by the base depth under a depth rule, and by the model's without one."""
    kernel = "blocks.attention.out.kernel"
    own = model_layout(DEEP, 16).parameters[kernel]
    moved = model_layout(DEEP, 16, base_layers=2).parameters[kernel]
    assert Recipe().init_std(own) == pytest.approx(1 / math.sqrt(16 * 2 * 8))
    assert COMPLETEP.init_std(moved) == pytest.approx(1 / math.sqrt(16 * 2 * 2))


def test_only_the_branches_have_another_multiplier():
    (_, own), (_, moved) = draw(DEEP, COMPLETEP), draw(DEEP, COMPLETEP, base_layers=2)
    np.testing.assert_array_equal(moved["blocks"]["branch_multiplier"], np.full(8, 0.25, "f4"))
    moved["blocks"]["branch_multiplier"] = own["blocks"]["branch_multiplier"]
    jax.tree.map(np.testing.assert_array_equal, own, moved)


def test_a_model_whose_layers_are_not_stacked_has_no_depth():
    with refused(3):
        model_layout(MLP, 4, base_layers=3)


# The residual stream after the last block, over depth, at the base width.

TINY = TransformerConfig(
    width=16, vocabulary=13, head_dim=8, feed_forward_multiple=2.0, dtype="float32"
)
TOKENS = jax.random.randint(jax.random.key(1), (8, 17), 0, TINY.vocabulary)
DEPTHS = (2, 8, 32)
# Rates so small that the stream follows in proportion, as the exponents assume: at large ones the
# norms after it hold back what grows.
OPTIMIZERS = {
    "adamw": functools.partial(optim.adamw, 2.0**-11, 0.1, eps=1e-12),
    "sgd": functools.partial(optim.sgd, 2.0**-6),
}
# Rules differ by half a power of depth, so half of that tells them apart. 0 is expected, and three
# steps of one seed give up to 0.16.
FLAT = 0.25


@functools.cache
def gradient(layers):
    """Loss, residual stream and gradients of the model of this depth; compiled once for all."""
    config = dataclasses.replace(TINY, layers=layers)
    module = nnx.eval_shape(lambda: config.build(nnx.Rngs(0)))
    graph = nnx.graphdef(module)
    states = nnx.state(module, nnx.Param, Multiplier)

    def loss(parameters, multipliers):
        filled = map(_filled, states, (parameters, multipliers))
        model = nnx.merge(graph, *filled)
        scan = nnx.scan(lambda block, x: block(x), in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        stream = scan(model.blocks, model.embedding(TOKENS[:, :-1]))
        logits = model.readout(model.norm(stream))
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, TOKENS[:, 1:])
        return jnp.mean(losses), stream

    return jit(jax.value_and_grad(loss, has_aux=True))


@functools.cache
def measured(recipe, optimizer, layers, steps=3):
    """Sizes: of the stream at init, of its change, of a gradient in the blocks, of the clipped."""
    config = dataclasses.replace(TINY, layers=layers)
    base_layers = DEPTHS[0] if recipe.depth else 0
    layout = model_layout(config, TINY.width, base_layers).parameters
    tx = OPTIMIZERS[optimizer](layout=layout, recipe=recipe)
    parameters, multipliers = draw(config, recipe, base_width=TINY.width, base_layers=base_layers)

    @jit
    def update(gradients, state, parameters):
        updates, state = tx.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state

    state = tx.init(parameters)
    (_, start), first = gradient(layers)(parameters, multipliers)
    gradients, end = first, start
    for _ in range(steps):
        parameters, state = update(gradients, state, parameters)
        (_, end), gradients = gradient(layers)(parameters, multipliers)
    kernel = first["blocks"]["feed_forward"]["up"]["kernel"]
    norm = optim.gradient_norm(first, layout, recipe)
    return [_rms(start), _rms(end - start), _rms(kernel), float(norm)]


def slopes(recipe, optimizer="adamw"):
    sizes = np.log2([measured(recipe, optimizer, layers) for layers in DEPTHS])
    return dict(
        zip(
            ("init", "change", "gradient", "clipped"),
            np.polyfit(np.log2(DEPTHS), sizes, 1)[0],
            strict=True,
        )
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("recipe", [COMPLETEP, DEPTH_MUP], ids=["completep", "depth_mup"])
def test_the_residual_stream_and_its_change_are_level_in_depth(recipe, optimizer):
    found = slopes(recipe, optimizer)
    assert abs(found["init"]) < FLAT
    assert abs(found["change"]) < FLAT
    assert abs(found["clipped"]) < FLAT


def test_without_a_rule_its_change_grows_with_depth():
    """GPT-2's init keeps the stream in size at the start, and nothing does after it."""
    found = slopes(Recipe("mup"))
    assert abs(found["init"]) < FLAT
    assert found["change"] > FLAT
    assert found["clipped"] > FLAT


class SwappedRates(Recipe):
    """The branches of one rule with the learning rates of the other."""

    def rule(self, parameter, family="entrywise") -> Rule:
        other = {"completep": "depth_mup", "depth_mup": "completep"}[self.depth]
        return Recipe("mup", depth=other).rule(parameter, family)


# Adam's rates differ by half a power of depth between the rules, those of SGD by a whole one.
@pytest.mark.parametrize(("optimizer", "power"), [("adamw", 0.5), ("sgd", 1.0)])
@pytest.mark.parametrize(("rule", "sign"), [("completep", -1), ("depth_mup", 1)])
def test_the_rates_of_the_other_rule_are_not_level(rule, sign, optimizer, power):
    found = slopes(SwappedRates("mup", depth=rule), optimizer)
    assert found["change"] == pytest.approx(sign * power, abs=FLAT)
    assert abs(found["change"]) > FLAT


@pytest.mark.parametrize(("recipe", "exponent"), [(COMPLETEP, -1.0), (DEPTH_MUP, -0.5)])
def test_epsilon_follows_the_gradient_in_the_blocks(recipe, exponent):
    # The tolerance of the width exponents of gradients.
    assert slopes(recipe)["gradient"] == pytest.approx(exponent, abs=0.1)


def _rms(values):
    return float(jnp.sqrt(jnp.mean(jnp.square(values))))
