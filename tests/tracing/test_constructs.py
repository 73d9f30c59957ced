"""What other people's models are made of: constants, functions, flags, single heads, odd names."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx, struct
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

import transfer
from transfer import pytree_paths
from transfer.scaling import Role

from .inferred import BASE, FEATURES, ROWS, SEQUENCES, axes_of, example, inner, layout_of, one_layer

ENDS = {"enter.bias": "0", "enter.kernel": "0 -> 1", "leave.bias": "0", "leave.kernel": "0 -> 1"}


class Between(nnx.Module):
    """Two linear maps and what a subclass does between them."""

    def __init__(self, n):
        self.enter = nnx.Linear(FEATURES, n, rngs=nnx.Rngs(0))
        self.leave = nnx.Linear(n, 2, rngs=nnx.Rngs(1))
        self.setup(n)

    def __call__(self, x):
        return self.leave(self.inside(self.enter(x)))


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


# Heads, groups and widths of one.


class Heads(Between):
    def setup(self, n):
        self.attention = nnx.MultiHeadAttention(n // BASE, n, decode=False, rngs=nnx.Rngs(2))

    def inside(self, h):
        return self.attention(h)


def linen_heads(n):
    attention = linen.MultiHeadDotProductAttention(num_heads=n // BASE)
    return linen.Sequential([linen.Dense(n), attention, linen.Dense(2)])


@pytest.mark.parametrize(("build", "name"), [(Heads, "attention"), (linen_heads, "layers_1")])
def test_a_base_with_one_head(build, name):
    layout = layout_of(build, SEQUENCES)
    found = {path: str(each.axes) for path, each in layout.items() if path.startswith(name)}
    expected = {f"{name}.{part}.kernel": "0 -> 1 2" for part in ("query", "key", "value")}
    expected |= {f"{name}.{part}.bias": "0 1" for part in ("query", "key", "value")}
    assert found == {**expected, f"{name}.out.kernel": "0 1 -> 2", f"{name}.out.bias": "0"}
    assert (layout[f"{name}.query.kernel"].m_out, layout[f"{name}.out.kernel"].m_in) == (3, 3)


def test_a_base_with_one_group():
    class Grouped(Between):
        def setup(self, n):
            self.norm = nnx.GroupNorm(n, num_groups=n // BASE, rngs=nnx.Rngs(2))
            self.conv = nnx.Conv(n, n, (3,), feature_group_count=n // BASE, rngs=nnx.Rngs(2))

        def inside(self, h):
            return self.conv(self.norm(h))

    layout = layout_of(Grouped, SEQUENCES)
    # More groups of one size: nothing that grows is summed over.
    assert (str(layout["conv.kernel"].axes), layout["conv.kernel"].role) == ("0 1 -> 2", Role.INPUT)
    assert layout["norm.scale"].role == Role.VECTOR


def test_a_base_width_of_one():
    layout = transfer.infer_layout(
        inner(w=lambda n: (n, n), g=lambda n: (n,)),
        base_width=1,
        width=4,
        apply=lambda p, x: (x @ p["embed"] * p["g"]) @ p["w"].T @ p["readout"],
        inputs=ROWS,
    )
    assert (str(layout["w"].axes), str(layout["g"].axes)) == ("1 -> 0", "0")
    assert layout["readout"].role == Role.OUTPUT


# Weight normalization.


@pytest.mark.parametrize(
    ("gain", "shape", "axes"),
    [
        (lambda g: g, lambda n: (n, 1), "1 | 0"),
        (lambda g: g[:, None], lambda n: (n,), "0"),
        (lambda g: jnp.broadcast_to(g, (g.shape[0], g.shape[0])), lambda n: (n, 1), "1 | 0"),
    ],
    ids=["kept", "added", "broadcast"],
)
def test_the_gain_of_a_normalized_weight_is_a_vector(gain, shape, axes):
    def layer(p, h):
        return h @ (gain(p["g"]) * p["v"] / jnp.linalg.norm(p["v"], axis=1, keepdims=True)).T

    assert one_layer(layer, v=lambda n: (n, n), g=shape) == {"v": "1 -> 0", "g": axes}


def test_weight_norm_of_nnx():
    class Normalized(Between):
        def setup(self, n):
            self.inner = nnx.WeightNorm(nnx.Linear(n, n, rngs=nnx.Rngs(2)), rngs=nnx.Rngs(3))

        def inside(self, h):
            return self.inner(h)

    layout = layout_of(Normalized, ROWS)
    roles = {path: each.role for path, each in layout.items() if path.startswith("inner")}
    kernels = [path for path, role in roles.items() if role == Role.HIDDEN]
    assert len(kernels) == 1
    assert {role for path, role in roles.items() if path not in kernels} == {Role.VECTOR}


# A parameter that takes an activation's place.

REPEATS = {
    "broadcast": lambda q, b: jnp.broadcast_to(q, (b, *q.shape)),
    "tile": lambda q, b: jnp.tile(q[None], (b, 1, 1)),
    "repeat": lambda q, b: jnp.repeat(q[None], b, axis=0),
    "multiplied by ones": lambda q, b: q[None] * jnp.ones((b, 1, 1)),
    "vmapped": lambda q, b: jax.vmap(lambda _: q)(jnp.arange(b)),
}
POOL = {"q": lambda n: (1, n), "w": lambda n: (n, n), "k": lambda n: (n, n)}


def pooled(repeat):
    def layer(p, x):
        h = x @ p["embed"]
        logits = jnp.einsum("bod,btd->bot", repeat(p["q"], len(x)) @ p["w"], h @ p["k"])
        return jnp.einsum("bot,btd->bod", jax.nn.softmax(logits), h) @ p["readout"]

    return layer


@pytest.mark.parametrize("repeat", REPEATS)
def test_a_query_that_is_repeated_for_each_example(repeat):
    layout = layout_of(inner(**POOL), SEQUENCES, pooled(REPEATS[repeat]))
    assert layout["q"].role == Role.VECTOR
    assert {str(layout[name].axes) for name in ("w", "k")} == {"0 -> 1"}


def test_a_matrix_that_is_repeated_for_each_weight_of_a_stack_is_none():
    """A low-rank product with one factor shared by all layers stays a product of two matrices."""

    def layer(p, h):
        shared = jnp.broadcast_to(p["a"], (3, *p["a"].shape))
        return jax.lax.scan(lambda h, w: (h @ w, None), h, shared @ p["b"])[0]

    with refused("a", 'axes={"a": ...}'):
        one_layer(layer, a=lambda n: (n, 4), b=lambda n: (3, 4, n))


def test_a_batch_of_one_does_not_tell_a_query_from_a_factor():
    with refused("q", 'axes={"q": ...}'):
        layout_of(inner(**POOL), example(1, 6, FEATURES), pooled(REPEATS["broadcast"]))


# One weight that would need two laws.


def concatenated(*parts):
    """A matrix on hidden features with something concatenated to them."""
    return lambda p, x: (
        (jnp.tanh(jnp.concatenate([part(x, x @ p["embed"]) for part in parts], -1)) @ p["w"])
        @ p["readout"]
    )


hidden, raw, constant = (
    lambda x, h: h,
    lambda x, h: x,
    lambda x, h: jnp.ones((len(x), 1)),
)


@pytest.mark.parametrize(
    ("parts", "fixed"),
    [
        ((hidden, raw), 3),
        ((raw, hidden, hidden), 3),
        ((hidden, constant), 1),
        ((constant, hidden, raw), 4),
    ],
)
def test_raw_inputs_beside_hidden_features_are_refused(parts, fixed):
    grown = sum(part is hidden for part in parts)
    shapes = {"w": lambda n: (grown * n + fixed, n)}
    with refused(
        "w", grown * BASE + fixed, 2 * grown * BASE + fixed, fixed, 'axes={"w": "0 -> 1"}'
    ):
        layout_of(inner(**shapes), ROWS, concatenated(*parts))
    overruled = layout_of(inner(**shapes), ROWS, concatenated(*parts), axes={"w": "0 -> 1"})
    assert overruled["w"].role == Role.HIDDEN


def test_features_that_all_grow_may_be_concatenated():
    layout = layout_of(inner(w=lambda n: (2 * n, n)), ROWS, concatenated(hidden, hidden))
    assert (layout["w"].role, layout["w"].m_in) == (Role.HIDDEN, 3)


def test_a_size_that_is_rounded_is_no_fixed_part():
    """8/3 of the width, in multiples of 16: 32 at width 8 and 48 at width 16."""

    def rounded(n):
        return -(-(8 * n // 3) // 16) * 16

    shapes = {"up": lambda n: (n, rounded(n)), "down": lambda n: (rounded(n), n)}
    found = one_layer(lambda p, h: jax.nn.relu(h @ p["up"]) @ p["down"], **shapes)
    assert found == {"up": "0 -> 1", "down": "0 -> 1"}


@pytest.mark.parametrize(
    "take",
    [
        lambda w, h: jnp.split(h @ w, [h.shape[-1]], axis=-1)[0],
        lambda w, h: (h @ w)[:, : h.shape[-1]],
        lambda w, h: (
            h @ w[:, : h.shape[-1]] + 0.0 * (h @ w[:, h.shape[-1] :]).sum(-1, keepdims=True)
        ),
    ],
    ids=["split", "sliced", "sliced before"],
)
def test_a_fixed_part_of_the_outputs_is_refused(take):
    with refused("w", BASE + 4, 2 * BASE + 4, 4):
        one_layer(lambda p, h: take(p["w"], h), w=lambda n: (n, n + 4))


# Widths in which there is nothing to infer.


def product(p, x):
    return x @ p["embed"] @ p["readout"]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"base_width": 0}, ("base_width", 0)),
        ({"base_width": -8}, ("base_width", -8)),
        ({"width": 0}, ("width", 0)),
        ({"base_width": 8.0}, ("base_width", 8.0)),
        ({"width": "64"}, ("width", "'64'")),
    ],
)
def test_widths_that_are_none(settings, names):
    with refused(*names):
        transfer.infer_layout(
            inner(), **{"base_width": BASE, "width": 24, **settings}, apply=product, inputs=ROWS
        )


def test_a_model_in_which_nothing_grows():
    with refused(2, BASE, 2 * BASE, "build(width)"):
        layout_of(lambda n: inner()(BASE), ROWS, product)


@pytest.mark.parametrize(
    "returned",
    [None, {}, {"order": jnp.arange(3)}, nnx.Linear, nnx.Dropout(0.5), jax.nn.relu, 3.0],
    ids=["nothing", "empty", "integers", "a class", "no parameter", "a function", "a number"],
)
def test_a_build_that_returns_no_parameter(returned):
    with refused(f"build({BASE})"):
        layout_of(lambda n: returned, ROWS, lambda *arguments: arguments[-1])


def test_a_parameter_with_more_axes_at_one_width():
    def build(n):
        return {**inner()(n), "g": jnp.zeros((n,) if n == BASE else (1, n))}

    with refused("g", BASE, 2 * BASE):
        layout_of(build, ROWS, product)
