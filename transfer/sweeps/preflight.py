"""What is refused before anything is written."""

from collections.abc import Sequence

from transfer import optim
from transfer.config import Experiment
from transfer.data import Dataset, ImageDataset, load_dataset
from transfer.sharding import make_mesh
from transfer.sweeps.groups import TrialGroup


def load_for(
    experiment: Experiment, groups: Sequence[TrialGroup], *, here: bool = True
) -> Dataset | ImageDataset:
    """Load the data of an experiment, once every group is known to be trainable on it.

    Raises `TransferError` for a recipe that does not fit the model or has no rule for its depth,
    batch size or length, a schedule that does not fit the run, data that the model cannot read, and
    a mesh that does not divide what it splits: where groups train on devices that are seen from
    `here`.
    """
    training = experiment.training
    for group in groups:
        layout = experiment.layout(group.width).parameters
        experiment.recipe.build(group.recipe).rules(layout, training.family)
        training.at(experiment.horizon(group.width, group.recipe))
        steps = experiment.steps(group.width)
        optim.schedule(training.schedule, steps, training.warmup, training.decay_steps)
        if here:
            make_mesh(
                experiment.mesh,
                trials=len(group.trials),
                batch_size=training.at_once(experiment.data.batch_size),
                parameters=layout,
            )

    dataset = load_dataset(experiment.data)
    experiment.model.require_fit(dataset)
    return dataset
