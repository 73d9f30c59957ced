"""Compares two runs: how their settings differ, and by recipe and width their best losses.

transfer compare A B; both are run directories. Where data or the loss that is compared differ,
losses are not set side by side.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import flags as absl_flags

from transfer.cli import flags, platform
from transfer.errors import TransferError
from transfer.notation import ANSWERS, learning_rate

if TYPE_CHECKING:
    from transfer.analysis import SweepVerdict
    from transfer.run_directory import RunDirectory

# `transfer compare A B` is short for `transfer compare --run=A --against=B`.
POSITIONAL = ("run", "against")
_ABSENT = "not set"


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    flags.define_run(values)
    absl_flags.DEFINE_string(
        "against", None, "the run directory to compare with", flag_values=values
    )


def run(values: absl_flags.FlagValues) -> int:
    """Print the comparison."""
    platform.prepare()
    from transfer.cli.console import console, say
    from transfer.run_directory import RunDirectory

    first = flags.run_directory(values)
    if not values["against"].value:
        raise TransferError("No second run was given; expected transfer compare RUN OTHER_RUN.")
    second = RunDirectory(values["against"].value)
    runs = (first, second)
    verdicts = [_judged(each) for each in runs]
    settings = [dict(flags.flat((each.config() or {}).get("experiment", {}))) for each in runs]
    names = sorted(
        name
        for name in {*settings[0], *settings[1]}
        if settings[0].get(name, _ABSENT) != settings[1].get(name, _ABSENT)
    )
    say(f"A is {first}, B is {second}.")
    for name in names:
        told = (str(each.get(name, _ABSENT)) for each in settings)
        say("{}: {} in A, {} in B".format(name, *told))
    if not names:
        say("Their settings are the same.")
    if reason := _not_comparable(runs, verdicts):
        say(reason)
    console.print(_table(verdicts, comparable=not reason).rich())
    return 0


def _judged(run: "RunDirectory") -> "SweepVerdict":
    from transfer.analysis import judge

    trials = run.require_trials()
    return judge(trials, run.spectrum(), task="", provenance={})


def _not_comparable(
    runs: "Sequence[RunDirectory]", verdicts: "Sequence[SweepVerdict]"
) -> str | None:
    """Say why losses of two runs do not compare; None where they do."""
    read = [flags.recorded_fingerprint(each) for each in runs]
    if read[0] != read[1]:
        return "Their data differ, so that their losses do not compare."
    if verdicts[0].objective != verdicts[1].objective:
        told = " and ".join(str(each.objective) for each in verdicts)
        return f"They go by {told}, which do not compare."
    return None


def _table(verdicts: "Sequence[SweepVerdict]", *, comparable: bool) -> Any:
    from transfer.report.tables import Table

    found = [
        {
            (judged.recipe, optimum.width): (optimum, ANSWERS[judged.answer.transfers])
            for judged in verdict.recipes.values()
            for optimum in judged.optima
        }
        for verdict in verdicts
    ]
    rows = []
    for recipe, width in sorted({*found[0], *found[1]}):
        both = [each.get((recipe, width)) for each in found]
        rates = [each and learning_rate(2.0 ** each[0].nearest_log2_learning_rate) for each in both]
        losses = [each and each[0].best_loss for each in both]
        change = "-"
        if comparable and losses[0] and losses[1]:
            change = f"{losses[1] / losses[0] - 1:+.2%}"
        answers = [each[1] if each else "-" for each in both]
        answer = answers[0] if answers[0] == answers[1] else " | ".join(answers)
        rows.append(
            (
                recipe,
                answer,
                str(width),
                *(rate or "-" for rate in rates),
                *("-" if loss is None else f"{loss:.4f}" for loss in losses),
                change,
            )
        )
    header = ("recipe", "verdict", "width", "best rate, A", "B", "best loss, A", "B", "B over A")
    return Table(header, rows, words=2)
