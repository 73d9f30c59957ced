"""Residual networks: what width does to every parameter, published shapes, and how blocks start."""

import dataclasses
import functools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused

from transfer.models import (
    CNNConfig,
    ResNetConfig,
    initial_statistics,
    initialize,
    model_layout,
    parameter_count,
    stateful_pass,
)
from transfer.scaling import Hyperparameters, Recipe, Role

from .drawn import jit

INPUT, HIDDEN, OUTPUT, VECTOR, SCALAR = Role
SMALL = ResNetConfig(width=8, stages=(1, 2), classes=5, group_size=4, dtype="float32")
BOTTLENECK = dataclasses.replace(SMALL, block="bottleneck", pre_activation=True)
IMAGENET = ResNetConfig(stages=(3, 4, 6, 3), stem="imagenet", classes=1000)
IMAGES = np.random.default_rng(0).standard_normal((4, 6, 6, 3)).astype(np.float32)

# Role, fan-in, fan-out, m_in and m_out at three times the base width of 8.
KERNELS = {
    "stem.kernel": (INPUT, 27, 24, 1, 3),
    "stages.0.0.convolutions.0.kernel": (HIDDEN, 216, 24, 3, 3),
    "stages.0.0.convolutions.1.kernel": (HIDDEN, 216, 24, 3, 3),
    "stages.1.0.convolutions.0.kernel": (HIDDEN, 216, 48, 3, 3),
    "stages.1.0.convolutions.1.kernel": (HIDDEN, 432, 48, 3, 3),
    "stages.1.0.shortcut.kernel": (HIDDEN, 24, 48, 3, 3),
    "stages.1.1.convolutions.0.kernel": (HIDDEN, 432, 48, 3, 3),
    "stages.1.1.convolutions.1.kernel": (HIDDEN, 432, 48, 3, 3),
    "readout.kernel": (OUTPUT, 48, 5, 3, 1),
}
BOTTLENECK_KERNELS = {
    "stem.kernel": (INPUT, 27, 24, 1, 3),
    "stages.0.0.convolutions.0.kernel": (HIDDEN, 24, 24, 3, 3),
    "stages.0.0.convolutions.1.kernel": (HIDDEN, 216, 24, 3, 3),
    "stages.0.0.convolutions.2.kernel": (HIDDEN, 24, 96, 3, 3),
    "stages.0.0.shortcut.kernel": (HIDDEN, 24, 96, 3, 3),
    "stages.1.0.convolutions.0.kernel": (HIDDEN, 96, 48, 3, 3),
    "stages.1.0.convolutions.1.kernel": (HIDDEN, 432, 48, 3, 3),
    "stages.1.0.convolutions.2.kernel": (HIDDEN, 48, 192, 3, 3),
    "stages.1.0.shortcut.kernel": (HIDDEN, 96, 192, 3, 3),
    "stages.1.1.convolutions.0.kernel": (HIDDEN, 192, 48, 3, 3),
    "stages.1.1.convolutions.1.kernel": (HIDDEN, 432, 48, 3, 3),
    "stages.1.1.convolutions.2.kernel": (HIDDEN, 48, 192, 3, 3),
    "readout.kernel": (OUTPUT, 192, 5, 3, 1),
}
CNN_KERNELS = {
    "stem.kernel": (INPUT, 9, 24, 1, 3),
    "layers.0.kernel": (HIDDEN, 216, 24, 3, 3),
    "layers.1.kernel": (HIDDEN, 216, 24, 3, 3),
    "readout.kernel": (OUTPUT, 24, 10, 3, 1),
}


def at_width(config, width):
    return dataclasses.replace(config, width=width)


@functools.cache
def draw(config, recipe=None, base_width=8):
    return jit(lambda: _initial(config, recipe or Recipe(), base_width))()


def _initial(config, recipe, base_width):
    settings = Hyperparameters(learning_rate=1.0)
    return initialize(config, model_layout(config, base_width), recipe, settings, jax.random.key(0))


def apply(config, parameters, multipliers, images=IMAGES, *, training=True):
    run = stateful_pass(config)
    statistics = initial_statistics(config)
    return jit(lambda *model: run(*model, images, training=training))(
        parameters, multipliers, statistics
    )


@pytest.mark.parametrize(
    ("config", "kernels"),
    [(SMALL, KERNELS), (BOTTLENECK, BOTTLENECK_KERNELS), (CNNConfig(width=8), CNN_KERNELS)],
    ids=["basic", "bottleneck", "plain"],
)
def test_every_kernel_has_its_role_and_fans(config, kernels):
    layout = model_layout(at_width(config, 24), 8).parameters
    found = {
        path: (each.role, each.fan_in, each.fan_out, each.m_in, each.m_out)
        for path, each in layout.items()
        if path.endswith("kernel")
    }
    assert found == kernels


@pytest.mark.parametrize("norm", ["batch", "group", "layer"])
def test_gains_and_biases_of_every_norm_are_vectors_and_the_readout_s_bias_a_scalar(norm):
    for config in (SMALL, BOTTLENECK):
        layout = model_layout(dataclasses.replace(config, norm=norm, width=24), 8).parameters
        rest = {path: each for path, each in layout.items() if not path.endswith("kernel")}
        assert rest.pop("bias").role == SCALAR
        assert {each.role for each in rest.values()} == {VECTOR}
        assert {each.m_out for each in rest.values()} == {Fraction(3)}
        assert {path.rpartition(".")[2] for path in rest} == {"gain", "bias"}


def test_every_kernel_has_a_multiplier_of_its_own():
    for config in (SMALL, BOTTLENECK, CNNConfig(width=8)):
        layout = model_layout(at_width(config, 24), 8)
        kernels = {path.removesuffix("kernel") for path in layout.parameters if "kernel" in path}
        assert {path.removesuffix("multiplier") for path in layout.multipliers} == kernels
        for owner in kernels:
            kernel, scale = layout.parameters[f"{owner}kernel"], layout.multipliers
            assert scale[f"{owner}multiplier"].role == kernel.role


# As published with torchvision: convolutions without biases, a gain and a bias for each channel of
# every norm, and a readout with a bias. Batch statistics are not counted.
@pytest.mark.parametrize(
    ("changes", "published"),
    [
        ({"stages": (2, 2, 2, 2)}, 11_689_512),
        ({}, 21_797_672),
        ({"block": "bottleneck"}, 25_557_032),
        ({"block": "bottleneck", "bottleneck_multiple": 2}, 68_883_240),
    ],
    ids=["ResNet-18", "ResNet-34", "ResNet-50", "Wide ResNet-50-2"],
)
def test_parameters_are_as_many_as_published(changes, published):
    layout = model_layout(dataclasses.replace(IMAGENET, **changes), 64).parameters
    assert parameter_count(layout) == published


@pytest.mark.parametrize("stem", ["small", "imagenet"])
@pytest.mark.parametrize("size", [32, 224])
@pytest.mark.parametrize("pre_activation", [False, True])
def test_images_become_logits_at_every_resolution(stem, size, pre_activation):
    config = dataclasses.replace(
        IMAGENET,
        stages=(1, 1, 1, 1),
        stem=stem,
        pre_activation=pre_activation,
        convolution="xla",
    )
    model = (
        *jax.eval_shape(lambda: _initial(config, Recipe(), 64)),
        jax.eval_shape(lambda: initial_statistics(config)),
        jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32),
    )
    trace, (logits, _) = jax.make_jaxpr(
        functools.partial(stateful_pass(config), training=False), return_shape=True
    )(*model)
    assert (logits.shape, logits.dtype) == ((2, 1000), jnp.float32)
    # Four stages halve the resolution three times, ImageNet's stem twice before.
    last = size // (8 if stem == "small" else 32)
    convolved = [
        equation.outvars[0].aval.shape
        for equation in trace.eqns
        if equation.primitive.name == "conv_general_dilated"
    ]
    assert convolved[-1] == (2, last, last, 512)


@pytest.mark.parametrize("config", [SMALL, BOTTLENECK], ids=["post", "pre"])
def test_with_zero_init_a_block_that_keeps_its_shape_passes_its_input_on(config):
    """The second block of a stage then changes nothing."""
    opened, closed = (
        dataclasses.replace(config, stages=(2,), zero_init_branch=zero) for zero in (False, True)
    )
    shorter = dataclasses.replace(closed, stages=(1,))
    parameters, multipliers = draw(closed)

    def without_last_block(tree):
        return {**tree, "stages": {0: {0: tree["stages"][0][0]}}}

    logits, _ = apply(closed, parameters, multipliers)
    expected, _ = apply(shorter, *map(without_last_block, (parameters, multipliers)))
    np.testing.assert_allclose(logits, expected, rtol=1e-5)
    through, _ = apply(opened, *draw(opened))
    shortened, _ = apply(shorter, *map(without_last_block, draw(opened)))
    assert np.max(np.abs(through - shortened)) > 0.01  # a thousand times the tolerance


@pytest.mark.parametrize(
    ("config", "last"),
    [(SMALL, ("norms", 1, "gain")), (BOTTLENECK, ("convolutions", 2, "kernel"))],
    ids=["post", "pre"],
)
def test_with_zero_init_the_last_of_a_branch_gets_a_gradient(config, last):
    config = dataclasses.replace(config, stages=(1,), zero_init_branch=True)
    parameters, multipliers = draw(config)
    run, statistics = stateful_pass(config), initial_statistics(config)
    gradients = jit(
        jax.grad(
            lambda p: jnp.sum(run(p, multipliers, statistics, IMAGES, training=True)[0][:, 0] ** 2)
        )
    )(parameters)
    leaf, gradient = parameters["stages"][0][0], gradients["stages"][0][0]
    for key in last:
        leaf, gradient = leaf[key], gradient[key]
    assert not np.any(leaf)
    assert np.any(gradient)


@pytest.mark.parametrize(
    "config", [ResNetConfig(stages=(1,)), CNNConfig()], ids=["resnet", "plain"]
)
def test_with_zero_init_the_readout_starts_at_zero(config):
    config = dataclasses.replace(config, width=8, zero_init_readout=True)
    parameters, multipliers = draw(config)
    assert not np.any(parameters["readout"]["kernel"])
    assert np.any(parameters["stem"]["kernel"])
    images = IMAGES[..., : config.image_channels]
    logits, _ = apply(config, parameters, multipliers, images)
    assert logits.shape == (4, 10)
    assert not np.any(logits)


def test_in_bfloat16_products_are_rounded_and_what_is_kept_is_not():
    rounded = dataclasses.replace(SMALL, dtype="bfloat16")
    parameters, multipliers = draw(SMALL)
    exact_logits, exact_statistics = apply(SMALL, parameters, multipliers)
    logits, statistics = apply(rounded, parameters, multipliers)

    assert {leaf.dtype for leaf in jax.tree.leaves((draw(rounded), statistics, logits))} == {
        jnp.dtype("float32")
    }
    # A bfloat16 has 8 bits, a float32 24: the largest error is that of the former's roundings.
    for one, other in ((logits, exact_logits), *_pairs(statistics, exact_statistics)):
        assert 1e-5 < np.max(np.abs(one - other)) / np.max(np.abs(other)) < 0.1


def _pairs(one, other):
    return zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)


def test_the_readout_takes_the_multiplier_of_the_form_and_convolutions_theirs():
    wide = at_width(SMALL, 16)
    _, mup = draw(wide, Recipe("mup"))
    assert mup["readout"]["multiplier"] == 0.5
    _, ntk = draw(wide, Recipe("ntk"))
    assert ntk["stages"][1][0]["shortcut"]["multiplier"] == pytest.approx(0.5**0.5)
    assert ntk["stem"]["multiplier"] == 1.0


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"width": 0}, ("width", 0)),
        ({"stages": ()}, ("stages", ())),
        ({"stages": (2, 0)}, ("stages", (2, 0))),
        ({"classes": 0}, ("classes", 0)),
        ({"block": "wide"}, ("wide",)),
        ({"stem": "cifar"}, ("cifar",)),
        ({"norm": "instance"}, ("instance",)),
        ({"dtype": "int8"}, ("int8",)),
        ({"bottleneck_multiple": 2}, ("bottleneck_multiple", 2)),
        ({"groups": 2}, (2,)),
        ({"group_size": 0}, ()),
        ({"norm": "group", "group_size": 3}, ("group_size", 3, 8)),
        ({"norm": "group", "group_size": 0, "groups": 3}, ("groups", 3, 8)),
    ],
)
def test_a_network_that_cannot_be_is_refused(changes, names):
    with refused(*names):
        dataclasses.replace(SMALL, **changes)


@pytest.mark.parametrize(
    ("changes", "names"), [({"layers": 0}, ("layers", 0)), ({"dtype": "int8"}, ("int8",))]
)
def test_a_plain_network_that_cannot_be_is_refused(changes, names):
    with refused(*names):
        CNNConfig(**changes)


def test_another_base_depth_is_refused():
    with refused("ResNetConfig"):
        model_layout(SMALL, 8, base_layers=2)
