"""Fits the optimum of the sweep in --run and writes hyperparameters.json for a target.

The target may have another width, depth, batch size (in windows) and number of tokens; what is not
given stays as in the sweep. Depth needs a recipe.depth and the last two a recipe.horizon in the
sweep's configuration, or a ladder: a sweep of several batch sizes and numbers of tokens, whose own
exponents are then followed. The file is what `transfer train --hyperparameters=FILE` takes.

It says first what to train the target with and how sure that is, then the absolute learning rate,
decay, epsilon, init std and multiplier of each role there, for use elsewhere, and last what it
takes for granted. The file also holds them, and what it was tuned for.

--horizon=STEPS, with --kind=average or branch, reads what the trunks of a sweep with
training.horizons gave there, as a sweep of runs of that length.

--decay=measured lets the decay of each hidden matrix follow the exponent that the singular values
of the proxies ask for: measured at all of them but the widest, and verified at that one.
"""

import dataclasses
import typing
from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags, platform

if typing.TYPE_CHECKING:
    from transfer.analysis import Prediction
    from transfer.config import Experiment
    from transfer.run_directory import RunDirectory, TrialResult

_AXES = {
    "width": "width",
    "layers": "depth",
    "batch_size": "batch size, in windows",
    "tokens": "number of tokens, over the whole run",
}


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    flags.define_run(values)
    flags.define_horizon(values)
    for name, what in _AXES.items():
        absl_flags.DEFINE_integer(name, None, f"the target's {what}", flag_values=values)
    absl_flags.DEFINE_string(
        "recipe", None, "which of the sweep's recipes; needed if it has several", flag_values=values
    )
    absl_flags.DEFINE_string(
        "decay", None, "measured, or nothing for the sweep's own rule", flag_values=values
    )


def run(values: absl_flags.FlagValues) -> int:
    """Predict and write."""
    platform.prepare()
    from transfer.cli.console import say
    from transfer.errors import TransferError
    from transfer.sweeps import experiment_at, extrapolated, tuned_for
    from transfer.sweeps.ladder import predict_on_ladder, reference_experiment

    directory = flags.run_directory(values)
    directory.require_trials()
    horizon = flags.horizon(values, directory)
    trials = directory.trials(horizon)
    asked: dict[str, int] = {
        name: value for name in _AXES if (value := values[name].value) is not None
    }
    if not asked:
        raise TransferError(
            "No target was given; expected --width=WIDTH, or another of --layers, --batch_size and "
            "--tokens."
        )
    for name, value in asked.items():
        if value < 1:
            raise TransferError(f"--{name} is {value}; expected a whole number of at least 1.")
    if (decay := values["decay"].value) not in (None, "measured"):
        raise TransferError(
            f"--decay is {decay}; expected measured, or no --decay for the rule that was swept."
        )
    recipes = sorted({trial.recipe for trial in trials})
    recipe = values["recipe"].value or recipes[0]
    if values["recipe"].value is None and len(recipes) > 1:
        raise TransferError(
            f"The sweep has the recipes {', '.join(recipes)}; expected one of them in --recipe."
        )
    if flags.holds_results(directory):
        if decay:
            raise TransferError(
                f"--decay is {decay}, but {directory} holds results from elsewhere, without "
                "singular values; expected no --decay."
            )
        _predict_from_results(directory, trials, recipe, asked)
        return 0
    # As declared: the quickstart's directory also holds a small sweep of its target.
    experiment = flags.recorded_experiment(directory)
    if horizon is not None:
        experiment = experiment_at(experiment, horizon)
    experiment = reference_experiment(experiment, trials)
    proxies = experiment.sweep.widths
    width = asked.pop("width", None)
    if asked and width == max(proxies, default=None):
        width = None  # The widest proxy may be the target of a move along the other axes.
    prediction = predict_on_ladder(trials, recipe, width, proxies)
    if decay and horizon is not None:
        raise TransferError(
            f"--decay is {decay} with --horizon={horizon.steps}; expected no --horizon, since "
            "singular values are those of whole runs."
        )
    if decay:
        prediction = _with_measured_decay(experiment, directory, prediction)
    prediction = dataclasses.replace(
        extrapolated(experiment, prediction, **asked),
        tuned_for=tuned_for(experiment, flags.recorded_fingerprint(directory)),
    )
    file = directory.write_json("hyperparameters.json", prediction.to_json())
    say(prediction.text)
    say(
        f"Written to {file}. Next: transfer train {flags.shown('hyperparameters', file)} "
        "--config=... --run=..."
    )
    return 0


def _predict_from_results(
    directory: "RunDirectory", trials: "list[TrialResult]", recipe: str, asked: dict[str, int]
) -> None:
    """Predict over width alone, because how else the model could grow is not known."""
    from transfer.analysis import predict
    from transfer.cli.console import say
    from transfer.errors import TransferError

    if others := [name for name in asked if name != "width"]:
        raise TransferError(
            f"--{others[0]} is given, but {directory} holds results from elsewhere and no recipe "
            "whose rules could move them; expected --width=WIDTH alone."
        )
    prediction = predict(trials, recipe, asked["width"])
    file = directory.write_json("hyperparameters.json", prediction.to_json())
    say(prediction.text)
    say(f"Written to {file}.")


def _with_measured_decay(
    experiment: "Experiment", directory: "RunDirectory", prediction: "Prediction"
) -> "Prediction":
    """Return the prediction under decay exponents that the run's singular values ask for."""
    from transfer.analysis import calibrate_run, reference_trials
    from transfer.errors import TransferError

    if experiment.training.family != "entrywise":
        raise TransferError(
            f"The decay of {experiment.training.optimizer} holds lr * decay fixed and follows no "
            "exponent to measure; expected a sweep with an entrywise optimizer such as adamw."
        )
    found = calibrate_run(
        reference_trials(directory.trials()),
        directory.spectrum(),
        prediction.recipe,
        prediction.proxy_widths,
        prediction.log2_learning_rate,
    )
    return prediction.calibrated(found)
