"""How layouts, recipes, explanations and regimes show themselves in a notebook."""

import pytest
from cells import cells_of, text_of

from transfer.scaling import (
    Annotated,
    Axes,
    Calibration,
    Exponents,
    Layout,
    Recipe,
    Role,
    classify_regime,
    explain,
)


def model(width: int, layers: int = 2) -> dict[str, Annotated]:
    return {
        "<up>": Annotated(axes=Axes.parse("embed -> ffn"), shape=(width, 4 * width), gain=1.0),
        "gain": Annotated(axes=Axes.parse("layers | embed"), shape=(layers, width)),
    }


@pytest.fixture
def layout() -> Layout:
    return Layout.compare(base=model(16), probe=model(32), target=model(64))


def test_a_layout_has_a_row_per_parameter(layout):
    shown = layout._repr_html_()

    assert "16,512 numbers in 2 parameters" in text_of(shown)
    assert cells_of(shown) == [
        ["parameter", "axes", "shape", "at the base", "role", "m in", "m out"],
        ["<up>", "embed -> ffn", "64x256", "16x64", "hidden", "4", "4"],
        ["gain", "layers | embed", "2x64", "2x16", "vector", "1", "4"],
    ]
    assert "<up>" not in shown


def test_an_explanation_leaves_out_a_depth_that_nothing_has(layout):
    flat = explain(layout, Recipe("mup"))._repr_html_()
    header, up, _ = cells_of(flat)

    assert "mup+sqrt for entrywise optimizers" in text_of(flat)
    assert header == [
        *("parameter", "shape", "role", "m in", "m out"),
        *("std", "multiplier", "learning rate", "weight decay", "epsilon"),
    ]
    assert up == ["<up>", "64x256", "hidden", "4", "4", "0.125", "1", "0.25", "2", "0.25"]

    deep = Layout.compare(base=model(16), probe=model(32), target=model(16, layers=6))
    header, _, gain = cells_of(explain(deep, Recipe("mup", depth="completep"))._repr_html_())
    assert gain[header.index("m depth")] == "3"


def test_a_recipe_is_a_table_of_powers():
    shown = Recipe("mup")._repr_html_()

    assert text_of(shown).startswith("mup+sqrt: powers of the growth of fan-in and fan-out")
    assert cells_of(shown) == [
        ["role", "init std", "multiplier", "learning rate", "epsilon", "weight decay"],
        ["input", "1", "1", "1", "out^-1", "0"],
        ["hidden", "in^-1/2", "1", "in^-1", "out^-1", "in^1/2"],
        ["output", "1", "in^-1", "1", "in^-1", "0"],
        ["vector", "1", "1", "1", "out^-1", "0"],
        ["scalar", "1", "1", "1", "1", "0"],
    ]


RECIPES = [
    *(Recipe(name, decay=decay) for name in ("standard", "ntk", "mup", "mup_table9", "mean_field")
      for decay in ("constant", "sqrt", "independent", 0.7)),
    Recipe("mup", rates="none", decay="independent"),
    Recipe("mup", decay_readout=True),
    Recipe("mup", decay="sqrt").reparametrized({Role.HIDDEN: "in^1/2", Role.OUTPUT: "in"}),
]  # fmt: skip


@pytest.mark.parametrize("family", ["entrywise", "linear", "relative", "spectral"])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_powers_are_those_of_the_rules(recipe, family):
    def model(width):
        return {
            "input": Annotated(axes=Axes.parse("a -> b"), shape=(3, width), gain=1.0),
            "hidden": Annotated(axes=Axes.parse("a -> b"), shape=(width, width**2), gain=1.0),
            "output": Annotated(axes=Axes.parse("a -> b"), shape=(width, 3), gain=1.0),
        }

    layout = Layout.compare(base=model(2), probe=model(4), target=model(6))
    # A layer's own shift is a number, which the table of roles does not show.
    rules = {rule.role: (path, rule) for path, rule in recipe.rules(layout, family).items()}
    for role, *texts, decay in recipe.cells(family)[1:4]:
        path, rule = rules[role]
        names = ("std", "multiplier", "learning_rate", "epsilon", "weight_decay")
        for name, text in zip(names, [*texts, decay], strict=True):
            expected = getattr(rule, name)
            assert value_of(text, layout[path]) == pytest.approx(expected, rel=1e-12), name


def value_of(text: str, parameter) -> float:
    """Evaluate `in^-1/2 out` at a parameter, and 0 where there is no decay."""
    if text == "0":
        return 0.0
    value = 1.0
    for factor in text.split():
        base, _, exponent = factor.partition("^")
        numerator, _, denominator = (exponent or "1").partition("/")
        if base != "1":
            m = parameter.m_in if base == "in" else parameter.m_out
            value *= float(m) ** (float(numerator) / float(denominator or 1))
    return value


def test_a_measured_decay_is_called_so():
    measured = Calibration(paths=("up",), exponents=(0.3,), swept=0.5, widest=2.0)

    rows = cells_of(Recipe("mup", decay=measured)._repr_html_())

    assert [row[-1] for row in rows[1:]] == ["0", "measured", "0", "0", "0"]


def test_a_regime_says_what_moves_and_what_fails():
    shown = classify_regime(Exponents.of(Recipe("standard"), "entrywise"))._repr_html_()

    assert "unstable (entrywise optimizers): r = -1" in text_of(shown)
    assert cells_of(shown) == [
        ["at width n", "moved by its own update", "moved in all"],
        ["layer 1", "1", "1"],
        ["layer 2", "n^1", "n^1"],
        ["readout", "n^1", "n^2"],
    ]
    assert shown.count("<p>") == 3
    assert "fails in layer 2: the features do not blow up in training (r = -1, expected >= 0)" in (
        text_of(shown)
    )

    stable = classify_regime(Exponents.of(Recipe("mup"), "entrywise"))._repr_html_()
    assert "feature learning" in stable
    assert "<p>" not in stable
