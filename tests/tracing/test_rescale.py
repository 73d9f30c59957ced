"""The init of a model of one's own, at any width, is its base width's times the recipe's factor."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from transfer.scaling import Annotated, Axes, Layout, Recipe, Role
from transfer.tracing import infer_layout, rescale_init

from .inferred import ROWS, between, example, inner

BASE, WIDTH = 16, 64  # four times the base width
# Each example compiles what measures the two vectors.
few = settings(max_examples=8, deadline=None)
RECIPES = ("mup_table3", "standard", "standard/full")
FACTORS = {
    "mup_table3": {Role.INPUT: 1.0, Role.HIDDEN: 0.5, Role.OUTPUT: 0.25},
    "standard": {Role.INPUT: 1.0, Role.HIDDEN: 0.5, Role.OUTPUT: 0.5},
    "standard/full": {Role.INPUT: 1.0, Role.HIDDEN: 0.5, Role.OUTPUT: 0.5},
}
LAWS = {
    "lecun": jax.nn.initializers.lecun_normal(),
    "of the embeddings of flax": nnx.initializers.variance_scaling(
        1.0, "fan_in", "normal", out_axis=0
    ),
    "the same at every width": jax.nn.initializers.normal(0.02),
    "uniform": jax.nn.initializers.glorot_uniform(),
}
SHAPES = {"w": lambda n: (n, n), "gain": lambda n: (n,), "bias": lambda n: (n,)}


def layout_at(width, multiplied=()):
    return infer_layout(
        inner(**SHAPES),
        base_width=BASE,
        width=width,
        apply=between(lambda p, h: (h @ p["w"]) * p["gain"] + p["bias"]),
        inputs=ROWS,
        multiplied=multiplied,
    )


@functools.cache
def drawn(width, law=LAWS["lecun"], seed=0):
    shapes = {"embed": (3, width), "w": (width, width), "readout": (width, 2)}
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    return {
        "gain": jnp.ones(width),
        "bias": jnp.zeros(width),
        **{name: law(key, shape) for key, (name, shape) in zip(keys, shapes.items(), strict=True)},
    }


def rms(leaf):
    return np.sqrt(np.mean(np.square(np.float32(leaf))))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("law", LAWS)
def test_the_std_is_the_base_widths_times_the_factor_whatever_the_law(law, recipe):
    layout, wide, base = layout_at(WIDTH), drawn(WIDTH, LAWS[law]), drawn(BASE, LAWS[law], seed=1)
    scaled = rescale_init(wide, base, layout, Recipe.parse(recipe))
    for path in ("embed", "w", "readout"):
        factor = FACTORS[recipe][layout[path].role]
        # Measured on the very arrays, so that only rounding is left.
        np.testing.assert_allclose(rms(scaled[path]), factor * rms(base[path]), rtol=1e-5)
        ratio = scaled[path] / wide[path]
        np.testing.assert_allclose(ratio, np.full_like(ratio, ratio[0, 0]), rtol=1e-5)


def test_a_law_that_follows_width_is_not_followed():
    """The embeddings of flax shrink with width, which no parametrization asks for."""
    layout, law = layout_at(WIDTH), LAWS["of the embeddings of flax"]
    wide, base = drawn(WIDTH, law), drawn(BASE, law)
    assert rms(wide["embed"]) < 0.7 * rms(base["embed"])
    scaled = rescale_init(wide, base, layout, Recipe("mup_table3"))
    np.testing.assert_allclose(rms(scaled["embed"]), rms(base["embed"]), rtol=1e-5)


def test_gains_and_biases_stay():
    scaled = rescale_init(drawn(WIDTH), drawn(BASE), layout_at(WIDTH), Recipe("mup_table3"))
    np.testing.assert_array_equal(scaled["gain"], np.ones(WIDTH))
    np.testing.assert_array_equal(scaled["bias"], np.zeros(WIDTH))


def test_a_zero_readout_stays():
    wide, base = ({**drawn(n), "readout": jnp.zeros((n, 2))} for n in (WIDTH, BASE))
    scaled = rescale_init(wide, base, layout_at(WIDTH), Recipe("mup_table3"))
    assert not scaled["readout"].any()
    assert scaled["w"].any()


def test_it_changes_no_bit_at_the_base_width():
    parameters = drawn(BASE)
    scaled = rescale_init(parameters, drawn(BASE, seed=1), layout_at(BASE), Recipe("mup_table3"))
    for path, leaf in parameters.items():
        np.testing.assert_array_equal(scaled[path], leaf)


@pytest.mark.parametrize("width", [BASE, WIDTH])
def test_a_reparametrized_layer_is_divided_at_every_width(width):
    """At the base width too, where no other factor is at work; other layers stay as they are."""
    layout, wide, base = layout_at(width, ["w"]), drawn(width), drawn(BASE, seed=1)
    plain, shifted = (
        rescale_init(wide, base, layout, recipe)
        for recipe in (Recipe("mup_table3"), Recipe("mup_table3").reparametrized({"w": 1 / 4}))
    )
    np.testing.assert_allclose(shifted["w"], 4 * plain["w"], rtol=1e-6)
    for path in ("embed", "readout", "gain", "bias"):
        np.testing.assert_array_equal(shifted[path], plain[path])


def test_the_type_of_a_leaf_stays():
    wide, base = (jax.tree.map(lambda x: x.astype("bfloat16"), drawn(n)) for n in (WIDTH, BASE))
    scaled = rescale_init(wide, base, layout_at(WIDTH), Recipe("mup_table3"))
    assert {leaf.dtype for leaf in scaled.values()} == {jnp.dtype("bfloat16")}
    # bfloat16 keeps 8 bits.
    np.testing.assert_allclose(rms(scaled["w"]), 0.5 * rms(base["w"]), rtol=2**-7)


def test_gains_drawn_around_one_stay_around_one():
    def around_one(n):
        return {**drawn(n), "gain": 1.0 + 0.02 * jax.random.normal(jax.random.key(n), n)}

    wide, base = around_one(WIDTH), around_one(BASE)
    scaled = rescale_init(wide, base, layout_at(WIDTH), Recipe("mup_table3"))
    # Of 16 gains the mean is off by 0.02 / 4; the ratio of stds would be off by 18%.
    assert abs(np.mean(scaled["gain"]) - 1.0) < 0.02


# Vectors: of one std at every width, so that only one that was drawn can have a law to correct.

STRUCTURED = {
    "slopes of heads": lambda n: 2.0 ** (-8.0 * jnp.arange(1, n + 1) / n),
    "logarithmic": lambda n: jnp.log(jnp.arange(1.0, n + 1)),
    "decays below 1": lambda n: 1.0 - 2.0 ** -(5.0 + jnp.arange(n) / 8),
    "evenly spaced": lambda n: jnp.linspace(-1.0, 1.0, n) * n**-0.5,
    "opposite frequencies": lambda n: jnp.concatenate(
        [sign * 2.0 ** (-8.0 * jnp.arange(n // 2) / n) for sign in (1, -1)]
    ),
    "a few draws": lambda n: jax.random.normal(jax.random.key(n), n // 16),
    "drawn around one": lambda n: 1.0 + 0.1 * jax.random.normal(jax.random.key(n), n),
    "a constant that follows width": lambda n: jnp.full(n, 1.0 / n),
    "one entry of all": lambda n: jnp.zeros(n).at[5].set(1.0),
    "decays of random sign": lambda n: (
        jax.random.rademacher(jax.random.key(n), (n,)) * jnp.exp(-jnp.arange(n) / 5.0)
    ),
}


def vector(law, base, width):
    """A vector of a law at two widths, as `rescale_init` leaves it at the larger."""
    found = {}
    for name, n in (("base", base), ("probe", 2 * base), ("target", width)):
        found[name] = {"w": Annotated(axes=Axes.parse("embed"), shape=law(n).shape)}
    layout = Layout.compare(**found)
    return rescale_init({"w": law(width)}, {"w": law(base)}, layout, Recipe("mup_table3"))["w"]


@pytest.mark.parametrize("law", STRUCTURED)
def test_a_vector_that_is_structured_or_short_stays(law):
    np.testing.assert_array_equal(vector(STRUCTURED[law], 64, 256), STRUCTURED[law](256))


@few
@given(st.sampled_from(["slopes of heads", "logarithmic", "decays below 1"]), st.data())
def test_structured_vectors_of_any_width_stay(law, data):
    # Of few widths, because each is compiled for.
    base, width = data.draw(st.permutations([1, 7, 100, 999]))[:2]
    np.testing.assert_array_equal(vector(STRUCTURED[law], base, width), STRUCTURED[law](width))


@pytest.mark.parametrize("seed", range(4))
def test_a_bias_that_is_drawn_with_a_std_that_follows_width_is_corrected(seed):
    """As PyTorch and equinox draw them: uniform within 1 / sqrt(fan-in)."""

    def law(n):
        bound = n**-0.5
        return jax.random.uniform(jax.random.key(n + seed), (n,), minval=-bound, maxval=bound)

    np.testing.assert_allclose(rms(vector(law, 64, 1024)), rms(law(64)), rtol=1e-5)
    assert rms(law(1024)) < 0.4 * rms(law(64))


def test_an_input_weight_that_is_not_drawn_stays():
    """Sines of positions have one size at every width, and one that is not exactly it."""

    def table(n):
        angles = jnp.arange(32)[:, None] * 100.0 ** (-jnp.arange(n // 2) / n)
        return jnp.concatenate([jnp.sin(angles), 1.0 + jnp.cos(angles)], axis=1)

    at = lambda n: {"w": Annotated(axes=Axes.parse("places -> embed"), shape=(32, n))}  # noqa: E731
    layout = Layout.compare(base=at(16), probe=at(32), target=at(64))
    scaled = rescale_init({"w": table(64)}, {"w": table(16)}, layout, Recipe("mup_table3"))
    np.testing.assert_array_equal(scaled["w"], table(64))


# Matrices that are no draws around zero: their size may be the law's, or tell nothing of it.

IDENTITY, MEAN = jnp.eye, lambda n, m: jnp.ones((n, m)) / n
STAYING = {
    "identity": ("from -> to", lambda n: IDENTITY(n, n)),
    "identity of inputs": ("features -> to", lambda n: IDENTITY(3, n)),
    "mean": ("from -> classes", lambda n: MEAN(n, 3)),
    "shift": ("from -> to", lambda n: jnp.eye(n, k=1)),
}
REFUSED = {
    "of HiPPO": (
        "from -> to",
        lambda n: jnp.tril(jnp.sqrt(jnp.outer(*[jnp.arange(1.0, n + 1)] * 2))),
    ),
    "positive": ("from -> to", lambda n: jax.random.uniform(jax.random.key(n), (n, n)) / n),
    "first inputs": ("from -> classes", lambda n: IDENTITY(n, 3)),
    "a constant": ("from -> to", lambda n: jnp.full((n, n), 0.01)),
    "zero at one width": ("from -> to", lambda n: jnp.full((n, n), float(n == 32))),
}


def matrix(axes, law, base=32, width=128):
    """A matrix of a law at two widths, as `rescale_init` leaves it at the larger."""
    at = lambda n: {"w": Annotated(axes=Axes.parse(axes), shape=law(n).shape)}  # noqa: E731
    layout = Layout.compare(base=at(base), probe=at(2 * base), target=at(width))
    return rescale_init({"w": law(width)}, {"w": law(base)}, layout, "mup_table3")["w"]


@pytest.mark.parametrize("case", STAYING)
def test_a_matrix_whose_structure_has_the_size_of_its_role_stays(case):
    axes, law = STAYING[case]
    np.testing.assert_array_equal(matrix(axes, law), law(128))


@pytest.mark.parametrize("case", REFUSED)
def test_a_matrix_whose_size_tells_no_law_is_refused(case):
    with refused("w", "drawn around zero", "subset(paths)"):
        matrix(*REFUSED[case])


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "float16", "bfloat16"])
def test_a_narrow_dtype_is_measured_and_scaled_in_float32(dtype):
    """Only the last rounding is the dtype's."""
    law = lambda n: (4.0 * jax.random.normal(jax.random.key(0), (n, 3))).astype(dtype)  # noqa: E731
    found = matrix("from -> classes", law)
    assert found.dtype == dtype
    wanted = 0.25 * rms(law(32)) / rms(law(128)) * np.float32(law(128))
    rounding = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(np.float32(found), wanted, rtol=rounding, atol=rounding / 8)


@pytest.mark.parametrize(
    ("wide", "base", "names"),
    [
        (drawn(4)["embed"][:1], drawn(1)["embed"][:1], ("w", "single entry")),
        (jnp.full((1, 4), jnp.nan), drawn(2)["embed"][:1], ("w", "not finite")),
        (drawn(4)["embed"][:1], jnp.full((1, 2), jnp.inf), ("w", "not finite")),
    ],
    ids=["one entry", "nan", "infinite at the base"],
)
def test_draws_that_say_nothing_of_a_std_are_refused(wide, base, names):
    at = lambda n: {"w": Annotated(axes=Axes.parse("features -> embed"), shape=(1, n))}  # noqa: E731
    small = base.shape[1]
    layout = Layout.compare(base=at(small), probe=at(2 * small), target=at(4))
    with refused(*names):
        rescale_init({"w": wide}, {"w": base}, layout, Recipe("mup_table3"))


def test_a_state_of_nnx_comes_back_as_one():
    def build(n):
        return nnx.Linear(3, n, rngs=nnx.Rngs(0))

    layout = infer_layout(build, base_width=BASE, width=WIDTH, inputs=ROWS)
    model = build(WIDTH)
    base = nnx.state(build(BASE), nnx.Param)
    scaled = rescale_init(nnx.state(model, nnx.Param), base, layout, Recipe("mup_table3"))
    nnx.update(model, scaled)
    np.testing.assert_allclose(rms(model.kernel[...]), rms(base.kernel[...]), rtol=1e-5)


def test_partitioned_parameters_of_linen_stay_partitioned():
    def build(n):
        init = linen.with_partitioning(jax.nn.initializers.lecun_normal(), ("features", "embed"))
        return linen.Dense(n, kernel_init=init)

    layout = infer_layout(build, base_width=BASE, width=WIDTH, inputs=ROWS)
    wide, base = (
        build(n).init(jax.random.key(0), jnp.ones((1, 3)))["params"] for n in (WIDTH, BASE)
    )
    scaled = rescale_init(wide, base, layout, Recipe("mup_table3"))
    assert scaled["kernel"].names == ("features", "embed")
    np.testing.assert_allclose(rms(scaled["kernel"].value), rms(base["kernel"].value), rtol=1e-5)


@pytest.mark.parametrize(
    ("wide", "base", "names"),
    [
        (drawn(WIDTH // 2), drawn(BASE), ()),
        (drawn(WIDTH), drawn(WIDTH), ()),
        (
            {**drawn(WIDTH), "w": jnp.zeros((WIDTH, WIDTH))},
            drawn(BASE),
            ("w",),
        ),
        ({"w": drawn(WIDTH)["w"]}, drawn(BASE), ("bias",)),
        (drawn(WIDTH), {"w": drawn(BASE)["w"]}, ("bias",)),
    ],
    ids=["another width", "not the base width", "constant", "a part", "a part of the base"],
)
def test_trees_that_do_not_fit_the_layout_are_refused(wide, base, names):
    with refused(*names):
        rescale_init(wide, base, layout_at(WIDTH), Recipe("mup_table3"))


def test_a_recipe_that_needs_multipliers_is_refused():
    with refused("transfer.multiplier"):
        rescale_init(drawn(WIDTH), drawn(BASE), layout_at(WIDTH), Recipe("mup"))


def test_stacked_matrices_share_one_factor():
    """Also where one of many is by far the largest, and one is zero."""
    sizes = (0.0, *[1.0] * 22, 30.0)
    layout = infer_layout(
        inner(w=lambda n: (24, n, n)),
        base_width=BASE,
        width=WIDTH,
        apply=between(lambda p, h: jax.lax.scan(lambda h, w: (h @ w, None), h, p["w"])[0]),
        inputs=example(5, 3),
    )
    wide, base = (
        {
            **{k: drawn(n)[k] for k in ("embed", "readout")},
            "w": jnp.stack([drawn(n)["w"] * size for size in sizes]),
        }
        for n in (WIDTH, BASE)
    )
    scaled = rescale_init(wide, base, layout, Recipe("mup_table3"))["w"]
    np.testing.assert_allclose(rms(scaled[-1]) / rms(scaled[1]), 30.0, rtol=1e-5)
    assert not scaled[0].any()
    np.testing.assert_allclose(rms(scaled), 0.5 * rms(base["w"]), rtol=1e-5)
