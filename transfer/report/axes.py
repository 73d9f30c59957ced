"""What a verdict says of each hyperparameter that was swept: a table, a sentence, a headline."""

import dataclasses
from collections.abc import Callable

from transfer.analysis import (
    JOINTLY,
    AxisVerdict,
    Estimate,
    RecipeVerdict,
    SweepVerdict,
    TransferNumbers,
)
from transfer.analysis.recipe_verdict import told
from transfer.analysis.transferability import Transfers
from transfer.notation import ANSWERS, hyperparameter, interval, learning_rate, listed, number
from transfer.report.tables import Table


@dataclasses.dataclass(frozen=True)
class AxisAnswer:
    """What is said of one hyperparameter.

    Fields:
      name: in words.
      transfers: whether its best value transfers; `word` says it.
      reason: the same in a sentence, with the numbers; it names what it is about where there are
        several.
      table: a row per width: the best value with its interval, and by what share the loss there is
        above the lowest when the best value of the next narrower width is taken. The table of the
        learning rate also has the lowest loss of the sweep.
    """

    name: str
    transfers: Transfers
    word: str
    reason: str
    table: Table


def axis_answers(judged: RecipeVerdict) -> list[AxisAnswer]:
    """Return what is said of every hyperparameter that was swept, the learning rate first.

    Example:
      >>> [(each.name, each.word) for each in axis_answers(judged)]  # doctest: +SKIP
      [('learning rate', 'transfers'), ('decay', 'does not transfer')]
    """
    return [
        AxisAnswer(
            name=hyperparameter(axis.axis),
            transfers=axis.answer.transfers,
            word=ANSWERS[axis.answer.transfers],
            reason=told(axis) if len(judged.axes) > 1 else axis.answer.reason,
            table=_table(judged, axis),
        )
        for axis in judged.axes
    ]


def title(judged: RecipeVerdict) -> str:
    """Return a recipe's name with its answer on the learning rate: `mup+sqrt: transfers`."""
    tentative = f" (tentative: {judged.tentative})" if judged.tentative else ""
    return f"{judged.recipe}: {ANSWERS[judged.answer.transfers]}{tentative}"


def headline(judged: RecipeVerdict) -> str:
    """Return the answer in a phrase, by hyperparameter where several were swept.

    Example:
      >>> headline(judged)  # doctest: +SKIP
      'learning rate transfers, decay undecided, tentative: 2 seeds, 2 widths'
    """
    words = [ANSWERS[axis.answer.transfers] for axis in judged.axes]
    names = [hyperparameter(axis.axis) for axis in judged.axes]
    phrases = [f"{name} {word}" for name, word in zip(names, words, strict=True)]
    tentative = [f"tentative: {judged.tentative}"] if judged.tentative else []
    return ", ".join([*(phrases if len(phrases) > 1 else words), *tentative])


def claim(verdict: SweepVerdict, axis: str = "learning_rate") -> str:
    """Return the sentence that a figure's title states of one hyperparameter.

    Example:
      >>> claim(verdict)  # doctest: +SKIP
      'The best learning rate transfers across width under mup+sqrt, not under standard'
    """
    found = {
        recipe: each.answer.transfers
        for recipe, judged in verdict.recipes.items()
        for each in judged.axes
        if each.axis == axis
    }
    under = {
        answer: listed([recipe for recipe, each in found.items() if each == answer])
        for answer in ANSWERS
    }
    undecided = f"undecided under {under['undecided']}" if under["undecided"] else ""
    subject = f"The best {hyperparameter(axis)}"
    if under["true"] and under["false"]:
        said = f"transfers across width under {under['true']}, not under {under['false']}"
    elif under["true"]:
        said = f"transfers across width under {under['true']}"
    elif under["false"]:
        said = f"does not transfer across width under {under['false']}"
    else:
        return f"{subject} across width: {undecided}{_tentative(verdict)}"
    return f"{subject} {said}" + (f"; {undecided}" if undecided else "") + _tentative(verdict)


def decay_claim(verdict: SweepVerdict) -> str | None:
    """Return `claim` of weight decay; None where no recipe's decay was swept at several widths."""
    swept = {axis.axis for judged in verdict.recipes.values() for axis in judged.axes}
    return claim(verdict, "weight_decay") if "weight_decay" in swept else None


def claims(verdict: SweepVerdict) -> list[str]:
    """Return `claim` for every hyperparameter that was swept on its own."""
    axes = [axis.axis for judged in verdict.recipes.values() for axis in judged.axes]
    return [claim(verdict, axis) for axis in dict.fromkeys(axes) if axis != JOINTLY]


def _tentative(verdict: SweepVerdict) -> str:
    return f" (tentative: {verdict.tentative})" if verdict.tentative else ""


def _table(judged: RecipeVerdict, axis: AxisVerdict) -> Table:
    # Files of earlier versions know only the regret of moving all hyperparameters together.
    found = axis.regrets or (judged.regrets if axis is judged.axes[0] else ())
    regrets = {each.width: each.relative for each in found}
    if axis.axis == JOINTLY:
        return Table(
            ("width", "regret"),
            [(str(width), regret_text(each)) for width, each in regrets.items()],
            words=0,
        )
    losses = {each.width: each.best_loss for each in judged.optima}
    written = learning_rate if axis.axis == "learning_rate" else number
    rows = []
    for width in sorted({*axis.optima, *regrets}):
        best = axis.optima.get(width)
        loss = losses.get(width)
        rows.append(
            (
                str(width),
                _value(best, written),
                _interval(best),
                *(["-" if loss is None else f"{loss:.3f}"] if written is learning_rate else []),
                regret_text(regrets.get(width)),
            )
        )
    loss_too = ["loss"] if written is learning_rate else []
    header = ("width", hyperparameter(axis.axis), "95 % interval", *loss_too, "regret")
    return Table(header, rows, words=0, folds=("regret",))


def numbers_table(numbers: TransferNumbers) -> Table:
    """Return how well the learning rate transfers, a row per width and one for all together.

    By how much the loss rises if the learning rate is off by a factor of two; which rates are
    within 0.1 % of the best loss; by how many octaves the line through the other widths' optima
    misses; and the regret over what the width gains in loss.
    """
    rows = [
        (
            str(width),
            _known(robust, ".2%"),
            interval(2 ** near[0], 2 ** near[1])
            if (near := numbers.near_optimal.get(width))
            else "-",
            _known(numbers.left_out.get(width), "+z.2f"),
            _known(numbers.fast_transfer.get(width), "z.2f"),
        )
        for width, robust in numbers.robustness.items()
    ]
    shared = numbers.near_optimal_everywhere
    everywhere = interval(2 ** shared[0], 2 ** shared[1]) if shared else "none"
    slope = _known(numbers.robustness_exponent, "+z.2f")
    together = ("all", "-" if slope == "-" else f"~ width^{slope}", everywhere, "-", "-")
    header = (
        "width",
        "rate off by 2",
        "near-optimal",
        "left out, octaves",
        "fast transfer",
    )
    return Table(header, [*rows, together], words=0)


def _known(estimate: Estimate | None, form: str) -> str:
    return "-" if estimate is None or estimate.value is None else estimate.text(form)


def regret_text(relative: Estimate | None) -> str:
    """Return a relative regret with its interval, or a dash where there is none.

    Example:
      >>> regret_text(Estimate(0.0017, (0.0002, 0.0041))), regret_text(Estimate(None))
      ('+0.17% [+0.02%, +0.41%]', '-')
    """
    return _known(relative, "+.2%")


def _value(best: Estimate | None, written: Callable[[float], str]) -> str:
    if best is None:
        return "not tuned"
    return "undecided" if best.value is None else written(2**best.value)


def _interval(best: Estimate | None) -> str:
    if best is None or best.interval is None:
        return "-"
    return interval(2 ** best.interval[0], 2 ** best.interval[1])
