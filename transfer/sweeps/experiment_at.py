"""The experiment of which runs of a horizon's length would be trials."""

import dataclasses

from transfer.config import Experiment
from transfer.run_directory import ReadOff


def experiment_at(experiment: Experiment, horizon: ReadOff) -> Experiment:
    """Return the experiment whose runs are what was read off trunks at a horizon.

    A branch is a run of that length under the schedule `wsd`, with as many steps of decay as the
    branch has; the average is that of a shorter trunk, read off at its end.

    Example:
      >>> from transfer.config import read
      >>> training = {"schedule": "constant", "horizons": [100, 200], "branch_steps": 40}
      >>> shorter = experiment_at(read({"training": training}), ReadOff(100, "branch")).training
      >>> shorter.steps, shorter.schedule, shorter.decay_steps
      (100, 'wsd', 40)
    """
    training = experiment.training
    if horizon.kind == "branch":
        of_run = dataclasses.replace(
            training,
            steps=horizon.steps,
            schedule="wsd",
            decay_steps=training.branch_steps,
            horizons=(),
            branch_steps=0,
        )
    else:
        of_run = dataclasses.replace(
            training, steps=horizon.steps, horizons=(horizon.steps,), branch_steps=0
        )
    sweep = dataclasses.replace(experiment.sweep, survivors=1.0)
    return dataclasses.replace(experiment, training=of_run, sweep=sweep)
