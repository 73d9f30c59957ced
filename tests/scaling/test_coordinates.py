"""Predicted slopes are those of the coordinate table, measured once with wide networks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.scaling import Recipe, Role, Slopes

HALF = 0.5
CLASSES = ("mup_table3", "mup", "mup_table9", "mean_field")
# (recipe, exponent of the one learning rate): changes of the first and second hidden layer and of
# the logit by AdamW and by SGD, and the logit at init.
TABLE = {
    ("standard", 0.0): ((0, 1, 1.5), (-HALF, HALF, 1), 0),
    ("standard", -1.0): ((-1, 0, HALF), (-1.5, -HALF, 0), 0),
    ("standard/full", 0.0): ((0, 0, HALF), (0, 0, HALF), 0),
    ("ntk/full", 0.0): ((0, 0, HALF), (0, 0, HALF), 0),
    ("ntk", 0.0): ((0, HALF, 1), (-HALF, -HALF, 0), 0),
    **{(recipe, 0.0): ((0, 0, 0), (0, 0, 0), -HALF) for recipe in CLASSES},
}
# Gradients of input, hidden and readout weights at init.
GRADIENTS = {
    "standard": (-HALF, -HALF, 0),
    "ntk": (-HALF, -1, -HALF),
    "mup_table3": (-1, -1, 0),
    "mup": (-1, -1, -1),
    "mup_table9": (-HALF, -1, -HALF),
    "mean_field": (-1, -1.5, -1),
}
ROLES = (Role.INPUT, Role.HIDDEN, Role.OUTPUT)


def slopes(recipe, family, exponent=0.0):
    return Slopes(Recipe.parse(recipe), family, exponent)


@pytest.mark.parametrize(("recipe", "exponent"), TABLE)
def test_changes_and_outputs_are_those_of_the_table(recipe, exponent):
    entrywise, linear, output = TABLE[recipe, exponent]
    for family, expected in (("entrywise", entrywise), ("linear", linear)):
        found = slopes(recipe, family, exponent)
        changes = (found.change(Role.INPUT), found.change(Role.HIDDEN), found.output_change)
        assert changes == expected
        assert found.output == output


@pytest.mark.parametrize("rates", ["", "/full"])
@pytest.mark.parametrize("recipe", GRADIENTS)
def test_gradients_are_those_of_the_table_whatever_the_rates(recipe, rates):
    found = slopes(recipe + rates, "linear")
    assert tuple(map(found.gradient, ROLES)) == GRADIENTS[recipe]


@pytest.mark.parametrize("recipe", GRADIENTS)
def test_full_rates_keep_the_changes_of_hidden_layers_level(recipe):
    linear, entrywise = slopes(recipe + "/full", "linear"), slopes(recipe + "/full", "entrywise")
    for role in (Role.INPUT, Role.HIDDEN):
        assert linear.change(role) == entrywise.change(role) == 0.0


@given(st.sampled_from(CLASSES), st.sampled_from(["entrywise", "linear"]))
def test_forms_of_one_class_change_alike(recipe, family):
    found, expected = slopes(recipe, family), slopes("mup", family)
    assert found.output == expected.output
    assert found.output_change == expected.output_change
    for role in (Role.INPUT, Role.HIDDEN):
        assert found.change(role) == expected.change(role)


@given(
    st.sampled_from(sorted(GRADIENTS)),
    st.sampled_from(["entrywise", "linear"]),
    st.integers(-8, 8).map(lambda quarters: quarters / 4),
)
def test_the_callers_own_learning_rate_shifts_every_change(recipe, family, exponent):
    found, without = slopes(recipe, family, exponent), slopes(recipe, family)
    assert found.output == without.output
    assert found.output_change == without.output_change + exponent
    for role in ROLES:
        assert found.update(role) == without.update(role) + exponent
        assert found.weight(role) == without.weight(role)
        assert found.gradient(role) == without.gradient(role)


@pytest.mark.parametrize(("recipe", "at_init", "change"), [("standard", 0, 1.5), ("mup", -HALF, 0)])
def test_attention_logits_follow_width_only_where_heads_grow(recipe, at_init, change):
    found = slopes(recipe, "entrywise")
    assert found.attention(grows=True) == at_init
    assert found.attention_change(grows=True) == change
    assert found.attention(grows=False) == 0
    assert found.attention_change(grows=False) == found.change(Role.HIDDEN)
