"""`with_intermediates` returns the outputs of a forward pass and the activations inside it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transfer.tracing.intermediates import rms, with_intermediates
from transfer.tracing.interpreter import interpret
from transfer.tracing.user_model import UserModel

KEYS = jax.random.split(jax.random.key(0), 3)
X = jax.random.normal(KEYS[0], (3, 4))
PARAMETERS = {
    "first": jax.random.normal(KEYS[1], (4, 5)),
    "second": jax.random.normal(KEYS[2], (5, 2)),
}
HIDDEN = X @ PARAMETERS["first"]


def two_layers(parameters, x):
    return jnp.tanh(x @ parameters["first"]) @ parameters["second"]


def intermediates_of(forward, parameters, *inputs):
    """The intermediates by parameter, once the outputs have been compared with `forward`'s."""
    interpreter = interpret(
        UserModel(parameters, (), lambda tree, _, *inputs: forward(tree, *inputs)), inputs
    )
    names = {at: "+".join(sorted(met)) for at, met in interpreter.products.items()}
    names |= dict.fromkeys(interpreter.contractions, "contraction")
    outputs, intermediates = with_intermediates(
        lambda tree, _, *inputs: forward(tree, *inputs), names
    )(parameters, (), *inputs)
    np.testing.assert_array_equal(outputs, forward(parameters, *inputs))
    return intermediates


# The same primitives on the same numbers, but compiled apart: a few units in the last place.
def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def custom(parameters, x):
    """Both layers, the first with a derivative of its own."""

    @jax.custom_jvp
    def first(weight, x):
        return x @ weight

    @first.defjvp
    def _(primals, tangents):
        (weight, x), (weight_dot, x_dot) = primals, tangents
        return first(weight, x), x_dot @ weight + x @ weight_dot

    return jnp.tanh(first(parameters["first"], x)) @ parameters["second"]


@pytest.mark.parametrize(
    "forward",
    [
        two_layers,
        jax.jit(two_layers),
        jax.checkpoint(two_layers),
        jax.jit(jax.checkpoint(jax.jit(two_layers))),
        custom,
    ],
    ids=["plain", "jit", "remat", "nested", "custom_jvp"],
)
def test_taps_are_the_layers_outputs(forward):
    intermediates = intermediates_of(forward, PARAMETERS, X)
    assert set(intermediates) == {"first", "second"}
    close(intermediates["first"], HIDDEN)
    close(intermediates["second"], jnp.tanh(HIDDEN) @ PARAMETERS["second"])


def test_a_scan_gives_every_steps_activation():
    weights = jax.random.normal(KEYS[1], (6, 4, 4)) / 2

    def forward(parameters, x):
        return jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, parameters["layers"])[0]

    intermediates = intermediates_of(forward, {"layers": weights}, X)
    h, expected = X, []
    for weight in weights:
        expected.append(h @ weight)
        h = jnp.tanh(expected[-1])
    close(intermediates["layers"], jnp.stack(expected))


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (lambda y: y * 0.25, 0.25),
        (lambda y: 0.25 * y, 0.25),
        (lambda y: y / 4, 0.25),
        (lambda y: (y * 0.5).reshape(2, 3) / 4, 0.125),
        (lambda y: jax.jit(lambda z: z / 4)(y), 0.25),
    ],
)
def test_what_is_scaled_by_one_number_is_tapped_scaled(scale, expected):
    intermediates = intermediates_of(lambda tree, x: scale(x @ tree["second"][:4]), PARAMETERS, X)
    product = X @ PARAMETERS["second"][:4]
    close(intermediates["second"].reshape(product.shape), expected * product)


@pytest.mark.parametrize(
    "change",
    [
        lambda y: jnp.tanh(y),
        lambda y: y + 0.25,
        lambda y: y * jnp.array([0.5, 0.25]),
        lambda y: 4 / y,
        lambda y: y * y,
    ],
)
def test_what_is_not_scaled_by_one_number_is_tapped_before_it(change):
    intermediates = intermediates_of(lambda tree, x: change(x @ tree["second"][:4]), PARAMETERS, X)
    close(intermediates["second"], X @ PARAMETERS["second"][:4])


def test_attention_logits_are_tapped_with_their_scale():
    def forward(parameters, x):
        queries, keys = x @ parameters["query"], x @ parameters["key"]
        logits = jnp.einsum("qd,kd->qk", queries, keys) / 8
        return jax.nn.softmax(jnp.where(jnp.tri(3) > 0, logits, -1e9))

    parameters = {"query": PARAMETERS["first"], "key": 2 * PARAMETERS["first"]}
    intermediates = intermediates_of(forward, parameters, X)
    close(intermediates["contraction"], HIDDEN @ (2 * HIDDEN).T / 8)


def test_taps_are_differentiable():
    def probe(parameters):
        interpreter = interpret(
            UserModel(parameters, (), lambda tree, _, x: two_layers(tree, x)), (X,)
        )
        names = {at: "+".join(met) for at, met in interpreter.products.items()}
        return with_intermediates(two_layers, names)(parameters, X)[1]

    direction = jax.tree.map(jnp.ones_like, PARAMETERS)
    _, changes = jax.jvp(probe, (PARAMETERS,), (direction,))
    close(changes["first"], X @ direction["first"])
    _, expected = jax.jvp(lambda tree: two_layers(tree, X), (PARAMETERS,), (direction,))
    close(changes["second"], expected)


def test_the_root_mean_square_does_not_overflow_in_half_precision():
    # The square of 300 is beyond float16.
    assert float(rms(jnp.full((7, 3), 300.0, jnp.float16))) == pytest.approx(300.0)
    assert float(rms(jnp.array([3.0, 4.0, 0.0, 0.0]))) == pytest.approx(2.5)
