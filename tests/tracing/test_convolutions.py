"""Convolution kernels: the kernel's area is summed over, whatever the layout of the channels."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx

from transfer.scaling import Role

from .inferred import layout_of, tree

IMAGES = jax.ShapeDtypeStruct((2, 8, 8, 3), "float32")
SOUNDS = jax.ShapeDtypeStruct((2, 8, 3), "float32")
INPUT, HIDDEN, OUTPUT = Role.INPUT, Role.HIDDEN, Role.OUTPUT


def kernels(build, inputs):
    """Annotation, role and fans of every kernel, in the order of the layers."""
    return [
        (str(parameter.axes), parameter.role, parameter.fan_in, parameter.fan_out)
        for path, parameter in layout_of(build, inputs).items()
        if path.endswith("kernel")
    ]


def nnx_conv(source, target, size, transposed=False, **settings):
    layer = nnx.ConvTranspose if transposed else nnx.Conv
    return layer(source, target, size, rngs=nnx.Rngs(0), **settings)


def test_one_dimension():
    found = kernels(lambda n: nnx.Sequential(nnx_conv(3, n, 3), nnx_conv(n, n, 5)), SOUNDS)
    assert found == [("0 1 -> 2", INPUT, 9, 24), ("0 1 -> 2", HIDDEN, 120, 24)]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (lambda n: nnx_conv(n, n, (3, 3)), ("0 1 2 -> 3", HIDDEN, 216, 24)),
        (lambda n: nnx_conv(n, n, (1, 1), strides=2), ("0 1 2 -> 3", HIDDEN, 24, 24)),
        (lambda n: nnx_conv(n, n, (3, 3), kernel_dilation=2), ("0 1 2 -> 3", HIDDEN, 216, 24)),
        (lambda n: nnx_conv(n, 5, (3, 3)), ("0 1 2 -> 3", OUTPUT, 216, 5)),
        # Each channel for itself: nothing that grows is summed over.
        (
            lambda n: nnx_conv(n, n, (3, 3), feature_group_count=n),
            ("0 1 2 -> 3", INPUT, 9, 24),
        ),
        (
            lambda n: nnx_conv(n, n, (3, 3), feature_group_count=4),
            ("0 1 2 -> 3 / 4", HIDDEN, 54, 6),
        ),
        (lambda n: nnx_conv(n, n, (3, 3), transposed=True), ("0 1 2 -> 3", HIDDEN, 216, 24)),
        (
            lambda n: nnx_conv(n, n, (3, 3), transposed=True, transpose_kernel=True),
            ("0 1 3 -> 2", HIDDEN, 216, 24),
        ),
        (lambda n: nnx_conv(n, 3, (3, 3), transposed=True), ("0 1 2 -> 3", OUTPUT, 216, 3)),
    ],
    ids=[
        "inner",
        "1x1 strided",
        "dilated",
        "to few channels",
        "depthwise",
        "grouped",
        "transposed",
        "transposed kernel",
        "transposed to few",
    ],
)
def test_two_dimensions(second, expected):
    first, found = kernels(lambda n: nnx.Sequential(nnx_conv(3, n, (3, 3)), second(n)), IMAGES)
    assert first == ("0 1 2 -> 3", INPUT, 27, 24)
    assert found == expected


def test_linen():
    model = lambda n: linen.Sequential(  # noqa: E731
        [linen.Conv(n, (3, 3)), linen.ConvTranspose(2 * n, (3, 3)), linen.ConvLocal(n, (3, 3))]
    )
    assert kernels(model, IMAGES) == [
        ("0 1 2 -> 3", INPUT, 27, 24),
        ("0 1 2 -> 3", HIDDEN, 216, 48),
        # A kernel of its own for every place of the image.
        ("0 1 | 2 -> 3", HIDDEN, 432, 24),
    ]


@pytest.mark.parametrize(
    ("dimensions", "shape", "axes"),
    [
        (("NHWC", "OIHW", "NHWC"), lambda n: (n, 3, 3, 3), "1 2 3 -> 0"),
        (("NHWC", "HWOI", "NHWC"), lambda n: (3, 3, n, 3), "0 1 3 -> 2"),
    ],
)
def test_kernels_stored_otherwise(dimensions, shape, axes):
    layout = layout_of(
        tree(w=shape),
        IMAGES,
        lambda p, x: jax.lax.conv_general_dilated(
            x, p["w"], (1, 1), "SAME", dimension_numbers=dimensions
        ),
    )
    assert (str(layout["w"].axes), layout["w"].role, layout["w"].fan_in) == (axes, INPUT, 27)


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("shared", [True, False], ids=["one image", "an image each"])
def test_kernels_under_vmap_are_a_stack(groups, shared):
    """JAX makes one convolution of them, with a group for each kernel or for each of its groups."""

    def convolved(image, kernel):
        return jax.lax.conv_general_dilated(
            *(image, kernel, (1, 1), "SAME"),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    def apply(p, images):
        h = images @ p["embed"]
        h = jax.vmap(convolved, in_axes=(None if shared else 0, 0))(
            h if shared else jnp.stack([h] * 3), p["kernel"]
        )
        return h.sum(0) @ p["readout"]

    build = tree(
        embed=lambda n: (3, n),
        kernel=lambda n: (3, 5, 5, n // groups, n),
        readout=lambda n: (n, 2),
    )
    kernel = layout_of(build, IMAGES, apply)["kernel"]
    suffix = f" / {groups}" if groups > 1 else ""
    assert (str(kernel.axes), kernel.role) == (f"0 | 1 2 3 -> 4{suffix}", HIDDEN)
    assert (kernel.fan_in, kernel.fan_out) == (25 * 24 // groups, 24 // groups)
