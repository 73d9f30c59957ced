"""From what was read off a trunk to trials of their own."""

import dataclasses
import hashlib
from typing import Any

import numpy as np

from transfer.run_directory import Origin, TrialResult
from transfer.training import Outcome, TrialGroup


def horizon_name(trunk: str, kind: Origin, steps: int) -> str:
    """Name what was read off a trunk, by its name, by how it was read and by the horizon."""
    return hashlib.sha256(f"{trunk} {kind} {steps}".encode()).hexdigest()[:12]


def branch_rates(rates: np.ndarray, steps: int, length: int) -> np.ndarray:
    """Return the learning rates (step) of a trunk and of a branch that ends after `steps`.

    Example:
      >>> branch_rates(np.ones(6), steps=5, length=4).tolist()
      [1.0, 1.0, 0.75, 0.5, 0.25]
    """
    fall = np.minimum(1.0, np.arange(steps, 0, -1) / length)
    cooled: np.ndarray = rates[:steps] * fall
    return cooled


def horizon_rows(
    group: TrialGroup, outcome: Outcome, index: int, trunk: TrialResult, rates: np.ndarray
) -> tuple[list[TrialResult], list[dict[str, Any]]]:
    """Return the trials that a trunk gives at the horizons it came to, and the branches' curves.

    The training loss of an average is not known. That of a branch is as of a run of its length:
    over the last tenth of the steps, some of which the trunk may have taken. A row counts the FLOPs
    of a run of its length, and leaves the time to its trunk.

    Arguments:
      index: of the trial in the group.
      trunk: its own row.
      rates: its learning rates (step).
    """
    rows: list[TrialResult] = []
    curves: list[dict[str, Any]] = []
    results = outcome.horizons
    length, losses = results.branch_length, outcome.history["loss"][index]
    per_step = outcome.flops / outcome.steps
    decay = trunk.decay_times / rates[: trunk.steps].sum()

    def row(
        kind: Origin, at: int, path: np.ndarray, taken_rates: np.ndarray, **own: Any
    ) -> TrialResult:
        steps = results.steps[at]
        scores = results.branch if kind == "branch" else results.average
        loss, accuracy = (float(scores[name][index, at]) for name in ("loss", "accuracy"))
        if diverged := not (np.isfinite(path).all() and np.isfinite(loss)):
            loss, accuracy, own = np.nan, np.nan, own | {"loss": np.nan}
        return dataclasses.replace(
            trunk,
            trial=horizon_name(trunk.trial, kind, steps),
            origin=kind,
            trunk=trunk.trial,
            steps=steps,
            tokens=steps * group.data.tokens_per_step,
            status="diverged" if diverged else "completed",
            eval_loss=loss,
            eval_accuracy=accuracy,
            decay_times=float(decay * taken_rates.sum()),
            flops=per_step * steps,
            wall_seconds=np.nan,
            compile_seconds=np.nan,
            **own,
        )

    for at, steps in enumerate(results.steps):
        if steps > outcome.steps_taken(index):
            break
        rows.append(row("average", at, losses[:steps], rates[:steps], loss=np.nan))
        if not length:
            continue
        cooled = branch_rates(rates, steps, length)
        branch = {name: values[index, at] for name, values in results.curves.items()}
        path = np.append(losses[: steps - length], branch["loss"])
        tail = float(path[-max(1, steps // 10) :].mean())
        rows.append(row("branch", at, path, cooled, loss=tail))
        curves += [
            {
                "trial": rows[-1].trial,
                "step": steps - length + step + 1,
                **{name: float(values[step]) for name, values in branch.items()},
                "learning_rate": float(cooled[steps - length + step]),
            }
            for step in range(length)
        ]
    return rows, curves
