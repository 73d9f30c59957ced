"""What is refused before anything is written."""

from collections.abc import Sequence

from transfer import optim
from transfer.config import Experiment
from transfer.data import Dataset, ImageDataset, load_dataset
from transfer.training import TrialGroup, group_mesh, require_room_for_one
from transfer.training.task import input_spec


def load_for(
    experiment: Experiment, groups: Sequence[TrialGroup], *, here: bool = True
) -> Dataset | ImageDataset:
    """Load the data of an experiment, once every group is known to be trainable on it.

    Arguments:
      here: whether groups train on devices that this process sees, so that their mesh is known.

    Raises:
      TransferError: a recipe does not fit the model or has no rule for its depth, batch size or
        length, a schedule does not fit the run, the model cannot read the data, a mesh does not
        divide what it splits, or a trial does not fit into the memory of its devices.
    """
    for group in groups:
        training = group.training
        for recipe in group.recipes:
            recipe.rules(group.layout.parameters, training.family)
            training.at(group.horizon(recipe))
        optim.schedule(training.schedule, group.shape.steps, training.warmup, training.decay_steps)
        if here:
            group_mesh(group)
            require_room_for_one(group)

    dataset = load_dataset(experiment.data)
    experiment.model.require_fit(input_spec(dataset))
    return dataset
