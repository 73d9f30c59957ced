"""Trains the model of --config, or a predicted target, into --run, with checkpoints.

The same command goes on from the last checkpoint. --hyperparameters takes what `transfer predict`
wrote: width, recipe, learning rate, decay and multipliers.
"""

import dataclasses
import json
import typing

from absl import flags as absl_flags

from transfer.cli import flags, platform

if typing.TYPE_CHECKING:
    from transfer.config import Experiment


def define(values: absl_flags.FlagValues) -> None:
    """Define the verb's flags."""
    flags.define_config(values)
    flags.define_run(values)
    absl_flags.DEFINE_string(
        "hyperparameters", None, "a hyperparameters.json from predict", flag_values=values
    )


def run(values: absl_flags.FlagValues) -> int:
    """Train, or go on training."""
    platform.prepare()
    from transfer.cli.console import console, with_progress
    from transfer.data import load_dataset
    from transfer.sweep import Group, Setting, claim, run_groups

    experiment, directory = flags.experiment(values), flags.run_directory(values)
    predicted = values["hyperparameters"].value
    if predicted:
        experiment = with_hyperparameters(experiment, predicted)
    group = Group(
        width=experiment.model.width,
        recipe=str(experiment.recipe.build()),
        settings=(
            Setting(
                experiment.hyperparameters, experiment.seed, "predicted" if predicted else "sweep"
            ),
        ),
    )
    dataset = load_dataset(experiment.data)
    claim(directory, experiment, dataset.fingerprint, "training run")
    failures = with_progress(
        directory,
        experiment,
        [group],
        lambda progress: run_groups(
            experiment,
            directory,
            dataset,
            [group],
            progress,
            checkpoint_folder=directory.checkpoints,
        ),
    )
    flags.require_success(failures)
    (trial,) = directory.trials()
    console.print(
        f"Held-out loss {trial.eval_loss:.4f} after {trial.steps} steps ({trial.status}). "
        f"Checkpoints are in {directory.checkpoints}. "
        f"Next: transfer export --run={directory} --output=FOLDER."
    )
    return 0


def with_hyperparameters(experiment: "Experiment", file: str) -> "Experiment":
    """Return the experiment at the width and with the hyperparameters of a prediction.

    Raises `TransferError` when the file is missing or no prediction, or when it was made for
    another base width, where its numbers would mean something else.
    """
    from transfer.analysis import Prediction
    from transfer.errors import TransferError

    try:
        with open(file) as stream:
            prediction = Prediction.from_json(json.load(stream))
    except (OSError, json.JSONDecodeError) as error:
        raise TransferError(
            f"The hyperparameters {file} cannot be read ({error}); expected what transfer predict "
            "wrote."
        ) from None
    if prediction.base_width != experiment.base_width:
        raise TransferError(
            f"The hyperparameters {file} are meant at base width {prediction.base_width} but the "
            f"configuration has {experiment.base_width}; expected the sweep's own configuration."
        )
    return dataclasses.replace(
        experiment,
        model=experiment.at(prediction.target_width),
        recipe=dataclasses.replace(experiment.recipe, name=prediction.recipe),
        hyperparameters=prediction.hyperparameters,
    )
