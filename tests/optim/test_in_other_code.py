"""Optimizers in a caller's code: parts of a model, stacks, dtypes, wrappers, saved states."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import serialization
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from transfer import optim
from transfer.scaling import Annotated, Axes, Layout, Recipe, Role

from .leaves import LAYOUT, declared, ones, random, recipe

LR, DECAY = 0.1, 0.2
MAKERS = {name: each.make for name, each in optim.OPTIMIZERS.items()}
every = pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))
MATRIX_WISE = (optim.adamp, optim.adafactor, optim.muon)
entrywise = pytest.mark.parametrize(
    "make", [each for each in MAKERS.values() if each not in MATRIX_WISE]
)
few = settings(max_examples=20, deadline=None)


def made(make, layout=LAYOUT, **given):
    return make(
        **{"learning_rate": LR, "weight_decay": DECAY} | given, layout=layout, recipe=recipe()
    )


def first_update(tx, gradients, parameters):
    return tx.update(gradients, tx.init(parameters), parameters)[0]


# Shapes and parts.


@every
@pytest.mark.parametrize("width", [4, 16])
def test_parameters_of_another_width_than_the_layouts_are_refused(make, width):
    wrong = {path: jnp.ones(each.shape) for path, each in declared(width).items()}
    tx = made(make)
    with refused("hidden", (2, width, width // 2, 2), (2, 8, 4, 2)):
        tx.init(wrong)
    with refused("hidden", (2, width, width // 2, 2)):
        tx.update(wrong, tx.init(ones()), ones())
    with refused("hidden", (2, width, width // 2, 2)):
        tx.update(ones(), tx.init(ones()), wrong)


def test_the_norm_of_gradients_of_another_width_is_refused():
    with refused("hidden", (2, 16, 8, 2), (2, 8, 4, 2)):
        optim.gradient_norm(
            {path: jnp.ones(each.shape) for path, each in declared(16).items()}, LAYOUT, recipe()
        )


@every
def test_a_stack_of_models_takes_the_steps_of_each_alone(make):
    """Mapped over with the plain layout, or as one tree with the stacked one."""
    members = [random(seed) for seed in (1, 2)]
    stack = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    gradients = jax.tree.map(lambda leaf: leaf[::-1], stack)
    mapped = jax.vmap(functools.partial(first_update, made(make)))(gradients, stack)
    with refused("hidden", (2, 2, 8, 4, 2), (2, 8, 4, 2)):
        made(make).init(stack)
    stacked = first_update(made(make, LAYOUT.stacked("members", 2)), gradients, stack)
    for path in LAYOUT:
        # Muon raises a rounding of 1e-7 at most 480 times.
        np.testing.assert_allclose(stacked[path], mapped[path], rtol=1e-5, atol=1e-5)


@every
def test_some_parameters_are_trained_as_they_are_among_all(make):
    """By a mask, by a partition, or with the layout of a subset."""
    kept = ("hidden", "vector")
    some = {path: path in kept for path in LAYOUT}
    expected = first_update(made(make), random(), random(1))
    masked = first_update(optax.masked(made(make), some), random(), random(1))
    parted = first_update(
        optax.partition(
            {"trained": made(make), "frozen": optax.set_to_zero()},
            {path: "trained" if path in kept else "frozen" for path in LAYOUT},
        ),
        random(),
        random(1),
    )
    gradients, parameters = ({path: tree[path] for path in kept} for tree in (random(), random(1)))
    subset = first_update(made(make, LAYOUT.subset(kept)), gradients, parameters)
    assert set(subset) == set(kept)
    for path in kept:
        for updates in (masked, parted, subset):
            np.testing.assert_allclose(updates[path], expected[path], rtol=1e-5)
    for path in set(LAYOUT) - set(kept):
        np.testing.assert_array_equal(masked[path], random()[path])  # as optax.masked leaves it
        assert not parted[path].any()
    with refused("input", "output", "scalar"):
        made(make).init(parameters)


@every
def test_all_parameters_may_be_masked(make):
    tx = optax.masked(made(make, clip=1.0), False)
    updates = first_update(tx, random(), random(1))
    for path in LAYOUT:
        np.testing.assert_array_equal(updates[path], random()[path])


@entrywise
def test_a_devices_own_part_takes_its_part_of_the_step(make):
    def part(tree):
        return {path: leaf[..., : leaf.shape[-1] // 2] for path, leaf in tree.items()} | {
            "output": tree["output"]
        }

    layout = LAYOUT.sharded({path: leaf.shape for path, leaf in part(ones()).items()})
    expected = part(first_update(made(make), random(), random(1)))
    updates = first_update(made(make, layout), part(random()), part(random(1)))
    for path in LAYOUT:
        np.testing.assert_array_equal(updates[path], expected[path])
    with refused("Clipping"):
        made(make, layout, clip=1.0)
    with refused("hidden", (2, 8, 4, 2), (2, 8, 4, 1)):
        made(make, layout).init(ones())


@pytest.mark.parametrize("make", MATRIX_WISE)
def test_a_step_that_needs_whole_matrices_is_not_taken_in_parts(make):
    with refused():
        made(make, LAYOUT.sharded({path: each.shape for path, each in LAYOUT.items()}))


# Precision.

HALVES = pytest.mark.parametrize("dtype", ["float16", "bfloat16"])


def cast(tree, dtype):
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


@every
@HALVES
@pytest.mark.parametrize("scale", [2.0**-12, 1.0, 2.0**12])
def test_half_precision_is_in_the_arrays_alone(make, dtype, scale):
    """Updates are those of float32, rounded once: squares of 2^12 are inf in float16."""
    parameters, gradients = cast(random(1), dtype), cast(random(scale=scale), dtype)
    run = jax.jit(functools.partial(first_update, made(make, clip=0.5)))
    ours = run(gradients, parameters)
    exact = run(cast(gradients, "float32"), cast(parameters, "float32"))
    for path in LAYOUT:
        assert ours[path].dtype == dtype
        # A unit in the last place of bfloat16, whose rounding may fall either way of a tie.
        np.testing.assert_allclose(
            np.float64(ours[path]), np.float64(exact[path]), rtol=2.0**-8, atol=6e-8
        )


@every
@HALVES
def test_gradients_of_zero_are_no_nan(make, dtype):
    """Where optax's AdamW with this epsilon is finite in float16 too."""
    zeros = jax.tree.map(jnp.zeros_like, cast(ones(), dtype))
    updates = first_update(made(make, clip=1.0, weight_decay=0.0), zeros, cast(ones(), dtype))
    assert all(not leaf.any() for leaf in updates.values())


@few
@given(
    dtype=st.sampled_from(["float16", "bfloat16", "float32"]),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=5),
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


# Wrappers and saved states.


@every
def test_every_number_may_be_injected(make):
    """And changed between steps."""
    tx = optax.inject_hyperparams(make)(LR, DECAY, layout=LAYOUT, recipe=recipe(), clip=2.0)
    state = tx.init(ones())
    update = jax.jit(tx.update)
    for changes in ({}, {"learning_rate": 0.03, "clip": 0.5, "weight_decay": 0.1}):
        state.hyperparams.update({name: jnp.float32(value) for name, value in changes.items()})
        expected = first_update(made(make, **{"clip": 2.0} | changes), random(), random(1))
        updates, _ = update(random(), state, random(1))
        for path in LAYOUT:
            np.testing.assert_allclose(updates[path], expected[path], rtol=1e-4, atol=1e-6)


WRAPPERS = {
    "multi_steps": lambda tx: optax.MultiSteps(tx, 2),
    "apply_if_finite": lambda tx: optax.apply_if_finite(tx, 3),
    "chain": lambda tx: optax.chain(optax.zero_nans(), tx),
}


@every
@pytest.mark.parametrize("wrapped", WRAPPERS.values(), ids=list(WRAPPERS))
def test_it_may_be_wrapped(make, wrapped):
    """Steps are those without the wrapper, and no step changes the state's shapes or dtypes."""
    gradients, parameters = cast(random(), "bfloat16"), cast(random(1), "bfloat16")
    tx = wrapped(made(make, clip=1.0))
    update, state = jax.jit(tx.update), tx.init(parameters)
    start = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
    updates, state = update(gradients, state, parameters)
    if wrapped is WRAPPERS["multi_steps"]:
        updates, state = update(gradients, state, parameters)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) == start
    expected = first_update(made(make, clip=1.0), gradients, parameters)
    for path in LAYOUT:
        np.testing.assert_allclose(
            np.float64(updates[path]), np.float64(expected[path]), rtol=2.0**-7, atol=2.0**-8 * LR
        )


@every
def test_a_state_survives_being_saved_and_a_change_of_all_that_scales(make):
    """Recipe, decay, clip and a schedule in the place of a number change no tree and no dtype."""
    before = make(LR, DECAY, layout=LAYOUT, recipe=recipe("standard", decay="constant"))
    _, state = before.update(random(), before.init(ones()), ones())
    after = make(
        optim.schedule("linear", 4),
        layout=LAYOUT,
        recipe=recipe("mup", decay="independent", clipping="raw"),
        clip=1.0,
        input_learning_rate=3.0,
    )
    fresh = after.init(ones())
    restored = serialization.from_bytes(fresh, serialization.to_bytes(state))
    assert jax.tree.structure(restored) == jax.tree.structure(fresh)
    jax.tree.map(np.testing.assert_array_equal, restored, state)
    one, _ = after.update(random(1), restored, ones())
    other, _ = after.update(random(1), fresh, ones())
    # The schedule goes on from where it was: after one of four steps.
    assert not np.allclose(one[Role.HIDDEN], other[Role.HIDDEN])


def test_a_schedule_goes_on_where_a_number_was_restored():
    constant, scheduled = (
        optim.sgd(rate, layout=LAYOUT, recipe=recipe())
        for rate in (1.0, optim.schedule("linear", 4))
    )
    _, state = constant.update(ones(), constant.init(ones()))
    updates, _ = scheduled.update(ones(), state)
    np.testing.assert_allclose(updates[Role.SCALAR], -0.75)


def test_a_decay_without_parameters_is_refused():
    tx = made(optim.sgd)
    with refused("parameters"):
        tx.update(ones(), tx.init(ones()))


def test_a_function_is_no_direction():
    with refused("function", "rescale_gradients"):
        optim.scaled(
            lambda factors: optax.scale_by_yogi(eps=factors.epsilon),
            LR,
            family="entrywise",
            layout=LAYOUT,
            recipe=recipe(),
        )


def test_a_subset_may_be_of_a_recipe_that_names_other_layers():
    nested = Layout({f"layers.{path}.w": each for path, each in LAYOUT.items()})
    changed = recipe().reparametrized({"layers.output": 3.0})
    whole = changed.rules(nested)
    subset = changed.rules(nested.subset(["layers.hidden.w"]))
    assert subset == {"layers.hidden.w": whole["layers.hidden.w"]}
