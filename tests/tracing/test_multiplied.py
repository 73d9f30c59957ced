"""A model of one's own owns its forward multipliers, and a recipe that needs others is refused."""

import jax.numpy as jnp
import pytest
from refusals import refused

from transfer.scaling import Recipe, Role, explain, multiplier
from transfer.tracing import infer_layout

from .inferred import BASE, ROWS, TOKENS, VOCABULARY, between, inner, layout_of, tree

UNTIED = (inner(w=lambda n: (n, n)), ROWS, between(lambda p, h: jnp.tanh(h @ p["w"])))
TIED = (
    tree(table=lambda n: (VOCABULARY, n)),
    TOKENS,
    lambda p, tokens: jnp.tanh(p["table"][tokens]) @ p["table"].T,
)


@pytest.mark.parametrize("name", ["standard", "standard/full", "standard/none", "mup_table3"])
def test_a_form_without_multipliers_asks_for_none(name):
    rules = Recipe.parse(name).rules(layout_of(*UNTIED))
    assert {rule.multiplier for rule in rules.values()} == {1.0}


@pytest.mark.parametrize(
    ("name", "missing"),
    [("mup", "readout"), ("mup_table9", "embed"), ("ntk", "readout"), ("mean_field", "readout")],
)
def test_a_form_with_multipliers_is_refused_until_the_model_applies_them(name, missing):
    with refused(missing, name):
        Recipe(name).rules(layout_of(*UNTIED))
    applied = layout_of(*UNTIED, multiplied=["embed", "w", "readout"])
    assert Recipe(name).rules(applied)["readout"].multiplier == multiplier(
        applied, Recipe(name), "readout"
    )


@pytest.mark.parametrize("width", [BASE, 4 * BASE])
def test_the_refusal_says_what_to_do_at_the_base_width_too(width):
    build, inputs, apply = UNTIED
    layout = infer_layout(build, base_width=BASE, width=width, apply=apply, inputs=inputs)
    with refused("mup_table3+sqrt", "transfer.multiplier", "multiplied=['readout']"):
        Recipe("mup").rules(layout)


@pytest.mark.parametrize("name", ["mup_table3", "standard/full", "standard/none"])
@pytest.mark.parametrize("multiplied", [[], ["table"]])
def test_a_tie_is_refused_where_the_two_rows_differ(name, multiplied):
    layout = layout_of(*TIED, multiplied=multiplied)
    with refused("table"):
        Recipe.parse(name).rules(layout)


def test_a_tie_needs_the_readouts_multiplier_under_mup():
    with refused("table"):
        Recipe("mup").rules(layout_of(*TIED))
    layout = layout_of(*TIED, multiplied=["table"])
    rule = Recipe("mup").rules(layout)["table"]
    assert (rule.role, rule.std, rule.learning_rate, rule.multiplier) == (Role.INPUT, 1, 1, 1)
    assert multiplier(layout, Recipe("mup"), "table") == 1
    assert multiplier(layout, Recipe("mup"), "table", role=Role.OUTPUT) == pytest.approx(1 / 3)


def test_a_readout_of_one_output_has_the_multiplier_of_a_readout():
    """An annotation without outputs is not the contraction of queries and keys."""
    layout = layout_of(
        tree(embed=lambda n: (3, n), readout=lambda n: (n,)),
        ROWS,
        lambda p, x: x @ p["embed"] @ p["readout"],
        multiplied=["readout"],
    )
    assert multiplier(layout, Recipe("mup"), "readout") == pytest.approx(1 / 3)
    assert Recipe("mup").rules(layout)["readout"].multiplier == pytest.approx(1 / 3)


def test_another_role_than_a_weights_own_is_refused():
    with refused("w"):
        multiplier(layout_of(*UNTIED), Recipe("mup"), "w", role=Role.OUTPUT)


def test_an_init_that_is_no_factor_is_refused():
    with refused("spectral"):
        Recipe("mup_table3", initializer="spectral").rules(layout_of(*UNTIED))


def test_it_is_explained_with_factors_of_the_init():
    build, inputs, apply = UNTIED
    layout = infer_layout(build, base_width=BASE, width=4 * BASE, apply=apply, inputs=inputs)
    table = explain(layout, Recipe("mup_table3"))
    stds = {row.parameter: row.std for row in table}
    assert stds == {"embed": "x 1", "w": "x 0.5", "readout": "x 0.25"}
    header, *rows = table.cells()
    column = header.index("std")
    assert {row[0]: row[column] for row in rows} == stds
    assert "x 0.25" in str(table)
