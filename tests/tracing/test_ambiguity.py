"""What a forward pass leaves open is an error that says how to resolve it, never a default."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from refusals import refused

from transfer.scaling import Role
from transfer.tracing import infer_layout

from .inferred import BASE, FEATURES, ROWS, WIDTH, axes_of, between, inner, layout_of, one_layer

MATRIX = {"w": lambda n: (n, n)}
FACTORS = {"a": lambda n: (n, 4), "b": lambda n: (4, n), **MATRIX}


def low_rank(p, h):
    return h @ (p["w"] + p["a"] @ p["b"])


def test_a_low_rank_product_names_a_factor_and_the_way_out():
    with refused("a", 'axes={"a": ...}', "0 -> 1", "1 -> 0"):
        one_layer(low_rank, **FACTORS)


def test_annotations_resolve_it():
    layout = layout_of(
        inner(**FACTORS), ROWS, between(low_rank), axes={"a": "0 -> 1", "b": "0 -> 1"}
    )
    roles = {path: layout[path].role for path in FACTORS}
    assert roles == {"a": Role.OUTPUT, "b": Role.INPUT, "w": Role.HIDDEN}


def test_one_factor_after_the_other_leaves_nothing_open():
    found = one_layer(lambda p, h: h @ p["w"] + h @ p["a"] @ p["b"], **FACTORS)
    assert found == {"a": "0 -> 1", "b": "0 -> 1", "w": "0 -> 1"}


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (lambda p, h: h, (0,)),
        (lambda p, h: h @ p["w"] + h @ p["w"].T, ("0 -> 1", "1 -> 0")),
        (lambda p, h: h * p["w"][0] + h @ p["w"], (0,)),
        (lambda p, h: h + p["w"].sum(0), (0,)),
        (lambda p, h: h @ jnp.linalg.inv(p["w"]), ()),
        (lambda p, h: h @ jnp.linalg.qr(p["w"])[0], ("qr",)),
        (lambda p, h: jnp.fft.ifft(jnp.fft.fft(h) @ jnp.fft.fft(p["w"])).real, ("fft",)),
        (lambda p, h: (h[:, :, None] * p["w"]).sum(1), ("0 and 1",)),
    ],
    ids=[
        "unused",
        "both ways",
        "as gain and matrix",
        "reduced",
        "inverted",
        "orthogonal",
        "transformed",
        "summed by hand",
    ],
)
def test_a_matrix_of_which_the_use_says_too_little(layer, names):
    with refused("w", *names, "axes="):
        one_layer(layer, **MATRIX)
    assert axes_of(inner(**MATRIX), ROWS, between(layer), axes={"w": "1 -> 0"}) == {"w": "1 -> 0"}


@pytest.mark.parametrize(
    "choose",
    [
        lambda w, gates: w[jnp.argmax(gates, axis=-1)],
        lambda w, gates: jnp.einsum("be,edf->bdf", gates, w),
    ],
    ids=["looked up", "mixed"],
)
def test_matrices_that_the_inputs_choose_are_no_embedding(choose):
    def layer(p, h):
        return jnp.einsum("bd,bdf->bf", h, choose(p["w"], jax.nn.softmax(h @ p["router"])))

    shapes = {"router": lambda n: (n, 4), "w": lambda n: (4, n, n)}
    with refused("w", 1, 2):
        one_layer(layer, **shapes)
    found = axes_of(inner(**shapes), ROWS, between(layer), axes={"w": "0 | 1 -> 2"})
    assert found == {"router": "0 -> 1", "w": "0 | 1 -> 2"}


def test_a_parameter_of_one_size_is_never_ambiguous():
    """All its factors are 1."""
    layout = layout_of(
        inner(unused=lambda n: (4,), both=lambda n: (FEATURES, FEATURES)),
        ROWS,
        lambda p, x: (x @ p["both"] + x @ p["both"].T) @ p["embed"] @ p["readout"],
    )
    assert layout["unused"].role == layout["both"].role == Role.SCALAR


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"axes": {"ww": "0 -> 1"}}, ("ww", "w")),
        ({"multiplied": ["readou"]}, ("readou", "readout")),
        ({"axes": {"w": "0 1 -> 2"}}, ("0 1 -> 2", "w", 3)),
        ({"axes": {"w": "0 -> 2"}}, ("0 -> 2",)),
        ({"axes": {"w": "0 | -> 1"}}, ("w",)),
    ],
)
def test_settings_that_do_not_fit_the_model(settings, names):
    with refused(*names):
        layout_of(inner(**MATRIX), ROWS, between(lambda p, h: h @ p["w"]), **settings)


def test_annotations_may_name_axes():
    layout = layout_of(
        inner(**MATRIX), ROWS, between(lambda p, h: h @ p["w"]), axes={"w": "embed -> hidden"}
    )
    assert layout["w"].axes.inputs == ("embed",)


def test_a_model_that_is_another_at_another_width_is_refused():
    def build(n):
        return {f"w{i}": jnp.zeros((n, n)) for i in range(n // BASE)}

    with refused("w1", 8, 16):
        layout_of(build, ROWS, lambda p, x: x)


# Without a forward pass.


def stored(**settings):
    shapes = {"w": lambda n: (n, 2 * n), "bias": lambda n: (n,), "fixed": lambda n: (5, 4)}
    return infer_layout(inner(**shapes), base_width=BASE, width=WIDTH, **settings)


@pytest.mark.parametrize(
    ("convention", "axes", "roles"),
    [
        ("in_out", "0 -> 1", {"embed": Role.INPUT, "readout": Role.OUTPUT}),
        ("out_in", "1 -> 0", {"embed": Role.OUTPUT, "readout": Role.INPUT}),
    ],
)
def test_a_convention_says_how_matrices_are_stored(convention, axes, roles):
    layout = stored(convention=convention)
    assert {str(layout[path].axes) for path in ("w", "embed", "readout")} == {axes}
    assert {path: layout[path].role for path in roles} == roles
    assert layout["w"].role == Role.HIDDEN
    assert layout["w"].fan_in == (24 if convention == "in_out" else 48)
    assert (layout["bias"].role, layout["fixed"].role) == (Role.VECTOR, Role.SCALAR)


def test_no_convention_is_no_default():
    with refused("embed", 'convention="in_out"'):
        stored()


def test_annotations_of_all_matrices_need_no_convention():
    layout = stored(axes={"embed": "0 -> 1", "w": "1 -> 0", "readout": "0 -> 1"})
    assert (layout["w"].fan_in, layout["bias"].role) == (48, Role.VECTOR)


def test_an_unknown_convention_is_refused():
    with refused("inout", "in_out"):
        stored(convention="inout")


def test_no_convention_tells_more_than_two_axes_apart():
    shapes = {"w": lambda n: (3, n, n)}
    settings = {"base_width": BASE, "width": WIDTH, "convention": "in_out"}
    with refused("w", 3):
        infer_layout(inner(**shapes), **settings)
    layout = infer_layout(inner(**shapes), **settings, axes={"w": "0 | 2 -> 1"})
    assert (layout["w"].role, layout["w"].fan_in) == (Role.HIDDEN, WIDTH)


def test_a_module_without_inputs_needs_a_convention_too():
    def build(n):
        return nnx.Linear(FEATURES, n, rngs=nnx.Rngs(0))

    with refused("kernel", "in_out"):
        infer_layout(build, base_width=BASE, width=WIDTH)
    layout = infer_layout(build, base_width=BASE, width=WIDTH, convention="in_out")
    assert layout["kernel"].role == Role.INPUT
