"""Optimizers in a caller's code: parts of a model, stacks, wrappers, saved states."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import serialization
from refusals import refused

from transfer import optim
from transfer.scaling import Layout, Role

from .leaves import (
    DECAY,
    LAYOUT,
    LR,
    MAKERS,
    cast,
    declared,
    every,
    first_update,
    made,
    ones,
    random,
    recipe,
)

MATRIX_WISE = (optim.adamp, optim.adafactor, optim.muon)
entrywise = pytest.mark.parametrize(
    "make", [each for each in MAKERS.values() if each not in MATRIX_WISE]
)
# Shapes and parts.


@every
@pytest.mark.parametrize("width", [4, 16])
@pytest.mark.sampled
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
    # Compiled whole, because one batched operation after the other takes ten times as long.
    mapped = jax.jit(jax.vmap(functools.partial(first_update, made(make))))(gradients, stack)
    with refused("hidden", (2, 2, 8, 4, 2), (2, 8, 4, 2)):
        made(make).init(stack)
    tx = made(make, LAYOUT.stacked("members", 2))
    stacked = jax.jit(functools.partial(first_update, tx))(gradients, stack)
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
@pytest.mark.sampled
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


def test_the_state_of_another_optimizer_or_width_is_refused():
    tx = made(optim.adamw)
    with refused("tuple", "init"):
        tx.update(ones(), optax.adamw(LR).init(ones()), ones())
    with refused("init", recorded=False):
        tx.update(ones(), made(optim.lion).init(ones()), ones())
    state = tx.init(ones())
    narrow = jax.tree.map(lambda leaf: leaf[..., :2] if leaf.ndim else leaf, state)
    with refused("(5, 2)", "init"):
        tx.update(ones(), narrow, ones())


@every
def test_a_state_of_shapes_is_made_of_shapes(make):
    """As it is needed to restore one."""
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, "bfloat16"), ones())
    made_of_shapes, made_of_arrays = (
        make(LR, DECAY, layout=LAYOUT, recipe=recipe()).init(each)
        for each in (shapes, cast(ones(), "bfloat16"))
    )
    assert jax.tree.map(jnp.shape, made_of_shapes) == jax.tree.map(jnp.shape, made_of_arrays)
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(made_of_shapes)}
    assert dtypes == {leaf.dtype for leaf in jax.tree.leaves(made_of_arrays)}


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
