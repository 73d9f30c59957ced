"""What other people's models hold and how they are called: constants, functions, flags, names."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx, struct
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

import transfer
from transfer import pytree_paths

from .inferred import (
    BASE,
    FEATURES,
    ROWS,
    Between,
    axes_of,
    layout_of,
)

ENDS = {"enter.bias": "0", "enter.kernel": "0 -> 1", "leave.bias": "0", "leave.kernel": "0 -> 1"}


class Constant(Between):
    def setup(self, n):
        self.scale = jnp.arange(1.0, n + 1)

    def inside(self, h):
        return h * self.scale


class Closure(Between):
    def setup(self, n):
        scale = jnp.arange(1.0, n + 1)
        self.inside = lambda h: h * scale


# Arrays that are no variables.


@pytest.mark.parametrize("build", [Constant, Closure])
def test_constant_arrays_of_a_module_however_often_it_is_inferred(build):
    first, second = (axes_of(build, ROWS) for _ in range(2))
    assert first == second == ENDS


def test_a_constant_array_in_a_check():
    checked = transfer.check(
        lambda n, seed: Constant(n),
        (8, 16),
        base_width=8,
        recipe=transfer.Recipe("mup_table3"),
        inputs=jnp.ones((2, FEATURES)),
        rescale=True,
        steps=1,
        seeds=2,
    )
    assert checked["weight", "leave.kernel", 0].slope == pytest.approx(-1.0, abs=1e-3)


def test_an_array_in_a_function_of_a_linen_module():
    def build(n):
        scale = jnp.arange(1.0, n + 1)
        return linen.Sequential([linen.Dense(n), lambda h: h * scale, linen.Dense(2)])

    assert axes_of(build, ROWS)["layers_2.kernel"] == "0 -> 1"


def test_functions_flags_and_integers_in_a_tree_are_no_parameters():
    def build(n):
        matrices = {"embed": jnp.zeros((FEATURES, n)), "w": jnp.zeros((n, n))}
        return {**matrices, "act": jax.nn.relu, "order": jnp.arange(n), "twice": True, "none": None}

    def apply(p, x):
        h = p["act"](x @ p["embed"])[:, p["order"]] * (2.0 if p["twice"] else 1.0)
        return h @ p["w"]

    assert axes_of(build, ROWS, apply) == {"w": "0 -> 1"}
    layout = layout_of(build, ROWS, apply)
    scaled = transfer.rescale_init(build(24), build(BASE), layout, transfer.Recipe("mup_table3"))
    assert scaled["act"] is jax.nn.relu
    assert scaled["twice"] is True
    sigma = transfer.top_singular_values({**build(24), "w": 3.0 * jnp.eye(24)}, layout, k=1)
    assert float(sigma["w"][0]) == pytest.approx(3.0)


# Calls that need more than arrays.


class Flagged(linen.Module):
    n: int

    @linen.compact
    def __call__(self, x, train):
        h = linen.BatchNorm(use_running_average=not train)(linen.Dense(self.n)(x))
        return linen.Dense(2)(linen.Dropout(0.5, deterministic=not train)(h))


FLAGGED = {
    "BatchNorm_0.bias": "0",
    "BatchNorm_0.scale": "0",
    **{
        f"Dense_{i}.{name}": axes
        for i in (0, 1)
        for name, axes in (("bias", "0"), ("kernel", "0 -> 1"))
    },
}


@pytest.mark.parametrize("train", [False, True])
def test_a_flag_among_the_inputs(train):
    assert axes_of(Flagged, (ROWS, train)) == FLAGGED


def test_a_flag_that_apply_gives():
    found = axes_of(Flagged, ROWS, lambda model, v, x: model.apply(v, x, train=False))
    assert found == FLAGGED


def test_a_flag_of_an_nnx_module():
    class Model(Between):
        def setup(self, n):
            self.dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(2))

        def __call__(self, x, *, mode):
            assert mode == "train"
            return self.leave(self.dropout(self.enter(x), deterministic=mode != "train"))

    assert axes_of(Model, ROWS, lambda model, x: model(x, mode="train")) == ENDS


def test_a_linen_module_without_a_call_of_its_own():
    class Coder(linen.Module):
        n: int

        def setup(self):
            self.up, self.down = linen.Dense(self.n), linen.Dense(FEATURES)

        def through(self, x):
            return self.down(linen.relu(self.up(x)))

    found = axes_of(Coder, ROWS, lambda model, v, x: model.apply(v, x, method="through"))
    assert (found["up.kernel"], found["down.kernel"]) == ("0 -> 1", "0 -> 1")


def test_what_a_call_lacks_is_still_said():
    with refused("inputs=", "'train'", "apply=", recorded=False):
        layout_of(Flagged, ROWS)


# Names.


@struct.dataclass
class Attention:
    query: jax.Array
    key: jax.Array
    value: jax.Array


def test_a_field_named_value_is_told_from_the_value_of_a_variable():
    tree = {"attn": Attention(*map(jnp.full, [(1,)] * 3, (1.0, 2.0, 3.0)))}
    assert list(pytree_paths.leaves(tree)) == ["attn.query", "attn.key", "attn.value"]
    named = pytree_paths.map_leaves(lambda path, leaf: (path, float(leaf[0])), tree)
    assert named["attn"].value == ("attn.value", 3.0)
    module = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    assert set(pytree_paths.leaves(nnx.state(module))) == {"kernel", "bias"}
    boxed = {"w": linen.Partitioned(jnp.ones(2), ("x",))}
    assert set(pytree_paths.leaves(boxed)) == {"w"}


def test_keys_with_dots():
    def build(n):
        return {"a.w": jnp.zeros((FEATURES, n)), "b.w": jnp.zeros((n, 2))}

    found = axes_of(build, ROWS, lambda p, x: x @ p["a.w"] @ p["b.w"])
    assert found == {"a.w": "0 -> 1", "b.w": "0 -> 1"}


@pytest.mark.parametrize(
    ("tree", "path"),
    [
        ({"a.w": 1.0, "a": {"w": 2.0}}, "a.w"),
        ({"b": {"c.w": 1.0}, "b.c": {"w": 1.0}}, "b.c.w"),
    ],
)
def test_two_leaves_of_one_path_are_refused(tree, path):
    with refused(path):
        pytree_paths.leaves(tree)
    with refused(path):
        pytree_paths.map_leaves(lambda path, leaf: leaf, tree)


KEYS = st.text("ab.", min_size=1, max_size=3)
TREES = st.recursive(st.just(0.0), lambda inside: st.dictionaries(KEYS, inside, max_size=3))


@given(TREES)
def test_paths_tell_all_leaves_apart_or_the_tree_is_refused(tree):
    count = len(jax.tree.leaves(tree))
    try:
        assert len(pytree_paths.leaves(tree)) == count
    except transfer.TransferError:
        joined = [
            ".".join(str(key.key) for key in keys)
            for keys, _ in jax.tree_util.tree_leaves_with_path(tree)
        ]
        assert len(set(joined)) < count
