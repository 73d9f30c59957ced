"""A decoder so small that a slice of TPUs gets its program in seconds."""

import dataclasses

from transfer.config import Experiment, read
from transfer.plan.program import compile_group
from transfer.tpu import Topology
from transfer.training import TrialGroup, TrialSpec

WIDTH, VOCABULARY, TIME, BATCH = 128, 256, 128, 16


def experiment(mesh=None, training=None, data=None, **model) -> Experiment:
    return read(
        {
            "base_width": WIDTH,
            "model": {
                "width": WIDTH,
                "layers": 2,
                "vocabulary": VOCABULARY,
                "head_dim": 128,
                **model,
            },
            "data": {"sequence_length": TIME, "batch_size": BATCH, **(data or {})},
            "training": training or {},
            "mesh": mesh or {},
        }
    )


def group(experiment: Experiment, trials: int) -> TrialGroup:
    """Trials of different learning rates."""
    points = (
        dataclasses.replace(experiment.hyperparameters, learning_rate=2.0**-k)
        for k in range(4, 4 + trials)
    )
    recipe = experiment.recipe.build()
    return experiment.group(
        experiment.model.width, [TrialSpec(point, 0, recipe) for point in points]
    )


def program(topology: str, trials: int = 1, **settings):
    return compile_group(group(experiment(**settings), trials), Topology.parse(topology))
