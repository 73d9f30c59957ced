"""What width does to every parameter of the models, read off without allocating one."""

import dataclasses
import time
from fractions import Fraction

import pytest
from refusals import refused

from transfer.models import MLPConfig, TransformerConfig, model_layout, parameter_count
from transfer.scaling import Recipe, Role

from .drawn import MLP, SMALL, draw

INPUT, HIDDEN, OUTPUT, VECTOR, SCALAR = Role

TRANSFORMER_ROLES = {
    "embedding.table": INPUT,
    "blocks.attention_norm.gain": VECTOR,
    "blocks.attention.query.kernel": HIDDEN,
    "blocks.attention.key.kernel": HIDDEN,
    "blocks.attention.value.kernel": HIDDEN,
    "blocks.attention.out.kernel": HIDDEN,
    "blocks.attention.query_norm.gain": SCALAR,
    "blocks.attention.key_norm.gain": SCALAR,
    "blocks.feed_forward_norm.gain": VECTOR,
    "blocks.feed_forward.gate.kernel": HIDDEN,
    "blocks.feed_forward.up.kernel": HIDDEN,
    "blocks.feed_forward.down.kernel": HIDDEN,
    "norm.gain": VECTOR,
    "readout.kernel": OUTPUT,
}
MLP_ROLES = {
    "layers.0.linear.kernel": INPUT,
    "layers.0.bias": VECTOR,
    "layers.1.linear.kernel": HIDDEN,
    "layers.1.bias": VECTOR,
    "layers.2.linear.kernel": OUTPUT,
    "layers.2.bias": SCALAR,
}


def roles(config):
    return {path: p.role for path, p in model_layout(config, 8).parameters.items()}


# The base width itself and a width below it have the same roles as any other.
@pytest.mark.parametrize("width", [4, 8, 16, 64])
def test_every_parameter_of_the_transformer_has_its_role(width):
    config = dataclasses.replace(SMALL, width=width, queries_per_kv_head=1)
    assert roles(config) == TRANSFORMER_ROLES


@pytest.mark.parametrize("width", [4, 8, 12])
def test_every_parameter_of_the_perceptron_has_its_role(width):
    assert roles(dataclasses.replace(MLP, width=width)) == MLP_ROLES


def test_gains_of_a_head_dimension_that_grows_are_vectors():
    found = roles(dataclasses.replace(SMALL, head_dim=0, heads=4))
    assert found["blocks.attention.query_norm.gain"] == VECTOR
    assert found["blocks.attention.key_norm.gain"] == VECTOR


def test_a_tied_table_is_an_input_marked_as_tied():
    layout = model_layout(dataclasses.replace(SMALL, tied=True), 8)
    assert layout.parameters["embedding.table"].role == INPUT
    assert layout.parameters["embedding.table"].tied
    assert not model_layout(SMALL, 8).parameters["embedding.table"].tied
    assert layout.multipliers["embedding.readout_multiplier"].role == OUTPUT
    assert "readout.kernel" not in layout.parameters


def test_every_product_has_a_multiplier_that_grows_as_its_kernel_does():
    layout = model_layout(SMALL, 8)
    for path, kernel in layout.parameters.items():
        owner, _, name = path.rpartition(".")
        if name in ("kernel", "table"):
            scale = layout.multipliers[f"{owner}.multiplier"]
            assert (scale.role, scale.m_in, scale.m_out) == (kernel.role, kernel.m_in, kernel.m_out)
    # Two more: the contraction of queries with keys, and the residual branches.
    products = sum(path.endswith(("kernel", "table")) for path in layout.parameters)
    assert len(layout.multipliers) == products + 2
    branch = layout.multipliers["blocks.branch_multiplier"]
    assert (branch.axes.stack, branch.axes.inputs, branch.axes.outputs) == (("layers",), (), ())
    logits = layout.multipliers["blocks.attention.logit_multiplier"]
    assert (logits.axes.inputs, logits.axes.outputs) == (("head_dim",), ())


def test_ratios_are_those_of_the_widths():
    layout = model_layout(dataclasses.replace(SMALL, width=24), 16).parameters
    for path, parameter in layout.items():
        grows_in = parameter.role in (HIDDEN, OUTPUT)
        assert parameter.m_in == (Fraction(3, 2) if grows_in else 1), path


def test_kernels_of_grouped_heads_have_the_fans_of_their_products():
    layout = model_layout(SMALL, 8).parameters
    fans = {
        name: (layout[path].fan_in, layout[path].fan_out)
        for name in ("query", "key", "out")
        for path in [f"blocks.attention.{name}.kernel"]
    }
    assert fans == {"query": (16, 16), "key": (16, 8), "out": (16, 16)}
    assert layout["blocks.attention.query.kernel"].shape == (2, 16, 4, 4)


@pytest.mark.parametrize(("config", "base_width"), [(SMALL, 8), (MLP, 4)], ids=["decoder", "mlp"])
def test_the_layout_is_that_of_the_arrays(config, base_width):
    parameters, multipliers = draw(config, base_width=base_width)
    layout = model_layout(config, base_width)

    def shapes(tree, prefix=""):
        for name, value in tree.items():
            if isinstance(value, dict):
                yield from shapes(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", value.shape

    assert dict(shapes(parameters)) == {path: p.shape for path, p in layout.parameters.items()}
    assert {path for path, _ in shapes(multipliers)} == set(layout.multipliers)
    count = sum(value.size for value in _leaves(parameters))
    assert parameter_count(layout.parameters) == count


def _leaves(tree):
    for value in tree.values():
        yield from _leaves(value) if isinstance(value, dict) else [value]


def test_a_layout_allocates_nothing():
    """At this width the parameters would take 2 TB and the reading of a clock as many seconds."""
    started = time.monotonic()
    wide = TransformerConfig(width=2**17, head_dim=128, layers=3)
    layout = model_layout(wide, base_width=256)
    rules = Recipe().rules(layout.parameters)
    assert time.monotonic() - started < 30
    assert parameter_count(layout.parameters) > 5e11
    assert rules["blocks.attention.query.kernel"].learning_rate == 1 / 512


def test_a_perceptron_may_be_as_wide():
    layout = model_layout(MLPConfig(width=2**17), 128).parameters
    assert layout["layers.1.linear.kernel"].m_in == 1024


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"width": 0}, ("width", 0)),
        ({"layers": 0}, ("layers", 0)),
        ({"features": 0}, ("features", 0)),
        ({"outputs": 0}, ("outputs", 0)),
        ({"activation": "swish"}, ("swish",)),
        ({"dtype": "int8"}, ("int8",)),
    ],
)
def test_a_perceptron_that_cannot_be_is_refused(fields, names):
    with refused(*names):
        dataclasses.replace(MLP, **fields)


@pytest.mark.parametrize(("base_width", "names"), [(0, ("width", 0)), (6, (6,))])
def test_a_base_width_that_does_not_fit_the_architecture_is_refused(base_width, names):
    with refused(*names):
        model_layout(SMALL, base_width)


def test_a_fixed_number_of_key_heads_is_refused_with_its_reason():
    assert "no hidden rule fits" in TransformerConfig.REFUSED["kv_heads"]
    assert "kv_heads" not in {field.name for field in dataclasses.fields(TransformerConfig)}


@pytest.mark.parametrize("name", ["mup_table3", "standard"])
def test_a_tie_that_a_recipe_cannot_serve_is_refused(name):
    layout = model_layout(dataclasses.replace(SMALL, tied=True), 8)
    with refused():
        Recipe(name, rates="full").rules(layout.parameters)
