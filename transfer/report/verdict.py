"""A sweep's verdict in words: one description, for the terminal, notebooks, the page and as text.

It begins with what to do (`transfer.report.advice`); then `answers` describes what is said of each
recipe's hyperparameters (`transfer.report.axes`) and sublayers (`transfer.report.sublayers`).
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from transfer.analysis import RecipeVerdict, Regret, SweepVerdict
from transfer.analysis.transferability import Transfers
from transfer.markup import html_paragraph
from transfer.notation import ANSWERS
from transfer.report.advice import advice_text, spent, trained_table
from transfer.report.axes import AxisAnswer, axis_answers, headline, numbers_table, regret_text
from transfer.report.sublayers import invariance
from transfer.report.tables import Table

if TYPE_CHECKING:
    from rich.console import Group

_COLOURS = {"true": "green", "false": "red", "undecided": "yellow"}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a verdict says of one recipe.

    Fields:
      recipe: its name.
      transfers: whether the learning rate does; `word` says so in a word.
      headline: the answer on all hyperparameters in a phrase, with whether it is tentative.
      axes: of each hyperparameter that was swept.
      facts: names with numbers, for the page.
      target: what training the target with transferred hyperparameters gave, in a sentence.
      sublayers: a row for each: whether its top singular value is invariant, and why.
      numbers: how well the learning rate transfers, by width.
    """

    recipe: str
    transfers: Transfers
    word: str
    headline: str
    axes: Sequence[AxisAnswer]
    facts: Sequence[tuple[str, str]]
    target: str | None
    sublayers: Table
    numbers: Table | None

    @property
    def sentences(self) -> list[str]:
        """What is said of every hyperparameter, and of a trained target."""
        return [*(axis.reason for axis in self.axes), *([self.target] if self.target else [])]


def answers(verdict: SweepVerdict) -> list[Answer]:
    """Return the answer of every recipe, in the verdict's order.

    Example:
      >>> answers(verdict)[0].facts[0]  # doctest: +SKIP
      ('Slope of the best learning rate over width', '-0.05 [-0.11, -0.02]')
    """
    return [_answer(judged) for judged in verdict.recipes.values()]


def verdict_table(verdict: SweepVerdict) -> "Group":
    """Return the verdict for a terminal: what to do, and per recipe the answers with their tables.

    Readable from 60 columns on.

    Example:
      >>> rich.print(verdict_table(verdict))  # doctest: +SKIP
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    advice = advice_text(verdict)
    parts: list[Any] = [] if advice is None else [advice, Text()]
    for answer in answers(verdict):
        colour = _COLOURS[answer.transfers]
        parts.append(Text.assemble((answer.recipe, "bold"), ": ", (answer.headline, colour)))
        for axis in answer.axes:
            parts += [axis.table.rich(), Padding(Text(axis.reason), (0, 0, 1, 2))]
        if answer.target:
            parts.append(Padding(Text(answer.target), (0, 0, 1, 2)))
    if verdict.compute.widths:
        parts += [Text("Trained", style="bold"), trained_table(verdict.compute).rich()]
    return Group(*parts, Text(spent(verdict.compute)))


def verdict_html(verdict: SweepVerdict) -> str:
    """Return the verdict as HTML: what to do, and per recipe the answers with their tables."""
    advice = advice_text(verdict)
    parts = [] if advice is None else [advice.html()]
    for answer in answers(verdict):
        for place, axis in enumerate(answer.axes):
            said = axis.name if place else answer.headline
            parts += [axis.table.html(f"{answer.recipe}: {said}"), html_paragraph(axis.reason)]
        if answer.target:
            parts.append(html_paragraph(answer.target))
    if verdict.compute.widths:
        parts.append(trained_table(verdict.compute).html("Trained"))
    return "\n".join([*parts, html_paragraph(spent(verdict.compute))])


def verdict_text(verdict: SweepVerdict) -> str:
    """Return the verdict as plain text: what to do, and per recipe the answers and their tables."""
    advice = advice_text(verdict)
    parts = [] if advice is None else [str(advice)]
    for answer in answers(verdict):
        lines = [f"{answer.recipe}: {answer.headline}"]
        for axis in answer.axes:
            lines += [axis.table.text(), axis.reason]
        parts.append("\n".join([*lines, *([answer.target] if answer.target else [])]))
    trained = []
    if verdict.compute.widths:
        trained = ["Trained", trained_table(verdict.compute).text()]
    parts.append("\n".join([*trained, spent(verdict.compute)]))
    return "\n\n".join(parts)


def _answer(judged: RecipeVerdict) -> Answer:
    sublayers, axes = judged.sublayers, axis_answers(judged)
    return Answer(
        recipe=judged.recipe,
        transfers=judged.answer.transfers,
        word=ANSWERS[judged.answer.transfers],
        headline=headline(judged),
        axes=axes,
        facts=(
            *(
                (
                    f"Slope of the best {answer.name} over width",
                    f"unknown: {axis.slope.reason}"
                    if axis.slope.value is None
                    else axis.slope.text("+z.2f"),
                )
                for axis, answer in zip(judged.axes, axes, strict=True)
                if axis.optima
            ),
            *(
                (f"Regret of moving all at width {each.width}", _regret(each))
                for each in judged.regrets
            ),
            (
                "Top singular value over width",
                invariance(sublayers) if sublayers else "not recorded at two widths",
            ),
        ),
        target=_target(judged),
        sublayers=Table(
            ("sublayer", "top singular value", "why"),
            [
                (name, each.invariance.answer, each.invariance.reason)
                for name, each in sublayers.items()
            ],
            words=3,
        ),
        numbers=numbers_table(judged.numbers) if judged.numbers else None,
    )


def _target(judged: RecipeVerdict) -> str | None:
    """Say what training a target with transferred hyperparameters gave, if it was trained."""
    trained = [each for each in judged.regrets if each.source == "trained"]
    if not trained:
        return None
    target = trained[-1]
    told = f"Trained at width {target.width} with what width {target.from_width} predicted: "
    if target.diverged:
        return f"{told}it diverged."
    if target.regret is None:
        return f"{told}loss {target.loss:.3f}; its regret is unknown, because {target.reason}."
    return (
        f"{told}loss {target.loss:.3f} where the best of a sweep there is "
        f"{target.best_loss:.3f}, a regret of {regret_text(target.relative)}."
    )


def _regret(regret: Regret) -> str:
    if regret.relative.value is None:
        return "diverged" if regret.diverged else f"unknown: {regret.reason}"
    return regret.relative.text("+.2%")
