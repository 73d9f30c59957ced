"""Sentences that say why the sizes of a model do not follow width as its recipe says."""

from collections.abc import Iterator, Sequence

from transfer.checks.measured_sizes import LOSS, OUTPUT
from transfer.checks.predictions import Predictions
from transfer.checks.rows import TOLERANCE, CheckRow
from transfer.scaling import Recipe, Role, Slopes


def diagnose(rows: Sequence[CheckRow], predictions: Predictions) -> tuple[str, ...]:
    """Return one sentence for each cause that the rows show, most upstream first.

    Wrong inits and learning rates show on the parameters themselves. If these are right, an error
    in the output or in a product of activations is a wrong multiplier of the forward pass.
    """
    found = [
        *_inits(rows, predictions),
        *_rates(rows, predictions),
        *_readout(rows, predictions),
        *_attention(rows, predictions),
    ]
    if not found:
        found = [
            f"The {row.quantity} of {row.name} follows width^{row.slope:+z.2f}, expected "
            f"width^{row.expected}, though every init and update is as it should be: "
            f"something in the forward pass scales with width{_crossover(predictions)}."
            for row in _differing(rows, "activation", "gradient", "change")
        ][:1]
    unclear = [row for row in rows if row.verdict == "unclear"]
    if unclear:
        others = f" (and of {len(unclear) - 1} more)" if len(unclear) > 1 else ""
        found.append(
            f"Seeds leave open whether the slope of the {unclear[0].quantity} of "
            f"{unclear[0].name}{others} is within {TOLERANCE} of theory; expected more seeds, a "
            "longer ladder of widths, or wider ones."
        )
    return tuple(found)


def _inits(rows: Sequence[CheckRow], predictions: Predictions) -> Iterator[str]:
    recipe = predictions.slopes.recipe
    off = _differing(rows, "weight")
    standard = Slopes(Recipe("standard"), predictions.slopes.family)
    as_standard = all(
        abs(row.slope - standard.weight(predictions.layout[row.name].role)) <= TOLERANCE
        for row in rows
        if row.quantity == "weight" and row.slope is not None
    )
    if off and as_standard:
        yield (
            f"The model is initialized as under standard and not as under {recipe} "
            f"({', '.join(row.name for row in off)}): pass its parameters through "
            "transfer.rescale_init before training."
        )
        return
    for row in off:
        role = predictions.layout[row.name].role
        hint = ", as flax's embeddings do by default" if role == Role.INPUT else ""
        yield (
            f"The init of the {role} weight {row.name} follows width^{row.slope:+z.2f}{hint}; "
            f"expected width^{row.expected}: set its initializer, or pass the parameters "
            "through transfer.rescale_init."
        )


def _rates(rows: Sequence[CheckRow], predictions: Predictions) -> Iterator[str]:
    gradients = {row.name: row.error for row in rows if row.quantity == "gradient"}
    groups: dict[tuple[Role, float], list[CheckRow]] = {}
    for row in _differing(rows, "update"):
        # SGD's step is proportional to the gradient, whose own error has another cause.
        linear = predictions.slopes.family == "linear"
        error = row.error - (gradients.get(row.name, 0.0) if linear else 0.0)
        if abs(error) > TOLERANCE:
            role = predictions.layout[row.name].role
            groups.setdefault((role, round(error, 1)), []).append(row)
    for (role, error), group in groups.items():
        others = f" and of {len(group) - 1} more" if len(group) > 1 else ""
        yield (
            f"The learning rate of the {role} parameter {group[0].name}{others} is off by "
            f"width^{error:+z.1f}: updates follow width^{group[0].slope:+z.2f}, expected "
            f"width^{group[0].expected}; make the optimizer from this layout and recipe, with "
            "transfer.adamw, transfer.sgd or another of transfer's."
        )


def _readout(rows: Sequence[CheckRow], predictions: Predictions) -> Iterator[str]:
    inits = {predictions.layout[row.name].role for row in _differing(rows, "weight")}
    if Role.OUTPUT in inits:
        return
    found = {(row.quantity, row.name): row for row in rows if not row.step}
    # A zero-initialized readout shows its multiplier in the change alone.
    row = found["activation", OUTPUT]
    row = row if row.slope is not None else found["change", LOSS]
    if row.verdict != "differs":
        return
    # Errors that come from the layers below are not the readout's.
    below = [
        other.error
        for other in rows
        if other.quantity == row.quantity and other.name in predictions.layout and not other.step
    ]
    error = row.error - max((each for each in below if each > TOLERANCE), default=0.0)
    if error > TOLERANCE:
        yield (
            f"The {row.quantity} of the output follows width^{row.slope:+z.2f}, expected "
            f"width^{row.expected}: the readout's forward multiplier is missing; multiply "
            "its logits by transfer.multiplier."
        )
    elif error < -TOLERANCE:
        yield (
            f"The {row.quantity} of the output follows width^{row.slope:+z.2f}, expected "
            f"width^{row.expected}: the readout is scaled twice; keep either its multiplier "
            "(mup) or its smaller init and learning rate (mup_table3)."
        )


def _attention(rows: Sequence[CheckRow], predictions: Predictions) -> Iterator[str]:
    for row in rows:
        growing = row.name in predictions.wide_terms and predictions.grows(row.name)
        if growing and row.quantity == "activation" and row.verdict == "differs":
            wanted = predictions.slopes.recipe.contraction.width
            yield (
                f"The attention logits ({row.name}, over a growing head dimension) follow "
                f"width^{row.slope:+z.2f}, expected width^{row.expected}: they are scaled by "
                f"head_dim^{row.error + float(wanted):+z.2f}, expected "
                f"head_dim^{float(wanted):+z.2f} (1/d under muP, not 1/sqrt(d)), or a fixed head "
                "dimension and more heads."
            )


def _crossover(predictions: Predictions) -> str:
    """Return the harmless explanation, if attention logits fall with width."""
    if not any(map(predictions.grows, predictions.wide_terms)):
        return ""
    return (
        ", or attention is still becoming flat as its logits fall with the growing head dimension, "
        "which wider models or smaller logits at the base width would tell"
    )


def _differing(rows: Sequence[CheckRow], *quantities: str) -> list[CheckRow]:
    return [row for row in rows if row.verdict == "differs" and row.quantity in quantities]
