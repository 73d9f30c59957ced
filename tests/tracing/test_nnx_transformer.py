"""A decoder as a user of flax.nnx writes it, of flax's own layers, without this library in mind."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import transfer
from transfer import pytree_paths
from transfer.scaling import Role

from .steps import jit, slopes

VOCABULARY, TIME, HEAD_DIM, BASE = 17, 6, 8, 32
TOKENS = jax.random.randint(jax.random.key(0), (4, TIME), 0, VOCABULARY)
RECIPE = transfer.Recipe("mup_table3")


class Block(nnx.Module):
    def __init__(self, width, rngs):
        self.attention_norm = nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(
            num_heads=width // HEAD_DIM, in_features=width, decode=False, rngs=rngs
        )
        self.mlp_norm = nnx.LayerNorm(width, rngs=rngs)
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x, mask):
        x = x + self.attention(self.attention_norm(x), mask=mask)
        return x + self.down(nnx.gelu(self.up(self.mlp_norm(x))))


class Decoder(nnx.Module):
    def __init__(self, width, layers, *, rngs):
        self.tokens = nnx.Embed(VOCABULARY, width, rngs=rngs)
        self.positions = nnx.Embed(TIME, width, rngs=rngs)
        self.blocks = nnx.List(Block(width, rngs) for _ in range(layers))
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.readout = nnx.Linear(width, VOCABULARY, use_bias=False, rngs=rngs)

    def hidden(self, tokens):
        x = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[1]))
        mask = nnx.make_causal_mask(tokens)
        for block in self.blocks:
            x = block(x, mask)
        return x

    def __call__(self, tokens):
        return self.readout(self.norm(self.hidden(tokens)))


def build(width, layers=1):
    return Decoder(width, layers, rngs=nnx.Rngs(0))


@functools.cache
def layout_at(width):
    return transfer.infer_layout(build, base_width=BASE, width=width, inputs=TOKENS)


@functools.cache
def draw(width):
    return jit(lambda: nnx.state(build(width), nnx.Param))()


def annotations(layers):
    found = {
        "tokens.embedding": ("0 -> 1", Role.INPUT),
        "positions.embedding": ("0 -> 1", Role.INPUT),
        "norm.scale": ("0", Role.VECTOR),
        "norm.bias": ("0", Role.VECTOR),
        "readout.kernel": ("0 -> 1", Role.OUTPUT),
    }
    for i in range(layers):
        for name in ("attention_norm", "mlp_norm"):
            found[f"blocks.{i}.{name}.scale"] = ("0", Role.VECTOR)
            found[f"blocks.{i}.{name}.bias"] = ("0", Role.VECTOR)
        for name in ("query", "key", "value"):
            found[f"blocks.{i}.attention.{name}.kernel"] = ("0 -> 1 2", Role.HIDDEN)
            found[f"blocks.{i}.attention.{name}.bias"] = ("0 1", Role.VECTOR)
        found[f"blocks.{i}.attention.out.kernel"] = ("0 1 -> 2", Role.HIDDEN)
        found[f"blocks.{i}.attention.out.bias"] = ("0", Role.VECTOR)
        for name in ("up", "down"):
            found[f"blocks.{i}.{name}.kernel"] = ("0 -> 1", Role.HIDDEN)
            found[f"blocks.{i}.{name}.bias"] = ("0", Role.VECTOR)
    return found


@pytest.mark.parametrize("width", [BASE, 3 * BASE])
def test_the_layout(width):
    layout = transfer.infer_layout(
        functools.partial(build, layers=2), base_width=BASE, width=width, inputs=TOKENS
    )
    found = {path: (str(each.axes), each.role) for path, each in layout.items()}
    assert found == annotations(layers=2)
    down = layout["blocks.0.down.kernel"]
    assert (down.fan_in, down.fan_out, down.m_in) == (4 * width, width, width // BASE)
    assert not any(parameter.tied for parameter in layout.values())


def test_it_is_explained():
    rows = {row.parameter: row for row in transfer.explain(layout_at(4 * BASE), RECIPE)}
    assert set(rows) == set(annotations(layers=1))
    query = rows["blocks.0.attention.query.kernel"]
    assert (query.std, query.learning_rate, query.weight_decay) == ("x 0.5", 0.25, 2.0)
    readout = rows["readout.kernel"]
    assert (readout.std, readout.learning_rate, readout.weight_decay) == ("x 0.25", 0.25, 0.0)
    assert (rows["tokens.embedding"].std, rows["tokens.embedding"].epsilon) == ("x 1", 0.25)


def test_the_optimizer_of_nnx_takes_a_step_of_ours():
    """It does to the model what the plain transformation does to the model's state."""
    width = 2 * BASE
    layout = layout_at(width)
    tx = transfer.adamw(2**-6, 0.1, layout=layout, recipe=RECIPE, clip=1.0)
    model = jit(lambda: build(width))()
    nnx.update(model, transfer.rescale_init(draw(width), draw(BASE), layout, RECIPE))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

    def loss(model):
        logits = model(TOKENS)[:, :-1]
        return optax.softmax_cross_entropy_with_integer_labels(logits, TOKENS[:, 1:]).mean()

    @nnx.jit
    def step(model, optimizer):
        value, gradients = nnx.value_and_grad(loss)(model)
        parameters = nnx.state(model, nnx.Param)
        updates, _ = tx.update(gradients, tx.init(parameters), parameters)
        expected = pytree_paths.leaves(optax.apply_updates(parameters, updates))
        optimizer.update(model, gradients)  # in place, in `parameters` too
        return value, expected

    before, expected = step(model, optimizer)
    after = pytree_paths.leaves(nnx.state(model, nnx.Param))
    assert set(after) == set(expected) == set(layout)
    for path, leaf in after.items():
        np.testing.assert_allclose(leaf, expected[path], atol=1e-6, err_msg=path)
    assert not np.allclose(after["readout.kernel"], draw(width)["readout"]["kernel"][...])
    assert step(model, optimizer)[0] < before


def test_sgd_takes_a_step():
    layout = layout_at(2 * BASE)
    parameters = draw(2 * BASE)
    ones = jax.tree.map(jnp.ones_like, parameters)
    tx = transfer.sgd(0.5, layout=layout, recipe=RECIPE)
    updates, _ = tx.update(ones, tx.init(parameters), parameters)
    size = {path: -float(leaf.ravel()[0]) for path, leaf in pytree_paths.leaves(updates).items()}
    assert size["tokens.embedding"] == 0.5 * 2  # m_out
    assert size["blocks.0.up.kernel"] == 0.5  # m_out / m_in
    assert size["readout.kernel"] == 0.5 / 2  # 1 / m_in
    assert size["norm.scale"] == 0.5 * 2


def test_its_singular_values_are_those_of_its_matrices():
    parameters, layout = draw(BASE), layout_at(BASE)
    sigma = transfer.top_singular_values(parameters, layout, k=2)
    assert set(sigma) == {path for path, each in layout.items() if each.role == Role.HIDDEN}
    kernel = np.asarray(parameters["blocks"][0]["attention"]["out"]["kernel"][...])
    expected = np.linalg.svd(kernel.reshape(BASE, BASE), compute_uv=False)[:2]
    np.testing.assert_allclose(sigma["blocks.0.attention.out.kernel"], expected, rtol=1e-5)


def test_a_rescaled_embedding_does_not_shrink_with_width():
    scaled = transfer.rescale_init(draw(4 * BASE), draw(BASE), layout_at(4 * BASE), RECIPE)
    base, unscaled = draw(BASE), draw(4 * BASE)

    def rms(state):
        return float(jnp.sqrt(jnp.mean(jnp.square(state["tokens"]["embedding"][...]))))

    assert rms(scaled) == pytest.approx(rms(base), rel=1e-5)
    assert rms(unscaled) == pytest.approx(rms(base) / 2, rel=0.1)  # 17 x 128 draws


def activations(parameters):
    width = parameters["norm"]["scale"].shape[0]
    graph, _, rest = nnx.split(nnx.eval_shape(lambda: build(width)), nnx.Param, ...)
    model = nnx.merge(graph, parameters, rest)
    hidden = model.hidden(TOKENS)
    return {"hidden": hidden, "logits": model.readout(model.norm(hidden))}


def test_the_first_step_moves_activations_alike_at_every_width():
    found = slopes((32, 64, 128, 256), draw, activations, layout_at, ("mup_table3", "standard"))
    for name in ("hidden", "logits"):
        # Theory says 0; the specification's tolerance.
        assert abs(found["mup_table3"][name]) < 0.12
        # With one learning rate for all it says 1; half of it decides between 1 and 0.
        assert found["standard"][name] > 0.5
