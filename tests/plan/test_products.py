"""FLOPs of compiled programs, exactly those that were written down."""

import itertools

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.plan.products import _positions

from .programs import compiled, counted, read, shape

N, B = 48, 32
PRODUCT = 2 * B * N * N


def layer(x, w):
    return jnp.tanh(x @ w), None


def test_a_product():
    assert counted(jnp.matmul, shape(B, N), shape(N, N)).flops == PRODUCT


def test_a_batched_product():
    assert counted(jnp.matmul, shape(5, B, N), shape(5, N, N)).flops == 5 * PRODUCT


def test_the_body_of_a_scan_counts_by_its_trips():
    def run(x, ws):
        return jax.lax.scan(layer, x, ws)[0]

    shapes = shape(B, N), shape(7, N, N)
    assert counted(run, *shapes).flops == 7 * PRODUCT
    # The control: XLA's own analysis counts it once.
    assert compiled(run, *shapes).cost_analysis()["flops"] < 2 * PRODUCT


def test_nested_scans_multiply():
    def run(x, ws):
        def outer(x, ws):
            return jax.lax.scan(layer, x, ws)[0] @ jnp.ones((N, N)), None

        return jax.lax.scan(outer, x, ws)[0]

    assert counted(run, shape(B, N), shape(3, 5, N, N)).flops == 3 * (5 + 1) * PRODUCT


def test_a_gradient_takes_two_products_more_and_rematerialisation_a_third():
    def loss(layer):
        def run(x, ws):
            x, _ = jax.lax.scan(layer, x, ws)
            return jnp.sum(x)

        return jax.grad(run, argnums=(0, 1))

    shapes = shape(B, N), shape(7, N, N)
    assert counted(loss(layer), *shapes).flops == 7 * 3 * PRODUCT
    assert counted(loss(jax.checkpoint(layer)), *shapes).flops == 7 * 4 * PRODUCT


def test_a_loop_of_traced_length_counts_once_and_is_said_to():
    def run(x, w, count):
        return jax.lax.fori_loop(0, count, lambda _, x: jnp.tanh(x @ w), x)

    cost = counted(run, shape(B, N), shape(N, N), shape(dtype="int32"))
    assert cost.flops == PRODUCT
    assert len(cost.open) == 1
    assert counted(lambda x, w: run(x, w, 9), shape(B, N), shape(N, N)).open == []


def test_the_costliest_branch_counts():
    def run(x, w, which):
        branches = [lambda x: x, lambda x: x @ w, lambda x: x @ w @ w]
        return jax.lax.switch(which, branches, x)

    cost = counted(run, shape(B, N), shape(N, N), shape(dtype="int32"))
    assert cost.flops == 2 * PRODUCT


def convolution(strides, padding, dilation=1, spread=1, groups=1):
    def run(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (strides, strides),
            padding,
            lhs_dilation=(dilation, dilation),
            rhs_dilation=(spread, spread),
            feature_group_count=groups,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    return run


def test_convolutions_without_padding_multiply_every_place_of_the_window():
    cost = counted(convolution(1, "VALID"), shape(2, 10, 9, 3), shape(3, 3, 3, 5))
    assert cost.flops == 2 * (2 * 8 * 7 * 5) * (3 * 3 * 3)


def test_padding_is_not_multiplied():
    cost = counted(convolution(1, "SAME"), shape(2, 4, 4, 3), shape(3, 3, 3, 5))
    # Along each side of 4 a window of 3 meets 2 + 3 + 3 + 2 places.
    assert cost.flops == 2 * (2 * 5 * 3) * 10 * 10


def test_groups_of_channels_see_their_own():
    cost = counted(convolution(1, "VALID", groups=4), shape(2, 6, 6, 8), shape(3, 3, 2, 12))
    assert cost.flops == 2 * (2 * 4 * 4 * 12) * (3 * 3 * 2)


@settings(max_examples=60)
@given(
    size=st.integers(1, 9),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    padding=st.integers(0, 4),
    dilation=st.integers(1, 3),
    spread=st.integers(1, 3),
    after=st.integers(0, 4),
)
def test_places_where_a_window_meets_the_input(
    size, kernel, stride, padding, dilation, spread, after
):
    spaced = [place % dilation == 0 for place in range((size - 1) * dilation + 1)]
    padded = [False] * padding + spaced + [False] * after
    reach = (kernel - 1) * spread + 1
    output = max(0, (len(padded) - reach) // stride + 1)
    expected = sum(
        padded[out * stride + place * spread]
        for out, place in itertools.product(range(output), range(kernel))
    )
    found = _positions(size, kernel, output, stride, padding, dilation, spread)
    assert found == expected


# A batched product as the compiler for TPUs writes it: 4 times (8, 16) with (16, 32), with the
# batch as a dimension of the window that meets one place for each output.
BATCHED = """ENTRY %main (a: f32[4,8,16], b: f32[4,16,32]) -> f32[4,8,32] {
  %a = f32[4,8,16]{2,1,0} parameter(0)
  %b = f32[4,16,32]{2,1,0} parameter(1)
  ROOT %c = f32[4,8,32]{2,1,0} convolution(%a, %b), window={size=4 stride=3 pad=0_0 lhs_dilate=4}, dim_labels=0bf_0io->0bf
}
"""

KERNEL = """ENTRY %main (q: bf16[{shape}]) -> bf16[{shape}] {{
  %mask = s8[1,4,4]{{2,1,0}} parameter(1)
  %q = bf16[{shape}]{{3,2,1,0}} parameter(0)
  ROOT %{name}.2 = bf16[{shape}]{{3,2,1,0}} custom-call(%mask, %q, %q, %q), custom_call_target="tpu_custom_call", operand_layout_constraints={{s8[1,4,4]{{2,1,0}}, bf16[{shape}]{{3,2,1,0}}}}
}}
"""


def test_a_batched_product_written_as_a_convolution():
    assert read(BATCHED).flops == 4 * 2 * 8 * 16 * 32


@pytest.mark.parametrize(
    ("name", "products"), [("splash_mha_fwd_residuals", 2), ("splash_mha_dkv_no_residuals", 4)]
)
# A batch of one sequence has no axis.
@pytest.mark.parametrize(("batch", "shape"), [(2, "2,4,512,128"), (1, "4,512,128")])
def test_attention_kernels_are_counted_by_their_products_under_the_mask(
    name, products, batch, shape
):
    # Of 4 x 4 blocks the mask leaves 10.
    product = 2 * (batch * 4) * 512 * 512 * 128
    assert read(KERNEL.format(name=name, shape=shape)).flops == products * product * 10 / 16


def test_a_kernel_that_is_not_known_is_said_to_be_left_out():
    cost = read(KERNEL.format(name="mystery", shape="2,4,512,128"))
    assert (cost.flops, cost.unknown) == (0.0, ["mystery.2"])
