"""What `transfer sweep --dry_run` prints: what a sweep takes here, and one for a budget."""

import dataclasses
import math
import re
import typing

from transfer.cli.time_left import in_words
from transfer.errors import TransferError

if typing.TYPE_CHECKING:
    from transfer.config import Experiment
    from transfer.run_directory import RunDirectory
    from transfer.sweeps import GroupCost, SweepCost

_BUDGET = re.compile(r"(\d+(?:\.\d*)?(?:e\+?\d+)?)([smh]?)", re.IGNORECASE)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def budget(text: str) -> tuple[float, float]:
    """Return FLOPs and seconds that a budget allows, of which one is infinite.

    Raises:
      TransferError: the text is no budget.

    Example:
      >>> budget("1e15"), budget("30m")
      ((1000000000000000.0, inf), (inf, 1800.0))
    """
    match = _BUDGET.fullmatch(text)
    if not match or float(match[1]) <= 0:
        raise TransferError(
            f"--budget is {text}; expected floating-point operations, such as 1e15, or time on "
            "this machine, such as 90s, 30m or 2h."
        )
    amount, unit = float(match[1]), match[2].lower()
    return (math.inf, amount * _UNITS[unit]) if unit else (amount, math.inf)


def show(experiment: "Experiment", run: "RunDirectory | None", allowed: str | None) -> None:
    """Print what the sweep takes, the sentence first, and propose one for a budget."""
    from transfer.cli.console import console, say
    from transfer.sweeps import sweep_cost

    limits = budget(allowed) if allowed else None
    with console.status("timing a step"):
        cost = sweep_cost(experiment, run)
    say(_sentence(cost))
    console.print(_table(cost).rich())
    say(f"Seconds are {cost.pace.source}, without compiling; memory is estimated.")
    if limits:
        _propose(experiment, run, cost, *limits)


def _sentence(cost: "SweepCost") -> str:
    trials = sum(group.trials for group in cost.groups)
    done = trials - sum(group.left for group in cost.groups)
    most = "At most " if cost.at_most else ""
    said = f"{most}{trials} trials take {cost.flops:.2g} FLOPs and {in_words(cost.seconds)} here"
    if done:
        said += f"; {done} are done, and the rest takes {in_words(cost.seconds_left)}"
    if cost.target is None or cost.ratio is None:
        return f"{said}. model.width is no wider than the sweep, so there is no target beside it."
    tuning = cost.target.trials * cost.target.seconds
    return (
        f"{said}: {100 * cost.ratio:.0f} % of the FLOPs of tuning at the target, width "
        f"{cost.target.width}, by {cost.target.trials} trials ({in_words(tuning)})."
    )


def _table(cost: "SweepCost") -> typing.Any:
    from transfer.report.tables import Table

    # Of a ladder each rung is a row, which its other sizes tell apart.
    groups = [*cost.groups, *([cost.target] if cost.target else [])]
    rows = [_row(str(group.width), group) for group in groups]
    if cost.target:
        rows[-1] = (f"{cost.target.width} (target)", *rows[-1][1:])
    others = ("layers", "batch_size")
    varied = [name for name in others if len({getattr(group, name) for group in cost.groups}) > 1]
    for name in reversed(varied):
        rows = [
            (row[0], str(getattr(group, name)), *row[1:])
            for row, group in zip(rows, groups, strict=True)
        ]
    shown = [name.replace("_", " ") for name in varied]
    header = ("width", *shown, "trials", "done", "parameters", "steps", "FLOPs", "time", "memory")
    return Table(header, rows, words=1)


def _row(name: str, group: "GroupCost") -> tuple[str, ...]:
    return (
        name,
        str(group.trials),
        str(group.done),
        f"{group.parameters:,}",
        str(group.steps),
        f"{group.trials * group.flops:.2g}",
        _duration(group.trials * group.seconds),
        _bytes(group.bytes),
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def _bytes(count: float) -> str:
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.3g} GiB"


def _propose(
    experiment: "Experiment",
    run: "RunDirectory | None",
    cost: "SweepCost",
    flops: float,
    seconds: float,
) -> None:
    from transfer.analysis import USUAL, measured_bowl, reference_trials
    from transfer.cli.console import say
    from transfer.sweeps import GroupCost, group_cost, propose

    def take(width: int, steps: int) -> GroupCost:
        training = dataclasses.replace(
            experiment.training,
            steps=steps,
            tokens_per_parameter=0.0,
            horizons=(),
            branch_steps=0,
            warmup=min(experiment.training.warmup, steps),
        )
        sweep = dataclasses.replace(experiment.sweep, survivors=1.0)
        group = dataclasses.replace(experiment, training=training, sweep=sweep).single_run()
        model = experiment.at(width)
        return group_cost(dataclasses.replace(group, model=model), cost.pace, trials=1)

    recipe = str(experiment.recipe.build())
    bowl = measured_bowl(reference_trials(run.trials()), recipe) if run else USUAL
    found = propose(experiment, take, budget_flops=flops, budget_seconds=seconds, bowl=bowl)
    source = "of committed sweeps" if bowl == USUAL else f"of the trials in {run}"
    say(f"For width {experiment.model.width} under {recipe}: {found}.")
    say(
        f"{_duration(found.seconds)} here. Expected, not promised: half the curvature "
        f"({bowl.curvature:.3g} per octave squared) times the square of an error of "
        f"{found.error:.2f} octaves, from the curvature and noise ({bowl.noise:.2g}) {source}."
    )
