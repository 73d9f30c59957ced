"""What a ladder says, for the terminal, the page and as text: exponents, best batches, rules."""

import contextlib
import dataclasses
from collections.abc import Sequence

from transfer.analysis import Estimate, LadderVerdict, RuleScore, fit_ladder, is_ladder
from transfer.analysis.ladder_rules import EDGES
from transfer.analysis.rungs import AXES
from transfer.errors import TransferError
from transfer.report.tables import Table
from transfer.run_directory import RunDirectory, TrialResult

LADDER = "report/ladder.json"
_WORDS = {"width": "width", "layers": "depth", "batch_size": "batch size", "tokens": "tokens"}


@dataclasses.dataclass(frozen=True)
class LadderTables:
    """What is shown of one recipe's ladder.

    Fields:
      title: in a sentence, what it moves along.
      sentences: about knee, best batches and rules.
      exponents: a row per quantity.
      best_batches: a row per width, depth and number of tokens; None with one batch size.
      rules: a row per edge that was left out and rule; None without an edge.
    """

    title: str
    sentences: tuple[str, ...]
    exponents: Table
    best_batches: Table | None
    rules: Table | None

    @property
    def tables(self) -> list[tuple[str, Table]]:
        """All of them, each with its caption."""
        found = [
            ("Exponents", self.exponents),
            ("Best batch", self.best_batches),
            ("Rules, on edges that were left out", self.rules),
        ]
        return [(caption, table) for caption, table in found if table is not None]

    def text(self) -> str:
        """Return it as plain text."""
        tables = [f"{caption}\n{table.text()}" for caption, table in self.tables]
        return "\n\n".join([self.title, *tables, "\n".join(self.sentences)])


def ladder_verdicts(trials: Sequence[TrialResult]) -> tuple[LadderVerdict, ...]:
    """Return the verdict of every recipe that was swept along a ladder; empty without one.

    A recipe with fewer than three known optima has none.
    """
    found = []
    for recipe in sorted({trial.recipe for trial in trials if trial.origin == "sweep"}):
        mine = [trial for trial in trials if trial.recipe == recipe]
        if is_ladder(mine):
            with contextlib.suppress(TransferError):
                found.append(fit_ladder(mine, recipe).verdict)
    return tuple(found)


def write_ladders(run: RunDirectory, verdicts: Sequence[LadderVerdict]) -> None:
    """Write the verdicts to `report/ladder.json`."""
    run.write_json(LADDER, {verdict.recipe: verdict.to_json() for verdict in verdicts})


def recorded_ladders(run: RunDirectory) -> list[LadderVerdict]:
    """Return the verdicts that `write_ladders` wrote; none for a run that is no ladder."""
    content = run.read_json(LADDER) if is_ladder(run.trials()) else None
    return [LadderVerdict.from_json(each) for each in (content or {}).values()]


def ladder_tables(verdict: LadderVerdict) -> LadderTables:
    """Return what is shown of a ladder.

    Example:
      >>> print(ladder_tables(fit_ladder(trials, "mup+sqrt").verdict).text())  # doctest: +SKIP
    """
    axes = [axis for axis in AXES if any(axis in by_axis for by_axis in verdict.exponents.values())]
    words = " x ".join(_WORDS[axis] for axis in axes)
    return LadderTables(
        title=f"{verdict.recipe}, a ladder over {words}: the best value follows each size to a "
        "power",
        sentences=_sentences(verdict),
        exponents=Table(
            ("best", *(_WORDS[axis] for axis in axes)),
            [
                (name, *(_number(by_axis.get(axis), "+z.2f") for axis in axes))
                for name, by_axis in verdict.exponents.items()
            ],
        ),
        best_batches=_best_batches(verdict),
        rules=_rules(verdict.scores),
    )


def _sentences(verdict: LadderVerdict) -> tuple[str, ...]:
    left_out = verdict.rungs - verdict.known
    said = [
        f"Hyperparameters are moved from the rung of {verdict.reference}.",
        f"{verdict.known} of {verdict.rungs} rungs have a best learning rate between others"
        + (f"; the other {left_out} tell nothing of the exponents." if left_out else "."),
        "Above the best batch the learning rate no longer grows with the batch: the optima speak "
        "for a knee."
        if verdict.has_knee
        else "No knee is seen at the best batch.",
    ]
    if verdict.choice:
        said.append(f"The edges left out speak for the rule {verdict.choice}.")
    said.append("Betas and epsilon stayed as they were at every rung, under every rule.")
    return tuple(said)


def _best_batches(verdict: LadderVerdict) -> Table | None:
    if not verdict.best_batches:
        return None
    rows = []
    for size, log2 in verdict.best_batches:
        found = log2.map(lambda x: 2.0**x)
        told = found.text(".3g") if found.value is not None else f"unknown: {found.reason}"
        rows.append((str(size.width), str(size.layers), f"{size.tokens:,}", told))
    return Table(("width", "layers", "tokens", "best batch"), rows, words=0)


def _rules(scores: Sequence[RuleScore]) -> Table | None:
    if not scores:
        return None
    rows = [
        (
            EDGES[score.edge],
            f"{score.rule}: {score.choice}" if score.choice else score.rule,
            str(score.rungs),
            f"{score.octaves:.2f}",
            score.regret.text(".2%"),
            "-" if score.rule == "none" else score.difference.text("+.2%"),
        )
        for score in scores
    ]
    header = ("left out", "rule", "rungs", "octaves off", "regret", "less that of none")
    return Table(header, rows, words=2)


def _number(found: Estimate | None, form: str) -> str:
    return "-" if found is None or found.value is None else found.text(form)
