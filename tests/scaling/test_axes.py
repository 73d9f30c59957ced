import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from transfer.scaling import Axes

from .parameters import few

NAMES = st.lists(st.sampled_from(["layers", "embed", "heads", "head_dim", "x"])).map(tuple)


@pytest.mark.parametrize(
    ("annotation", "stack", "inputs", "outputs"),
    [
        ("layers | embed -> heads head_dim", ("layers",), ("embed",), ("heads", "head_dim")),
        ("embed -> ffn", (), ("embed",), ("ffn",)),
        (
            "height width channels -> filters",
            (),
            ("height", "width", "channels"),
            ("filters",),
        ),
        ("a b|x->y", ("a", "b"), ("x",), ("y",)),
        ("embed", (), None, ("embed",)),
        ("layers | embed", ("layers",), None, ("embed",)),
        ("head_dim ->", (), ("head_dim",), ()),
        ("-> embed", (), (), ("embed",)),
        ("", (), None, ()),
    ],
)
def test_an_annotation_splits_into_its_parts(annotation, stack, inputs, outputs):
    axes = Axes.parse(annotation)
    assert (axes.stack, axes.inputs, axes.outputs) == (stack, inputs, outputs)


def test_names_come_in_array_order():
    assert Axes.parse("layers | embed -> heads head_dim").names == (
        "layers",
        "embed",
        "heads",
        "head_dim",
    )
    assert Axes.parse("layers | embed").names == ("layers", "embed")


@pytest.mark.parametrize("annotation", ["a | b | c", "a -> b -> c", "a -> b | c", "a | b -> c ->"])
def test_two_bars_or_two_arrows_are_refused(annotation):
    with refused(f'"{annotation}"'):
        Axes.parse(annotation)


@few
@given(NAMES, st.none() | NAMES, NAMES, st.integers(1, 99))
def test_what_is_printed_reads_back(stack, inputs, outputs, groups):
    groups = groups if inputs and len(outputs) == 1 else 1
    axes = Axes(stack=stack, inputs=inputs, outputs=outputs, groups=groups)
    assert Axes.parse(str(axes)) == axes


@pytest.mark.parametrize(
    "annotation", ["in -> out / 0", "in -> out / four", "in -> a b / 4", "out / 4", "-> out / 2"]
)
def test_groups_of_what_is_not_one_output_axis_of_a_product_are_refused(annotation):
    with refused():
        Axes.parse(annotation)


def test_printed_form():
    assert str(Axes.parse("layers|embed  ->  ffn")) == "layers | embed -> ffn"
    assert str(Axes.parse("head_dim->")) == "head_dim ->"


def test_stacked_adds_an_outermost_axis():
    axes = Axes.parse("experts | embed -> ffn").stacked("layers")
    assert axes.stack == ("layers", "experts")
    assert axes.names == ("layers", "experts", "embed", "ffn")
    assert axes.inputs == ("embed",)
