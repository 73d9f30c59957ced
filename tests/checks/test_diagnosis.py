"""Which sentence follows from which rows, on rows made up for it."""

import pytest

from transfer.checks import CheckRow
from transfer.checks.diagnosis import diagnose
from transfer.checks.predictions import Predictions
from transfer.checks.structure import Structure
from transfer.scaling import Annotated, Axes, Layout, Recipe, Slopes

WIDTHS = (64, 256)
PLACES = {"in": "features -> embed", "mid": "embed -> ffn", "out": "embed -> vocabulary"}
FIXED = ("features", "vocabulary")


def declared(width):
    return {
        path: Annotated(
            axes=Axes.parse(text),
            shape=tuple(8 if axis in FIXED else width for axis in text.split(" -> ")),
        )
        for path, text in PLACES.items()
    }


LAYOUTS = {
    width: Layout.compare(base=declared(64), probe=declared(128), target=declared(width))
    for width in WIDTHS
}
NAMES = ("in", "contraction 1", "mid")
FEEDS = {
    "in": frozenset(),
    "contraction 1": frozenset({"in"}),
    "mid": frozenset({"contraction 1"}),
    "output": frozenset({"out", "mid"}),
}
STRUCTURE = Structure({(at,): name for at, name in enumerate(NAMES)}, FEEDS, (), ("out",))
KEYS = [
    *[(quantity, name, 0) for quantity in ("weight", "gradient", "update") for name in PLACES],
    *[(quantity, name, 0) for quantity in ("activation", "change") for name in ("in", "mid")],
    *[("activation", "contraction 1", 0), ("change", "contraction 1", 0)],
    *[("activation", "output", 0), ("change", "output", 0), ("change", "loss", 0)],
]


def findings(wrong, *, grows=False, family="entrywise", recipe="mup_table3"):
    """What is said of rows as predicted, but for errors in the slopes of some."""
    terms = {"contraction 1": 16}, {"contraction 1": 64 if grows else 16}
    predictions = Predictions(Slopes(Recipe(recipe), family), LAYOUTS, *terms, STRUCTURE)
    rows = []
    for key in KEYS:
        slope = predictions(key)[1] + wrong.get(key[:2], 0.0)
        sizes = {width: [(width / 64) ** slope] * 2 for width in WIDTHS}
        rows.append(CheckRow.of(key, sizes, predictions(key)))
    return diagnose(rows, predictions)


@pytest.mark.parametrize("recipe", ["standard", "mup_table3", "mup", "ntk"])
@pytest.mark.parametrize("family", ["entrywise", "linear"])
@pytest.mark.parametrize("grows", [False, True])
def test_of_rows_as_predicted_nothing_is_said(recipe, family, grows):
    assert findings({}, recipe=recipe, family=family, grows=grows) == ()


def test_parameters_of_one_role_and_error_share_a_sentence_and_others_do_not():
    found = findings({("update", "mid"): 1.0, ("update", "out"): 1.0, ("update", "in"): -0.5})
    assert [sentence.split(" is off by ")[0] for sentence in found] == [
        "The learning rate of the input parameter in",
        "The learning rate of the hidden parameter mid",
        "The learning rate of the output parameter out",
    ]


def test_a_linear_step_is_not_accused_of_its_gradients_error():
    wrong = {("gradient", "mid"): 0.5, ("update", "mid"): 0.5}
    (linear,) = findings(wrong, family="linear")
    assert linear.startswith("The gradient of mid follows width^")
    assert "every activation is as predicted, and the rows do not tell why" in linear
    # An entrywise step does not depend on the gradient's size, so that both are wrong.
    assert any("learning rate" in sentence for sentence in findings(wrong))


def test_a_zero_initialized_readout_shows_its_multiplier_in_the_change_alone():
    terms = {"contraction 1": 16}
    predictions = Predictions(Slopes(Recipe("mup"), "entrywise"), LAYOUTS, terms, terms, STRUCTURE)
    zero = {width: [0.0, 0.0] for width in WIDTHS}
    grown = {width: [width / 64.0] * 2 for width in WIDTHS}
    rows = [
        CheckRow.of(("activation", "output", 0), zero, (-0.5, -0.5)),
        CheckRow.of(("change", "loss", 0), grown, (0.0, 0.0)),
    ]
    (finding,) = diagnose(rows, predictions)
    assert finding.startswith("The change of the output follows width^+1.00")
    assert "out's forward multiplier is missing" in finding


def test_a_cause_is_named_only_where_what_goes_in_is_right():
    wrong = {("activation", "mid"): 1.0, ("activation", "output"): 1.0}
    (finding,) = findings(wrong)
    assert finding == (
        "The activation of mid follows width^+1.00, expected width^+0.00, while contraction 1 and "
        "every weight before it are as predicted: a factor of width^+1.0 stands in the forward "
        "pass after contraction 1; remove it."
    )


def test_an_init_that_is_off_explains_what_follows_from_it():
    wrong = {("weight", "mid"): 0.5, ("activation", "mid"): 0.5, ("activation", "output"): 0.5}
    (finding,) = findings(wrong)
    assert finding.startswith("The init of the hidden weight mid")


def test_a_factor_that_is_no_multiplier_of_the_readout_is_called_a_factor():
    (finding,) = findings({("activation", "output"): 0.5})
    assert "a factor of width^+0.5 stands in the forward pass after out" in finding
    (finding,) = findings({("activation", "output"): 1.0}, recipe="mup")
    assert "out's forward multiplier is missing" in finding
    # Table 3 has no multiplier that could be missing.
    (finding,) = findings({("activation", "output"): 1.0})
    assert "a factor of width^+1.0" in finding


def test_where_attention_logits_fall_with_width_that_may_be_why():
    wrong = {("change", "mid"): 0.5}
    (fixed,), (growing,) = findings(wrong), findings(wrong, grows=True)
    assert "becoming flat" not in fixed
    assert "Attention may still be becoming flat as its logits fall with the growing" in growing


def test_logits_over_a_fixed_head_dimension_are_not_said_to_lack_their_scale():
    wrong = {("activation", "contraction 1"): 0.5}
    assert "head_dim" not in findings(wrong)[0]
    assert "scaled by head_dim^-0.50, expected head_dim^-1.00" in findings(wrong, grows=True)[0]
