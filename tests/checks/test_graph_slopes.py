"""Exponents read off a forward pass: what an inner map to a fixed size does to all that follows."""

import jax
import jax.numpy as jnp
import pytest
from tracing.families import FAMILIES

from transfer import pytree_paths
from transfer.checks import user_model
from transfer.checks.forward_graph import ForwardGraph
from transfer.checks.graph_slopes import derive_slopes
from transfer.checks.structure import Structure
from transfer.scaling import Role, Slopes
from transfer.tracing.interpreter import interpret

from .small_models import ROWS, autoencoder, mixture, routed, through_the_neck

RECIPES = (
    "mup_table3",
    *(pytest.param(each, marks=pytest.mark.full) for each in ("mup", "standard")),
)
NAMES = (
    "vit",
    "perceiver",
    *(pytest.param(each, marks=pytest.mark.full) for each in ("u-net", "alibi", "resnext")),
)


def read(build, inputs, apply, recipe, family="entrywise"):
    """The structure of a model, and the slopes of its sizes by name."""
    model = user_model(build, base_width=32, recipe="standard", inputs=inputs, apply=apply)
    drawn = [model.draw(width, 0) for width in (32, 64)]
    interpreter = interpret(drawn[0], model.inputs)
    graphs = tuple(ForwardGraph(each, model.inputs) for each in drawn)
    leaves = pytree_paths.leaves(drawn[0].parameters)
    zeros = frozenset(path for path, leaf in leaves.items() if not jnp.any(leaf))
    layout = model.layout(64)
    structure = Structure.of(interpreter, layout, graphs[0])
    derived = derive_slopes(Slopes(recipe, family), layout, interpreter, graphs, zeros)
    return layout, structure, derived


def by_name(structure, found):
    return {name: found[at] for at, name in structure.names.items()}


def test_two_networks_in_series():
    """An autoencoder's decoder starts from a code of size width^-1/2."""
    _, structure, derived = read(autoencoder(), ROWS, through_the_neck, "mup_table3")
    assert structure.inner == ("neck",)
    assert structure.readouts == ("leave",)
    assert by_name(structure, derived.activations) == {"enter": 0, "neck": -0.5, "widen": -0.5}
    assert derived.output == -1.0
    assert derived.gradients == {"enter": -1.5, "neck": -0.5, "widen": -1.5, "leave": -0.5}
    assert by_name(structure, derived.changes) == {"enter": 0, "neck": 0, "widen": 0}
    assert derived.loss_change == -0.5


def test_a_softmax_brings_a_routers_vanishing_logits_back_to_order_one():
    _, structure, derived = read(mixture, ROWS, routed, "mup_table3")
    assert structure.inner == ("router",)
    sizes = by_name(structure, derived.activations)
    assert sizes == {"embed": 0, "router": -0.5, "experts": 0, "contraction 1": 0}
    assert derived.output == -0.5
    # Its gradient sums over the width of what it weighs, and no more.
    assert derived.gradients == {"embed": -1, "router": -0.5, "experts": -1, "readout": 0}
    assert derived.loss_change == 0


def test_a_branch_that_vanishes_leaves_the_sum_as_it_is():
    family = FAMILIES["lora"]
    _, structure, derived = read(family.build, family.inputs, family.apply, "mup_table3")
    assert structure.inner == ("a",)
    assert by_name(structure, derived.activations) == {
        "embed": 0,
        "frozen": 0,
        "a": -0.5,
        "b": -0.5,
    }
    assert derived.output == -0.5
    assert derived.gradients["frozen"] == -1
    assert derived.gradients["b"] == -1.5


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", NAMES)
def test_without_an_inner_map_it_is_the_table_of_slopes(name, recipe):
    family = FAMILIES[name]
    layout, structure, derived = read(family.build, family.inputs, family.apply, recipe)
    slopes = Slopes(recipe, "entrywise")
    assert structure.inner == ()
    assert derived.output == slopes.output
    assert derived.loss_change == slopes.output_change
    for path, gradient in derived.gradients.items():
        if layout[path].role != Role.SCALAR:
            assert gradient == slopes.gradient(layout[path].role), path


def test_through_a_loop_nothing_is_derived():
    def apply(p, x):
        hidden = jax.nn.relu(x @ p["enter"])
        code, _ = jax.lax.scan(lambda code, _: (jnp.tanh(code), None), hidden @ p["neck"], length=2)
        return jax.nn.relu(code @ p["widen"]) @ p["leave"]

    _, structure, derived = read(autoencoder(), ROWS, apply, "mup_table3")
    assert structure.inner == ("neck",)
    assert derived is None
    assert structure.before("output") == {"enter", "neck", "widen", "leave"}
