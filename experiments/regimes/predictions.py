"""The slopes over width that a verdict predicts for what `network.measure` measures."""

from fractions import Fraction

from transfer.scaling import Condition, RegimeReport, Violation, classify_regime


def stable(verdict: RegimeReport) -> dict[str, Fraction]:
    """Every layer's own update, the features behind it, and the output."""
    slopes = {}
    for layer, update in enumerate(verdict.updates, start=1):
        slopes[f"update_{layer}"] = -update
        if layer < len(verdict.updates):
            slopes[f"features_{layer}"] = -verdict.changes[layer - 1]
    return slopes | {"output": -verdict.changes[-1]}


def broken(verdict: RegimeReport, violation: Violation) -> tuple[str, Fraction]:
    """The quantity that a violation is about, which departs from order 1, and its slope."""
    layer = violation.layer
    exponents = verdict.exponents.layers[layer - 1]
    init = exponents.a + exponents.b
    if violation.condition == Condition.INPUT_INIT:
        return "initial_1", -init
    if violation.condition in (Condition.HIDDEN_INIT, Condition.OUTPUT_INIT):
        return f"initial_{layer}", Fraction(1, 2) - init
    if violation.condition == Condition.FEATURE_CHANGE:
        return "readout_init", -verdict.readout_init
    return f"update_{layer}", -verdict.updates[layer - 1]


def held(verdict: RegimeReport) -> list[str]:
    """The quantities that the conditions which hold keep from growing."""
    hidden, last = range(2, len(verdict.updates)), len(verdict.updates)
    quantities = {
        Condition.INPUT_INIT: ["initial_1"],
        Condition.HIDDEN_INIT: [f"initial_{layer}" for layer in hidden],
        Condition.OUTPUT_INIT: [f"initial_{last}"],
        Condition.FEATURES: [f"update_{layer}" for layer in (1, *hidden)],
        Condition.READOUT_UPDATE: [f"update_{last}"],
        Condition.FEATURE_CHANGE: ["readout_init"],
    }
    for violation in verdict.violations:
        quantities.pop(violation.condition)
    return [quantity for names in quantities.values() for quantity in names]


def rivals(verdict: RegimeReport) -> dict[str, Fraction]:
    """Slopes of the last features by classifiers from which one term is missing."""
    first, *hidden, _ = verdict.updates
    slopes = {"the first layer taken for a hidden one": -min(first - 1, *hidden)}
    if verdict.exponents.family == "linear":
        readout = verdict.exponents.layers[-1]
        drawn, updated = readout.a + readout.b, 2 * readout.a + readout.c
        slopes["nothing sent back by the updated readout"] = (
            -verdict.r - drawn + min(drawn, updated)
        )
    else:
        slopes["no alignment"] = -classify_regime(verdict.exponents, "none").r
    return slopes
