from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from transfer.scaling import Annotated, Axes, Layout, Role

from .parameters import few, layout, parameter


def annotated(axes: str, *shape: int) -> dict[str, Annotated]:
    return {"w": Annotated(axes=Axes.parse(axes), shape=shape)}


@pytest.mark.parametrize(
    ("axes", "base", "target", "role", "m_in", "m_out"),
    [
        ("vocab -> embed", (1000, 64), (1000, 192), Role.INPUT, 1, 3),
        ("embed -> ffn", (64, 256), (192, 768), Role.HIDDEN, 3, 3),
        ("layers | embed -> heads head_dim", (6, 64, 4, 16), (6, 96, 6, 16), Role.HIDDEN, 1.5, 1.5),
        ("heads head_dim -> embed", (4, 16, 64), (8, 16, 128), Role.HIDDEN, 2, 2),
        ("-> embed", (64,), (128,), Role.INPUT, 1, 2),
        ("embed -> classes", (64, 10), (256, 10), Role.OUTPUT, 4, 1),
        ("layers | embed", (6, 64), (6, 128), Role.VECTOR, 1, 2),
        ("heads head_dim", (4, 16), (12, 16), Role.VECTOR, 1, 3),
        ("head_dim", (16,), (16,), Role.SCALAR, 1, 1),
        ("classes", (10,), (10,), Role.SCALAR, 1, 1),
        ("features -> classes", (5, 10), (5, 10), Role.SCALAR, 1, 1),
        ("", (), (), Role.SCALAR, 1, 1),
    ],
)
def test_growing_axes_give_role_and_multipliers(axes, base, target, role, m_in, m_out):
    w = parameter(axes, base, target)
    assert (w.role, w.m_in, w.m_out) == (role, m_in, m_out)
    assert isinstance(w.m_in, Fraction)


def test_grouped_query_kernels_keep_fan_in_and_fan_out_apart():
    # 4 key heads at width 128, 12 at width 512: the queries grow by 4, the keys by 3.
    key = parameter("embed -> kv_heads head_dim", (128, 4, 16), (512, 12, 16))
    assert (key.role, key.m_in, key.m_out) == (Role.HIDDEN, 4, 3)
    assert (key.fan_in, key.fan_out) == (512, 192)


def test_a_fixed_number_of_key_heads_makes_an_output():
    fixed = {
        width: annotated("embed -> kv_heads head_dim", n, 1, 16)
        for width, n in (("base", 64), ("probe", 128), ("target", 256))
    }
    assert Layout.compare(**fixed)["w"].role == Role.OUTPUT


def test_fan_in_of_a_convolution_includes_its_area():
    inner = parameter("height width channels -> filters", (3, 5, 8, 16), (3, 5, 24, 32), gain=2.0)
    assert (inner.role, inner.fan_in, inner.fan_out) == (Role.HIDDEN, 3 * 5 * 24, 32)
    assert (inner.m_in, inner.m_out) == (3, 2)
    assert inner.base_std == pytest.approx(2.0 / (3 * 5 * 8) ** 0.5)
    first = parameter("height width colours -> filters", (3, 3, 3, 16), (3, 3, 3, 64))
    assert (first.role, first.fan_in, first.m_in, first.m_out) == (Role.INPUT, 27, 1, 4)


def test_groups_of_a_convolution_are_a_stack():
    grouped = parameter("kernel channels -> filters / 4", (9, 4, 16), (9, 12, 48))
    assert (grouped.role, grouped.fan_in, grouped.fan_out) == (Role.HIDDEN, 9 * 12, 12)
    assert (grouped.m_in, grouped.m_out, grouped.m_depth) == (3, 3, 1)
    assert (grouped.split_shape, grouped.split_places) == ((9, 12, 4, 12), ((2,), (0, 1), (3,)))
    # Stored as (out, in), groups are split off the first axis.
    stored = parameter("1 -> 0 / 2", (8, 2), (8, 2))
    assert (stored.split_shape, stored.split_places) == ((2, 4, 2), ((0,), (2,), (1,)))
    members = layout("channels -> filters / 4", (4, 16), (4, 16)).stacked("members", 3)["w"]
    assert (str(members.axes), members.split_shape) == (
        "members | channels -> filters / 4",
        (3, 4, 4, 4),
    )


def test_outputs_that_are_no_whole_groups_are_refused():
    with refused("w", 4, (9, 4, 18)):
        parameter("kernel channels -> filters / 4", (9, 4, 18), (9, 8, 36))


def test_stacked_layers_are_no_fan():
    up = parameter("layers | embed -> ffn", (12, 8, 32), (12, 16, 64), gain=1.0)
    assert (up.fan_in, up.fan_out) == (16, 64)
    assert up.base_std == pytest.approx(8**-0.5)
    assert parameter("layers | embed", (12, 8), (12, 16)).fan_in == 1


def test_annotated_stacks_axes_and_shape_together():
    (up,) = annotated("embed -> ffn", 8, 32).values()
    stacked = up.stacked("layers", 6)
    assert (str(stacked.axes), stacked.shape) == ("layers | embed -> ffn", (6, 8, 32))


def test_base_std_is_that_of_the_base_width():
    assert parameter("vocab -> embed", (9, 16), (9, 64), std=0.02).base_std == 0.02
    assert parameter("embed -> ffn", (16, 16), (64, 64), gain=3.0).base_std == 0.75
    assert parameter("embed -> ffn", (16, 16), (64, 64), gain=0.0).base_std == 0.0
    assert parameter("embed", (16,), (64,)).base_std is None


def test_an_init_that_a_model_makes_depend_on_width_is_read_at_the_base():
    def table(n: int) -> dict[str, Annotated]:
        return {"w": Annotated(axes=Axes.parse("vocab -> embed"), shape=(9, n), std=n**-0.5)}

    def kernel(n: int) -> dict[str, Annotated]:
        return {"w": Annotated(axes=Axes.parse("embed -> ffn"), shape=(n, n), gain=16.0 / n)}

    for model, std in ((table, 0.25), (kernel, 0.25)):
        layout = Layout.compare(base=model(16), probe=model(32), target=model(64))
        assert layout["w"].base_std == std


@few
@given(st.integers(1, 300), st.integers(1, 300))
def test_any_target_width_works(base, target):
    w = parameter("embed -> ffn", (base, 4 * base), (target, 4 * target))
    assert w.role == Role.HIDDEN
    assert w.m_in == w.m_out == Fraction(target, base)


@pytest.mark.parametrize("target", [64, 48, 1])
def test_the_base_width_and_narrower_ones_keep_the_roles(target):
    assert parameter("vocab -> embed", (9, 64), (9, target)).role == Role.INPUT
    assert parameter("embed -> ffn", (64, 64), (target, target)).role == Role.HIDDEN
    assert parameter("embed -> vocab", (64, 9), (target, 9)).role == Role.OUTPUT
    assert parameter("embed", (64,), (target,)).role == Role.VECTOR


@pytest.mark.parametrize("odd", ["base", "probe", "target"])
def test_other_parameters_at_one_width_are_refused(odd):
    widths = {
        name: annotated("embed -> ffn", n, n)
        for name, n in (("base", 8), ("probe", 16), ("target", 32))
    }
    widths[odd]["extra_bias"] = widths[odd]["w"]
    with refused("extra_bias"):
        Layout.compare(**widths)


@pytest.mark.parametrize("shape", [(8,), (8, 8, 8)])
def test_a_wrong_number_of_axes_is_refused(shape):
    with refused("w", 2):
        Layout.compare(
            base=annotated("embed -> ffn", *shape),
            probe=annotated("embed -> ffn", *shape),
            target=annotated("embed -> ffn", *shape),
        )


def test_a_stack_that_grows_is_refused():
    with refused("w", "heads | embed -> ffn"):
        layout("heads | embed -> ffn", (2, 8, 8), (4, 16, 16))


def test_a_target_that_differs_in_more_than_width_is_refused():
    with refused("vocab", "w", 9, 11):
        Layout.compare(
            base=annotated("vocab -> embed", 9, 8),
            probe=annotated("vocab -> embed", 9, 16),
            target=annotated("vocab -> embed", 11, 32),
        )


def test_an_empty_shape_is_refused():
    with refused((0, 8)):
        layout("embed -> ffn", (8, 8), (0, 8))


def test_a_layout_is_a_mapping_that_names_the_nearest_path():
    kernels = annotated("embed -> ffn", 8, 8) | {"blocks.up": annotated("embed -> ffn", 8, 8)["w"]}
    both = Layout.compare(base=kernels, probe=kernels, target=kernels)
    assert sorted(both) == ["blocks.up", "w"]
    assert len(both) == 2
    assert "blocks.up" in both
    assert "blocks.down" not in both
    with refused("blocks.up"):
        both["blocks.uq"]


def test_a_new_leading_axis_changes_no_factor():
    """By place, as layouts are inferred, and by name."""
    for axes, stacked_axes in (
        ("1 -> 0", "0 | 2 -> 1"),
        ("embed -> ffn", "members | embed -> ffn"),
    ):
        model = {at: annotated(axes, n, 2 * n) for at, n in WIDTHS.items()}
        one = Layout.compare(**model)
        stacked, plain = one.stacked("members", 3)["w"], one["w"]
        assert (stacked.shape, str(stacked.axes)) == ((3, 32, 64), stacked_axes)
        for name in ("role", "fan_in", "fan_out", "m_in", "m_out", "m_depth", "base_std"):
            assert getattr(stacked, name) == getattr(plain, name)
    with refused("members", 0):
        one.stacked("members", 0)


WIDTHS = {"base": 8, "probe": 16, "target": 32}


def named(*paths):
    return Layout.compare(
        **{
            width: {path: annotated("embed -> ffn", n, n)["w"] for path in paths}
            for width, n in WIDTHS.items()
        }
    )


def test_a_subset_is_of_paths_that_there_are():
    both = named("a", "b")
    assert list(both.subset(["b"])) == ["b"]
    assert both.subset(["b"])["b"] == both["b"]
    with refused("c"):
        both.subset(["c"])


def test_masked_paths_may_be_missing():
    """With all that lies below them, but not with what merely begins alike."""
    both = named("a.w", "ab.w")
    both.require(["ab.w"], masked=["a"])
    both.require([], masked=[""])
    with refused("ab.w"):
        both.require([], masked=["a"])
    with refused("c"):
        both.require(["a.w", "ab.w", "c"], masked=[""])


def test_require_lets_nothing_go_unscaled():
    one = layout("embed -> ffn", (8, 8), (16, 16))
    one.require(["w"])
    for paths in (["w", "bias"], []):
        with refused("bias" if paths else "w"):
            one.require(paths)
