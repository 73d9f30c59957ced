"""A perceptron in the style of haiku: a function of a tree of arrays, no module at all."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import transfer
from transfer.scaling import Role

from .steps import jit, slopes

FEATURES, CLASSES, BASE = 6, 3, 64
INPUTS = jax.random.normal(jax.random.key(0), (4, FEATURES))
RECIPE = transfer.Recipe("mup_table3")


def build(width, seed=0):
    sizes = (FEATURES, width, width, width, CLASSES)
    keys = jax.random.split(jax.random.key(seed), len(sizes) - 1)
    return {
        f"mlp/~/linear_{i}": {
            "w": jax.random.normal(key, (inputs, outputs)) / jnp.sqrt(inputs),
            "b": jnp.zeros(outputs),
        }
        for i, (key, inputs, outputs) in enumerate(zip(keys, sizes, sizes[1:], strict=False))
    }


def hidden(parameters, x):
    for i in range(3):
        layer = parameters[f"mlp/~/linear_{i}"]
        x = jax.nn.gelu(x @ layer["w"] + layer["b"])
    return x


def forward(parameters, x):
    readout = parameters["mlp/~/linear_3"]
    return hidden(parameters, x) @ readout["w"] + readout["b"]


@functools.cache
def layout_at(width):
    return transfer.infer_layout(build, base_width=BASE, width=width, apply=forward, inputs=INPUTS)


@functools.cache
def draw(width):
    return jit(lambda: build(width))()


ROLES = {
    "mlp/~/linear_0.w": Role.INPUT,
    "mlp/~/linear_1.w": Role.HIDDEN,
    "mlp/~/linear_2.w": Role.HIDDEN,
    "mlp/~/linear_3.w": Role.OUTPUT,
    "mlp/~/linear_0.b": Role.VECTOR,
    "mlp/~/linear_1.b": Role.VECTOR,
    "mlp/~/linear_2.b": Role.VECTOR,
    "mlp/~/linear_3.b": Role.SCALAR,
}


@pytest.mark.parametrize("width", [BASE // 2, BASE, 4 * BASE])
def test_the_layout(width):
    layout = layout_at(width)
    assert {path: parameter.role for path, parameter in layout.items()} == ROLES
    assert {str(layout[path].axes) for path in ROLES if path.endswith("w")} == {"0 -> 1"}


def test_a_convention_agrees_with_the_forward_pass():
    told = transfer.infer_layout(build, base_width=BASE, width=4 * BASE, convention="in_out")
    assert dict(told) == dict(layout_at(4 * BASE))
    wrong = transfer.infer_layout(build, base_width=BASE, width=4 * BASE, convention="out_in")
    assert wrong["mlp/~/linear_0.w"].role == Role.OUTPUT


def test_it_is_explained():
    rows = {row.parameter: row for row in transfer.explain(layout_at(4 * BASE), RECIPE)}
    assert {path: Role(row.role) for path, row in rows.items()} == ROLES
    stds = [rows[f"mlp/~/linear_{i}.w"].std for i in range(4)]
    assert stds == ["x 1", "x 0.5", "x 0.5", "x 0.25"]


def loss_of(logits):
    return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.arange(4) % CLASSES).mean()


def trained(make, recipe, layout, factor=1.0, steps=20):
    """Losses over a few steps of a model that multiplies its readout's weight by a factor."""
    width = layout["mlp/~/linear_1.w"].fan_in
    parameters = transfer.rescale_init(draw(width), draw(BASE), layout, recipe)
    rate = 2**-10 if make == transfer.adamw else 2**-6
    tx = make(rate, 0.1, layout=layout, recipe=recipe, clip=0.5)

    def loss(parameters):
        readout = parameters["mlp/~/linear_3"]
        readout = {**readout, "w": factor * readout["w"]}
        return loss_of(forward({**parameters, "mlp/~/linear_3": readout}, INPUTS))

    @jit
    def train(parameters):
        def step(carry, _):
            parameters, state = carry
            value, gradients = jax.value_and_grad(loss)(parameters)
            updates, state = tx.update(gradients, state, parameters)
            return (optax.apply_updates(parameters, updates), state), value

        return jax.lax.scan(step, (parameters, tx.init(parameters)), length=steps)[1]

    return np.asarray(train(parameters))


@pytest.mark.parametrize("make", [transfer.adamw, transfer.sgd])
def test_a_model_that_multiplies_its_readout_is_the_one_that_does_not(make):
    """Table 8 with `transfer.multiplier` is Table 3 without: one model, two forms."""
    path = "mlp/~/linear_3.w"
    layout = layout_at(3 * BASE)
    plain = trained(make, RECIPE, layout)
    assert plain[-1] < plain[0]

    mup = transfer.Recipe("mup")
    told = transfer.infer_layout(
        build, base_width=BASE, width=3 * BASE, apply=forward, inputs=INPUTS, multiplied=[path]
    )
    factor = transfer.multiplier(told, mup, path)
    assert factor == pytest.approx(1 / 3)
    # Losses of order 1 in float32: the specification's tolerance for up to 50 steps.
    np.testing.assert_allclose(trained(make, mup, told, factor), plain, atol=1e-5)
    # What is told has to be true: without the multiplier it is another model.
    assert np.max(np.abs(trained(make, mup, told) - plain)) > 0.01


def test_singular_values_are_those_of_the_matrices():
    sigma = transfer.top_singular_values(draw(BASE), layout_at(BASE), k=2)
    assert set(sigma) == {"mlp/~/linear_1.w", "mlp/~/linear_2.w"}
    expected = np.linalg.svd(draw(BASE)["mlp/~/linear_1"]["w"], compute_uv=False)[:2]
    np.testing.assert_allclose(sigma["mlp/~/linear_1.w"], expected, rtol=1e-5)


def activations(parameters):
    return {"hidden": hidden(parameters, INPUTS), "logits": forward(parameters, INPUTS)}


def test_the_first_step_moves_activations_alike_at_every_width():
    found = slopes((64, 128, 256, 512), draw, activations, layout_at, ("mup_table3", "standard"))
    for name in ("hidden", "logits"):
        # The specification's tolerance for such slopes; theory says 0 here, 1 and more below.
        assert abs(found["mup_table3"][name]) < 0.12
        assert found["standard"][name] > 0.5
