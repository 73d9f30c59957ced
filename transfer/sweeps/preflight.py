"""What is refused before anything is written."""

from collections.abc import Sequence, Set

from transfer import optim
from transfer.config import Experiment
from transfer.data import Dataset, ImageDataset, load_dataset
from transfer.errors import TransferError
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
        length, a schedule does not fit the run, the model cannot read the data, batch sizes differ
        in the held-out examples that they are evaluated on, a mesh does not divide what it splits,
        or a trial does not fit into the memory of its devices.
    """
    for group in groups:
        training = group.training
        for recipe in group.recipes:
            recipe.rules(group.layout.parameters, training.family)
            training.at(group.horizon(recipe))
        optim.schedule(training.schedule, group.shape.steps, training.warmup, training.decay_steps)
        if here:
            group_mesh(group)

    dataset = load_dataset(experiment.data)
    experiment.model.require_fit(input_spec(dataset))
    _require_one_evaluation(dataset, {group.shape.batch_size for group in groups})
    if here:
        for group in groups:
            require_room_for_one(group)
    return dataset


def _require_one_evaluation(dataset: Dataset | ImageDataset, batch_sizes: Set[int]) -> None:
    """Raise `TransferError` where batch sizes would be evaluated on other numbers of examples."""
    read = {size: dataset.in_batches_of(size).held_out_examples for size in sorted(batch_sizes)}
    if len(set(read.values())) > 1:
        found = ", ".join(f"{count} in batches of {size}" for size, count in read.items())
        raise TransferError(
            f"An evaluation reads whole batches, and so another number of held-out examples by "
            f"batch size ({found}), whose losses do not compare; expected a data.eval_sequences "
            "or data.eval_images that all batch sizes divide, and no more than the split holds."
        )
