"""A residual network as flax's ImageNet example writes it: linen, batch norm, strided shortcuts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

import transfer
from transfer import pytree_paths
from transfer.scaling import Role

from .steps import jit, slopes

CLASSES, BASE = 5, 8
IMAGES = jax.random.normal(jax.random.key(0), (4, 8, 8, 3))
RECIPE = transfer.Recipe("mup_table3")


class Block(linen.Module):
    filters: int
    conv: type
    norm: type
    strides: tuple[int, int] = (1, 1)

    @linen.compact
    def __call__(self, x):
        y = self.conv(self.filters, (3, 3), self.strides)(x)
        y = linen.relu(self.norm()(y))
        y = self.conv(self.filters, (3, 3))(y)
        y = self.norm(scale_init=linen.initializers.zeros_init())(y)
        if x.shape != y.shape:
            x = self.conv(self.filters, (1, 1), self.strides, name="conv_proj")(x)
            x = self.norm(name="norm_proj")(x)
        return linen.relu(x + y)


class ResNet(linen.Module):
    filters: int
    stages: tuple[int, ...] = (1, 1)

    @linen.compact
    def __call__(self, x, train=True):
        conv = functools.partial(linen.Conv, use_bias=False)
        norm = functools.partial(linen.BatchNorm, use_running_average=not train)
        x = conv(self.filters, (3, 3), name="conv_init")(x)
        x = linen.relu(norm(name="bn_init")(x))
        for i, blocks in enumerate(self.stages):
            for j in range(blocks):
                strides = (2, 2) if i > 0 and j == 0 else (1, 1)
                x = Block(self.filters * 2**i, conv, norm, strides)(x)
        x = jnp.mean(x, axis=(1, 2))
        return linen.Dense(CLASSES, name="head")(x)


def apply(model, variables, images):
    """The forward pass in training, which updates the batch statistics."""
    return model.apply(variables, images, mutable=["batch_stats"])


@functools.cache
def layout_at(width):
    return transfer.infer_layout(ResNet, base_width=BASE, width=width, apply=apply, inputs=IMAGES)


@functools.cache
def variables_at(width):
    return jit(ResNet(width).init)(jax.random.key(0), IMAGES)


def draw(width):
    return variables_at(width)["params"]


INPUT, HIDDEN, OUTPUT, VECTOR, SCALAR = Role
KERNEL = "0 1 2 -> 3"
# Role, fan-in and fan-out at four times the base width.
KERNELS = {
    "conv_init.kernel": (INPUT, 27, 32),
    "Block_0.Conv_0.kernel": (HIDDEN, 288, 32),
    "Block_0.Conv_1.kernel": (HIDDEN, 288, 32),
    "Block_1.Conv_0.kernel": (HIDDEN, 288, 64),
    "Block_1.Conv_1.kernel": (HIDDEN, 576, 64),
    "Block_1.conv_proj.kernel": (HIDDEN, 32, 64),
}
NORMS = ("bn_init", "Block_0.BatchNorm_0", "Block_1.BatchNorm_1", "Block_1.norm_proj")


@pytest.mark.parametrize("in_training", [True, False])
def test_the_layout(in_training):
    layout = transfer.infer_layout(
        ResNet,
        base_width=BASE,
        width=4 * BASE,
        apply=apply if in_training else lambda model, v, x: model.apply(v, x, train=False),
        inputs=IMAGES,
    )
    # No batch statistics: they are state.
    assert set(layout) == set(pytree_paths.leaves(draw(BASE)))
    for path, expected in KERNELS.items():
        parameter = layout[path]
        assert (parameter.role, parameter.fan_in, parameter.fan_out) == expected, path
        assert str(parameter.axes) == KERNEL
        assert parameter.m_in == (1 if parameter.role == INPUT else 4)
    for path in NORMS:
        assert layout[f"{path}.scale"].role == layout[f"{path}.bias"].role == VECTOR
    assert (str(layout["head.kernel"].axes), layout["head.kernel"].role) == ("0 -> 1", OUTPUT)
    assert layout["head.bias"].role == SCALAR


def test_it_is_explained():
    rows = {row.parameter: row for row in transfer.explain(layout_at(4 * BASE), RECIPE, "linear")}
    assert (rows["conv_init.kernel"].std, rows["conv_init.kernel"].learning_rate) == ("x 1", 4)
    inner = rows["Block_1.Conv_0.kernel"]
    assert (inner.std, inner.learning_rate, inner.shape) == ("x 0.5", 1, (3, 3, 32, 64))
    assert (rows["head.kernel"].std, rows["head.kernel"].learning_rate) == ("x 0.25", 0.25)
    assert rows["bn_init.scale"].learning_rate == 4


def test_a_rescaled_init_keeps_constants():
    layout = layout_at(2 * BASE)
    scaled = pytree_paths.leaves(transfer.rescale_init(draw(2 * BASE), draw(BASE), layout, RECIPE))
    base = pytree_paths.leaves(draw(BASE))

    def rms(leaf):
        return float(np.sqrt(np.mean(np.square(leaf))))

    for path in KERNELS:
        factor = 0.5**0.5 if layout[path].role == HIDDEN else 1.0
        assert rms(scaled[path]) == pytest.approx(factor * rms(base[path]), rel=1e-5), path
    assert rms(scaled["head.kernel"]) == pytest.approx(0.5 * rms(base["head.kernel"]), rel=1e-5)
    assert (scaled["bn_init.scale"] == 1.0).all()
    assert (scaled["Block_0.BatchNorm_1.scale"] == 0.0).all()


@pytest.mark.parametrize(
    ("make", "hidden"), [(transfer.adamw, 0.5), (transfer.sgd, 1.0)], ids=["adamw", "sgd"]
)
def test_optimizers_take_a_step(make, hidden):
    """One step on gradients of one: Adam's and SGD's rates at twice the base width."""
    parameters = draw(2 * BASE)
    tx = make(2**-5, layout=layout_at(2 * BASE), recipe=RECIPE)
    ones = jax.tree.map(jnp.ones_like, parameters)
    updates = pytree_paths.leaves(jit(lambda p: tx.update(ones, tx.init(p), p)[0])(parameters))
    sizes = {path: -float(leaf.ravel()[0]) * 2**5 for path, leaf in updates.items()}
    assert sizes["Block_0.Conv_0.kernel"] == pytest.approx(hidden, rel=1e-5)
    assert sizes["head.kernel"] == pytest.approx(0.5, rel=1e-5)
    assert sizes["head.bias"] == pytest.approx(1.0, rel=1e-5)


def test_singular_values_are_those_of_kernels_with_their_area():
    sigma = transfer.top_singular_values(draw(BASE), layout_at(BASE), k=3)
    assert set(sigma) == {path for path, (role, *_) in KERNELS.items() if role == HIDDEN}
    kernel = np.asarray(draw(BASE)["Block_1"]["Conv_0"]["kernel"])
    expected = np.linalg.svd(kernel.reshape(9 * BASE, 2 * BASE), compute_uv=False)[:3]
    np.testing.assert_allclose(sigma["Block_1.Conv_0.kernel"], expected, rtol=1e-5)


def activations(parameters):
    width = parameters["bn_init"]["scale"].shape[0]
    variables = {"params": parameters, "batch_stats": variables_at(width)["batch_stats"]}
    logits, state = ResNet(width).apply(
        variables, IMAGES, mutable=["batch_stats", "intermediates"], capture_intermediates=True
    )
    return {"hidden": state["intermediates"]["Block_1"]["__call__"][0], "logits": logits}


def draw_open(width):
    """The init with the last gain of each block at one.

    At zero it keeps every gradient of the first step from the block's convolutions, which hides
    what their learning rates do.
    """
    parameters = dict(draw(width))
    for block in ("Block_0", "Block_1"):
        norm = parameters[block]["BatchNorm_1"]
        opened = {**norm, "scale": jnp.ones_like(norm["scale"])}
        parameters[block] = {**parameters[block], "BatchNorm_1": opened}
    return parameters


def test_the_first_step_moves_activations_alike_at_every_width():
    found = slopes((8, 16, 32, 64), draw_open, activations, layout_at, ("mup_table3", "standard"))
    for name in ("hidden", "logits"):
        # The specification's tolerance for such slopes; theory says 0 here and 1 below.
        assert abs(found["mup_table3"][name]) < 0.12
        assert found["standard"][name] > 0.5
