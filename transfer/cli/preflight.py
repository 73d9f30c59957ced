"""What is refused before anything is written."""

import typing
from collections.abc import Sequence

from transfer.errors import TransferError

if typing.TYPE_CHECKING:
    from transfer.config import Experiment
    from transfer.data import Dataset
    from transfer.sweep import Group


def load_for(experiment: "Experiment", groups: Sequence["Group"]) -> "Dataset":
    """Load the data of an experiment, once every group is known to be trainable on it.

    A vocabulary larger than the tokenizer's is left alone: padding it to a round number is common.
    Raises `TransferError` for a recipe that does not fit the model or has no rule for its depth,
    batch size or length, a schedule that does not fit the run, and a vocabulary without room for
    the tokens.
    """
    from transfer import optim
    from transfer.data import load_dataset

    training, data = experiment.training, experiment.data
    for group in groups:
        layout = experiment.layout(group.width).parameters
        experiment.recipe.build(group.recipe).rules(layout, training.family)
        training.at(experiment.horizon(group.width, group.recipe))
        steps = experiment.steps(group.width)
        optim.schedule(training.schedule, steps, training.warmup, training.decay_steps)

    dataset = load_dataset(data)
    if experiment.model.vocabulary < dataset.vocabulary_size:
        raise TransferError(
            f"model.vocabulary is {experiment.model.vocabulary} but the tokenizer {data.tokenizer} "
            f"has {dataset.vocabulary_size} tokens; expected at least as many: set "
            f"--config.model.vocabulary={dataset.vocabulary_size}."
        )
    return dataset
