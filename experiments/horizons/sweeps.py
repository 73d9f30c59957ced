"""The sweep of trunks, and the sweeps of runs of each horizon's length that it is compared with."""

import dataclasses

from transfer.config import Experiment, read, template

HORIZONS = (100, 200, 400)
BRANCH_STEPS, AVERAGE_SHARE = 40, 0.1
WIDTHS = (32,)
# How runs of a horizon's length decay: the default, and the last fifth.
SCHEDULES = ("cosine", "wsd")


def trunks() -> Experiment:
    """A decoder of one layer on the standard library's source, at a constant rate."""
    config = template()
    config.name = "horizons"
    config.base_width = 8
    config.model.layers = 1
    config.model.head_dim = 8
    config.model.width = max(WIDTHS)
    config.model.dtype = "float32"
    config.data.sequence_length = 32
    config.data.batch_size = 16
    config.hyperparameters.readout_output = 4.0
    config.training.steps = HORIZONS[-1]
    config.training.warmup = 20
    config.training.log_every = 40
    config.training.spectrum_every = 0
    config.training.schedule = "constant"
    config.training.horizons = HORIZONS
    config.training.branch_steps = BRANCH_STEPS
    config.training.average_share = AVERAGE_SHARE
    config.sweep.widths = WIDTHS
    config.sweep.recipes = ("mup+sqrt",)
    config.sweep.seeds = (0, 1, 2)
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-8, -1))
    return read(config)


def runs(steps: int, schedule: str) -> Experiment:
    """The same sweep of runs of another length that decay by a schedule of their own."""
    experiment = trunks()
    training = dataclasses.replace(
        experiment.training,
        steps=steps,
        schedule=schedule,
        decay_steps=steps // 5 if schedule == "wsd" else 0,
        horizons=(),
        branch_steps=0,
    )
    return dataclasses.replace(experiment, training=training)
