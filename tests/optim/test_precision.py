"""Optimizers in any dtype: arithmetic in float32 or better, and refused where there is none."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from transfer import optim
from transfer.scaling import Annotated, Axes, Layout, Recipe

from .leaves import LAYOUT, cast, every, first_update, made, ones, random

few = settings(max_examples=20, deadline=None)
NARROW = pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e5m2"])


@every
@NARROW
@pytest.mark.parametrize("scale", [2.0**-12, 1.0, 2.0**12])
@pytest.mark.sampled
def test_half_precision_is_in_the_arrays_alone(make, dtype, scale):
    """Updates are those of float32, rounded once: squares of 2^12 are inf in float16."""
    unit = jnp.finfo(dtype)
    parameters, gradients = cast(random(1), dtype), cast(random(scale=scale), dtype)
    run = jax.jit(functools.partial(first_update, made(make, clip=0.5)))
    ours = run(gradients, parameters)
    exact = run(cast(gradients, "float32"), cast(parameters, "float32"))
    for path in LAYOUT:
        assert ours[path].dtype == dtype
        # A unit in the last place, because rounding may fall either way of a tie.
        np.testing.assert_allclose(
            np.float64(ours[path]),
            np.float64(exact[path]),
            rtol=float(unit.eps),
            atol=float(unit.smallest_subnormal),
        )


@every
@NARROW
@pytest.mark.sampled
def test_gradients_of_zero_are_no_nan(make, dtype):
    """Where optax's AdamW with this epsilon is finite in float16 too."""
    zeros = jax.tree.map(jnp.zeros_like, cast(ones(), dtype))
    updates = first_update(made(make, clip=1.0, weight_decay=0.0), zeros, cast(ones(), dtype))
    assert all(not leaf.any() for leaf in updates.values())


@few
@given(
    dtype=st.sampled_from(["float16", "bfloat16", "float32"]),
    # Of few sizes, because each is compiled for.
    sizes=st.lists(st.sampled_from([1, 7, 50]), min_size=1, max_size=5),
    scale=st.floats(2.0**-10, 2.0**10),
    seed=st.integers(0, 99),
)
def test_norms_and_clipping_are_exact_in_any_dtype(dtype, sizes, scale, seed):
    drawn = np.random.default_rng(seed)
    gradients = {
        f"w{i}": jnp.asarray(scale * drawn.standard_normal(size), dtype)
        for i, size in enumerate(sizes)
    }
    raw, layout = Recipe("standard"), vectors({path: g.size for path, g in gradients.items()})
    exact = np.sqrt(sum(np.square(np.float64(leaf)).sum() for leaf in gradients.values()))
    assert float(optim.gradient_norm(gradients, layout, raw)) == pytest.approx(exact, rel=1e-5)
    tx = optim.sgd(1.0, layout=layout, recipe=raw, clip=float(exact) / 2)
    for path, update in first_update(tx, gradients, gradients).items():
        # One rounding, to 8 bits in bfloat16, or to a subnormal of float16.
        np.testing.assert_allclose(
            np.float64(update), -np.float64(gradients[path]) / 2, rtol=2.0**-8, atol=6e-8
        )


def vectors(sizes):
    shapes = {
        path: Annotated(axes=Axes.parse("head_dim"), shape=(size,)) for path, size in sizes.items()
    }
    return Layout.compare(base=shapes, probe=shapes, target=shapes)


def test_a_thousand_leaves_do_not_saturate_in_bfloat16():
    """Whose sum of ones stops at 256."""
    layout = vectors({f"w{i}": 1 for i in range(1000)})
    gradients = {path: jnp.ones(1, jnp.bfloat16) for path in layout}
    norm = float(optim.gradient_norm(gradients, layout, Recipe("standard")))
    assert norm == pytest.approx(1000**0.5, rel=1e-6)


def test_squares_that_overflow_float16_are_clipped_to_the_bound():
    layout = vectors({"w": 4})
    gradients = {"w": jnp.full(4, 200.0, jnp.float16)}
    tx = optim.sgd(1.0, layout=layout, recipe=Recipe("standard"), clip=1.0)
    assert float(optim.gradient_norm(gradients, layout, Recipe("standard"))) == 400.0
    np.testing.assert_array_equal(first_update(tx, gradients, gradients)["w"], -0.5)


@pytest.mark.parametrize("dtype", ["int32", "bool", "complex64"])
def test_numbers_that_no_step_can_be_taken_in_are_refused(dtype):
    layout = vectors({"w": 3})
    numbers = {"w": jnp.ones(3, dtype)}
    tx = optim.adamw(0.1, layout=layout, recipe="mup")
    with refused("w", dtype):
        tx.init(numbers)
    with refused("w", dtype):
        tx.update(numbers, tx.init({"w": jnp.ones(3)}))
    with refused("w", dtype):
        optim.gradient_norm(numbers, layout, "mup")


def test_a_function_among_the_parameters_is_refused():
    tx = optim.adamw(0.1, layout=vectors({"w": 3}), recipe="mup")
    with refused("act", "function", "equinox.filter"):
        tx.init({"w": jnp.ones(3), "act": lambda x: x})


@pytest.mark.parametrize(
    ("setting", "value"),
    [("learning_rate", "0.1"), ("weight_decay", None), ("clip", "1.0"), ("clip", jnp.nan)],
)
def test_a_setting_that_is_no_number_is_refused(setting, value):
    given = {"learning_rate": 0.1, setting: value}
    with refused(setting, value):
        optim.adamw(**given, layout=vectors({"w": 3}), recipe="mup")


@pytest.mark.parametrize("layout", [None, {"w": (3,)}])
def test_what_is_no_layout_is_refused(layout):
    with refused(type(layout).__name__, "transfer.infer_layout"):
        optim.adamw(0.1, layout=layout, recipe="mup")


@pytest.mark.parametrize("bound", [0.5, jnp.inf])
def test_an_infinite_bound_bounds_nothing(bound):
    gradients = {"w": jnp.array([0.3, 0.4])}
    tx = optim.sgd(1.0, layout=vectors({"w": 2}), recipe="standard", clip=bound)
    np.testing.assert_allclose(first_update(tx, gradients, gradients)["w"], [-0.3, -0.4])


@pytest.mark.parametrize("size", [1e30, jnp.inf, jnp.nan])
def test_a_norm_that_overflows_is_a_nan_and_no_step_of_zero(size):
    """A gradient of 1e30 has squares that float32 does not hold."""
    gradients = {"w": jnp.array([size, 1.0]), "v": jnp.ones(1)}
    layout = vectors({"w": 2, "v": 1})
    tx = optim.sgd(1.0, layout=layout, recipe="standard", clip=1.0)
    updates = first_update(tx, gradients, gradients)
    assert all(np.isnan(leaf).all() for leaf in updates.values())
