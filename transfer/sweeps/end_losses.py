"""The losses that a search goes by, of trials that it stopped at a horizon too."""

from collections.abc import Sequence

import numpy as np

from transfer.run_directory import TrialResult
from transfer.training import TrialGroup


def end_losses(group: TrialGroup, rows: Sequence[TrialResult]) -> dict[str, float]:
    """Return the loss of every trial of a group by name, infinite where it diverged.

    Of a trial that was stopped at a horizon it is what is expected at the end:
    `L_h median(L_end / L_h')`, where `L_h` is the loss of its average there, and the median is over
    the trials of its recipe in the group that came to the end. Where none did, it is `L_h`.

    Arguments:
      rows: of the run's table, those read off trunks included.

    Example:
      >>> end_losses(group, run.rows())  # doctest: +SKIP
      {'0f3a81c2d4e5': 2.31, '5b7c90a1e2f3': inf}
    """
    names = {group.trial_name(trial) for trial in group.trials}
    trials = {row.trial: row for row in rows if row.trial in names}
    averages = {
        (row.trunk, row.steps): row.objective_value for row in rows if row.origin == "average"
    }
    losses = {name: trial.objective_value for name, trial in trials.items()}
    for name, trial in trials.items():
        if trial.status != "stopped":
            continue
        others = [
            losses[other] / averages[other, trial.steps]
            for other, row in trials.items()
            if row.recipe == trial.recipe and row.status == "completed"
        ]
        expected = float(np.median(others)) if others else 1.0
        losses[name] = averages[name, trial.steps] * expected
    return losses
