"""What is asked of every family: its roles, the init that is rescaled, 50 steps at two widths.

What a step does is checked on the first of AdamW's, which moves every entry with a gradient by the
learning rate times the recipe's factor.
"""

import fnmatch

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import transfer
from transfer.pytree_paths import map_leaves, parameters
from transfer.scaling import Role
from transfer.tracing.user_model import Inputs, concrete

BASE, WIDE, STEPS, RATE = 8, 16, 50, 2.0**-6
TABLE_3 = transfer.Recipe("mup_table3")
# A table that is also the readout needs the form that multiplies its logits.
TABLE_8 = transfer.Recipe("mup")
HALVED = {Role.HIDDEN: 0.5**0.5, Role.OUTPUT: 0.5}


def layout_of(family, width):
    return transfer.infer_layout(
        lambda n: family.build(n, 0),
        base_width=BASE,
        width=width,
        apply=family.apply,
        inputs=family.inputs,
        multiplied=[family.tied] if family.tied else [],
    )


def require_roles(family):
    layout = layout_of(family, WIDE)
    for path, parameter in layout.items():
        pattern = next(each for each in family.axes if fnmatch.fnmatch(path, each))
        assert (path, str(parameter.axes)) == (path, family.axes[pattern])
        assert parameter.tied == (path == family.tied)
    for path, fans in family.fans.items():
        assert (layout[path].fan_in, layout[path].fan_out) == fans


def require_training(family):
    recipe = TABLE_8 if family.tied else TABLE_3
    base = taken(family, BASE).parameters
    for width in (BASE, WIDE):
        layout, model = layout_of(family, width), taken(family, width)
        scaled = transfer.rescale_init(model.parameters, base, layout, recipe)
        require_init(family, layout, *map(parameters, (model.parameters, base, scaled)))
        losses, sizes, frozen = trained(family, layout, recipe, model, scaled)
        assert losses[-1] < 0.7 * losses[0]
        rules = recipe.rules(layout)
        expected = {path: RATE * rules[path].learning_rate for path in sizes}
        # No softmax sees a bias of the keys, whose gradient is 0 up to rounding.
        moved = {path: size for path, size in sizes.items() if size > 0}
        assert len(moved) >= len(sizes) - 1
        assert moved == {path: pytest.approx(expected[path], rel=1e-3) for path in moved}
        assert sorted(frozen) == sorted(family.frozen)


def taken(family, width):
    return concrete(family.build(width, 3), 3, family.apply, Inputs.of(family.inputs))


def require_init(family, layout, drawn, base, scaled):
    """Matrices have the base width's size times the factor of their role, vectors stay."""
    for path, leaf in scaled.items():
        parameter = layout[path]
        if parameter.axes.inputs is None or parameter.shape == parameter.base_shape:
            np.testing.assert_array_equal(leaf, drawn[path])
        else:
            factor = HALVED.get(parameter.role, 1.0)
            # Measured on the very arrays, so that only rounding is left.
            np.testing.assert_allclose(rms(leaf), factor * rms(base[path]), rtol=1e-5)


def trained(family, layout, recipe, model, scaled):
    """Losses of the steps, sizes of the first update by path, and which parameters never moved."""
    adamw = transfer.adamw(RATE, layout=layout, recipe=recipe, eps=1e-20)
    trainable = map_leaves(lambda path, _: path not in family.frozen, scaled)
    tx = optax.chain(
        optax.masked(adamw, trainable),
        optax.masked(optax.set_to_zero(), jax.tree.map(lambda each: not each, trainable)),
    )
    arrays = Inputs.of(family.inputs).arrays
    if family.tied:
        arrays += (transfer.multiplier(layout, recipe, family.tied, role=Role.OUTPUT),)

    def outputs(weights):
        if family.tied:
            return family.apply(weights, *arrays)
        return model.forward(weights, model.state, *arrays)

    @jax.jit
    def train(weights):
        wanted = jax.random.normal(jax.random.key(5), jax.eval_shape(outputs, weights).shape)

        def loss(weights):
            return jnp.mean(jnp.square(outputs(weights) - wanted))

        def step(carry, _):
            weights, state = carry
            value, gradients = jax.value_and_grad(loss)(weights)
            updates, state = tx.update(gradients, state, weights)
            sizes = {path: jnp.max(jnp.abs(leaf)) for path, leaf in parameters(updates).items()}
            return (optax.apply_updates(weights, updates), state), (value, sizes)

        start = (weights, tx.init(weights))
        _, (losses, sizes) = jax.lax.scan(step, start, length=STEPS)
        return losses, sizes

    losses, sizes = jax.device_get(train(scaled))
    frozen = [path for path, each in sizes.items() if not each.any()]
    return losses, {path: each[0] for path, each in sizes.items() if path not in frozen}, frozen


def rms(leaf):
    return np.sqrt(np.mean(np.square(np.asarray(leaf, np.float64))))
